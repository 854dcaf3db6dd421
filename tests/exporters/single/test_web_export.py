"""What a page consists of, and where its runtime comes from."""

import json
import tarfile
from pathlib import Path

import click
import numpy as np
import onnx
import pytest
from graphs import network, write_upscaler
from systems import ROUTER, brightening, fused, grown, plain

from mmsr_core.cli.single import Forms
from mmsr_core.errors import BundleError, ExportError
from mmsr_core.runtime.bundle import Bundle
from mmsr_onnx.single.check import Reference, open_graph
from mmsr_onnx.web import export_web, runtime
from mmsr_onnx.web.runtime import FILES, WEBGPU


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A folder with files of the runtime's names."""
    folder = tmp_path / "runtime" / "dist"
    folder.mkdir(parents=True)
    for name in FILES:
        (folder / name).write_text(f"this is {name}")
    return folder.parent


def export(bundle: Bundle, out: Path, given: Path | None) -> None:
    export_web(bundle, out, given, lambda step: None)


def test_the_page_has_all_that_it_asks_for(tmp_path: Path, package: Path) -> None:
    export(grown(tmp_path / "bundle"), tmp_path / "page", package)
    written = {path.name for path in (tmp_path / "page").iterdir()}
    assert written >= {"index.html", "page.mjs", "worker.mjs", "model.onnx", *FILES}
    facts = json.loads((tmp_path / "page" / "model.json").read_text())
    assert facts["classes"] == ["SIMPLE", "COMPLEX"]
    assert (facts["scale"], facts["cell"], facts["halo"], facts["effort"]) == (2, 8, 2, 0.5)


def test_webgpu_has_the_plan_and_every_expert_once(tmp_path: Path, package: Path) -> None:
    export(fused(tmp_path / "bundle"), tmp_path / "page", package)
    parts = json.loads((tmp_path / "page" / "model.json").read_text())["webgpu"]
    both, dear = parts["routes"]
    assert both["experts"][0] == dear["experts"][0]
    assert dear["fuser"] is None
    named = {*both["experts"], *dear["experts"], both["fuser"], parts["plan"]}
    assert named == {"plan.onnx", "part-0.onnx", "part-1.onnx", "part-2.onnx"}
    for name in named:
        onnx.checker.check_model(onnx.load(tmp_path / "page" / name))


def test_a_page_without_webgpu_needs_none_of_its_files(tmp_path: Path, package: Path) -> None:
    for name in WEBGPU:
        (package / "dist" / name).unlink()
    bundle = grown(tmp_path / "bundle")
    export_web(bundle, tmp_path / "page", package, lambda step: None, webgpu=False)
    written = {path.name for path in (tmp_path / "page").iterdir()}
    assert not written & {"plan.onnx", "part-0.onnx", *WEBGPU}
    assert json.loads((tmp_path / "page" / "model.json").read_text())["webgpu"] is None


def test_no_webgpu_is_for_a_page() -> None:
    forms = Forms(False, False, False, None, False, None, None, webgpu=False)
    with pytest.raises(click.UsageError, match="--no-webgpu is for --web"):
        forms.check(True, Path("out"))


def test_no_file_of_the_page_names_another_host(tmp_path: Path, package: Path) -> None:
    export(grown(tmp_path / "bundle"), tmp_path / "page", package)
    for path in (tmp_path / "page").iterdir():
        if path.suffix in (".html", ".css", ".mjs", ".js"):
            assert "//" not in path.read_text().replace("// ", ""), path.name


def test_experts_in_lower_precision_run_in_fp32_on_the_same_routes(
    tmp_path: Path, package: Path
) -> None:
    eight = network(seed=5)  # what stands in for it need only be another graph
    entry = {"name": "dear", "backbone": "test", "depth": 1, "graph": "eight.onnx", "macs": 500.0}
    entry |= {"cost": 1.0, "radius": 2, "precision": "int8"}
    entry |= {"exact": "dear.onnx", "exact_cost": 3.0, "reason": "a test"}
    experts = [plain(tmp_path / "plain").manifest.experts[0].model_dump(), entry]
    graphs = {"router.onnx": ROUTER, "eight.onnx": eight}
    lower = write_upscaler(tmp_path / "lower", graphs, experts=experts)
    export(lower, tmp_path / "page", package)
    image = brightening(33, 70)[None]
    upscaled, routes = open_graph((tmp_path / "page" / "model.onnx").read_bytes())(image, 0.5)
    expected, wanted = Reference.open(plain(tmp_path / "again")).upscale_image(image[0], 0.5)
    assert set(wanted.ravel()) == {0, 1}
    np.testing.assert_array_equal(routes, wanted)
    np.testing.assert_allclose(upscaled[0], expected, atol=1e-5)
    names = {t.name for t in onnx.load(tmp_path / "page" / "model.onnx").graph.initializer}
    assert not any(name.startswith("eight/") for name in names)


def test_an_existing_folder_is_left_alone(tmp_path: Path, package: Path) -> None:
    (tmp_path / "page").mkdir()
    with pytest.raises(BundleError, match="exists already"):
        export(grown(tmp_path / "bundle"), tmp_path / "page", package)
    assert list((tmp_path / "page").iterdir()) == []


def test_nothing_is_left_of_a_page_that_failed(tmp_path: Path, package: Path) -> None:
    bundle = grown(tmp_path / "bundle")
    (bundle.directory / "router.onnx").write_bytes(b"damaged")
    with pytest.raises((BundleError, ExportError)):
        export(bundle, tmp_path / "page", package)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "runtime"]


def test_the_runtime_is_read_out_of_a_packed_package(tmp_path: Path, package: Path) -> None:
    with tarfile.open(tmp_path / "packed.tgz", "w:gz") as packed:
        packed.add(package / "dist", "package/dist")
    assert runtime.read_runtime(tmp_path / "packed.tgz") == runtime.read_runtime(package)


def test_a_runtime_without_its_files_is_said_in_one_line(tmp_path: Path, package: Path) -> None:
    (package / "dist" / FILES[2]).unlink()
    (tmp_path / "text.tgz").write_text("no package")
    with tarfile.open(tmp_path / "packed.tgz", "w:gz") as packed:
        packed.add(package / "dist", "package/dist")
    for given in (package, tmp_path / "text.tgz", tmp_path / "packed.tgz", tmp_path / "nowhere"):
        with pytest.raises(ExportError, match=r"--runtime") as told:
            runtime.read_runtime(given)
        assert "\n" not in str(told.value)


def test_without_npm_the_way_around_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ExportError, match=r"npm is not installed; give --runtime .* `npm pack"):
        runtime.read_runtime(None)


def test_what_npm_says_is_passed_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho 'npm error code E404' >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(
        ExportError, match=r"can't fetch onnxruntime-web@\S+ \(npm error code E404\)"
    ):
        runtime.read_runtime(None)

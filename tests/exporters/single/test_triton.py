"""A model repository for Triton: its configuration is Triton's own, and a real server serves it."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from systems import brightening, grown

from mmsr_core.errors import BundleError
from mmsr_core.runtime.bundle import Bundle
from mmsr_onnx.single.check import Reference
from mmsr_onnx.triton import export_triton

EXPORT = "from mmsr_core.cli import main; main(prog_name='mmsr')"


def add(bundle: Bundle, repository: Path, python: bool = False) -> Path:
    folder, difference = export_triton(bundle, repository, python, lambda step: None)
    assert difference <= 1e-5
    return folder


def read_config(folder: Path) -> Any:
    pytest.importorskip("tritonclient.grpc", reason="needs tritonclient[grpc]")
    from google.protobuf import text_format
    from tritonclient.grpc import model_config_pb2

    text = (folder / "config.pbtxt").read_text()
    return text_format.Parse(text, model_config_pb2.ModelConfig())


@pytest.mark.parametrize(("python", "backend"), [(False, "onnxruntime"), (True, "python")])
def test_the_configuration_is_one_that_triton_reads(
    tmp_path: Path, python: bool, backend: str
) -> None:
    config = read_config(add(grown(tmp_path / "bundle"), tmp_path / "models", python))
    assert (config.name, config.backend) == ("tiny-x2", backend)
    assert config.max_batch_size > 1
    assert config.HasField("dynamic_batching")
    assert config.parameters["classes"].string_value == "SIMPLE,COMPLEX"
    assert float(config.parameters["default_effort"].string_value) == 0.5


def test_the_configuration_says_what_the_graph_takes_and_gives(tmp_path: Path) -> None:
    folder = add(grown(tmp_path / "bundle"), tmp_path / "models")
    config, graph = read_config(folder), onnx.load(folder / "1" / "model.onnx").graph
    types = {"TYPE_FP32": onnx.TensorProto.FLOAT, "TYPE_INT64": onnx.TensorProto.INT64}
    for said, given in ((config.input, graph.input), (config.output, graph.output)):
        assert [one.name for one in said] == [one.name for one in given]
        for one, other in zip(said, given, strict=True):
            tensor = other.type.tensor_type
            kind = type(one).DESCRIPTOR.fields_by_name["data_type"].enum_type
            assert types[kind.values_by_number[one.data_type].name] == tensor.elem_type
            batch, *axes = tensor.shape.dim
            assert batch.dim_param == "n"
            assert list(one.dims) == [axis.dim_value or -1 for axis in axes]


def test_a_repository_takes_several_models_and_none_twice(tmp_path: Path) -> None:
    bundle = grown(tmp_path / "bundle")
    (tmp_path / "models" / "another").mkdir(parents=True)
    folder = add(bundle, tmp_path / "models")
    before = (folder / "config.pbtxt").stat().st_mtime_ns
    with pytest.raises(BundleError, match="exists already"):
        add(bundle, tmp_path / "models")
    assert (folder / "config.pbtxt").stat().st_mtime_ns == before
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == ["another", "tiny-x2"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "models"]


def test_the_command_tells_how_to_serve_it(tmp_path: Path) -> None:
    bundle = grown(tmp_path / "bundle").directory
    line = [sys.executable, "-c", EXPORT, "export", bundle, "--triton", tmp_path / "models"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"tritonserver --model-repository {tmp_path / 'models'}" in done.stdout


@pytest.mark.parametrize(
    "words",
    [
        ["--triton", "models", "--onnx"],
        ["--triton", "models", "--out", "models"],
        ["--triton", "models", "--tiles"],
        ["--triton", "models", "--web", "page"],
        ["--web", "page", "--python"],
        ["--triton", "models", "--runtime", "."],
        ["--onnx"],
        [],
    ],
)
def test_options_that_do_not_go_together_are_refused(words: list[str]) -> None:
    from click.testing import CliRunner

    from mmsr_core.cli import main

    result = CliRunner().invoke(main, ["export", "compact-x2", *words])
    assert result.exit_code == 2, result.output


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Bundle]]:
    """The address of a Triton server with the Python variant of a bundle, and that bundle."""
    pytest.importorskip("tritonclient.grpc", reason="needs tritonclient[grpc]")
    spec = find_spec("pytriton")
    if spec is None or spec.origin is None:
        pytest.skip("needs a Triton server: pip install --no-deps nvidia-pytriton")
    package = Path(spec.origin).parent
    root = tmp_path_factory.mktemp("triton")
    backend = root / "backends" / "python"
    shutil.copytree(package / "tritonserver" / "backends" / "python", backend)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = (
        package / "tritonserver" / "python_backend_stubs" / version / "triton_python_backend_stub"
    )
    shutil.copy(stub, backend)
    binary = Path(shutil.copy(package / "tritonserver" / "bin" / "tritonserver", root))
    for program in (binary, backend / stub.name):
        program.chmod(0o755)
    paths = [str(package.parent / "nvidia_pytriton.libs"), os.environ.get("LD_LIBRARY_PATH", "")]
    environment = {
        **os.environ,
        "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}",
        "LD_LIBRARY_PATH": ":".join(filter(None, paths)),
    }
    linked = subprocess.run(
        ["ldd", backend / stub.name], env=environment, capture_output=True, text=True, check=False
    )
    if "not found" in linked.stdout:
        pytest.skip(f"Triton's Python backend lacks a library here: {linked.stdout}")
    bundle = grown(root / "bundle")
    add(bundle, root / "models", python=True)
    address = f"127.0.0.1:{free_port()}"
    line = [binary, "--model-repository", root / "models", "--backend-directory", root / "backends"]
    line += ["--allow-http", "false", "--allow-metrics", "false", "--grpc-address", "127.0.0.1"]
    line += ["--grpc-port", address.rpartition(":")[2]]
    log = root / "server.log"
    with log.open("wb") as file:
        process = subprocess.Popen(line, env=environment, stdout=file, stderr=file)
    try:
        _wait(address, process, log)
        yield address, bundle
    finally:
        process.terminate()
        process.wait(30)


def _wait(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    import tritonclient.grpc as triton

    client = triton.InferenceServerClient(address)
    for _ in range(120):
        assert process.poll() is None, log.read_text()[-3000:]
        try:
            if client.is_model_ready("tiny-x2"):
                return
        except triton.InferenceServerException:
            pass
        time.sleep(0.25)
    raise AssertionError(f"the server is not ready after 30 s: {log.read_text()[-3000:]}")


def ask(address: str, image: np.ndarray[Any, Any], effort: float) -> tuple[Any, Any]:
    """What the server answers for one image (3,h,w)."""
    import tritonclient.grpc as triton

    arrays = {"images": image[None], "effort": np.array([[effort]], np.float32)}
    given = []
    for name, array in arrays.items():
        tensor = triton.InferInput(name, array.shape, "FP32")
        tensor.set_data_from_numpy(array)
        given.append(tensor)
    client = triton.InferenceServerClient(address)
    result = client.infer("tiny-x2", given)
    return result.as_numpy("upscaled")[0], result.as_numpy("routes")[0]


def test_a_real_server_answers_what_the_bundle_answers(server: tuple[str, Bundle]) -> None:
    address, bundle = server
    image = brightening(33, 141)
    upscaled, routes = ask(address, image, 0.5)
    expected, wanted = Reference.open(bundle).upscale_image(image, 0.5)
    assert set(routes.ravel()) == {0, 1}
    np.testing.assert_array_equal(routes, wanted)
    np.testing.assert_allclose(upscaled, expected, atol=1e-5)


def test_requests_that_meet_run_together_and_are_answered_alone(server: tuple[str, Bundle]) -> None:
    import tritonclient.grpc as triton

    address, bundle = server
    client = triton.InferenceServerClient(address)

    def executions() -> int:
        return int(client.get_inference_statistics("tiny-x2").model_stats[0].execution_count)

    before = executions()
    images = [brightening(200, 320, seed) * (1 - 0.03 * seed) for seed in range(16)]
    images = [image.astype(np.float32) for image in images]
    efforts = [float(np.float32(seed / 15)) for seed in range(16)]
    call: Callable[..., Any] = lambda *pair: ask(address, *pair)  # noqa: E731
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(call, images, efforts))
    assert executions() - before < 16
    reference = Reference.open(bundle)
    for image, effort, (upscaled, routes) in zip(images, efforts, answers, strict=True):
        expected, wanted = reference.upscale_image(image, effort)
        np.testing.assert_array_equal(routes, wanted)
        np.testing.assert_allclose(upscaled, expected, atol=1e-5)


@pytest.mark.parametrize("effort", [1.5, -1.0, float("nan")])
def test_an_effort_that_is_none_is_refused_in_one_line(
    server: tuple[str, Bundle], effort: float
) -> None:
    import tritonclient.grpc as triton

    with pytest.raises(triton.InferenceServerException, match=r"give a number in \[0,1\]") as told:
        ask(server[0], brightening(9, 9), effort)
    assert "\n" not in str(told.value.message())
    assert ask(server[0], brightening(9, 9), 0.5)[0].shape == (3, 18, 18)


def test_the_documented_client_upscales_a_picture(
    server: tuple[str, Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import cv2

    text = (Path(__file__).parents[3] / "docs" / "triton.md").read_text()
    (program,) = re.findall(r"^```py\n(.*?)^```", text, re.M | re.S)
    program = program.replace("localhost:8001", server[0]).replace("compact-x4", "tiny-x2")
    monkeypatch.chdir(tmp_path)
    image = (brightening(20, 30).transpose(1, 2, 0) * 255).round().astype(np.uint8)
    cv2.imwrite("photo.png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    exec(program, {})
    expected, _ = Reference.open(server[1]).upscale_image(
        image.transpose(2, 0, 1).astype(np.float32) / 255, float(np.float32(0.23))
    )
    upscaled = cv2.cvtColor(cv2.imread("photo-x4.png"), cv2.COLOR_BGR2RGB)
    np.testing.assert_allclose(upscaled / 255, expected.transpose(1, 2, 0).clip(0, 1), atol=1 / 255)

"""`mmsr upscale --ray` where what was asked for can't be had: one line, without a cluster."""

import os
import subprocess
import sys
from unittest import mock

import pytest
from click.testing import CliRunner

from mmsr_core.cli import main


@pytest.fixture
def upscale(upscaler):
    """upscale(*args): `mmsr upscale --model … --device cpu`, in this process."""

    def run(*args):
        words = ["upscale", *map(str, args), "--model", str(upscaler), "--device", "cpu"]
        return CliRunner().invoke(main, words, prog_name="mmsr", catch_exceptions=False)

    return run


def test_cores_without_a_cluster_are_a_usage_error(upscale, photos, tmp_path):
    assert upscale(photos, "-o", tmp_path / "out", "--cores", "2").exit_code == 2


def test_a_url_without_a_cluster_is_one_line(upscale, tmp_path):
    for words in (("s3://shop/a.png", "-o", tmp_path), (tmp_path, "-o", "s3://shop/out")):
        result = upscale(*words)
        assert result.exit_code == 1
        assert "mmsr: error: s3://shop/" in result.stderr
        assert "a URL needs --ray" in result.stderr


def test_a_url_of_a_file_of_this_machine_is_its_path(upscale, photos, tmp_path):
    result = upscale(f"file://{photos}/a.png", "-o", f"file://{tmp_path}/large.png")
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "large.png").exists()


@pytest.mark.parametrize("package", ["ray", "pyarrow"])
def test_a_package_that_is_missing_is_named_with_its_extra(upscaler, photos, tmp_path, package):
    words = ["upscale", *map(str, (photos, "-o", tmp_path / "out", "--model", upscaler, "--ray"))]
    script = f"import sys; sys.modules[{package!r}] = None; from mmsr_core.cli import main; main()"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    result = subprocess.run(
        [sys.executable, "-c", script, *words], env=environment, capture_output=True, text=True
    )
    assert result.returncode == 1
    assert result.stderr == (
        f"mmsr: error: mmsr upscale --ray needs {package}, which is not installed; "
        "pip install 'mmsr[ray]'\n"
    )


def test_a_url_without_fsspec_names_its_extra(upscale, tmp_path):
    with mock.patch.dict(sys.modules, {"fsspec": None}):
        result = upscale("s3://shop/in", "-o", tmp_path / "out", "--ray")
    assert result.exit_code == 1
    assert "a URL needs fsspec, which is not installed; pip install 'mmsr[ray]'" in result.stderr


def test_no_cluster_at_an_address_is_one_line(upscale, photos, tmp_path):
    result = upscale(photos, "-o", tmp_path / "out", "--ray", "127.0.0.1:1")
    assert result.exit_code == 1
    assert "mmsr: error: no Ray cluster answers at 127.0.0.1:1" in result.stderr

"""Models that the tests of the Python API share."""

import pytest
from graphs import nearest, network, write_upscaler

import mmsr_core


@pytest.fixture(scope="package")
def home(tmp_path_factory):
    """A registry with the family `tiny`, and `lone`, which has none."""
    home = tmp_path_factory.mktemp("home")
    write_upscaler(home / "tiny-x2" / "1.0.0")
    fourfold = {"cheap.onnx": nearest(4), "dear.onnx": network(1, 4)}
    write_upscaler(home / "tiny-x4" / "1.0.0", fourfold, name="tiny-x4", scale=4)
    write_upscaler(home / "lone" / "1.0.0", name="lone")
    return home


@pytest.fixture(scope="package")
def model(home):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMSR_HOME", str(home))
        return mmsr_core.load("tiny-x2", "cpu", threads=1)


@pytest.fixture(scope="package")
def family(home):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMSR_HOME", str(home))
        return mmsr_core.load("tiny", "cpu", threads=1)

import pickle
import sys
from importlib.util import find_spec

import pytest
import torch

from mmsr_core.errors import PluginError
from mmsr_core.plugin.testing import check_loader
from mmsr_spandrel import register_loaders

installed = pytest.mark.skipif(not find_spec("spandrel"), reason="spandrel is not installed")
LOADER = next(iter(register_loaders()))


@pytest.fixture
def compact(tmp_path):
    """A checkpoint of a small network with random weights."""
    pytest.importorskip("safetensors")
    if not find_spec("spandrel"):
        pytest.skip("spandrel is not installed")
    from checkpoints import write_compact

    return write_compact(tmp_path / "compact.pth")


@installed
@pytest.mark.parametrize("name", ["compact.pth", "compact.safetensors", "compact.ckpt"])
def test_a_checkpoint_opens_as_what_spandrel_makes_of_it(tmp_path, name):
    from checkpoints import descriptor, write_compact

    path = write_compact(tmp_path / name)
    loaded = LOADER.load(path)
    assert (loaded.architecture, loaded.scale) == ("RealESRGAN Compact", 4)
    image = torch.rand(1, 3, 9, 11)
    assert torch.equal(loaded.module(image), descriptor(path)(image))


@installed
def test_a_network_that_merges_itself_at_every_call_answers_as_before(tmp_path):
    from checkpoints import descriptor, write_span

    path = write_span(tmp_path / "span.pth")
    image = torch.rand(1, 3, 9, 11)
    assert torch.allclose(LOADER.load(path).module(image), descriptor(path)(image), atol=1e-5)


@installed
def test_sides_that_a_network_does_not_take_are_padded(tmp_path):
    from checkpoints import write_safmn

    module = LOADER.load(write_safmn(tmp_path / "safmn.pth")).module
    assert module(torch.rand(2, 3, 5, 13)).shape == (2, 3, 10, 26)


@installed
def test_a_restorer_is_no_upscaler(tmp_path):
    from checkpoints import write_denoiser

    with pytest.raises(PluginError, match="is for restoration, and no upscaler"):
        LOADER.load(write_denoiser(tmp_path / "dncnn.pth"))


class Bomb:
    """What a hostile pickle runs when it is opened."""

    def __reduce__(self):
        return sys.exit, (3,)


@installed
@pytest.mark.parametrize("suffix", [".pth", ".pt", ".ckpt"])
def test_nothing_in_a_checkpoint_runs(tmp_path, suffix):
    path = tmp_path / f"hostile{suffix}"
    torch.save({"weight": Bomb()}, path)
    with pytest.raises(PluginError, match="not a checkpoint of tensors alone"):
        LOADER.load(path)
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(PluginError, match="not a checkpoint of tensors alone"):
        LOADER.load(path)


@installed
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_damaged_checkpoint_is_one_line(tmp_path, suffix):
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(b"no weights at all")
    with pytest.raises(PluginError, match="not a checkpoint") as caught:
        LOADER.load(path)
    assert "\n" not in str(caught.value)


@installed
def test_a_missing_checkpoint_is_one_line(tmp_path):
    with pytest.raises(PluginError, match="cannot read it"):
        LOADER.load(tmp_path / "no.pth")


@installed
def test_weights_of_no_known_architecture_are_named_so(tmp_path):
    torch.save({"some.weight": torch.zeros(3)}, tmp_path / "odd.pth")
    with pytest.raises(PluginError, match=r"no architecture that spandrel [0-9.]+ knows"):
        LOADER.load(tmp_path / "odd.pth")


@installed
@pytest.mark.parametrize("name", ["compact", "span", "safmn", "rcan"])
def test_the_loader_keeps_its_contract(tmp_path, name):
    import checkpoints

    check_loader(LOADER, getattr(checkpoints, f"write_{name}")(tmp_path / f"{name}.pth"))


@installed
def test_a_torchvision_made_up_for_spandrel_is_left_to_nobody(compact):
    before = "torchvision" in sys.modules
    LOADER.load(compact)
    assert before or getattr(sys.modules.get("torchvision"), "__file__", "real") is not None


def test_without_spandrel_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("mmsr_spandrel.opening.find_spec", lambda name: None)
    with pytest.raises(PluginError, match=r"pip install 'mmsr\[spandrel\]'"):
        LOADER.load(tmp_path / "a.pth")

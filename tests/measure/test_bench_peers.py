"""The programs that a benchmark runs beside the engine."""

import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from mmsr_core.errors import MmsrError
from mmsr_core.measure.bench import peers
from mmsr_core.measure.bench.peers import OVERLAP, TILE, find_peers, open_peer
from mmsr_core.runtime.engine import Engine

LR = np.random.default_rng(0).random((40, 50, 3), np.float32)


def absent(monkeypatch, *missing):
    monkeypatch.setattr(peers, "find_spec", lambda name: None if name in missing else object())


def test_what_is_not_installed_is_named_as_absent(monkeypatch):
    absent(monkeypatch, "PIL", "spandrel")
    present, lines = find_peers(None)
    assert present == ["plain onnxruntime", "opencv bicubic", "opencv lanczos"]
    assert lines == ["pillow (not installed)", "torch with spandrel (spandrel is not installed)"]


def test_spandrel_wants_a_checkpoint(monkeypatch, tmp_path):
    absent(monkeypatch)
    assert find_peers(None)[1] == ["torch with spandrel (no --peer-checkpoint)"]
    present, lines = find_peers(tmp_path / "network.pth")
    assert "torch spandrel" in present
    assert lines == []


def test_plain_onnxruntime_answers_as_the_deepest_expert_does(upscaler):
    answer = open_peer("plain onnxruntime", 2, "cpu", upscaler)(LR)
    expected = Engine.open(upscaler, "cpu").run_expert("dear", LR)
    np.testing.assert_allclose(answer.pixels, expected, atol=1e-5)
    assert answer.macs == 500.0 * 40 * 50


@pytest.mark.parametrize(
    ("name", "method"), [("bicubic", cv2.INTER_CUBIC), ("lanczos", cv2.INTER_LANCZOS4)]
)
def test_opencv_resizes_by_its_own_rule(name, method):
    answer = open_peer(f"opencv {name}", 3, "cpu", None)(LR).pixels
    np.testing.assert_array_equal(answer, cv2.resize(LR, (150, 120), interpolation=method))


@pytest.mark.parametrize("name", ["bicubic", "lanczos"])
def test_pillow_resizes_eight_bits(name):
    image = pytest.importorskip("PIL.Image")
    samples = np.rint(LR * 255).astype(np.uint8)
    method = image.Resampling[name.upper()]
    expected = np.asarray(image.fromarray(samples).resize((150, 120), method))
    answer = open_peer(f"pillow {name}", 3, "cpu", None)(LR).pixels
    assert answer.dtype == np.float32
    np.testing.assert_array_equal(np.rint(answer * 255), expected)


@pytest.fixture
def spandrel(monkeypatch):
    """A spandrel that opens any file as one network, of receptive radius 4."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)

    class Descriptor(torch.nn.Module):
        scale = 2

        def __init__(self):
            super().__init__()
            self.body = torch.nn.Sequential(
                torch.nn.Conv2d(3, 12, 9, padding=4), torch.nn.PixelShuffle(2)
            )

        def forward(self, image):
            assert max(image.shape[2:]) <= TILE + 2 * OVERLAP
            return self.body(image)

    class Loader:
        def __init__(self, place):
            assert place.type == "cpu"

        def load_from_file(self, path):
            if path.stem == "broken":
                raise ValueError("unknown architecture\nand more")
            return network

    network = Descriptor()
    module = SimpleNamespace(ImageModelDescriptor=Descriptor, ModelLoader=Loader)
    monkeypatch.setitem(sys.modules, "spandrel", module)
    return network


def test_spandrels_tiles_are_cut_and_joined_exactly(spandrel, tmp_path):
    import torch

    lr = np.random.default_rng(1).random((TILE + 9, 2 * TILE + 30, 3), np.float32)
    answer = open_peer("torch spandrel", 2, "cpu", tmp_path / "network.pth")(lr).pixels
    with torch.inference_mode():
        whole = spandrel.body(torch.from_numpy(lr.transpose(2, 0, 1))[None])[0]
    np.testing.assert_allclose(answer, whole.permute(1, 2, 0).numpy(), atol=1e-5)


def test_a_checkpoint_of_another_scale_is_refused(spandrel, tmp_path):
    with pytest.raises(MmsrError, match=r"network\.pth: not a network that upscales by 4"):
        open_peer("torch spandrel", 4, "cpu", tmp_path / "network.pth")


def test_a_checkpoint_that_spandrel_cannot_open_is_refused_in_one_line(spandrel, tmp_path):
    with pytest.raises(MmsrError, match=r"can't open it \(unknown architecture\)$"):
        open_peer("torch spandrel", 2, "cpu", tmp_path / "broken.pth")

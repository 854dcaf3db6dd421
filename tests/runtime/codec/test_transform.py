import numpy as np
import pytest
from codecs_made import open_codec, photograph
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsr_core.errors import ImageError
from mmsr_core.runtime.codec.quantiser import Quantiser
from mmsr_core.runtime.source import Held


def decoded(codec, image, bits=8):
    codes = codec.analyse(Held(image))
    quantiser = Quantiser.fitted(bits, codes)
    numbers = quantiser.quantised(codes).astype(np.uint8)
    return np.concatenate(list(codec.synthesise(quantiser, numbers, *image.shape[:2])))


@settings(max_examples=15)
@given(height=st.integers(1, 40), width=st.integers(1, 40))
def test_an_image_of_any_size_comes_back_in_its_size(codec, height, width):
    image = photograph(height, width)
    found = decoded(codec, image)
    assert found.shape == image.shape
    assert found.min() >= 0
    assert found.max() <= 1


def test_what_is_smooth_comes_back_nearly_as_it_was(codec):
    image = np.full((40, 56, 3), (0.2, 0.5, 0.7), np.float32)
    inside = (slice(16, -16), slice(16, -16))  # the encoder's blur darkens the border
    assert np.abs(decoded(codec, image)[inside] - image[inside]).max() < 0.01


@pytest.mark.parametrize("shape", [(64, 200), (200, 64), (150, 150)])
def test_an_image_in_tiles_is_the_image_at_once(codec, monkeypatch, shape):
    image = photograph(*shape)
    codes, whole = codec.analyse(Held(image)), decoded(codec, image)
    monkeypatch.setattr("mmsr_core.runtime.codec.transform._WIDEST", 6)
    monkeypatch.setattr("mmsr_core.runtime.codec.transform._AREA", 30)
    assert np.abs(codec.analyse(Held(image)) - codes).max() < 1e-5
    assert np.abs(decoded(codec, image) - whole).max() < 1e-5


def test_a_codec_that_looks_at_the_whole_image_refuses_one_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr("mmsr_core.runtime.codec.transform._MOST_WHOLE", 30)
    codec = open_codec(tmp_path / "far", encoder={"graph": "encoder.onnx", "radius": None})
    assert codec.analyse(Held(photograph(40, 48))).shape == (8, 5, 6)
    with pytest.raises(ImageError, match="looks at the whole image"):
        codec.analyse(Held(photograph(56, 48)))


def test_the_digest_is_that_of_what_decodes(codec, tmp_path):
    from codecs_made import encoder_graph

    other = open_codec(tmp_path / "a", files={"encoder.onnx": encoder_graph() + b"\x12\x01x"})
    assert other.digest == codec.digest
    later = open_codec(tmp_path / "b", version="2.0.0")
    assert later.digest == codec.digest


@given(
    bits=st.integers(1, 8),
    low=st.floats(-100, 100, width=32),
    width=st.floats(0, 50, width=32),
    seed=st.integers(0, 99),
)
def test_a_code_is_off_by_half_a_step_at_most(bits, low, width, seed):
    codes = np.random.default_rng(seed).random((3, 4, 5), np.float32) * np.float32(width) + low
    codes = codes.astype(np.float32)
    quantiser = Quantiser.fitted(bits, codes)
    back = quantiser.codes(quantiser.quantised(codes))
    half = quantiser.step[:, None, None] / 2
    # z is rounded: at either end a number may be missing for half a step more
    assert (np.abs(back - codes) <= 2 * half * 1.001 + 1e-6).all()


@pytest.mark.parametrize("bits", [1, 2, 5, 8])
def test_zero_comes_back_exactly(bits):
    codes = np.zeros((2, 3, 4), np.float32)
    codes[0, 0] = (-1, 0, 0.3, 7)
    quantiser = Quantiser.fitted(bits, codes)
    assert (quantiser.codes(quantiser.quantised(codes))[codes == 0] == 0).all()


def test_codes_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="not finite"):
        Quantiser.fitted(4, np.full((1, 2, 2), np.nan, np.float32))

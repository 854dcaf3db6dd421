import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mmsr_core.video.colour import WEIGHTS, Coding

SWSCALE = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.SMPTE170M,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
}
CODINGS = [Coding(matrix, bits, full) for matrix in WEIGHTS for bits in (8, 10) for full in (0, 1)]


@pytest.mark.parametrize("coding", CODINGS, ids=str)
@settings(max_examples=15)
@given(arrays(np.float32, 3, elements=st.floats(0, 1, width=32)))
def test_a_colour_comes_back_within_what_its_bits_round(coding, colour):
    patch = np.broadcast_to(colour, (4, 6, 3)).copy()
    back = coding.rgb(coding.planes(patch))
    assert np.abs(back - patch).max() <= 2.2 * 255 / 219 / 2**coding.bits


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", list(WEIGHTS))
def test_colours_are_those_of_an_independent_conversion(matrix, full):
    rng = np.random.default_rng(matrix)
    patches = rng.random((6, 6, 3)).astype(np.float32).repeat(16, 0).repeat(16, 1)
    planes = Coding(matrix, 8, full).planes(patches)
    frame = av.VideoFrame(96, 96, "yuv420p")
    for plane, samples in zip(frame.planes, planes, strict=True):
        np.frombuffer(plane, np.uint8).reshape(samples.shape[0], -1)[:, : samples.shape[1]] = (
            samples
        )
    theirs = frame.reformat(
        format="gbrpf32le",
        src_colorspace=SWSCALE[matrix],
        src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
    ).to_ndarray()
    centres = np.s_[8::16, 8::16]
    ours = Coding(matrix, 8, full).rgb(planes)[centres] * 255
    assert np.abs(ours - theirs[centres] * 255).max() <= 1.25
    assert np.abs(ours - patches[centres] * 255).max() <= 2


@pytest.mark.parametrize("centred", [False, True])
def test_a_ramp_of_colour_stays_in_its_place(centred):
    ramp = np.full((16, 64, 3), 0.5, np.float32)
    ramp[..., 0] = np.linspace(0.2, 0.8, 64)
    ramp[..., 2] = np.linspace(0.3, 0.6, 16)[:, None]
    coding = Coding(1, 16, True, centred)
    inside = np.s_[2:-2, 2:-2]
    assert np.allclose(coding.rgb(coding.planes(ramp))[inside], ramp[inside], atol=1e-4)


def test_chroma_lies_over_the_left_of_its_two_columns():
    chroma = np.zeros((2, 4), np.uint8)
    chroma[:, 2] = 100
    spread = Coding(1, 8, True)._spread(chroma, (4, 8))
    assert spread[1].tolist() == [0, 0, 0, 50, 100, 50, 0, 0]


def test_grey_has_no_colour():
    luma = np.array([[16, 235], [126, 16]], np.uint8)
    rgb = Coding(6, 8, False).rgb([luma])
    assert np.allclose(rgb, ((luma - 16.0) / 219)[..., None], atol=1e-6)


def test_what_lies_outside_the_range_is_clipped():
    luma, chroma = np.array([[0, 255]], np.uint8), np.full((1, 2), 128, np.uint8)
    assert Coding(1, 8, False).rgb([luma, chroma, chroma])[0, :, 0].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("form", "shape"), [("4:2:2", (8, 4)), ("4:1:1", (8, 2)), ("4:1:0", (2, 2))]
)
def test_any_subsampling_of_a_flat_colour_is_that_colour(form, shape):
    flat = np.full((8, 8, 3), (0.8, 0.3, 0.1), np.float32)
    coding = Coding(1, 8, False)
    luma, cb, cr = coding.planes(flat)
    planes = [luma, *(np.full(shape, plane[0, 0]) for plane in (cb, cr))]
    assert np.abs(coding.rgb(planes) - flat).max() < 0.01

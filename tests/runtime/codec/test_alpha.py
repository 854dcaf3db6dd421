import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmsr_core.runtime.codec.alpha import decode_alpha, encode_alpha
from mmsr_core.runtime.codec.entropy import Damaged


@given(
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    itemsize=st.sampled_from([1, 2]),
    seed=st.integers(0, 99),
)
def test_any_plane_comes_back(height, width, itemsize, seed):
    rng = np.random.default_rng(seed)
    plane = rng.integers(0, 256**itemsize, (height, width)).astype(f"u{itemsize}")
    found = decode_alpha(encode_alpha(plane), height, width, itemsize)
    assert found.dtype == plane.dtype
    assert (found == plane).all()


def test_a_cut_out_takes_little():
    plane = np.zeros((300, 400), np.uint8)
    plane[50:200, 90:300] = 255
    assert len(encode_alpha(plane)) < 500


@pytest.mark.parametrize("change", [lambda d: d[:-1], lambda d: b"x" + d, lambda d: d[:20]])
def test_damaged_bytes_are_noticed(change):
    plane = np.random.default_rng(0).integers(0, 256, (10, 20), dtype=np.uint8)
    data = encode_alpha(plane)
    with pytest.raises(Damaged):
        decode_alpha(change(data), 10, 20, 1)


@pytest.mark.parametrize("size", [(10, 19), (10, 21), (1, 1)])
def test_a_plane_of_another_size_is_refused(size):
    with pytest.raises(Damaged):
        decode_alpha(zlib.compress(bytes(200)), *size, 1)

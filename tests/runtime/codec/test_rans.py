import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmsr_core.runtime.codec.rans import MOST_LANES, TOTAL, Damaged, Decoder, Ladder, encode


def table(rng, rows, symbols):
    """Cumulative frequencies of so many distributions, some of them steep."""
    weights = rng.random((rows, symbols)) ** rng.integers(1, 40, (rows, 1))
    counts = np.floor(weights / weights.sum(1, keepdims=True) * (TOTAL - symbols)).astype(int) + 1
    counts[:, 0] += TOTAL - counts.sum(1)
    return np.concatenate([np.zeros((rows, 1), int), np.cumsum(counts, 1)], 1).astype(np.uint16)


def coded(tables, rows, symbols, groups, lanes):
    starts = tables[rows, symbols]
    return encode(starts, tables[rows, symbols + 1] - starts, groups, lanes)


def decoded(data, tables, rows):
    decoder = Decoder(data, 1)
    found = decoder.decode(Ladder(tables), rows)
    decoder.finish()
    return found


@given(
    seed=st.integers(0, 2**32 - 1),
    groups=st.lists(st.integers(0, 90), max_size=12),
    lanes=st.integers(1, MOST_LANES),
    symbols=st.integers(2, 256),
)
def test_what_was_encoded_is_decoded(seed, groups, lanes, symbols):
    rng = np.random.default_rng(seed)
    tables = table(rng, 5, symbols)
    rows, given_ = rng.integers(0, 5, sum(groups)), rng.integers(0, symbols, sum(groups))
    decoder = Decoder(coded(tables, rows, given_, groups, lanes), lanes)
    at = 0
    for size in groups:
        part = slice(at, at + size)
        assert (decoder.decode(Ladder(tables), rows[part]) == given_[part]).all()
        at += size
    decoder.finish()


def test_a_stream_is_as_long_as_its_information_and_some_bytes_a_lane():
    rng = np.random.default_rng(1)
    tables = table(rng, 1, 16)
    shares = np.diff(tables[0].astype(int), append=TOTAL)[:16] / TOTAL
    shares[-1] = 1 - shares[:-1].sum()
    symbols = rng.choice(16, 100_000, p=shares)
    information = -np.log2(shares[symbols]).sum() / 8
    size = len(coded(tables, np.zeros(len(symbols), int), symbols, [len(symbols)], 8))
    assert information <= size < information * 1.002 + 8 * 5


def test_a_known_stream_stays_as_it_is():
    tables = np.array([[0, TOTAL // 4, TOTAL // 2, TOTAL]], np.uint16)
    data = coded(tables, np.zeros(24, int), np.arange(24) % 3, [5, 19], 2)
    assert data.hex() == "c690091000312600040000800020"


@pytest.mark.parametrize("cut", [1, 2, 3, 9])
def test_a_stream_cut_short_is_damaged(cut):
    rng = np.random.default_rng(2)
    tables = table(rng, 1, 8)
    rows = np.zeros(500, int)
    data = coded(tables, rows, rng.integers(0, 8, 500), [500], 1)
    with pytest.raises(Damaged):
        decoded(data[:-cut], tables, rows)


def test_bytes_after_the_end_are_damage():
    rng = np.random.default_rng(3)
    tables = table(rng, 1, 8)
    rows = np.zeros(50, int)
    data = coded(tables, rows, rng.integers(0, 8, 50), [50], 1)
    with pytest.raises(Damaged):
        decoded(data + b"\0\0", tables, rows)

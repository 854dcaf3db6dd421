import hashlib
import io

import numpy as np
import pytest
from codecs_made import CHANNELS, code_map, photograph, tables
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsr_core.errors import BundleError
from mmsr_core.runtime.codec.codemap import decode_map, encode_map
from mmsr_core.runtime.codec.context import SIGNS, Weights, fineness
from mmsr_core.runtime.codec.entropy import KINDS, Model, Models
from mmsr_core.runtime.codec.learn import learn_tables, write_tables
from mmsr_core.runtime.codec.quantiser import Rounding
from mmsr_core.runtime.codec.rans import TOTAL, Damaged


@pytest.fixture(scope="module")
def models():
    return Models.read(tables(), CHANNELS, "test")


def arrays():
    with np.load(io.BytesIO(tables())) as file:
        return dict(file)


def smooth(height, width, seed=0):
    """A code map (8,h,w) whose neighbours are alike."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(0, 1, (CHANNELS, height, width)).cumsum(1).cumsum(2)
    return (steps / np.abs(steps).max() + rng.normal(0, 0.02, steps.shape)).astype(np.float32)


@settings(max_examples=20)
@given(
    bits=st.integers(1, 8),
    height=st.integers(1, 20),
    width=st.integers(1, 20),
    seed=st.integers(0, 99),
)
def test_any_code_map_comes_back_number_for_number(models, bits, height, width, seed):
    codes = np.random.default_rng(seed).normal(0, 3, (CHANNELS, height, width)).astype(np.float32)
    data, quantiser, numbers = encode_map(models, bits, codes)
    again, decoded = decode_map(models, data, CHANNELS, height, width)
    assert (decoded == numbers).all()
    assert (again.low == quantiser.low).all()
    assert (again.high == quantiser.high).all()


@pytest.fixture(scope="module")
def fixed():
    """Models whose levels lie between −2 and 2, whatever a map holds."""
    maps = [code_map(photograph(96, 96, seed)) for seed in range(4)]
    return Models.read(write_tables(learn_tables(maps, Rounding(reach=2))), CHANNELS, "test")


@settings(max_examples=20)
@given(bits=st.integers(1, 8), size=st.integers(1, 20), seed=st.integers(0, 99))
def test_with_a_fixed_range_a_code_map_comes_back_and_tells_no_bounds(fixed, bits, size, seed):
    codes = np.random.default_rng(seed).normal(0, 1.5, (CHANNELS, size, 7)).astype(np.float32)
    data, quantiser, numbers = encode_map(fixed, bits, codes)
    again, decoded = decode_map(fixed, data, CHANNELS, size, 7)
    assert (decoded == numbers).all()
    assert np.array_equal(again.step, np.full(CHANNELS, 4 / (2**bits - 1), np.float32))
    used = fixed[bits].weights.used
    missed = quantiser.codes(numbers.astype(np.int64)) - np.clip(codes, -2, 2)
    assert (np.abs(missed[used]) <= again.step[0] * 1.001).all()


@pytest.fixture(scope="module")
def thrifty():
    maps = [code_map(photograph(96, 96, seed)) for seed in range(4)]
    return Models.read(write_tables(learn_tables(maps, Rounding(thrift=10))), CHANNELS, "test")


def test_thrift_takes_the_nearest_number_or_the_one_on_its_other_side(thrifty):
    codes = code_map(photograph(256, 256, seed=99))
    _, quantiser, numbers = encode_map(thrifty, 5, codes)
    places = np.clip(quantiser.places(codes) + quantiser.zero[:, None, None], 0, quantiser.top)
    assert (np.abs(numbers - places) < 1).all()
    nearest = quantiser.quantised(codes)
    assert 0 < (numbers != nearest).mean() < 0.2


@pytest.mark.parametrize("bits", [2, 4, 6])
def test_thrift_saves_more_than_the_distance_that_it_costs(thrifty, bits):
    codes = code_map(photograph(256, 256, seed=99))
    _, quantiser, frugal = encode_map(thrifty, bits, codes)
    places, costs = quantiser.places(codes) + quantiser.zero[:, None, None], []
    for numbers in (quantiser.quantised(codes), frugal.astype(np.int64)):
        _, stream = thrifty[bits].encode(numbers, quantiser.zero)
        costs.append(np.square(places - numbers).sum() + 0.1 * 8 * len(stream))
    assert costs[1] < costs[0]


def test_what_thrift_wrote_is_read_again(thrifty):
    data, _, numbers = encode_map(thrifty, 5, smooth(40, 30))
    assert (decode_map(thrifty, data, CHANNELS, 40, 30)[1] == numbers).all()


@pytest.mark.parametrize("thrift", [0, 8])
def test_a_channel_that_is_hardly_ever_used_is_left_out(thrift):
    """Only where there is a range that images share: a channel's own always shows something."""
    rng = np.random.default_rng(0)
    maps = [rng.normal(0, 1, (CHANNELS, 32, 32)).astype(np.float32) for _ in range(12)]
    for codes in maps:
        codes[2] *= 0.01
    maps[0][2, 0, 0] = 2
    learnt = learn_tables(maps, Rounding(4, thrift))
    assert learnt["used4"].tolist() == [1, 1, 0, *[1] * (CHANNELS - 3)]
    models = Models.read(write_tables(learnt), CHANNELS, "test")
    data, quantiser, numbers = encode_map(models, 4, maps[0])
    assert (numbers[2] == quantiser.zero[2]).all()
    assert (decode_map(models, data, CHANNELS, 32, 32)[1] == numbers).all()


def test_codes_that_are_not_finite_are_refused_with_a_fixed_range(fixed):
    with pytest.raises(ValueError, match="not finite"):
        encode_map(fixed, 5, np.full((CHANNELS, 2, 2), np.nan, np.float32))


def test_a_code_map_in_several_slices_comes_back(models, monkeypatch):
    monkeypatch.setattr("mmsr_core.runtime.codec.codemap._MOST", 8 * 30 * 7)
    data, _, numbers = encode_map(models, 4, smooth(40, 30))
    assert (decode_map(models, data, CHANNELS, 40, 30)[1] == numbers).all()


def test_a_row_too_long_for_a_slice_is_refused_before_memory_is_taken(models):
    with pytest.raises(Damaged, match="wider than 65536 cells"):
        decode_map(models, bytes([4]) + bytes(40), CHANNELS, 1, 2**27)


def test_an_image_larger_than_its_bytes_can_hold_is_refused_before_memory_is_taken(models):
    with pytest.raises(Damaged):
        decode_map(models, bytes([4]) + bytes(40), CHANNELS, 2**14, 2**14)


@pytest.mark.parametrize("bits", [1, 3, 5, 8])
def test_every_row_of_the_tables_adds_up_and_leaves_no_number_out(models, bits):
    rows = models[bits].tables.astype(int)
    assert (rows[:, 0] == 0).all()
    assert (rows[:, -1] == TOTAL).all()
    assert (np.diff(rows) >= 1).all()


@pytest.mark.parametrize("bits", [2, 4, 6])
def test_contexts_save_a_tenth_of_what_each_channel_alone_takes(models, bits):
    data, _, numbers = encode_map(models, bits, code_map(photograph(512, 512, seed=99)))
    alone = 0.0
    for channel in numbers:
        shares = np.unique(channel, return_counts=True)[1] / channel.size
        alone -= (shares * np.log2(shares)).sum() * channel.size / 8
    assert len(data) < 0.9 * alone


GOLDEN = {3: "4bf58eb01a69e875", 6: "b754bf24ad1f1191", 8: "219ec3f6960f6e98"}
"""SHA-256 of streams that every machine and version has to make, and to read."""


@pytest.mark.parametrize("bits", GOLDEN)
def test_a_stream_is_the_same_for_ever_and_everywhere(bits):
    numbers, zero = integers(bits), np.array([1, 2, 0])
    lanes, stream = fixed_model(bits).encode(numbers, zero)
    assert lanes == 4
    assert hashlib.sha256(stream).hexdigest()[:16] == GOLDEN[bits]
    assert (fixed_model(bits).decode(stream, lanes, numbers.shape, zero) == numbers).all()


def integers(bits):
    """Numbers (3,9,11) of so many bits, by integer arithmetic alone."""
    c, y, x = np.indices((3, 9, 11))
    return (x * x + 3 * y * x + 5 * y + 7 * c * x) // 4 % 2**bits


def fixed_model(bits):
    """A model of integers that nothing has learned."""
    most = fineness(bits) * (2**bits - 1)
    predict = np.tile(np.array([700, 600, -300, 100, -50, -30, 40, -90, 90, -60, 60]), (3, 1))
    spread = np.tile(np.arange(SIGNS) * 20, (3, 1))
    thresholds = np.arange(1, KINDS) ** 2 * 200
    distance = np.abs(np.arange(-most, most + 1))
    counts = 2**19 // (1 + distance[None] * (KINDS + 4 - np.arange(KINDS)[:, None]))
    everything = np.ones(3, bool)
    weights = Weights(predict, spread, thresholds, everything)
    return Model(bits, weights, np.maximum(counts, 1))


def test_the_same_code_maps_give_the_same_tables():
    tables.cache_clear()
    first = tables()
    tables.cache_clear()
    assert tables() == first


@pytest.mark.parametrize("place", [0, 7, 40, 60, -1])
def test_a_damaged_base_layer_is_noticed_or_decodes_within_bounds(models, place):
    data, _, numbers = encode_map(models, 5, smooth(24, 24))
    spoiled = bytearray(data)
    spoiled[place] ^= 0x55
    try:
        found = decode_map(models, bytes(spoiled), CHANNELS, 24, 24)[1]
    except Damaged:
        return
    assert found.shape == numbers.shape


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("counts3", lambda table: table[:, :-1]),
        ("counts3", lambda table: np.zeros_like(table)),
        ("predict5", lambda table: table.astype(np.float32)),
        ("spread2", lambda table: table[:4]),
        ("thresholds8", lambda table: table[::-1] - np.arange(len(table))),
        ("predict1", lambda table: table.astype(np.int64) + 2**40),
    ],
)
def test_tables_that_are_not_as_they_are_to_be_are_refused(name, change):
    spoiled = arrays()
    spoiled[name] = change(spoiled[name])
    with pytest.raises(BundleError, match="no tables of a codec"):
        Models.read(write_tables(spoiled), CHANNELS, "test")


def test_tables_for_other_channels_are_refused():
    with pytest.raises(BundleError, match="no tables of a codec"):
        Models.read(tables(), CHANNELS + 1, "test")


def test_bytes_that_are_no_tables_are_refused():
    with pytest.raises(BundleError, match="no tables of a codec"):
        Models.read(b"PK\3\4 nothing", CHANNELS, "test")

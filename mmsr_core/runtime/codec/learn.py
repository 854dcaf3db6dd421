"""The tables of a codec, learned from the code maps of photographs when it is exported.

Floats decide which integers there are; coding then uses the integers alone.
"""

import io
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from mmsr_core.runtime.codec.context import (
    SHIFT,
    SIGNS,
    Int64,
    Plane,
    Weights,
    fineness,
)
from mmsr_core.runtime.codec.entropy import KINDS, Model
from mmsr_core.runtime.codec.quantiser import MOST_BITS, NEAREST, Rounding
from mmsr_core.runtime.tiles import Floats

Table = npt.NDArray[np.integer | np.float32]
_LARGEST = 2**20
_LEAST_BITS = 0.1
"""What any place is taken to cost."""
_ROUNDS = 2
"""Times that tables are learnt again from the numbers that pay by those before."""
_RARELY = 1e-4
"""Channels that so small a share of codes uses aren't coded: they take time, and show nothing."""
_TRUST = 400.0
"""Numbers seen of a kind that weigh as much as the smooth curve through all of them."""


def learn_tables(
    maps: Iterable[Floats],
    rounding: Rounding = NEAREST,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Table]:
    """The tables for every number of bits, from code maps (c,h,w) float32, one a photograph.

    They hold for codes that are rounded so. `progress` is told how many numbers of bits are
    done. Fifty maps of 32×32 and more are enough; ValueError
    when there is none.
    """
    held = [np.asarray(codes, np.float32) for codes in maps]
    if not held:
        raise ValueError("no code map to learn from")
    made: dict[str, Table] = {}
    if rounding.reach is not None:
        made["reach"] = np.asarray(rounding.reach, np.int32)
    if rounding.thrift:
        made["thrift"] = np.asarray(rounding.thrift, np.int32)
    for bits in range(1, MOST_BITS + 1):
        if rounding.scales is not None:
            made[f"scales{bits}"] = np.asarray(rounding.scales[bits], np.float32)
        weights, counts = _learned(bits, held, rounding)
        for _ in range(_ROUNDS if rounding.thrift else 0):
            weights, counts = _learned(bits, held, rounding, Model(bits, weights, counts))
        made[f"predict{bits}"] = weights.predict.astype(np.int32)
        made[f"spread{bits}"] = weights.spread.astype(np.int32)
        made[f"thresholds{bits}"] = weights.thresholds
        made[f"used{bits}"] = weights.used.astype(np.uint8)
        made[f"counts{bits}"] = counts.astype(np.uint32)
        progress(bits, MOST_BITS)
    return made


def write_tables(tables: Mapping[str, Table]) -> bytes:
    """The tables as npz, the same bytes for the same tables."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, table in sorted(tables.items()):
            array = io.BytesIO()
            np.lib.format.write_array(array, table, allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy")  # of 1980: no clock is looked at
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, array.getvalue())
    return file.getvalue()


class _Visited:
    """A photograph's numbers in the order of the waves, and what is known of them beforehand."""

    def __init__(self, bits: int, numbers: Int64, zero: Int64, used: npt.NDArray[np.bool_]) -> None:
        self.plane = Plane(numbers.shape, bits, zero, used)
        self.numbers = self.plane.fill(numbers)
        self.whole = slice(0, len(self.numbers))
        self.channel = self.plane.channel
        self.near = self.plane.neighbours(self.whole)
        self.values = (self.numbers - zero[self.channel]) * fineness(bits)

    def predict(self, weights: Weights) -> Int64:
        """(n,) predictions, their misses put into the plane."""
        prediction = self.plane.predicted(self.whole, self.near, weights)
        self.plane.put(self.whole, self.numbers, prediction)
        return prediction


def _learned(
    bits: int, maps: list[Floats], rounding: Rounding, model: Model | None = None
) -> tuple[Weights, Int64]:
    """Weights and counts for maps whose numbers are the nearest, or those that pay by `model`."""
    channels, held = maps[0].shape[0], []
    for codes in maps:
        quantiser = rounding.quantiser(bits, codes)
        numbers = quantiser.quantised(codes)
        if model is not None:
            numbers = model.thrifty(quantiser, codes, rounding.thrift)
        held.append((numbers, quantiser.zero))
    used = _used(held)
    seen = [_Visited(bits, numbers, zero, used) for numbers, zero in held]
    predict = _fitted(((one.channel, one.near, one.values) for one in seen), channels)
    weights = Weights(predict, np.zeros((channels, SIGNS), np.int64), np.zeros(0, np.int64), used)
    fine = fineness(bits)
    misses, signs = [], []
    for one in seen:
        misses.append(one.numbers * fine - one.predict(weights))
        signs.append(one.plane.signs(one.whole, one.near))
    told = zip(seen, signs, misses, strict=True)
    spread = _fitted(((one.channel, sign, np.abs(miss)) for one, sign, miss in told), channels)
    channel = np.concatenate([one.channel for one in seen])
    expected = (np.concatenate(signs) * spread[channel]).sum(1)
    thresholds = _thresholds(expected, fine << SHIFT)
    kinds = np.searchsorted(thresholds, expected, side="right")
    counts = _counted(kinds, np.concatenate(misses), fine * (2**bits - 1))
    return replace(weights, spread=spread, thresholds=thresholds), counts


def _used(held: Iterable[tuple[Int64, Int64]]) -> npt.NDArray[np.bool_]:
    """(c,): which channels' numbers (c,h,w), those that stand for 0 being told, aren't always 0."""
    shares = [(numbers != zero[:, None, None]).mean((1, 2)) for numbers, zero in held]
    share = np.mean(shares, 0)
    return np.asarray(share >= min(_RARELY, share.max()))


def _thresholds(expected: Int64, step: int) -> Int64:
    """(k−1,) between the kinds of place, from the misses that are expected there.

    Every kind gets about as many bits, not as many places: where nearly all codes are zeros, what
    a stream takes lies in the few that are not.
    """
    ordered = np.sort(np.maximum(expected, 0))
    bits = np.cumsum(np.log2(1 + ordered / step) + _LEAST_BITS)
    shares = np.arange(1, KINDS) / KINDS * bits[-1]
    return np.asarray(ordered[np.searchsorted(bits, shares)], np.int64)


def _fitted(parts: Iterable[tuple[Int64, Int64, Int64]], channels: int) -> Int64:
    """Weights (c,k) by least squares, from (channel, inputs (n,k), wanted (n,)) of each map."""
    square: npt.NDArray[np.float64] | None = None
    for channel, inputs, wanted in parts:
        size = inputs.shape[1]
        if square is None:
            square, right = np.zeros((channels, size, size)), np.zeros((channels, size))
        order = np.argsort(channel, kind="stable")
        ends = np.cumsum(np.bincount(channel, minlength=channels))[:-1]
        for index, places in enumerate(np.split(order, ends)):
            own = inputs[places].astype(np.float64)
            square[index] += own.T @ own
            right[index] += own.T @ wanted[places]
    assert square is not None
    ridge = square * np.eye(square.shape[1]) * 1e-3 + np.eye(square.shape[1]) * 1e-6
    solved = np.linalg.solve(square + ridge, right[..., None])[..., 0]
    weights = np.clip(np.rint(solved * 2**SHIFT), -8 * 2**SHIFT, 8 * 2**SHIFT)
    return np.asarray(weights, np.int64)


def _counted(kinds: Int64, misses: Int64, most: int) -> Int64:
    """(kinds, 2·most+1) counts: those seen, leaning on a two-sided exponential where they are few.

    They are scaled so that none is 0.
    """
    distance = np.abs(np.arange(-most, most + 1))
    made = np.empty((KINDS, 2 * most + 1), np.int64)
    for kind in range(KINDS):
        own = misses[kinds == kind]
        width = max(float(np.abs(own).mean()) if own.size else most / 4, 0.05)
        curve = np.exp(-distance / width) + 1e-5 / (1 + distance / width) ** 2
        seen = np.bincount(own + most, minlength=2 * most + 1)
        smooth = seen + _TRUST * curve / curve.sum()
        made[kind] = np.clip(np.rint(smooth / smooth.max() * (_LARGEST - 1)), 1, _LARGEST - 1)
    return made

"""Code maps as bytes, without loss: contexts, tables of integers, and the coder."""

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from mmsr_core.errors import BundleError
from mmsr_core.runtime.codec.context import PREDICTORS, SIGNS, Int64, Plane, Weights, fineness
from mmsr_core.runtime.codec.quantiser import MOST_BITS, NEAREST, Quantiser, Rounding
from mmsr_core.runtime.codec.rans import MOST_LANES, TOTAL, Damaged, Decoder, Ladder, encode
from mmsr_core.runtime.tiles import Floats

BASE_HEAD = 2
"""Bytes of a base layer before its channels' bounds, of 4 bytes each, and its stream."""
KINDS = 32
_HEAVIEST = 2**20
_LEAST_SCALE = 1e-6
_FEWEST = 4
_LANE = 512
"""Bytes of a stream for which a lane, which costs four, is worth its speed."""


@dataclass(frozen=True)
class Model:
    """How likely each number is, for one number of bits.

    `counts` (kinds, 2·p+1) says how often a number lay so many fine steps above its prediction,
    −p … p, p being the largest prediction.
    """

    bits: int
    weights: Weights
    counts: Int64

    @cached_property
    def tables(self) -> npt.NDArray[np.uint16]:
        """(kinds·(p+1), 2^bits+1): cumulative frequencies by kind and prediction."""
        fine, size = fineness(self.bits), 2**self.bits
        most = fine * (size - 1)
        place = fine * np.arange(size) - np.arange(most + 1)[:, None] + most
        made = np.zeros((len(self.counts), most + 1, size + 1), np.uint16)
        for kind, counts in enumerate(self.counts):
            likely = counts[place]
            shared = likely * (TOTAL - size) // likely.sum(1, keepdims=True) + 1
            rows = np.arange(most + 1)
            shared[rows, shared.argmax(1)] += TOTAL - shared.sum(1)
            made[kind, :, 1:] = np.cumsum(shared, axis=1)
        return made.reshape(-1, size + 1)

    @cached_property
    def _ladder(self) -> Ladder:
        return Ladder(self.tables)

    @cached_property
    def _lengths(self) -> Floats:
        """(kinds·(p+1), 2^bits): the bits that each number takes."""
        counts = np.diff(self.tables.astype(np.float32), axis=1)
        return np.asarray(np.log2(TOTAL) - np.log2(counts), np.float32)

    def thrifty(self, quantiser: Quantiser, codes: Floats, thrift: int) -> Int64:
        """Numbers (c,h,w) for codes: of the two beside each the one whose squared distance in
        steps and bits, each worth `thrift` hundredths, cost less together.

        Numbers are decided on in the order in which they will be read; what one does to the
        prediction of others isn't looked at.
        """
        zero, price = quantiser.zero, thrift / 100
        plane = Plane(codes.shape, self.bits, zero, self.weights.used)
        wanted = plane.ordered(quantiser.places(codes))
        for part in plane.parts():
            near = plane.neighbours(part)
            prediction = plane.predicted(part, near, self.weights)
            rows = self._row(plane, part, near, prediction)
            below = np.floor(wanted[part])
            middle = zero[plane.channel[part]]
            levels = np.stack([below, below + 1])
            numbers = np.clip(levels.astype(np.int64) + middle, 0, 2**self.bits - 1)
            missed = wanted[part] - (numbers - middle)
            costs = np.square(missed) + price * self._lengths[rows, numbers]
            cheaper = numbers[costs.argmin(0), np.arange(len(rows))]
            plane.put(part, cheaper, prediction)
        return plane.numbers()

    def _row(self, plane: Plane, part: slice, near: Int64, prediction: Int64) -> Int64:
        """Which of the tables' rows hold for a part's numbers."""
        kinds = plane.kinds(part, near, self.weights)
        return np.asarray(kinds * (fineness(self.bits) * (2**self.bits - 1) + 1) + prediction)

    def encode(self, numbers: Int64, zero: Int64) -> tuple[int, bytes]:
        """Numbers (c,h,w) as a stream, and how many lanes it has; those of channels that aren't
        used are 0 and left out."""
        plane = Plane(numbers.shape, self.bits, zero, self.weights.used)
        ordered = plane.fill(numbers)
        whole = slice(0, len(ordered))
        near = plane.neighbours(whole)
        prediction = plane.predicted(whole, near, self.weights)
        plane.put(whole, ordered, prediction)
        rows = self._row(plane, whole, near, prediction)
        starts = self.tables[rows, ordered]
        counts = self.tables[rows, ordered + 1] - starts
        size = -np.log2(counts / TOTAL).sum() / 8
        lanes = int(np.clip(size // _LANE, _FEWEST, MOST_LANES))
        return lanes, encode(starts, counts, plane.waves.tolist(), lanes)

    def decode(self, data: bytes, lanes: int, shape: tuple[int, int, int], zero: Int64) -> Int64:
        """The numbers (c,h,w) of a stream; Damaged when it is none, or of another size."""
        plane = Plane(shape, self.bits, zero, self.weights.used)
        decoder = Decoder(data, lanes)
        for part in plane.parts():
            near = plane.neighbours(part)
            prediction = plane.predicted(part, near, self.weights)
            rows = self._row(plane, part, near, prediction)
            numbers = decoder.decode(self._ladder, rows)
            plane.put(part, numbers, prediction)
        decoder.finish()
        return plane.numbers()


@dataclass(frozen=True)
class Models:
    """A codec's `Model` for every number of bits."""

    by_bits: Mapping[int, Model]
    rounding: Rounding = NEAREST

    @classmethod
    def read(cls, data: bytes, channels: int, origin: str) -> Self:
        """Those of a bundle's tables, an npz; BundleError when anything in it is not as it is to
        be: whatever its tables say, coding stays within bounds."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                by_bits = {bits: _model(file, bits, channels) for bits in _ALL_BITS}
                return cls(by_bits, rounding_of(file, channels))
        except (ValueError, KeyError, OSError, zipfile.BadZipFile, NotImplementedError) as error:
            problem = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise BundleError(f"{origin}: no tables of a codec ({problem})") from None

    def __getitem__(self, bits: int) -> Model:
        return self.by_bits[bits]

    def numbers(self, quantiser: Quantiser, codes: Floats) -> Int64:
        """The numbers (c,h,w) that a file is to hold of codes."""
        model = self.by_bits[quantiser.bits]
        if self.rounding.thrift:
            return model.thrifty(quantiser, codes, self.rounding.thrift)
        used = model.weights.used[:, None, None]
        return np.where(used, quantiser.quantised(codes), quantiser.zero[:, None, None])

    def bounds(self, quantiser: Quantiser) -> bytes:
        """What a file has to say of its quantiser's."""
        if self.rounding.reach is not None:
            return b""
        return np.concatenate([quantiser.low, quantiser.high]).astype("<f2").tobytes()

    def bounded(self, bits: int, data: bytes, channels: int) -> tuple[Quantiser, int]:
        """The quantiser that a file whose bounds lie at the beginning of `data` was coded with,
        and how long they are; Damaged when they are none."""
        if self.rounding.reach is not None:
            return self.rounding.fixed(bits, channels), 0
        if len(data) < 4 * channels:
            raise Damaged("it is too short")
        found = np.frombuffer(data, "<f2", 2 * channels).astype(np.float16)
        quantiser = Quantiser(bits, found[:channels], found[channels:])
        sound = (quantiser.low <= 0).all() and (quantiser.high >= 0).all()
        if not (np.isfinite(found).all() and sound):
            raise Damaged("a channel's bounds make no sense")
        return quantiser, 4 * channels


_ALL_BITS = range(1, MOST_BITS + 1)


def rounding_of(tables: Mapping[str, Any], channels: int) -> Rounding:
    """What tables were learnt for; ValueError when they say nothing sensible."""
    reach = int(_checked(tables, "reach", (), 1)) if "reach" in tables else None
    thrift = int(_checked(tables, "thrift", (), 0)) if "thrift" in tables else 0
    if reach is None or "scales1" not in tables:
        return Rounding(reach, thrift)
    scales = {bits: tables[f"scales{bits}"] for bits in _ALL_BITS}
    for bits, found in scales.items():
        if found.dtype != np.float32 or found.shape != (2, channels):
            raise ValueError(f"scales{bits} is {found.dtype} of shape {found.shape}")
        if not ((found > _LEAST_SCALE) & (found < 1 / _LEAST_SCALE)).all():
            raise ValueError(f"scales{bits} is out of bounds")
    return Rounding(reach, thrift, scales)


def _model(file: Mapping[str, Any], bits: int, channels: int) -> Model:
    most = fineness(bits) * (2**bits - 1)
    predict = _checked(file, f"predict{bits}", (channels, PREDICTORS), -_HEAVIEST)
    spread = _checked(file, f"spread{bits}", (channels, SIGNS), -_HEAVIEST)
    used = np.ones(channels, bool)
    if f"used{bits}" in file:
        used = _checked(file, f"used{bits}", (channels,), 0) > 0
    thresholds = _checked(file, f"thresholds{bits}", (KINDS - 1,), -(2**40))
    counts = _checked(file, f"counts{bits}", (KINDS, 2 * most + 1), 1)
    if (np.diff(thresholds) < 0).any():
        raise ValueError(f"thresholds{bits} fall")
    return Model(bits, Weights(predict, spread, thresholds, used), counts)


def _checked(file: Mapping[str, Any], name: str, shape: tuple[int, ...], least: int) -> Int64:
    array = file[name]
    most = max(_HEAVIEST, -least)
    if array.dtype.kind not in "iu" or array.shape != shape:
        raise ValueError(f"{name} is {array.dtype} of shape {array.shape}")
    if (array < least).any() or (array > most).any():
        raise ValueError(f"{name} is out of bounds")
    return np.asarray(array, np.int64)


__all__ = ["BASE_HEAD", "KINDS", "Damaged", "Model", "Models"]

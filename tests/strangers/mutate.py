"""What happens to files: on the way, on failing discs, and in the hands of people who mean it."""

import json
import struct
import zlib
from copy import deepcopy
from random import Random
from typing import Any

SIZES = (0, 1, 2, 255, 4097, 65535, 65536, 2**20, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
VALUES = (
    *(None, True, -1, 0, 10**18, 10**400, -(10**30), 1e308, 5e-324, "", "x" * 5000, "../../etc"),
    *("\u202e\u0000", "CON", [], {}, [[[[[[]]]]]], {"a": {"b": {}}}, "1.0.0\n", "\ud800"),
)


def mutate(data: bytes, other: bytes, sizes: tuple[int, ...], rng: Random) -> bytes:
    """The file spoiled in one to three ways; `other` is spliced in, `sizes` are edited."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        way = rng.choice((_cut, _flip, _flip, _swap, _splice, _resize, _resize, _length, _zero))
        data = way(data, other, sizes, rng)
    return with_checksums(data) if rng.random() < 0.7 else data


def _cut(data: bytes, other: bytes, sizes: tuple[int, ...], rng: Random) -> bytes:
    place = int(len(data) * rng.random() ** rng.choice((0.3, 1, 3)))
    return data[:place] if rng.random() < 0.8 else data[place:]


def _flip(data: bytes, other: bytes, sizes: tuple[int, ...], rng: Random) -> bytes:
    spoiled = bytearray(data)
    head = rng.random() < 0.5  # headers are where it matters
    for _ in range(rng.choice((1, 2, 8, 64))):
        if spoiled:
            place = rng.randrange(min(len(spoiled), 256) if head else len(spoiled))
            spoiled[place] ^= 1 << rng.randrange(8)
    return bytes(spoiled)


def _swap(data: bytes, other: bytes, sizes: tuple[int, ...], rng: Random) -> bytes:
    parts = chunks(data)
    if len(parts) > 3:
        one, two = rng.randrange(1, len(parts)), rng.randrange(1, len(parts))
        parts[one], parts[two] = parts[two], parts[one]
        if rng.random() < 0.3:
            parts.insert(one, parts[two])
        return b"".join(parts)
    a, b, c = sorted(rng.randrange(len(data) + 1) for _ in range(3))
    return data[:a] + data[b:c] + data[a:b] + data[c:]


def _splice(data: bytes, other: bytes, sizes: tuple[int, ...], rng: Random) -> bytes:
    place, there = rng.randrange(len(data) + 1), rng.randrange(len(other) + 1)
    size = rng.choice((4, 64, 1024))
    return data[:place] + other[there : there + size] + data[place + rng.choice((0, size)) :]


def _resize(data: bytes, other: bytes, sizes: tuple[int, ...], rng: Random) -> bytes:
    """Another height or width, wherever a header may have it."""
    found = []
    for size in sizes:
        for form in ("<H", ">H", "<I", ">I"):
            place = data.find(struct.pack(form, size))
            if 0 <= place < 1024:
                found.append((place, form))
    if not found:
        return _length(data, other, sizes, rng)
    place, form = rng.choice(found)
    new = struct.pack(form, rng.choice(SIZES) % 256 ** struct.calcsize(form))
    return data[:place] + new + data[place + len(new) :]


def _length(data: bytes, other: bytes, sizes: tuple[int, ...], rng: Random) -> bytes:
    if len(data) < 8:
        return data
    form = rng.choice(("<H", ">H", "<I", ">I"))
    place = rng.randrange(min(len(data) - 4, rng.choice((64, 512, 2**30))))
    new = struct.pack(form, rng.choice(SIZES) % 256 ** struct.calcsize(form))
    return data[:place] + new + data[place + len(new) :]


def _zero(data: bytes, other: bytes, sizes: tuple[int, ...], rng: Random) -> bytes:
    place, size = rng.randrange(len(data) + 1), rng.choice((1, 16, 512, 4096))
    return data[:place] + bytes(min(size, len(data) - place)) + data[place + size :]


def chunks(data: bytes) -> list[bytes]:
    """A PNG's signature and chunks; one part for what isn't PNG."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return [data]
    parts, place = [data[:8]], 8
    while place < len(data):
        size = int.from_bytes(data[place : place + 4], "big")
        parts.append(data[place : place + 12 + size])
        place += 12 + size
    return parts


def with_checksums(data: bytes) -> bytes:
    """A PNG whose chunks have right checksums again, so that more is looked at than those."""
    parts = chunks(data)
    for number, part in enumerate(parts[1:], 1):
        if len(part) >= 12:
            parts[number] = part[:-4] + struct.pack(">I", zlib.crc32(part[4:-4]))
    return b"".join(parts)


def mutate_json(data: bytes, rng: Random) -> bytes:
    """A manifest with one to three of its values, or keys, replaced, or its text spoiled."""
    if rng.random() < 0.3:
        return mutate(data, data, (), rng)
    facts = json.loads(data)
    for _ in range(rng.choice((1, 1, 2, 3))):
        _replace(facts, rng)
    if rng.random() < 0.1:
        facts["made"]["recipe"] = _deep(rng.choice((5, 50, 200)))
    text = json.dumps(facts)
    if rng.random() < 0.1:
        text = text.replace('{"', '{"scale": 3, "scale": 2, "', 1)
    return text.encode("utf-8", "replace")


def _replace(facts: Any, rng: Random) -> None:
    while True:
        keys = list(facts) if isinstance(facts, dict) else list(range(len(facts)))
        if not keys:
            return
        key = rng.choice(keys)
        if not isinstance(facts[key], dict | list) or rng.random() < 0.15:
            break
        facts = facts[key]
    value = deepcopy(rng.choice(VALUES))
    if isinstance(facts, dict) and rng.random() < 0.15:
        facts[str(value)[:300]] = facts.pop(key)
    elif rng.random() < 0.1:
        del facts[key]
    else:
        facts[key] = value


def _deep(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": [value]}
    return value

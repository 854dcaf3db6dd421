"""A benchmark as text that fits 100 columns."""

import textwrap
from collections.abc import Iterator, Sequence

from mmsr_core.measure.bench.lap import OTHER, STAGES
from mmsr_core.measure.bench.outcome import Outcome, Routing, Standing

WIDTH = 100
NAME = 18
"""Columns that a name gets at most; JSON has it whole."""

Column = tuple[str, int]
"""A head and its width."""

SPEED: tuple[tuple[str, tuple[Column, ...]], ...] = (
    ("", (("PSNR-Y", 8),)),
    ("dB lost", (("mean", 8), ("worst", 7))),
    ("file to file", (("seconds", 9), ("time", 6), ("slowest", 8))),
    ("in memory", (("time", 10),)),
    ("megapixels/s", (("in", 8), ("out", 6))),
    ("peak", (("MiB", 6),)),
    ("first", (("s", 6),)),
)
"""Columns of the first table, by what their heads have in common."""
COLUMNS = tuple(column for _, columns in SPEED for column in columns)


def lines(found: Outcome) -> Iterator[str]:
    """The tables: quality and speed, stages, routes; and what they mean."""
    images = len(found.per_image)
    before, after = found.megapixels
    machine = found.machine
    yield (
        f"{found.model} on {found.device}: {images} images, {before:.2f} megapixels in, "
        f"{after:.2f} out; {found.repeats} rounds"
    )
    cores = f"{machine['cpu']}, {machine['cores']} cores; onnxruntime {_onnxruntime(found)}"
    yield from textwrap.wrap(cores, WIDTH)  # processors have long names
    if found.absent:
        yield from textwrap.wrap("peers not run: " + ", ".join(found.absent), WIDTH)
    name = min(NAME, max(len(one.name) for one in found.standings))
    yield ""
    titles = (title.rjust(sum(width for _, width in columns)) for title, columns in SPEED)
    yield " " * name + "".join(titles)
    yield " " * name + "".join(head.rjust(width) for head, width in COLUMNS)
    for one in found.standings:
        cells = zip(_cells(one), COLUMNS, strict=True)
        yield _short(one.name, name) + "".join(cell.rjust(width) for cell, (_, width) in cells)
    yield ""
    yield "shares of the time from file to file"
    yield " " * name + "".join(stage.rjust(9) for stage in (*STAGES, OTHER))
    for one in found.standings:
        shares = (one.stages.get(stage) for stage in (*STAGES, OTHER))
        yield _short(one.name, name) + "".join(_share(share).rjust(9) for share in shares)
    yield ""
    yield " " * name + "effort overlap   plan oracle   kept  tiles"
    for routing in found.routings:
        yield from _routing(routing, name)
    yield ""
    for paragraph in _notes(found):
        yield from textwrap.wrap(paragraph, WIDTH)


def _cells(one: Standing) -> Sequence[str]:
    peak = "–" if one.peak is None else f"{one.peak / 2**20:.0f}"
    return (
        f"{one.psnr_y:.3f}",
        f"{one.lost:.3f}",
        f"{one.worst:.3f}",
        f"{one.seconds:.3f}",
        f"{one.time:.2f}",
        f"{one.slowest:.2f}",
        f"{one.upscaling:.3f}",
        _speed(one.megapixels_in),
        _speed(one.megapixels_out),
        peak,
        f"{one.first:.2f}",
    )


def _routing(routing: Routing, name: int) -> Iterator[str]:
    kept = "–" if routing.kept is None else f"{routing.kept:.0%}"
    head = (
        f"{_short(routing.name, name)}{routing.effort:6.2f}{routing.overlap:8.0%}"
        f"{routing.cost:7.2f}{routing.oracle:7.2f}{kept:>7}  "
    )
    shares = "  ".join(
        f"{label}\u00a0{share:.0%}" for label, share in routing.classes.items() if share
    )
    for line in textwrap.wrap(
        shares, WIDTH, initial_indent=head, subsequent_indent=" " * len(head)
    ):
        yield line.replace("\u00a0", " ")


def _notes(found: Outcome) -> Iterator[str]:
    """What the columns mean, and how steady the machine was."""
    yield (
        f"Lost: against {found.deepest} on the whole image, whose times are 1. File to file: from "
        "a PNG of LR pixels to a PNG; in memory: from array to array. Seconds: medians of the "
        "rounds, added up; slowest: the image with the greatest time. Peak and first: memory, and "
        "seconds from the start, of a fresh process that upscales the largest image."
    )
    yield (
        "Overlap: pixels computed beyond those of the images, over these. Plan: the time that the "
        "plans should take; oracle: that of the cheapest plans as good, made by who knows every "
        "error; kept: the share of its saving. These are computed from the model's costs, not run."
    )
    steady = "" if found.spread is None else f"Rounds lie {found.spread:.0%} apart at the median. "
    before, after = found.load
    if before is not None and after is not None:
        steady += f"Load of the machine: {before:.1f} before, {after:.1f} after."
    yield steady


def _onnxruntime(found: Outcome) -> str:
    versions = found.machine["versions"]
    ours = versions.get("onnxruntime") or versions.get("onnxruntime-gpu") or "of another package"
    return f"{ours} with {', '.join(found.machine['providers'])}"


def _speed(megapixels: float) -> str:
    return f"{megapixels:.0f}" if megapixels >= 100 else f"{megapixels:.3g}"


def _short(name: str, width: int) -> str:
    return name.ljust(width) if len(name) <= width else name[: width - 1] + "…"


def _share(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"

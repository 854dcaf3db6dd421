"""A section of the report, Markdown tables, and numbers with sensible digits."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmsr_core.errors import one_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NONE = "–"
"""What is unknown, or doesn't apply."""


@dataclass(frozen=True)
class Picture:
    """A figure to be drawn beside the report."""

    file: str
    caption: str
    draw: Callable[["Figure"], None]


@dataclass(frozen=True)
class Section:
    """A heading, what was found in one sentence, Markdown paragraphs, pictures, and notes.

    A note says what is missing and which command makes it.
    """

    title: str
    finding: str = ""
    body: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()
    notes: tuple[str, ...] = ()

    def markdown(self) -> str:
        """The section, its pictures beside it."""
        parts = [f"## {plain(self.title)}", plain(self.finding), *self.body]
        parts += [f"![{plain(picture.caption)}]({picture.file})" for picture in self.pictures]
        parts += [f"*{plain(note)}*" for note in self.notes]
        return "\n\n".join(part for part in parts if part) + "\n"

    def outline(self) -> str:
        """What a terminal is told: title, finding, notes."""
        return "\n  ".join(map(plain, filter(None, (self.title, self.finding, *self.notes))))


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], text: int = 1) -> str:
    """A Markdown table with its pipes aligned; all but the first `text` columns are numbers."""
    cells = [[plain(cell).replace("|", r"\|") for cell in row] for row in (heads, *rows)]
    widths = [max(3, *map(len, column)) for column in zip(*cells, strict=True)]

    def line(row: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if place < text else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = [
        "-" * width if place < text else "-" * (width - 1) + ":"
        for place, width in enumerate(widths)
    ]
    return "\n".join(map(line, (cells[0], rule, *cells[1:])))


def plain(text: str) -> str:
    """One line of text: what is not printable, and may come from a stranger's file, is a space."""
    return re.sub(" +", " ", one_line(text)).strip()


def amount(value: float | None) -> str:
    """A number at three digits or more, thousands apart."""
    if value is None:
        return NONE
    if abs(value) >= 99.95:
        return f"{value:,.0f}"
    if abs(value) >= 9.995:
        return f"{value:.1f}"
    return f"{value:.2f}"


def plural(number: int, what: str) -> str:
    """A number of things, "1 expert" or "3 experts"."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def count(value: int | None) -> str:
    """A whole number, thousands apart."""
    return NONE if value is None else f"{value:,}"


def megabytes(size: float | None) -> str:
    """Bytes as megabytes of 10⁶."""
    return NONE if size is None else amount(size / 1e6)


def share(value: float | None) -> str:
    """A share in %."""
    return NONE if value is None else f"{value:.1%}"


def change(before: float | None, after: float | None) -> str:
    """From one value to another, in % with its sign."""
    if not before or after is None:
        return NONE
    return f"{after / before - 1:+.1%}".replace("-", "−")


def arrow(before: str, after: str) -> str:
    """Two cells as one, "before → after"."""
    return NONE if {before, after} == {NONE} else f"{before} → {after}"

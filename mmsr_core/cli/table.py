"""Plain text tables."""

from collections.abc import Sequence

from mmsr_core.errors import one_line


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Left-aligned columns, two spaces apart, whose heads are set in capitals.

    Cells may come from strangers' files: what is not printable becomes a space.
    """
    cells = [[head.upper() for head in heads], *([_cell(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )


def _cell(value: object) -> str:
    return one_line(str(value))

"""The depth table: which expert is best on which class of tiles (M19.3)."""

from collections.abc import Sequence

from mmsr_core.measure.report.files import Depths
from mmsr_core.measure.report.pictures import Cell, draw_depths
from mmsr_core.measure.report.runs import Run
from mmsr_core.measure.report.section import NONE, Picture, Section, count, table


def depths_section(run: Run, title: str, picture: str) -> Section:
    """PSNR of every class by expert, the best in bold, and the share of tiles it is best on."""
    head = f"Depth table of {title}"
    if run.depths is None:
        command = f"mmsr train RECIPE --out {run.directory} --resume"
        return Section(head, notes=(f"{run.directory} has no depth table; {command} measures it.",))
    found = run.depths
    labels = [_label(run, name) for name in found.experts]
    best = [_best(row) for row in found.psnr_y]
    grid = [
        [_cell(found, row, column, column == best[row]) for column in range(len(labels))]
        for row in range(len(found.classes))
    ]
    rows = [
        [label, count(tiles), *(f"**{cell.text}**" if cell.best else cell.text for cell in cells)]
        for label, tiles, cells in zip(found.classes, found.tiles, grid, strict=True)
    ]
    winners = [
        f"{label} {found.experts[place]}"
        for label, place in zip(found.classes, best, strict=True)
        if place is not None
    ]
    explained = (
        "Luma PSNR of the class's mean error on the test split, in dB; in brackets, the share of "
        "its tiles on which that expert is the best of all."
    )
    names = [f"{label}\n{tiles} tiles" for label, tiles, *_ in rows]
    return Section(
        head,
        f"Best by class of tiles: {', '.join(winners) or 'none'}.",
        (explained, table(["class", "tiles", *labels], rows)),
        (Picture(picture, head, lambda figure: draw_depths(figure, names, labels, grid)),),
    )


def _label(run: Run, name: str) -> str:
    """An expert with its depth, as in "deep (16-8)"."""
    record = run.records.get(name)
    return f"{name} ({record.label})" if record else name


def _best(row: Sequence[float] | None) -> int | None:
    """Where the best PSNR is, the cheapest expert's among equals; None without tiles."""
    return row.index(max(row)) if row else None


def _cell(found: Depths, row: int, column: int, best: bool) -> Cell:
    psnr, wins = found.psnr_y[row], found.wins[row]
    if psnr is None or wins is None:
        return Cell(NONE, None, False)
    return Cell(f"{psnr[column]:.2f} ({wins[column]:.0%})", max(psnr) - psnr[column], best)

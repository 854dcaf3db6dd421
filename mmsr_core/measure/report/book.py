"""The whole report: read everything, make its sections, write them beside their pictures."""

import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmsr_core.errors import MmsrError
from mmsr_core.measure.report.depths import depths_section
from mmsr_core.measure.report.experts import experts_section, side_by_side
from mmsr_core.measure.report.files import Evaluation, Store, read
from mmsr_core.measure.report.kinds import kinds_sections
from mmsr_core.measure.report.pruning import pruning_section
from mmsr_core.measure.report.routers import study_section
from mmsr_core.measure.report.runs import Run, check_evaluations, plain_models, titles
from mmsr_core.measure.report.section import Section
from mmsr_core.measure.report.times import times_section

REPORT = "report.md"
DPI = 150


@dataclass(frozen=True)
class Ask:
    """What a report is of: directories of runs and stores, files of evaluations."""

    runs: Sequence[Path]
    plains: Sequence[Path] = ()
    evaluations: Sequence[Path] = ()
    stores: Sequence[Path] = ()
    workers: Sequence[int] = (1, 3)


def make_report(ask: Ask) -> tuple[Section, ...]:
    """The sections, each with its table or a note on what is missing.

    MmsrError when a file is damaged or not what it should be, and when runs, plain runs and
    evaluations don't belong together.
    """
    directories = [*ask.runs, *ask.plains]
    if repeated := _repeated(directories):
        raise MmsrError(f"{repeated}: this run is there twice; give it once")
    runs, plains = [Run.read(path) for path in ask.runs], [Run.read(path) for path in ask.plains]
    everything = [*runs, *plains]
    names = titles(everything)
    evaluations = {path: read(path, Evaluation) for path in ask.evaluations}
    check_evaluations(everything, evaluations)
    deep = plain_models(runs, plains)
    sections = [experts_section(run, names[run.directory]) for run in everything]
    sections += [
        depths_section(run, names[run.directory], f"depth-{number}.png")
        for number, run in enumerate(runs, start=1)
    ]
    if len(everything) > 1:
        sections.append(side_by_side(everything, names, evaluations))
    sections.append(times_section(runs, names, deep, ask.workers))
    sections += kinds_sections(runs, names, deep, evaluations, ask.workers)
    sections += [study_section(run, names[run.directory]) for run in runs]
    if ask.stores:
        sections.append(pruning_section({path: _read_store(path) for path in ask.stores}))
    return tuple(sections)


def write_report(sections: Sequence[Section], out: Path) -> Path:
    """Write report.md and its pictures into the folder `out`, each whole, the report last.

    Other files there stay. MmsrError when the disk says no.
    """
    from matplotlib.figure import Figure

    try:
        out.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=".report.", dir=out))
        try:
            for picture in (picture for section in sections for picture in section.pictures):
                figure = Figure(layout="constrained")
                picture.draw(figure)
                figure.savefig(beside / picture.file, dpi=DPI)
            text = "\n".join(["# Report\n", *(section.markdown() for section in sections)])
            (beside / REPORT).write_text(text, encoding="utf-8")
            for path in sorted(beside.iterdir(), key=lambda path: path.name == REPORT):
                os.replace(path, out / path.name)
        finally:
            shutil.rmtree(beside)
    except OSError as error:
        raise MmsrError(f"{out}: cannot write the report there ({error.strerror})") from None
    return out / REPORT


def _read_store(directory: Path) -> Store:
    if not (directory / "store.json").is_file():
        raise MmsrError(f"{directory}: not a store, it has no store.json; mmsr prepare makes one")
    return read(directory / "store.json", Store)


def _repeated(paths: Sequence[Path]) -> Path | None:
    seen: set[Path] = set()
    for path in paths:
        if path.resolve() in seen:
            return path
        seen.add(path.resolve())
    return None

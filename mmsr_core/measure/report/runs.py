"""The runs of a report: what each has come to, and the plain deep model to compare it with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path

from mmsr_core.errors import MmsrError
from mmsr_core.measure.report.files import (
    Depths,
    Evaluation,
    FileKind,
    Recipe,
    Record,
    Scores,
    Study,
    read,
)


@dataclass(frozen=True)
class Run:
    """A run's directory, read: `records` by expert, and whatever else it has come to.

    `unrecorded` are experts that began to train and have no record: unfinished, or trained
    before there were records.
    """

    directory: Path
    recipe: Recipe
    records: Mapping[str, Record]
    unrecorded: tuple[str, ...]
    scores: Scores | None
    depths: Depths | None
    study: Study | None

    @classmethod
    def read(cls, directory: Path) -> "Run":
        """Read a run that `mmsr train` began; MmsrError when it is none, or is damaged."""
        if not (directory / "recipe.json").is_file():
            raise MmsrError(f"{directory}: not a run, it has no recipe.json; mmsr train makes one")
        recipe = read(directory / "recipe.json", Recipe)
        records, unrecorded = {}, []
        for expert in recipe.experts:
            folder = directory / "experts" / expert.name
            record = _read_if_there(folder / "training.json", Record)
            if record is not None:
                records[expert.name] = record
            elif (folder / "checkpoint.pt").exists() or (folder / "weights.pt").exists():
                unrecorded.append(expert.name)
        return cls(
            directory,
            recipe,
            records,
            tuple(unrecorded),
            _read_if_there(directory / "scores.json", Scores),
            _read_if_there(directory / "depth.json", Depths),
            _read_if_there(directory / "study.json", Study),
        )

    @property
    def bundle(self) -> str:
        """What the bundle made of it is called."""
        return f"{self.recipe.name}@{self.recipe.version}"

    @cached_property
    def models(self) -> tuple[Record, ...]:
        """The trained experts that routes name, in order of cost: the multi-model set."""
        routed = {name for route in self.recipe.routes.values() for name in route.experts}
        return tuple(record for name, record in self.records.items() if name in routed)

    @cached_property
    def unrouted(self) -> tuple[Record, ...]:
        """The trained experts that no route names."""
        return tuple(record for record in self.records.values() if record not in self.models)

    @property
    def deepest(self) -> Record | None:
        """The dearest trained expert, in the recipe's order of cost; None before there is one."""
        return (*self.models, *self.unrouted)[-1] if self.records else None

    @property
    def kind(self) -> str:
        """The backbones of its models."""
        return " + ".join(dict.fromkeys(record.backbone for record in self.models))

    def evaluations(self, given: Mapping[Path, Evaluation]) -> dict[Path, Evaluation]:
        """Those of the bundle that was made of this run."""
        return {path: found for path, found in given.items() if found.model == self.bundle}


@dataclass(frozen=True)
class Plain:
    """The deep model, trained on all tiles, that a run is compared with."""

    run: Run
    record: Record
    own: bool
    """Whether it is an expert of the run itself."""

    def row(self, evaluation: Evaluation) -> str | None:
        """What its row is called in an evaluation of the run; None when it has none."""
        names = (f"expert:{self.record.expert}", self.record.expert)
        there = {row.name for row in evaluation.rows}
        return next(
            (name for name in (names if self.own else [self.run.bundle]) if name in there), None
        )


def plain_models(runs: Sequence[Run], plains: Sequence[Run]) -> dict[Path, Plain]:
    """Directory of a run → its plain deep model, for those that have one.

    An expert of the run that no route names; or else one of `plains`, of the same backbone and
    scale as the run's deepest model; or else that model itself, if it learned from all tiles.
    MmsrError when one of `plains` trained more than one expert or serves no run, and when two of
    them fit one run.
    """
    for plain in plains:
        if not plain.records:
            raise MmsrError(
                f"{plain.directory}: its expert is not trained yet; finish the run first"
            )
        if len(plain.records) > 1:
            raise MmsrError(
                f"{plain.directory}: a plain run has one trained expert, this has "
                f"{len(plain.records)}; give it without --plain"
            )
    found: dict[Path, Plain] = {}
    used: set[Path] = set()
    for run in runs:
        if not run.models:
            continue
        if run.unrouted:
            found[run.directory] = Plain(run, run.unrouted[-1], own=True)
            continue
        fitting = [plain for plain in plains if _fits(plain, run)]
        if len(fitting) > 1:
            raise MmsrError(
                f"{run.directory}: {fitting[0].directory} and {fitting[1].directory} are both "
                "plain runs of its kind; give one of them"
            )
        if fitting:
            used.add(fitting[0].directory)
            found[run.directory] = Plain(fitting[0], next(iter(fitting[0].records.values())), False)
        elif len(run.models) > 1 and run.models[-1].classes is None:
            found[run.directory] = Plain(run, run.models[-1], own=True)
    if unused := [plain for plain in plains if plain.directory not in used]:
        record = next(iter(unused[0].records.values()))
        raise MmsrError(
            f"{unused[0].directory}: a plain {record.backbone} ×{unused[0].recipe.scale}, and no "
            "RUN that needs one has a deepest expert of that backbone and scale"
        )
    return found


def _fits(plain: Run, run: Run) -> bool:
    (record,) = plain.records.values()
    return (record.backbone, plain.recipe.scale) == (run.models[-1].backbone, run.recipe.scale)


def check_evaluations(runs: Sequence[Run], evaluations: Mapping[Path, Evaluation]) -> None:
    """MmsrError unless every evaluation is of exactly one run's bundle."""
    for path, evaluation in evaluations.items():
        mine = [run for run in runs if run.bundle == evaluation.model]
        if not mine:
            bundles = ", ".join(dict.fromkeys(run.bundle for run in runs))
            raise MmsrError(f"{path}: is of {evaluation.model}; the runs are {bundles}")
        if len(mine) > 1:
            raise MmsrError(
                f"{path}: {mine[0].directory} and {mine[1].directory} are both {evaluation.model}; "
                "give one recipe another name or version, and export it again"
            )


def training_set(records: Sequence[Record]) -> tuple[int | None, int | None]:
    """Tiles and bytes that experts learned from together, each tile counted once.

    That is one expert's where it learned from all tiles, else the sum over experts whose classes
    have none in common and leave none out; None where these can't be told.
    """
    for record in records:
        if record.classes is None:
            return record.tiles, record.bytes
    classes = {label for record in records for label in record.classes or ()}
    for size in range(1, len(records) + 1):
        for chosen in combinations(records, size):
            labels = [label for record in chosen for label in record.classes or ()]
            if len(labels) == len(classes) and set(labels) == classes:
                return _sum([r.tiles for r in chosen]), _sum([r.bytes for r in chosen])
    return None, None


def titles(runs: Sequence[Run]) -> dict[Path, str]:
    """Directory → what to call a run: its recipe's name, and the directory where names meet."""
    names = [run.recipe.name for run in runs]
    return {
        run.directory: f"{run.recipe.name} ({run.directory})"
        if names.count(run.recipe.name) > 1
        else run.recipe.name
        for run in runs
    }


def _read_if_there(path: Path, kind: type[FileKind]) -> FileKind | None:
    return read(path, kind) if path.exists() else None


def _sum(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None

"""Training time: a plain deep model against several models on one and more workers (M19.5)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from mmsr_core.measure.report.files import Record
from mmsr_core.measure.report.pictures import Bar, draw_times
from mmsr_core.measure.report.runs import Plain, Run
from mmsr_core.measure.report.schedule import shortest
from mmsr_core.measure.report.section import NONE, Picture, Section, amount, plural, table

RESUMED = 0.9
"""An expert whose last start to its end is shorter than this share of its seconds was resumed."""


@dataclass(frozen=True)
class Time:
    """One way to train, and how its seconds are known."""

    what: str
    workers: int
    seconds: float
    how: str
    plain: bool = False
    computed: bool = False


def times(run: Run, plain: Plain | None, workers: Sequence[int]) -> list[Time]:
    """The plain deep model, and the run's models on so many workers (M19.5)."""
    found = []
    if plain is not None:
        what = f"plain {plain.record.backbone} {plain.record.label}"
        found.append(Time(what, 1, plain.record.seconds, "measured", plain=True))
    mixed = len({record.backbone for record in run.models}) > 1
    labels = [f"{one.backbone} {one.label}" if mixed else one.label for one in run.models]
    models = f"multi-model {', '.join(labels)}"
    spent = [record.seconds for record in run.models]
    for number in workers:
        how = "computed: sum of measured" if number == 1 else "computed: best packing of measured"
        found.append(Time(models, number, shortest(spent, number), how, computed=True))
    span = measured_span(run.models)
    if span is not None:
        together = at_once(run.models)
        found.append(Time(models, together, span, "measured: first start to last end"))
    return found


def measured_span(records: Sequence[Record]) -> float | None:
    """Seconds from the first start to the last end, where experts really trained at once.

    None where a time is unknown, or an expert was resumed, for its first start is not kept.
    """
    started, ended = [], []
    for record in records:
        if record.started is None or record.ended is None:
            return None
        if record.ended - record.started < RESUMED * record.seconds:
            return None
        started.append(record.started)
        ended.append(record.ended)
    return max(ended) - min(started) if at_once(records) > 1 else None


def at_once(records: Sequence[Record]) -> int:
    """The most experts that trained at one time."""
    spans = [
        (record.started, record.ended)
        for record in records
        if record.started is not None and record.ended is not None
    ]
    return max((sum(a <= start < b for a, b in spans) for start, _ in spans), default=0)


def times_section(
    runs: Sequence[Run],
    names: Mapping[Path, str],
    plains: Mapping[Path, Plain],
    workers: Sequence[int],
) -> Section:
    """Table 3: training time of the plain deep model, and of the models on one and more workers."""
    rows, bars, notes, finding = [], [], [], []
    for run in runs:
        if not run.models:
            notes.append(f"{run.directory}: no expert is trained yet; mmsr train makes them.")
            continue
        title, plain = names[run.directory], plains.get(run.directory)
        found = times(run, plain, workers)
        for time in found:
            ratio = plain.record.seconds / time.seconds if plain and time.seconds else None
            faster = NONE if ratio is None else f"{ratio:.2f}×"
            rows.append(
                [title, time.what, time.how, str(time.workers), amount(time.seconds), faster]
            )
            bars.append(_bar(title, time, faster))
        notes += _doubts(title, run, plain)
        if plain is None:
            notes.append(
                f"{title}: no plain deep model to compare with; train one expert of "
                f"{run.models[-1].backbone} on all tiles and give its run by --plain."
            )
        else:
            last = found[-1]
            ratio = plain.record.seconds / last.seconds if last.seconds else 0.0
            finding.append(f"{title}: {ratio:.2f}× as fast on {plural(last.workers, 'worker')}")
    heads = ["run", "training", "how it is known", "workers", "seconds", "against plain"]
    pictures = [Picture("training-time.png", "Training time", lambda f: draw_times(f, bars))]
    return Section(
        "Training time",
        f"{'; '.join(finding)}." if finding else "",
        (table(heads, rows, 3),) if rows else (),
        (*pictures,) if rows else (),
        (*notes,),
    )


def _bar(title: str, time: Time, ratio: str) -> Bar:
    what = "plain" if time.plain else f"models on {time.workers}"
    return Bar(title, what, time.seconds, ratio, time.plain, time.computed)


def _doubts(title: str, run: Run, plain: Plain | None) -> list[str]:
    """What the figures must not hide."""
    doubts = []
    if run.unrecorded:
        doubts.append(f"{title}: without {', '.join(run.unrecorded)}, whose time is not recorded.")
    if plain is not None and plain.own and plain.record in run.models:
        doubts.append(
            f"{title}: its plain deep model is its own expert {plain.record.expert}, which "
            "learned from all tiles; it counts among the models too."
        )
    records = run.models if plain is None else (plain.record, *run.models)
    devices = dict.fromkeys(record.device for record in records)
    if len(devices) > 1:
        doubts.append(f"{title}: trained on different devices, {' and '.join(devices)}.")
    shared = {
        one.node
        for one, other in combinations(run.models, 2)
        if one.node == other.node and at_once((one, other)) > 1
    }
    if shared:
        doubts.append(
            f"{title}: experts trained at the same time on one node, and may have slowed each "
            "other: their seconds are not those of training alone."
        )
    return doubts

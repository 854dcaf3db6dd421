"""A routed engine against its plain deep model: image by image, and what training both took."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mmsr_core.measure.report.files import Evaluation
from mmsr_core.measure.report.runs import Plain, Run, training_set
from mmsr_core.measure.report.schedule import shortest

METRICS = ("pi", "niqe", "psnr_y")
"""What improvement is judged by, each where it was measured."""
ROUTED = "routed"

Pair = tuple[float | None, float | None]
"""The plain deep model's and the run's; None where it isn't known."""


@dataclass(frozen=True)
class Compared:
    """Means of one metric over the images on which both have a value."""

    before: float
    after: float
    improved: float
    """The share of these images on which the engine is strictly better; a tie is none."""
    images: int
    better: Literal["higher", "lower"]


@dataclass(frozen=True)
class Result:
    """A run's engine against its plain deep model on one set of photographs."""

    kind: str
    run: str
    device: str
    size: Pair
    """Bytes of the training set."""
    alone: float | None
    """Seconds that training the plain deep model took."""
    training: tuple[float | None, ...]
    """Seconds that training the run's models takes, by number of workers."""
    metrics: Mapping[str, Compared]
    seconds: Pair
    """Of reconstruction, over all images."""


def compare(evaluation: Evaluation, row: str, metric: str) -> Compared | None:
    """The routed engine against another row; None where no image has a value of both."""
    better = evaluation.metrics[metric].better
    known = []
    for photo in evaluation.per_image:
        before, after = (photo.rows.get(name, {}).get(metric) for name in (row, ROUTED))
        if before is not None and after is not None:
            known.append((before, after))
    if not known:
        return None
    wins = [after > before if better == "higher" else after < before for before, after in known]
    before, after = (sum(values) / len(known) for values in zip(*known, strict=True))
    return Compared(before, after, sum(wins) / len(known), len(known), better)


def make_result(
    run: Run, title: str, plain: Plain, evaluation: Evaluation, row: str, workers: Sequence[int]
) -> Result:
    """The line of a run; `row` is its plain deep model's in the evaluation."""
    metrics = {}
    for metric in METRICS:
        compared = compare(evaluation, row, metric) if metric in evaluation.metrics else None
        if compared is not None:
            metrics[metric] = compared
    spent = [record.seconds for record in run.models]
    seconds = {one.name: one.seconds for one in evaluation.rows}
    return Result(
        kind=run.kind,
        run=title,
        device=evaluation.device,
        size=(plain.record.bytes, training_set(run.models)[1]),
        alone=plain.record.seconds,
        training=tuple(shortest(spent, number) for number in workers),
        metrics=metrics,
        seconds=(seconds[row], seconds.get(ROUTED)),
    )


def average(results: Sequence[Result]) -> Result:
    """The mean over results of what all of them have."""
    metrics = {}
    for metric in METRICS:
        found = [one.metrics[metric] for one in results if metric in one.metrics]
        if len(found) == len(results):
            metrics[metric] = Compared(
                sum(one.before for one in found) / len(found),
                sum(one.after for one in found) / len(found),
                sum(one.improved for one in found) / len(found),
                sum(one.images for one in found),
                found[0].better,
            )
    return Result(
        kind="average",
        run="",
        device=" and ".join(dict.fromkeys(one.device for one in results)),
        size=_mean_pair([one.size for one in results]),
        alone=_mean([one.alone for one in results]),
        training=tuple(map(_mean, zip(*(one.training for one in results), strict=True))),
        metrics=metrics,
        seconds=_mean_pair([one.seconds for one in results]),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def _mean_pair(pairs: Sequence[Pair]) -> Pair:
    before, after = zip(*pairs, strict=True)
    return _mean(before), _mean(after)

"""Results by kind of network: the routed engine against its plain deep model (M20.9)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from mmsr_core.measure.evaluation import title as metric_title
from mmsr_core.measure.report.comparison import METRICS, Result, average, make_result
from mmsr_core.measure.report.files import Evaluation
from mmsr_core.measure.report.pictures import Panel, draw_kinds
from mmsr_core.measure.report.runs import Plain, Run
from mmsr_core.measure.report.section import (
    NONE,
    Picture,
    Section,
    amount,
    arrow,
    change,
    megabytes,
    share,
    table,
)

ARROWS = {"higher": "↑", "lower": "↓"}


def kinds_sections(
    runs: Sequence[Run],
    names: Mapping[Path, str],
    plains: Mapping[Path, Plain],
    evaluations: Mapping[Path, Evaluation],
    workers: Sequence[int],
) -> list[Section]:
    """A section for every set of photographs, and one of what is missing."""
    scenes: dict[object, tuple[Evaluation, list[Result]]] = {}
    notes = []
    for run in runs:
        if run.directory not in plains:
            continue  # the training times say so
        plain, mine = plains[run.directory], run.evaluations(evaluations)
        wanted = _command(run, plain)
        if not mine:
            notes.append(f"{names[run.directory]}: no --evaluation; {wanted} makes one.")
        for path, evaluation in mine.items():
            row = plain.row(evaluation)
            if row is None:
                what = plain.record.expert if plain.own else plain.run.bundle
                notes.append(f"{path}: has no row of {what}; {wanted} makes one.")
                continue
            if "niqe" not in evaluation.metrics:
                notes.append(f"{path}: NIQE was not measured; {wanted} does.")
            line = make_result(run, names[run.directory], plain, evaluation, row, workers)
            scenes.setdefault(evaluation.scene, (evaluation, []))[1].append(line)
    sections = [
        _section(evaluation, results, workers, f"kinds-{number}.png")
        for number, (evaluation, results) in enumerate(scenes.values(), start=1)
    ]
    if notes:
        sections.append(Section("Results that are missing", notes=(*notes,)))
    return sections


def _command(run: Run, plain: Plain) -> str:
    """What measures the results of a run."""
    against = "" if plain.own else f" --against {plain.run.bundle}"
    evaluate = f"mmsr evaluate --model {run.bundle}{against} --images PHOTOS"
    return f"{evaluate} --metrics psnr,niqe --json FILE"


def _section(
    evaluation: Evaluation, results: list[Result], workers: Sequence[int], picture: str
) -> Section:
    """The table of one set of photographs; with several kinds, their mean ends it."""
    shown = {
        metric: one.metrics[metric].better
        for metric in METRICS
        for one in results
        if metric in one.metrics
    }
    heads = ["kind", "run", "training set, MB", "training, s: plain"]
    heads += [f"models on {number}" for number in workers]
    for metric, better in shown.items():
        heads += [f"{metric_title(metric)} {ARROWS[better]}", "improved"]
    heads += ["reconstruction, s", "change"]
    total = average(results)
    lines = [*results, total] if len(results) > 1 else results
    finding = [
        f"{share(found.improved)} of the images improved by {metric_title(metric)}"
        for metric, found in total.metrics.items()
    ]
    finding.append(f"reconstruction time {change(*total.seconds)}")
    explained = (
        "Each cell: plain deep model → routed engine. Improved: the share of images on which the "
        f"engine is strictly better. Reconstruction: of all images, on {total.device}. Training "
        "on so many workers is computed from the measured seconds of every expert."
    )
    title = f"Results by kind on {evaluation.photographs}"
    return Section(
        title,
        f"{', '.join(finding)}.",
        (explained, table(heads, [_line(one, list(shown)) for one in lines], 2)),
        (Picture(picture, title, lambda figure: draw_kinds(figure, _panels(lines))),),
        tuple(_left_out(results, len(evaluation.per_image))),
    )


def _left_out(results: Sequence[Result], images: int) -> list[str]:
    return [
        f"{one.run}: {metric_title(metric)} is over {found.images} of {images} images, the others "
        "have no value."
        for one in results
        for metric, found in one.metrics.items()
        if found.images < images
    ]


def _line(one: Result, shown: Sequence[str]) -> list[str]:
    cells = [one.kind, one.run, arrow(*map(megabytes, one.size)), amount(one.alone)]
    cells += [amount(seconds) for seconds in one.training]
    for metric in shown:
        found = one.metrics.get(metric)
        if found is None:
            cells += [NONE, NONE]
        else:
            cells += [arrow(_value(found.before), _value(found.after)), share(found.improved)]
    return [*cells, arrow(*map(amount, one.seconds)), change(*one.seconds)]


def _panels(lines: Sequence[Result]) -> list[Panel]:
    """What the picture shows: a panel for every metric, and one for the time."""
    kinds = [one.kind for one in lines]
    if len(set(kinds)) < len(kinds):  # two runs of one kind
        kinds = [f"{one.kind}\n{one.run}" for one in lines]
    panels = []
    for metric in METRICS:
        found = [one.metrics.get(metric) for one in lines]
        known = [one for one in found if one is not None]
        if known:
            title = f"{metric_title(metric)}, {known[0].better} is better"
            pairs = [(one.before, one.after) if one else (None, None) for one in found]
            below = [f"{one.improved:.0%} improved" if one else "" for one in found]
            panels.append(Panel(title, kinds, pairs, below, from_zero=metric != "psnr_y"))
    below = [change(*one.seconds) for one in lines]
    panels.append(Panel("reconstruction, s", kinds, [one.seconds for one in lines], below))
    return panels


def _value(value: float) -> str:
    return f"{value:.2f}" if value >= 10 else f"{value:.3f}"

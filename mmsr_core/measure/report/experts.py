"""The experts of a run, and runs side by side: what each learned from, and what that took."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from mmsr_core.measure.report.files import Evaluation, Planned, Record
from mmsr_core.measure.report.runs import Plain, Run
from mmsr_core.measure.report.section import (
    NONE,
    Section,
    amount,
    count,
    megabytes,
    plural,
    table,
)


def experts_section(run: Run, title: str) -> Section:
    """Table 1: every expert of a run."""
    heads = ["expert", "kind", "depth", "options", "classes", "device", "node"]
    text = len(heads)
    heads += ["tiles", "MB", "epochs", "steps", "GAN steps", "parameters", "seconds", "busy"]
    rows = [_expert(expert, run.records.get(expert.name)) for expert in run.recipe.experts]
    records = list(run.records.values())
    total = sum(record.seconds for record in records)
    waited = sum(record.waited for record in records)
    finding = f"{plural(len(records), 'trained expert')}"
    if total:
        finding += f", {amount(total)} s in all; the device had data {1 - waited / total:.0%} of it"
    notes = []
    if run.scores is None:
        notes.append(
            f"{run.directory} is not finished; mmsr train RECIPE --out {run.directory} --resume "
            "goes on with it."
        )
    notes += [
        f"{name} has no training.json: it is not finished, or was trained by an older mmsr."
        for name in run.unrecorded
    ]
    return Section(f"Experts of {title}", f"{finding}.", (table(heads, rows, text),), (), (*notes,))


def _expert(expert: Planned, record: Record | None) -> list[str]:
    options = ", ".join(f"{key} {value}" for key, value in expert.options.items()) or NONE
    if record is None:  # a backbone without weights, or not trained yet
        return [expert.name, expert.backbone, f"{expert.depth}", options, *[NONE] * 11]
    return [
        expert.name,
        record.backbone,
        record.label,
        options,
        "all" if record.classes is None else ", ".join(record.classes),
        record.device,
        record.node or NONE,
        count(record.tiles),
        megabytes(record.bytes),
        amount(record.epochs),
        count(record.steps),
        count(record.adversarial_steps or None),
        count(record.parameters),
        amount(record.seconds),
        NONE if record.busy is None else f"{record.busy:.0%}",
    ]


def side_by_side(
    runs: Sequence[Run], names: Mapping[Path, str], evaluations: Mapping[Path, Evaluation]
) -> Section:
    """The deepest expert of every run: what it learned from, what that took, what it came to."""
    scenes = {found.scene: found for found in evaluations.values()}
    heads = ["run", "expert", "data", "tiles", "MB", "epochs", "steps", "seconds", "test split, dB"]
    heads += [f"{found.photographs}, dB" for found in scenes.values()]
    rows = []
    for run in runs:
        record = run.deepest
        if record is None:
            continue
        found = {one.scene: one for one in run.evaluations(evaluations).values()}
        row = [
            names[run.directory],
            f"{record.expert} ({record.backbone} {record.label})",
            ", ".join(source.store or source.folder for source in run.recipe.data),
            count(record.tiles),
            megabytes(record.bytes),
            amount(record.epochs),
            count(record.steps + record.adversarial_steps),
            amount(record.seconds),
            _test_psnr(run, record),
        ]
        for scene in scenes:
            own = Plain(run, record, own=True).row(found[scene]) if scene in found else None
            row.append(_db(found[scene].mean(own, "psnr_y") if own else None))
        rows.append(row)
    finding = "The deepest expert of every run."
    return Section("Runs side by side", finding, (table(heads, rows, 3),) if rows else ())


def _test_psnr(run: Run, record: Record) -> str:
    """dB of the route that is this expert alone."""
    for label, route in run.recipe.routes.items():
        if run.scores is not None and route.experts == (record.expert,):
            return _db(run.scores.psnr_y.get(label))
    return NONE


def _db(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f}"

"""The router study: time saved at equal quality, and whether the forest beats the rules."""

from collections.abc import Sequence

from mmsr_core.measure.report.files import Studied, Study
from mmsr_core.measure.report.runs import Run
from mmsr_core.measure.report.section import NONE, Section, amount, plural, table

ORACLE = "oracle"
FOREST = "forest"
RULE = "-threshold"
"""What the names of forests begin with, and those of rules, tuned or not, contain."""


def study_section(run: Run, title: str) -> Section:
    """The routers by cost, and the finding of forests against untrained rules, either way."""
    head = f"Router study of {title}"
    if run.study is None:
        note = f"{run.directory} has no study; mmsr study {run.directory} --images PHOTOS makes it."
        return Section(head, notes=(note,))
    found = run.study
    heads = ["router", "features", "cell", "trees", "depth", "µs per tile"]
    for name in found.photographs:
        heads += [f"{name}: cost", f"{name}: saving kept", f"{name}: agrees"]
    rows = [_row(row, list(found.photographs)) for row in found.rows]
    sets = ", ".join(f"{name} ({count:,})" for name, count in found.photographs.items())
    explained = (
        f"Every router loses {found.tolerance:g} dB against the dearest route everywhere. Cost: "
        f"its share of that route's time, by {found.costs}; saving kept: of what the oracle "
        f"saves, which knows every error; agrees: with the measured labels. Photographs: {sets}."
    )
    return Section(head, " ".join(verdicts(found)), (explained, table(heads, rows, 2)))


def _row(row: Studied, sets: Sequence[str]) -> list[str]:
    line = [row.router, row.features or NONE, f"{row.cell}"]
    line += [f"{row.options.get(name, NONE)}" for name in ("trees", "depth")]
    line.append(amount(row.microseconds))
    for name in sets:
        outcome = row.sets[name]
        line += [f"{outcome.cost:.3f}", _percent(outcome.kept), _percent(outcome.agreement)]
    return line


def _percent(value: float | None) -> str:
    return NONE if value is None else f"{value:.0%}"


def _named(row: Studied) -> str:
    return f"{row.router} ({row.features}, cells of {row.cell})"


def verdicts(study: Study) -> list[str]:
    """A sentence for every set: the forest against the best rule there.

    The forest is the one that costs least on the first set, the run's own router split, so that
    no other set has a say in choosing it; the rule is the best that there is on each.
    """
    own = next(iter(study.photographs))
    forests = [row for row in study.rows if row.router.startswith(FOREST)]
    rules = [row for row in study.rows if RULE in row.router]
    if not forests or not rules:
        return []
    forest = min(forests, key=lambda row: row.sets[own].cost)
    found = []
    for name, photographs in study.photographs.items():
        rule = min(rules, key=lambda row: row.sets[name].cost)
        mine, theirs = forest.sets[name], rule.sets[name]
        verb = "beats" if mine.cost < theirs.cost else "does not beat"
        found.append(
            f"On {name} ({plural(photographs, 'photograph')}) the forest {verb} the untrained "
            f"rules: {_named(forest)} costs {mine.cost:.3f} and keeps {_percent(mine.kept)} of the "
            f"oracle's saving, {_named(rule)} costs {theirs.cost:.3f} and keeps "
            f"{_percent(theirs.kept)}."
        )
    return found

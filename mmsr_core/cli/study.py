"""mmsr study: which router a finished run should have."""

from pathlib import Path
from typing import Any

import click


class Counts(click.ParamType[tuple[int, ...]]):
    """Whole numbers above 0, with commas between them."""

    name = "N,N…"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, ...]:
        """The numbers, each once; a usage error for anything else."""
        if isinstance(value, tuple):
            return value
        parts = [part.strip() for part in str(value).split(",")]
        if not all(part.isdecimal() and int(part) > 0 for part in parts):
            self.fail(f"{value} is no list of whole numbers above 0, such as 16,32", param, ctx)
        return tuple(dict.fromkeys(map(int, parts)))


@click.command(
    epilog="""\b
Examples:
  mmsr study runs/x4 --images photos
  mmsr study runs/x4 --images photos --on hr/city --on hr/people --costs bundles/x4
"""
)
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder that the recipe's data folders lie in, as for mmsr train.",
)
@click.option(
    "--on",
    "folders",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Also compare on this folder of HR images; may be repeated.",
)
@click.option("--cells", type=Counts(), default="16,32,64", show_default=True, help="Cell sizes.")
@click.option(
    "--trees", type=Counts(), default="10,30,100", show_default=True, help="Sizes of a forest."
)
@click.option(
    "--depths", type=Counts(), default="4,8,12,16", show_default=True, help="Depths of its trees."
)
@click.option(
    "--tolerance",
    type=click.FloatRange(0, min_open=True),
    default=0.02,
    show_default=True,
    help="dB that every router may lose against the dearest route everywhere.",
)
@click.option(
    "--costs",
    metavar="MODEL",
    help="Charge for the experts what this bundle measured.  [default: multiply-accumulates]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures for machines.")
def command(
    run: Path,
    images: Path,
    folders: tuple[Path, ...],
    cells: tuple[int, ...],
    trees: tuple[int, ...],
    depths: tuple[int, ...],
    tolerance: float,
    costs: str | None,
    as_json: bool,
) -> None:
    """Compare routers for the experts of a finished RUN.

    Forests of several sizes, depths, feature sets and cells, rules that need no training, and the
    oracle, which knows every error. All lose the same quality; what differs is the time that
    they save. On the run's router split each answers for photographs that it has not seen. The
    figures stay in the run as study.json.
    """
    import json

    from mmsr_core.cli.extras import needs
    from mmsr_core.cli.progress import Stages
    from mmsr_core.cli.table import table
    from mmsr_core.plugin.catalog import Catalog

    with needs("train", "mmsr study"):
        from mmsr_core.train.run import Run
        from mmsr_core.train.study.compare import STUDY, study
        from mmsr_core.train.study.contenders import Ask
    opened = Run.open(run)
    charged = None if costs is None else _costs(costs)
    ask = Ask(cells, trees, depths, tolerance)
    with Stages() as stages:
        found = study(opened, Catalog.load(), images, folders, ask, stages.report, charged)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    sets = list(found["photographs"])
    heads = ["router", "features", "cell", "trees", "depth", "time"]
    heads += [f"{name} {what}" for name in sets for what in ("cost", "kept", "agrees")]
    click.echo(table(heads, [_cells(row, sets) for row in found["rows"]]))
    click.echo(
        f"cost: at {tolerance:g} dB lost, share of the dearest route everywhere, by "
        f"{'multiply-accumulates' if costs is None else f'the times of {costs}'}; "
        "kept: share of the oracle's saving; time: of the classifier in Python, a tile"
    )
    click.echo(f"{run / STUDY}: written")


def _costs(model: str) -> dict[str, float]:
    """The measured cost of every expert of a bundle."""
    from mmsr_core.runtime.bundle import Bundle
    from mmsr_registry import Registry

    manifest = Bundle.open(Registry().find(model)).manifest
    return {expert.name: expert.cost for expert in manifest.experts}


def _cells(row: dict[str, Any], sets: list[str]) -> list[str]:
    """One line of the table; what a router has not is a dash."""
    options, speed = row["options"], row["microseconds"]
    line = [row["router"], row["features"] or "–", str(row["cell"])]
    line += [str(options.get(name, "–")) for name in ("trees", "depth")]
    line.append("–" if speed is None else f"{speed:.1f} µs")
    for name in sets:
        found = row["sets"][name]
        shares = (found["kept"], found["agreement"])
        line.append(f"{found['cost']:.3f}")
        line += ["–" if share is None else f"{share:.0%}" for share in shares]
    return line

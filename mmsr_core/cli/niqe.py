"""mmsr niqe: score images without a reference, or fit the model that they are compared with."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from mmsr_core.cli.progress import Stages
    from mmsr_core.runtime.tiles import Floats

T = TypeVar("T")


@click.command(
    epilog="""\b
Examples:
  mmsr niqe upscaled/
  mmsr niqe upscaled/ --pristine my-model.npz --json
  mmsr niqe sharp/ huge/ --fit my-model.npz --shrink 1 --shrink 3 --licence CC0-1.0
"""
)
@click.argument("images", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option(
    "--pristine",
    type=click.Path(path_type=Path),
    help="Compare with this model: one that --fit wrote, or the published one.  "
    "[default: the one that mmsr ships]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--fit",
    "fit_file",
    type=click.Path(path_type=Path),
    help="Score nothing; fit a model on IMAGES, sharp photographs, and write it here.",
)
@click.option("--source", "sources", multiple=True, help="With --fit: what IMAGES are.")
@click.option("--licence", "licences", multiple=True, help="With --fit: their licence.")
@click.option(
    "--shrink",
    "shrinks",
    type=click.IntRange(1),
    multiple=True,
    help="With --fit: reduce the photographs by this factor first.",
)
def command(
    images: tuple[Path, ...],
    pristine: Path | None,
    as_json: bool,
    fit_file: Path | None,
    sources: tuple[str, ...],
    licences: tuple[str, ...],
    shrinks: tuple[int, ...],
) -> None:
    """Score images by NIQE: how far they are from sharp photographs, 0 at best.

    IMAGES are files or folders. An image that two blocks of 96x96 pixels don't fit into has no
    score. --source, --licence and --shrink are given once for all IMAGES, or once for each.
    """
    from mmsr_core.cli.files import check_place
    from mmsr_core.cli.progress import Stages
    from mmsr_core.errors import MmsrError

    with Stages() as stages:
        if fit_file is None:
            if sources or licences or shrinks:
                raise MmsrError("--source, --licence and --shrink describe photographs to --fit")
            _score(images, pristine, as_json, stages)
            return
        if pristine is not None or as_json:
            raise MmsrError("--fit scores nothing: leave out --pristine and --json")
        check_place(fit_file)
        origins = _each(sources, images, "--source", [path.name for path in images])
        terms = _each(licences, images, "--licence", ["not stated"] * len(images))
        factors = _each(shrinks, images, "--shrink", [1] * len(images))
        notes = "; ".join(dict.fromkeys(origins)), "; ".join(dict.fromkeys(terms))
        _fit(images, factors, fit_file, notes, stages)


def _score(images: Sequence[Path], pristine: Path | None, as_json: bool, stages: Stages) -> None:
    from mmsr_core.errors import MmsrError
    from mmsr_core.measure.niqe import niqe
    from mmsr_core.measure.pristine import SHIPPED, Pristine
    from mmsr_core.runtime.image import find_images, read

    model = Pristine.open(pristine or SHIPPED)
    files = [file for path in images for file in find_images(path)]
    scores: list[float | None] = []
    for number, file in enumerate(files, 1):
        value = niqe(read(file).rgb, model)
        scores.append(None if math.isnan(value) else value)
        stages.report("images", number, len(files))
    known = [score for score in scores if score is not None]
    if as_json:
        found = {
            "pristine": {"source": model.source, "licence": model.licence},
            "images": [
                {"file": str(file), "niqe": score}
                for file, score in zip(files, scores, strict=True)
            ],
            "mean": sum(known) / len(known) if known else None,
        }
        click.echo(json.dumps(found, indent=2, allow_nan=False))
    else:
        for file, score in zip(files, scores, strict=True):
            if score is not None:
                click.echo(f"{score:8.4f}  {file}")
        if len(known) > 1:
            click.echo(f"{sum(known) / len(known):8.4f}  mean of {len(known)}")
    for file, score in zip(files, scores, strict=True):
        if score is None:
            click.echo(f"{file}: skipped, no two blocks of 96x96 pixels with texture", err=True)
    if not known:
        raise MmsrError(f"no score: none of {len(files)} images holds two blocks with texture")


def _fit(
    images: Sequence[Path],
    shrinks: Sequence[int],
    out: Path,
    notes: tuple[str, str],
    stages: Stages,
) -> None:
    from mmsr_core.errors import MmsrError
    from mmsr_core.measure.niqe import fit
    from mmsr_core.runtime.image import find_images, read, resize

    files = [
        (file, shrink)
        for path, shrink in zip(images, shrinks, strict=True)
        for file in find_images(path)
    ]

    def photographs() -> Iterator[Floats]:
        for number, (file, shrink) in enumerate(files, 1):
            rgb = read(file).rgb
            height, width = (side // shrink for side in rgb.shape[:2])
            if shrink > 1 and height and width:
                rgb = resize(rgb[: height * shrink, : width * shrink], height, width)
            yield rgb
            stages.report("photographs", number, len(files))

    try:
        model = fit(photographs(), *notes)
    except ValueError as error:
        raise MmsrError(f"cannot fit a model: {error}") from None
    model.write(out)
    click.echo(f"{out}: {model.blocks} sharp blocks of {model.photographs} photographs")


def _each(
    given: Sequence[T], images: Sequence[Path], option: str, default: Sequence[T]
) -> Sequence[T]:
    """One value for every path: those given, or the one given, or the defaults."""
    from mmsr_core.errors import MmsrError

    if not given:
        return default
    if len(given) == 1:
        return list(given) * len(images)
    if len(given) != len(images):
        raise MmsrError(
            f"{option} is given {len(given)} times for {len(images)} IMAGES; "
            "give it once for all, or once for each"
        )
    return given

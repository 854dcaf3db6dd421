"""Options that several commands share, and groups of one command's."""

import os
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any

import click

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

model = click.option(
    "--model", default="compact-x4", show_default=True, help="NAME[@VERSION] or a path."
)
device = click.option(
    "--device",
    default="auto",
    show_default=True,
    help="auto (cuda or cpu), cpu, cuda[:N], tensorrt[:N] or openvino.",
)


class Place(click.Path):
    """A path, or a URL as it was given."""

    name = "place"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path | str:
        """A URL stays text; one of a file of this machine is its path."""
        if isinstance(value, str) and value.startswith("file://"):
            value = value.removeprefix("file://")
        if isinstance(value, str) and "://" in value:
            return value
        return Path(os.fsdecode(super().convert(value, param, ctx)))


PLACE = Place(path_type=Path)


def _together(*options: Decorator) -> Decorator:
    return lambda command: reduce(lambda inner, option: option(inner), reversed(options), command)


answers = _together(
    click.option(
        "-o",
        "--output",
        type=PLACE,
        required=True,
        help="An image file for one image; otherwise a folder, made if missing.  With --ray also "
        "a URL.",
    ),
    click.option(
        "--format",
        "form",
        type=click.Choice(["png", "jpg", "webp", "tiff", "avif"]),
        help="The format of every image.  [default: the source's own, PNG where that is only read]",
    ),
    click.option(
        "--quality",
        type=click.IntRange(1, 100),
        metavar="N",
        help="1 to 100, for JPEG, WebP, AVIF and videos.  [default: the format's own]",
    ),
    click.option(
        "--name",
        "pattern",
        default="{stem}",
        show_default=True,
        help="File names in the output folder: {stem} and {suffix} are the source's.",
    ),
    click.option("--overwrite", is_flag=True, help="Replace outputs that exist."),
    click.option("--resume", is_flag=True, help="Skip images whose output is finished."),
)
"""Where the answers of a batch go."""

running = _together(
    click.option(
        "--effort",
        type=click.FloatRange(0, 1),
        help="Trade time for quality: 0 is fast, 1 runs the deepest expert everywhere.  "
        "[default: the model's own balance]",
    ),
    click.option(
        "--overlap",
        type=click.IntRange(min=0),
        metavar="N",
        help="Average N source pixels between regions instead of the model's narrow cross-fade.",
    ),
)
"""How an engine runs."""

"""How large pictures are to become: the options, and the size that they ask for together."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

_OPTIONS = (
    click.option(
        "--scale",
        type=float,
        metavar="X",
        help="Enlarge by any factor from 1, such as 1.5, 3 or 8.  [default: the model's own]",
    ),
    click.option(
        "--width",
        type=click.IntRange(min=1),
        metavar="N",
        help="Enlarge to so many pixels; with --height, to the largest size that fits into both.",
    ),
    click.option("--height", type=click.IntRange(min=1), metavar="N", help="As --width."),
    click.option(
        "--megapixels",
        type=float,
        metavar="N",
        help="Enlarge to so many millions of pixels.",
    ),
)


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command, which gets what they ask for as one `size`."""

    @wraps(command)
    def sized(
        *arguments: Any,
        scale: float | None,
        width: int | None,
        height: int | None,
        megapixels: float | None,
        **others: Any,
    ) -> Any:
        from mmsr_core.runtime.sizes import Size

        asked = {"scale": scale, "megapixels": megapixels, "width": width, "height": height}
        given = [f"--{name}" for name, value in asked.items() if value is not None]
        if len(given) > 1 and given != ["--width", "--height"]:
            raise click.UsageError(
                f"{' and '.join(given)} can't hold together: choose one, or --width and --height"
            )
        return command(*arguments, size=Size(scale, width, height, megapixels), **others)

    for option in reversed(_OPTIONS):
        sized = option(sized)
    return sized

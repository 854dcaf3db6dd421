"""One contender on one file: read, upscaled, written."""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from mmsr_core.measure.evaluate import Answer, Upscale
from mmsr_core.runtime import image

STAGES: Final = ("decode", "route", "plan", "experts", "fuse", "stitch", "encode")
OTHER: Final = "other"


@dataclass(frozen=True)
class Lap:
    """The seconds from file to file, those from array to array, and where they went.

    `stages` has the engine's stages beside decode, encode and other, and sums to `seconds` but
    where the engine does two things at once; what runs a whole image has all of it in experts.
    """

    seconds: float
    upscaling: float
    stages: dict[str, float]


def run_lap(upscale: Upscale, source: Path, target: Path) -> tuple[Lap, Answer]:
    """Upscale the image file `source` into the file `target`."""
    started = time.perf_counter()
    picture = image.read(source)
    decoded = time.perf_counter()
    answer = upscale(picture.rgb)
    upscaled = time.perf_counter()
    image.write(target, replace(picture, rgb=answer.pixels))
    written = time.perf_counter()
    upscaling = upscaled - decoded
    inside = {"experts": upscaling} if answer.result is None else answer.result.seconds
    stages = {"decode": decoded - started, **inside, "encode": written - upscaled}
    stages[OTHER] = max(0.0, upscaling - sum(inside.values()))
    return Lap(written - started, upscaling, stages), answer

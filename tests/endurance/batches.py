"""What the endurance scripts share: small images of every kind, and `mmsr` as its own process."""

import os
import sys
from pathlib import Path

import numpy as np

from mmsr_core.runtime.image import Image, write

ROOT = Path(__file__).parents[2]
SUFFIXES = (".png", ".jpg", ".webp", ".tiff")
DISTINCT = 60
"""Images that are made; the others are links to them."""


def make_images(folder: Path, count: int, least: int, most: int, seed: int = 0) -> None:
    """`count` image files with random sides from `least` to `most`, some grey, deep or cut out."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for number in range(count):
        path = folder / f"{number:05d}{SUFFIXES[number % len(SUFFIXES)]}"
        if number >= DISTINCT:
            os.link(folder / f"{number % DISTINCT:05d}{path.suffix}", path)
            continue
        height, width = rng.integers(least, most + 1, 2)
        rgb = rng.random((height, width, 3), np.float32)
        grey, deep = number % 5 == 0, number % 3 == 0
        if grey:
            rgb[...] = rgb[..., :1]
        alpha = rng.random((height, width), np.float32) if number % 7 == 0 else None
        write(path, Image(rgb, alpha, 16 if deep else 8, grey))


def upscale_words(*arguments: object) -> tuple[list[str], dict[str, str]]:
    """The command line and environment of `mmsr upscale ARGUMENTS` from this checkout."""
    shelves = [str(ROOT / shelf) for shelf in (".", "plugins", "exporters", "registry")]
    code = "from mmsr_core.cli import main; main()"
    words = [sys.executable, "-c", code, "upscale", *map(str, arguments)]
    return words, os.environ | {"PYTHONPATH": os.pathsep.join(shelves)}

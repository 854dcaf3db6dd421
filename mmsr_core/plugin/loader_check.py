"""The contract check of a loader, on a file that it opens."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

from mmsr_core.errors import PluginError
from mmsr_core.plugin.components import Loaded, Loader

SIZES = ((1, 16, 16), (2, 7, 9))
"""n, h, w of pictures that every upscaler has to take."""
NOISE = b"\x80\x02no upscaler at all"


def check_loader(loader: Loader, path: Path) -> None:
    """Check a loader on one file.

    Promised: suffixes in small letters, the file's among them; (n,3,h,w) → (n,3,s·h,s·w) at
    every size, float32 in [0,1], the same twice, the pictures left as they were; and PluginError
    for a damaged file.
    """
    what = f"loader {loader.name}"
    for suffix in loader.suffixes:
        if suffix != suffix.lower() or not suffix.startswith("."):
            _fail(what, "suffixes as .pth is one", repr(suffix))
    if path.suffix.lower() not in loader.suffixes:
        _fail(what, f"to open {path.suffix}", f"suffixes {' '.join(loader.suffixes)}")
    _check_answers(what, loader.load(path))
    with TemporaryDirectory() as folder:
        damaged = Path(folder, f"damaged{path.suffix}")
        damaged.write_bytes(NOISE)
        try:
            loader.load(damaged)
        except PluginError:
            return
        except Exception as error:  # whatever it raises, it is not what was promised
            _fail(what, "PluginError for a damaged file", type(error).__name__)
        _fail(what, "PluginError for a damaged file", "an upscaler")


def _check_answers(what: str, loaded: Loaded) -> None:
    import torch

    if loaded.module.training:
        _fail(what, "a module in eval mode", "one in train mode")
    for n, height, width in SIZES:
        images = torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(n))
        given = images.clone()
        with torch.no_grad():
            answer, again = loaded.module(given), loaded.module(images.clone())
        wanted = (n, 3, height * loaded.scale, width * loaded.scale)
        if answer.shape != wanted or answer.dtype != torch.float32:
            _fail(what, f"float32 {wanted}", f"{answer.dtype} {tuple(answer.shape)}")
        if not (answer.min() >= 0 and answer.max() <= 1):  # not a number is neither
            _fail(what, "values in [0,1]", f"{answer.min():.3g} to {answer.max():.3g}")
        if not torch.equal(given, images):
            _fail(what, "to leave the pictures as they were", "some that it changed")
        if not torch.equal(answer, again):
            _fail(what, "the same answer twice", "another")


def _fail(what: str, promised: str, seen: str) -> NoReturn:
    raise PluginError(f"{what}: promised {promised}; seen: {seen}")

"""Content-aware, tile-routed image super-resolution.

`load("compact-x4").upscale(image)` is the short way; `Bundle`, `Engine` and `__version__` are
imported when they are first asked for, so that `import mmsr_core` costs next to nothing.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmsr_core.errors import MmsrError

if TYPE_CHECKING:
    from mmsr_core.runtime.bundle import Bundle
    from mmsr_core.runtime.engine import Engine

    __version__: str

__all__ = ["Bundle", "Engine", "MmsrError", "__version__", "load"]


def load(
    model: str | Path,
    device: str = "auto",
    threads: int | None = None,
    notice: Callable[[str], None] = lambda line: None,
) -> "Engine":
    """Open a model by name, `name@version` or directory, on `auto`, `cpu`, `cuda` or `cuda:n`.

    `threads` and `notice` as of `Engine`.
    Raises BundleError when the model is missing or damaged, DeviceError when the device is not
    there.
    """
    from mmsr_core.runtime.engine import Engine
    from mmsr_registry import Registry

    return Engine.open(Registry().find(model), device, threads, notice)


def __getattr__(name: str) -> Any:
    if name == "Bundle":
        from mmsr_core.runtime.bundle import Bundle

        return Bundle
    if name == "Engine":
        from mmsr_core.runtime.engine import Engine

        return Engine
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("mmsr")
        except PackageNotFoundError:  # run from a checkout that is not installed
            return "0+unknown"
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

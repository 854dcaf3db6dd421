"""Content-aware, tile-routed image super-resolution.

`load("compact-x4").upscale("photo.jpg").save("large.png")` is the short way; the names below
are imported when they are first asked for, so that `import mmsr_core` costs next to nothing.
"""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmsr_core.errors import MmsrError

if TYPE_CHECKING:
    from mmsr_core.api.model import Model
    from mmsr_core.api.result import Result
    from mmsr_core.runtime.bundle import Bundle
    from mmsr_core.runtime.engine import Engine
    from mmsr_core.runtime.sizes import Size

    __version__: str

__all__ = ["Bundle", "Engine", "MmsrError", "Model", "Result", "Size", "__version__", "load"]

_HOMES = {
    "Bundle": "mmsr_core.runtime.bundle",
    "Engine": "mmsr_core.runtime.engine",
    "Model": "mmsr_core.api.model",
    "Result": "mmsr_core.api.result",
    "Size": "mmsr_core.runtime.sizes",
}


def load(
    model: str | Path,
    device: str = "auto",
    threads: int | None = None,
    notice: Callable[[str], None] = lambda line: None,
) -> "Model":
    """Open a model by name, `name@version` or directory, on `auto`, `cpu`, `cuda` or `cuda:n`.

    `compact` stands for `compact-x2` and `compact-x4` together, each used where a size asks for
    it; any other model reaches every size alone. `threads` and `notice` as of `Engine`.
    Raises BundleError when the model is missing or damaged, DeviceError when the device is not
    there.
    """
    from mmsr_core.api.family import open_upscaler
    from mmsr_core.api.model import Model

    return Model(open_upscaler(model, None, device, threads, notice))


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("mmsr")
        except PackageNotFoundError:  # run from a checkout that is not installed
            return "0+unknown"
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

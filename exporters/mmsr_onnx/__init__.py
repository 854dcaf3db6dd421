"""A draft as a bundle of ONNX graphs: converted, checked against Python, measured, written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mmsr_core.errors import BundleError

if TYPE_CHECKING:
    from mmsr_core.draft import Draft
    from mmsr_core.runtime.bundle import Bundle
    from mmsr_onnx.precision import Lower


def export(
    draft: Draft, out: Path, progress: Callable[[str], None], lower: Lower | None = None
) -> Bundle:
    """Write `draft` as a bundle directory `out`; `progress` is told what is being done.

    With `lower`, every expert gets the precision it asks for where that loses little. Every graph
    is compared with the Python it came from before anything is written. The effort knob is
    calibrated with costs measured here, on this machine's CPU. Raises ExportError for a graph
    that can't be made or answers otherwise, BundleError when `out` exists.
    """
    from mmsr_onnx.assemble import assemble

    if out.exists():  # the write would say so, minutes later
        raise BundleError(f"{out}: exists already; remove it or choose another --out")
    return assemble(draft, out, progress, lower)

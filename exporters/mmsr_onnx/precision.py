"""Lower precision for the experts it pays for: measured on photographs, and by the clock."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mmsr_core.errors import ExportError, NotFinite
from mmsr_core.measure.metrics import psnr_y
from mmsr_core.runtime.session import Device, Session
from mmsr_onnx.eightbit import quantize
from mmsr_onnx.half import halve
from mmsr_onnx.parity import check_form

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
Precision = Literal["fp32", "fp16", "int8"]
LIMITS: Mapping[Precision, float] = {"fp16": 0.02, "int8": 0.05}
"""dB of mean luma PSNR that an expert may lose."""


@dataclass(frozen=True, kw_only=True)
class Lower:
    """The wish for a precision below fp32, and the photographs that decide where it comes true."""

    precision: Literal["fp16", "int8"]
    seen: Sequence[Floats]
    """LR images (1,3,h,w) in [0,1] that 8 bits take their ranges from."""
    judges: Sequence[tuple[Bytes, Bytes]]
    """Photographs that no expert was trained on: LR (h,w,3) and HR (s·h,s·w,3)."""


@dataclass(frozen=True)
class Form:
    """What an expert is deployed as: a graph, its precision, and why it has that one."""

    graph: bytes
    precision: Precision
    reason: str = ""
    difference: float = 0.0
    """The most by which it answers otherwise than its fp32 graph, on test patterns."""


def eight_bit(name: str, exact: bytes, graph: bytes, scale: int, origin: str) -> Form:
    """The form of an expert that is another's 8-bit form already; `origin` names the other.

    Raises ExportError when it answers otherwise, BundleError when it doesn't answer.
    """
    difference = check_form(exact, graph, scale, name)
    return Form(graph, "int8", f"the 8-bit form of {origin}", difference)


def lowered(name: str, exact: bytes, scale: int, lower: Lower) -> Form:
    """The form that an expert's fp32 graph takes: lower where it loses little, fp32 otherwise.

    Both are compared through ONNX Runtime: what was measured is what ships.
    """
    asked, limit = lower.precision, LIMITS[lower.precision]
    try:
        graph = quantize(exact, lower.seen) if asked == "int8" else halve(exact)
        difference = check_form(exact, graph, scale, name)
        loss = _loss(name, exact, graph, scale, lower.judges)
    except (ExportError, NotFinite) as error:
        return Form(exact, "fp32", f"no {asked}: {error}")
    judges = "1 photograph" if len(lower.judges) == 1 else f"{len(lower.judges)} photographs"
    measured = f"{round(loss, 3) + 0.0:.3f} dB on {judges} (limit {limit:g})"
    if not loss <= limit:
        return Form(exact, "fp32", f"{asked} would lose {measured}")
    return Form(graph, asked, f"{asked} loses {measured}", difference)


def worthwhile(form: Form, exact: bytes, seconds: float, exact_seconds: float) -> Form:
    """The form, or fp32 again where 8 bits save no time here; fp16 saves its time on GPUs."""
    if form.precision != "int8":
        return form
    ratio = f"{seconds / exact_seconds:.2f} of fp32's time"
    if seconds >= exact_seconds:
        return Form(exact, "fp32", f"int8 would take {ratio}")
    return replace(form, reason=f"{form.reason} and takes {ratio}")


def _loss(
    name: str, exact: bytes, graph: bytes, scale: int, judges: Sequence[tuple[Bytes, Bytes]]
) -> float:
    """dB of luma PSNR, mean over whole photographs, that `graph` loses against `exact`."""
    device = Device("cpu", "precision is judged there")
    sessions = [Session(bytes_, device, name) for bytes_ in (exact, graph)]
    losses = []
    for lr, hr in judges:
        tile = np.ascontiguousarray(lr.transpose(2, 0, 1)[None], np.float32) / 255
        before, after = (_psnr(session, tile, hr, scale) for session in sessions)
        losses.append(0.0 if before == after else before - after)  # ∞ − ∞ is no number
    return math.fsum(losses) / len(losses)


def _psnr(session: Session, tile: Floats, hr: Bytes, scale: int) -> float:
    _, channels, height, width = tile.shape
    shape = 1, channels, height * scale, width * scale
    answer: npt.NDArray[Any] = session.run(tile, session.outputs[0], shape)[0].transpose(1, 2, 0)
    return psnr_y(answer, hr.astype(np.float32) / 255, border=scale)

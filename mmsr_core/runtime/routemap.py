"""The route map: which class answered for each part of a picture, painted over it."""

import cv2
import numpy as np

from mmsr_core.runtime.plan import Plan
from mmsr_core.runtime.tiles import Floats

# Cheap to dear: cool to warm, told apart by people who confuse red and green as well.
COLOURS = (
    (0.13, 0.27, 0.55),
    (0.16, 0.57, 0.73),
    (0.60, 0.80, 0.55),
    (0.98, 0.75, 0.28),
    (0.84, 0.25, 0.15),
)
KEPT = (0.5, 0.5, 0.5)
TINT = 0.45


def paint(plan: Plan, classes: tuple[str, ...], upscaled: Floats) -> Floats:
    """The upscaled picture (H,W,3) tinted by class, region edges drawn, with a legend below."""
    height, width = upscaled.shape[:2]
    scale = height // plan.grid.height
    colours = palette(len(classes))
    if plan.kept is not None:
        classes, colours = (*classes, "UNCHANGED"), np.vstack([colours, KEPT]).astype(np.float32)
    cells = colours[plan.routes].repeat(plan.grid.cell, 0).repeat(plan.grid.cell, 1)
    cells = cells[: plan.grid.height, : plan.grid.width].repeat(scale, 0).repeat(scale, 1)
    grey = upscaled.mean(axis=2, keepdims=True)
    picture = np.ascontiguousarray((1 - TINT) * grey + TINT * cells, np.float32)
    line = max(1, min(height, width) // 700)
    for region in plan.regions:
        box = region.box.scaled(scale)
        corners = (box.left, box.top), (box.right - 1, box.bottom - 1)
        colour = tuple(float(value) for value in colours[region.route])
        cv2.rectangle(picture, *corners, colour, line)
    return np.concatenate([picture, _legend(plan, classes, colours, width)])


def palette(count: int) -> Floats:
    """The colours (count,3) of so many classes, from cheap to dear."""
    known = np.array(COLOURS, np.float32)
    at = np.linspace(0, len(known) - 1, count) if count > 1 else np.array([len(known) - 1.0])
    columns = [np.interp(at, np.arange(len(known)), known[:, channel]) for channel in range(3)]
    return np.stack(columns, axis=1).astype(np.float32)


def _legend(plan: Plan, classes: tuple[str, ...], colours: Floats, width: int) -> Floats:
    counts = np.bincount(plan.routes.ravel(), minlength=len(classes))
    shares = counts / plan.routes.size
    size = float(np.clip(width / 1100, 0.35, 2.0))
    row, thick = int(34 * size), max(1, round(1.4 * size))
    texts = [f"{label} {share:.0%}" for label, share in zip(classes, shares, strict=True)]
    texts.append(f"cost {plan.cost:.0%} of the deepest expert everywhere")
    lines: list[list[tuple[int, int]]] = [[]]
    left = row // 2
    for index, text in enumerate(texts):
        (length, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.6 * size, thick)
        needed = length + 2 * row
        if left + needed > width and lines[-1]:
            lines.append([])
            left = row // 2
        lines[-1].append((index, left))
        left += needed
    # OpenCV writes text on bytes only.
    legend = np.full((row * len(lines) + row // 2, width, 3), 255, np.uint8)
    for number, line in enumerate(lines):
        base = row * number + int(row * 0.95)
        for index, left in line:
            if index < len(classes):
                colour = tuple(round(255 * float(value)) for value in colours[index])
                top = base - int(18 * size)
                cv2.rectangle(legend, (left, top), (left + int(20 * size), base), colour, -1)
                left += int(28 * size)
            font = cv2.FONT_HERSHEY_SIMPLEX
            cv2.putText(
                legend, texts[index], (left, base), font, 0.6 * size, (25,) * 3, thick, cv2.LINE_AA
            )
    return (legend / 255).astype(np.float32)

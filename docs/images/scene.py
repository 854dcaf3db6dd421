"""A picture that is drawn, not photographed: sky, mountains, a lake, a house, a tree, a meadow.

It has what photographs have, smooth areas beside fine detail, and nobody's rights but ours.
"""

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

HEIGHT, WIDTH = 1664, 2560
HORIZON, SHORE = 780, 1180
"""Rows where the mountains end and where the meadow begins."""
SHIFT = 4
"""OpenCV takes points in sixteenths of a pixel."""


def scene(seed: int = 7) -> Floats:
    """The picture, float32 RGB (HEIGHT,WIDTH,3) in [0,1]; the same for the same seed."""
    rng = np.random.default_rng(seed)
    picture = _sky(rng)
    for depth, base in enumerate((560, 640, 715)):
        _ridge(picture, rng, base, depth)
    _lake(picture, rng)
    _meadow(picture, rng)
    _house(picture, rng, left=330, base=1270)
    _tree(picture, rng, foot=(2030, 1350))
    _blades(picture, rng, 26_000)
    soft = cv2.GaussianBlur(picture, (0, 0), 0.7)  # no lens is sharper than this
    return np.clip(soft, 0, 1).astype(np.float32)


def _clouds(rng: np.random.Generator, height: int, width: int, coarse: int, fall: float) -> Floats:
    """Fractal noise (height,width) in about [0,1]: octaves from `coarse` pixels down to 2."""
    total, weight, size = np.zeros((height, width), np.float32), 1.0, coarse
    while size >= 2:
        knots = rng.random((height // size + 3, width // size + 3), np.float32)
        shape = ((width // size + 3) * size, (height // size + 3) * size)
        total += weight * cv2.resize(knots, shape, interpolation=cv2.INTER_CUBIC)[:height, :width]
        weight, size = weight * fall, size // 2
    low, high = np.percentile(total, (1, 99))
    return np.clip((total - low) / (high - low), 0, 1).astype(np.float32)


def _blend(picture: Floats, colour: Floats | tuple[float, ...], share: Floats) -> None:
    picture += share[..., None] * (np.asarray(colour, np.float32) - picture)


def _sky(rng: np.random.Generator) -> Floats:
    down = np.linspace(0, 1, HEIGHT, dtype=np.float32)[:, None] * HEIGHT / HORIZON
    stops = np.array([[0.27, 0.45, 0.70], [0.55, 0.68, 0.80], [0.97, 0.83, 0.66]], np.float32)
    rows = [np.interp(down[:, 0], (0, 0.55, 1), stops[:, channel]) for channel in range(3)]
    picture = np.repeat(np.stack(rows, 1)[:, None], WIDTH, 1).astype(np.float32)
    clouds = cv2.resize(_clouds(rng, HORIZON, WIDTH // 3, 256, 0.5), (WIDTH, HORIZON))
    clouds = cv2.GaussianBlur(clouds, (0, 0), 3)
    fade = np.linspace(1, 0.15, HORIZON, dtype=np.float32)[:, None]
    _blend(picture[:HORIZON], (1.0, 0.96, 0.92), 0.75 * np.clip(2.2 * clouds - 1.0, 0, 1) * fade)
    y, x = np.mgrid[:HORIZON, :WIDTH].astype(np.float32)
    away = np.hypot(x - 1560, y - 500)
    _blend(picture[:HORIZON], (1.0, 0.93, 0.75), 0.85 * np.exp(-((away / 240) ** 2)))
    _blend(picture[:HORIZON], (1.0, 0.98, 0.90), np.clip((48 - away) / 4, 0, 1))
    return picture


def _ridge(picture: Floats, rng: np.random.Generator, base: int, depth: int) -> None:
    """A chain of mountains; the nearer, the darker and the richer in detail."""
    line = _clouds(rng, 4, WIDTH, 512, 0.5)[1] * (330 - 75 * depth) - 160 + 45 * depth
    y = np.arange(HORIZON, dtype=np.float32)[:, None]
    inside = np.clip(y - (base - line)[None], 0, 1)
    haze = np.array([[0.62, 0.66, 0.74], [0.42, 0.49, 0.56], [0.20, 0.29, 0.29]])[depth]
    rock = _clouds(rng, HORIZON, WIDTH, 64, 0.75)
    light = 1 + (0.10, 0.32, 0.85)[depth] * (rock - 0.5)
    _blend(picture[:HORIZON], (haze * light[..., None]).astype(np.float32), inside)


def _lake(picture: Floats, rng: np.random.Generator) -> None:
    """What lies above the horizon, upside down, blurred downwards, with ripples."""
    height = SHORE + 60 - HORIZON
    mirror = cv2.resize(picture[HORIZON - 700 : HORIZON][::-1], (WIDTH, height))
    rows = np.arange(height, dtype=np.float32)[:, None]
    waves = cv2.resize(rng.random((height, WIDTH // 24), np.float32), (WIDTH, height)) - 0.5
    at = np.clip(rows + waves * (4 + rows / 14), 0, height - 1).astype(np.float32)
    columns = np.tile(np.arange(WIDTH, dtype=np.float32), (height, 1))
    water = cv2.remap(mirror, columns, at, cv2.INTER_LINEAR)
    water = cv2.GaussianBlur(water, (0, 0), sigmaX=2.5, sigmaY=5)
    picture[HORIZON : HORIZON + height] = 0.86 * water + 0.02
    glitter = rng.normal(1560, 110, 2600), rng.triangular(HORIZON, HORIZON, SHORE, 2600)
    for x, top in zip(*glitter, strict=True):
        length = 3 + (top - HORIZON) / 18
        _line(picture, [(x - length, top), (x + length, top)], (1.0, 0.92, 0.76), 1)


def _meadow(picture: Floats, rng: np.random.Generator) -> None:
    edge = SHORE - 50 + 90 * _clouds(rng, 4, WIDTH, 512, 0.4)[1]
    y = np.arange(HEIGHT, dtype=np.float32)[:, None]
    earth = _clouds(rng, HEIGHT, WIDTH, 128, 0.7)
    near = np.clip((y - SHORE) / (HEIGHT - SHORE), 0, 1)
    green = np.array([0.30, 0.36, 0.16]) * (0.55 + 0.7 * earth - 0.15 * near)[..., None]
    _blend(picture, green.astype(np.float32), np.clip((y - edge[None]) / 2, 0, 1))


def _blades(picture: Floats, rng: np.random.Generator, count: int) -> None:
    """Blades of grass and a few flowers, from far to near."""
    for y in np.sort(rng.triangular(SHORE + 60, HEIGHT + 90, HEIGHT + 90, count)):
        near = (y - SHORE) / (HEIGHT - SHORE)
        x, length = rng.uniform(-20, WIDTH + 20), rng.uniform(14, 34) * (0.4 + 1.6 * near)
        lean = rng.normal(0.15, 0.25) * length
        tip = x + lean, y - length
        colour = np.array([0.40, 0.50, 0.19]) * rng.uniform(0.45, 1.35)
        bend = x + 0.3 * lean, y - 0.6 * length
        _line(picture, [(x, y), bend, tip], colour, 1 + int(1.6 * near * rng.random()))
        if rng.random() < 0.012:
            petals = ((0.96, 0.93, 0.86), (0.93, 0.76, 0.28), (0.82, 0.32, 0.30))
            _disc(picture, tip, 2 + 4 * near * rng.random(), petals[rng.integers(3)])


def _house(picture: Floats, rng: np.random.Generator, left: int, base: int) -> None:
    """Bricks, a tiled roof, a smooth door, two windows."""
    width, height, eaves = 560, 300, 56
    top = base - height
    picture[top:base, left : left + width] = (0.62, 0.58, 0.54)
    for row, y in enumerate(range(top, base, 15)):
        for x in range(left - (row % 2) * 19, left + width, 38):
            rows = slice(y + 2, min(y + 15, base))
            columns = slice(max(x + 2, left), min(x + 38, left + width))
            picture[rows, columns] = np.array([0.60, 0.30, 0.22]) * rng.uniform(0.8, 1.2)
    peak = top - 190
    for y in range(peak, top, 13):
        reach = (width / 2 + eaves) * (0.55 + 0.45 * (y - peak) / (top - peak))
        middle = left + width / 2
        for x in np.arange(middle - reach, middle + reach, 21.0):
            shade = np.array([0.33, 0.20, 0.19]) * rng.uniform(0.7, 1.35)
            offset = 10 * (((y - peak) // 13) % 2)
            _disc(picture, (min(x + offset, middle + reach), y + 8), 11, shade)
    for x in (left + 66, left + width - 190):
        frame = slice(top + 80, top + 200), slice(x, x + 124)
        picture[frame] = (0.93, 0.91, 0.86)
        for dy in (8, 64):
            for dx in (8, 66):
                pane = slice(top + 80 + dy, top + 128 + dy), slice(x + dx, x + dx + 50)
                picture[pane] = np.linspace(0.30, 0.62, 50)[None, :, None] * (0.8, 0.95, 1.1)
    door = slice(base - 190, base), slice(left + 225, left + 325)
    picture[door] = (0.17, 0.31, 0.33)
    _disc(picture, (left + 308, base - 92), 6, (0.86, 0.73, 0.36))
    for x in np.arange(left + width + 30, 1500, 46.0):
        foot = base + 10 + rng.normal(0, 2)
        _line(picture, [(x, foot), (x + rng.normal(0, 2), foot - 92)], (0.80, 0.77, 0.71), 8)
    for rail in (30, 68):
        rails = [(left + width, base + 10 - rail), (1500, base + 10 - rail)]
        _line(picture, rails, (0.74, 0.71, 0.65), 5)


def _tree(picture: Floats, rng: np.random.Generator, foot: tuple[float, float]) -> None:
    tips: list[tuple[float, float]] = []
    branches = [(foot, -np.pi / 2, 215.0, 34.0)]
    while branches:
        (x, y), angle, length, thick = branches.pop()
        end = x + length * np.cos(angle), y + length * np.sin(angle)
        bark = np.array([0.27, 0.20, 0.15]) * rng.uniform(0.8, 1.2)
        _line(picture, [(x, y), end], bark, max(1, round(thick)))
        if length < 26:
            tips.append(end)
            continue
        for turn in rng.normal((-0.48, 0.05, 0.50), 0.16):
            branches.append((end, angle + turn, length * rng.uniform(0.60, 0.78), thick * 0.62))
    for x, y in tips:
        for _ in range(5):
            spot = x + rng.normal(0, 13), y + rng.normal(0, 13)
            light = rng.uniform(0.55, 1.3) * (1.15 - 0.0004 * (spot[1] - 500))
            _disc(picture, spot, rng.uniform(2.5, 5.5), np.array([0.42, 0.46, 0.15]) * light)


def _fixed(points: list[tuple[float, float]]) -> npt.NDArray[np.int32]:
    return np.round(np.array(points) * 2**SHIFT).astype(np.int32)


def _line(picture: Floats, points: list[tuple[float, float]], colour: object, thick: int) -> None:
    colour = tuple(float(value) for value in np.asarray(colour))
    cv2.polylines(picture, [_fixed(points)], False, colour, thick, cv2.LINE_8, SHIFT)


def _disc(picture: Floats, at: tuple[float, float], radius: float, colour: object) -> None:
    colour = tuple(float(value) for value in np.asarray(colour))
    (x, y), reach = _fixed([at])[0].tolist(), round(radius * 2**SHIFT)
    cv2.circle(picture, (x, y), reach, colour, -1, cv2.LINE_8, SHIFT)

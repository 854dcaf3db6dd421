"""What taking over unchanged cells saves, and what it costs: by hand, not by pytest.

python tests/video/measure_reuse.py [--model compact-x2] [--frames 50] [--photo FILE]

Makes clips of a static and of a hand-held camera, with and without sensor noise, encodes them
with x264, and upscales each with several thresholds. PSNR is against upscaling every frame from
nothing: of the worst frame, before the output's encoder.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from clips import texture, write_clip

from mmsr_core.api.family import open_upscaler
from mmsr_core.runtime.image import read
from mmsr_core.video import Settings
from mmsr_core.video.clip import Clip
from mmsr_core.video.upscale import _Picture, _Tally, _upscaled

HEIGHT, WIDTH = 360, 640


def shots(scene: np.ndarray, frames: int, shake: float, noise: float) -> Iterator[np.ndarray]:
    """A disc crosses a scene; the camera shakes by some pixels, its sensor is noisy."""
    rng = np.random.default_rng(0)
    place = np.zeros(2)
    for number in range(frames):
        place = 0.9 * place + shake * rng.normal(size=2)
        shift = np.array([[1, 0, -16 + place[0]], [0, 1, -16 + place[1]]])
        shot = cv2.warpAffine(scene, shift, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC)
        centre = (60 + 4 * number, HEIGHT // 2)
        cv2.circle(shot, centre, 40, (0.9, 0.3, 0.1), -1, cv2.LINE_AA)
        cv2.circle(shot, centre, 25, (0.2, 0.2, 0.6), 3, cv2.LINE_AA)
        yield np.clip(shot + rng.normal(0, noise / 255, shot.shape), 0, 1).astype(np.float32)


def run(engine, path: Path, threshold: float | None):
    """All frames, the share of cells taken over, the cost of a frame, and processor seconds."""
    tally = _Tally()
    started = time.process_time()
    with Clip(path) as clip:
        items = _upscaled(
            engine, clip, clip.items(()), Settings(threshold=threshold), tally, lambda share: None
        )
        pictures = [np.rint(item.pixels * 255) for item in items if isinstance(item, _Picture)]
    taken = tally.routes[len(engine.manifest.classes)] / tally.routes.total()
    return pictures, taken, tally.cost / tally.frames, time.process_time() - started


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    error = float(np.mean((one - other) ** 2))
    return 10 * np.log10(255**2 / error) if error else np.inf


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="compact-x2")
    parser.add_argument("--frames", type=int, default=50)
    parser.add_argument("--photo", type=Path)
    parser.add_argument("--thresholds", default="0,1,2,3,4,6")
    given = parser.parse_args()
    engine = open_upscaler(given.model, None, "cpu")
    scene = texture(HEIGHT + 32, WIDTH + 32) if given.photo is None else read(given.photo).rgb
    scene = cv2.resize(scene, (WIDTH + 32, HEIGHT + 32), interpolation=cv2.INTER_AREA)
    print("camera, noise, crf | threshold: taken over, cost, processor seconds, worst PSNR")
    for shake, noise in ((0, 2), (0, 0), (1.0, 0)):
        for crf in (18, 23, 28):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "clip.mp4"
                made = list(shots(scene, given.frames, shake, noise))
                write_clip(path, made, options={"crf": str(crf)})
                full, _, cost, seconds = run(engine, path, None)
                print(f"{shake} {noise} {crf} | none: cost {cost:.3f}, {seconds:.1f} s", flush=True)
                for threshold in map(float, given.thresholds.split(",")):
                    some, taken, cost, seconds = run(engine, path, threshold)
                    quality = [psnr(a, b) for a, b in zip(some, full, strict=True)]
                    print(
                        f"    {threshold}: {taken:.3f}, cost {cost:.3f}, {seconds:.1f} s, "
                        f"{min(quality):.1f} dB",
                        flush=True,
                    )


if __name__ == "__main__":
    main()

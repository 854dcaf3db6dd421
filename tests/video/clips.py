"""Clips that the tests make: textures, objects that move, sound."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from mmsr_core.video.colour import Coding

BT709 = Coding(1, 8, False)


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Float32 RGB (h,w,3): smooth noise at three scales."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3), np.float32)
    for size, weight in ((4, 0.4), (16, 0.4), (64, 0.2)):
        coarse = rng.random((max(2, height * size // 256), max(2, width * size // 256), 3))
        total += weight * cv2.resize(coarse.astype(np.float32), (width, height))
    return total


def static_camera(frames: int, height: int = 96, width: int = 160) -> list[np.ndarray]:
    """A textured background before which one disc moves."""
    background = texture(height, width)
    shots = []
    for number in range(frames):
        shot = background.copy()
        centre = 24 + 2 * number, height // 2
        cv2.circle(shot, centre, 12, (0.9, 0.2, 0.1), -1, cv2.LINE_AA)
        shots.append(shot)
    return shots


def write_clip(
    path: Path,
    shots: Sequence[np.ndarray],
    *,
    codec: str = "libx264",
    form: str = "yuv420p",
    coding: Coding = BT709,
    tagged: bool = True,
    rate: int = 25,
    pts: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    options: dict[str, str] | None = None,
    sound: str | None = None,
    start: int = 0,
    rotation: float | None = None,
    aspect: Fraction | None = None,
    metadata: dict[str, str] | None = None,
    chapters: list[Any] | None = None,
) -> Path:
    """Encode float RGB pictures of even size with the project's own colour equations; sound and
    pictures start after so many seconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options or {"crf": "18"})
        context = stream.codec_context
        context.time_base = time_base or Fraction(1, rate)
        context.pix_fmt = form
        context.height, context.width = shots[0].shape[:2]
        if tagged:
            context.colorspace = coding.matrix
            context.color_range = 2 if coding.full else 1
        if aspect:
            context.sample_aspect_ratio = aspect
        if rotation is not None:
            stream.set_display_rotation(rotation)
        audio = container.add_stream(sound, rate=48000) if sound else None
        container.metadata.update(metadata or {})
        container.set_chapters(chapters or [])
        for number, shot in enumerate(shots):
            frame = av.VideoFrame(shot.shape[1], shot.shape[0], form)
            for plane, samples in zip(frame.planes, coding.planes(shot), strict=True):
                rows = np.frombuffer(plane, samples.dtype).reshape(samples.shape[0], -1)
                rows[:, : samples.shape[1]] = samples
            frame.pts = start * rate + number if pts is None else pts[number]
            frame.time_base = context.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if audio is not None:
            for sample in range(0, 48000 * len(shots) // rate, 960):
                wave = np.sin(np.arange(sample, sample + 960) / 20)
                samples = np.repeat(wave[None].astype(np.float32) * 0.3, 2, axis=0)
                sounding = av.AudioFrame.from_ndarray(samples, "fltp", "stereo")
                sounding.sample_rate, sounding.pts = 48000, 48000 * start + sample
                sounding.time_base = Fraction(1, 48000)
                if audio.codec_context.frame_size in (0, 960) or sound == "aac":
                    container.mux(audio.encode(sounding))
            container.mux(audio.encode(None))
    return path


def packets(path: Path, kind: str) -> list[tuple[int, bytes]]:
    """The packets of a file's first stream of a kind: their time, and their bytes."""
    with av.open(str(path)) as container:
        stream = getattr(container.streams, kind)[0]
        return [
            (packet.pts * packet.time_base, bytes(packet))
            for packet in container.demux(stream)
            if packet.size
        ]


def frames(path: Path) -> list[av.VideoFrame]:
    """All frames of a video."""
    with av.open(str(path)) as container:
        return list(container.decode(video=0))

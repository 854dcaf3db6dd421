"""A video file that is written: one encoded stream, and the others copied packet by packet."""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import numpy as np
from av.error import FFmpegError
from av.stream import Disposition

from mmsr_core.errors import VideoError
from mmsr_core.runtime.tiles import Floats
from mmsr_core.video.clip import Clip
from mmsr_core.video.colour import Coding

FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
QUALITY = 85
LARGEST = 16384
"""Rows or columns that HEVC, AV1 and VP9 encoders take."""
_H264 = 4096, 2304
"""The larger and the smaller side that every H.264 decoder in hardware takes."""
_OWN = ("major_brand", "minor_version", "compatible_brands", "encoder", "rotate", "vendor_id")
"""Metadata that tells of the old file, not of what it shows."""


@dataclass(frozen=True)
class Encoder:
    """An encoder, its constant-quality setting at `QUALITY`, and what else it is told."""

    name: str
    bits: int
    crf: int
    most: int
    options: dict[str, str] = field(default_factory=dict)

    def settings(self, quality: int | None) -> dict[str, str]:
        """Its options: 5 steps of quality are 2 of its scale, where less is better."""
        wanted = self.crf + round(0.4 * (QUALITY - (quality or QUALITY)))
        return {"crf": str(min(self.most, max(1, wanted))), **self.options}


X264 = Encoder("libx264", 8, 17, 51, {"preset": "medium", "rc-lookahead": "20"})
X265 = Encoder("libx265", 10, 18, 51, {"preset": "medium", "x265-params": "log-level=error"})
X265_8 = Encoder("libx265", 8, 18, 51, X265.options)
VP9 = Encoder("libvpx-vp9", 8, 24, 63, {"deadline": "good", "cpu-used": "4", "row-mt": "1"})
AV1 = Encoder("libsvtav1", 10, 22, 63, {"preset": "8"})


def encoder_for(suffix: str, bits: int, height: int, width: int) -> Encoder:
    """What people expect in such a file: H.264, or HEVC where that has too few bits or pixels."""
    if suffix == ".webm":
        return VP9 if bits == 8 else AV1
    if bits > 8:
        return X265
    fits = max(height, width) <= _H264[0] and min(height, width) <= _H264[1]
    return X264 if fits else X265_8


class Writer:
    """Writes frames of one size, and what else is in a clip. A context manager."""

    def __init__(
        self,
        part: Path,
        target: Path,
        clip: Clip,
        height: int,
        width: int,
        quality: int | None,
        notice: Callable[[str], None],
    ) -> None:
        """`part` is where it is written, `target` what it is to be called.

        VideoError when the format can't hold the sound. A side that is odd gets one row or
        column more, as chroma is stored for pairs.
        """
        if max(height, width) > LARGEST:
            raise VideoError(f"{target}: no encoder takes {width}×{height}; choose a smaller size")
        self.target = target
        self.encoder = encoder_for(target.suffix.lower(), clip.coding.bits, height, width)
        if self.encoder is AV1:
            os.environ.setdefault("SVT_LOG", "1")  # errors only: it knows no other way to be quiet
        matrix = clip.coding.matrix or 1
        full = clip.coding.full and clip.coding.matrix != 0
        self.coding = Coding(matrix, self.encoder.bits, full)
        self._quality = quality
        self._odd = height % 2, width % 2
        self._shift = Fraction(max(0, clip.container.start_time or 0), av.time_base)
        self._durations: dict[int, int] = {}
        self._written = 0
        form = FORMATS[target.suffix.lower()]
        options = {"movflags": "+faststart"} if form in ("mp4", "mov") else {}
        try:
            self._container = av.open(str(part), "w", format=form, options=options)
        except FFmpegError as error:
            raise VideoError(f"{target}: {error.strerror}") from error
        try:
            self._video = self._add_video(clip, height + self._odd[0], width + self._odd[1])
            self.copied = self._add_copies(clip, notice)
            self._describe(clip)
            self._container.start_encoding()
        except BaseException as error:
            self._discard()
            if isinstance(error, FFmpegError):
                raise VideoError(f"{target}: {error.strerror}") from error
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._discard()
            return
        try:
            packets = self._video.encode(None)
            if len(packets) == self._written:
                _order(packets)
            self._mux(packets)
            self._container.close()
        except FFmpegError as failure:
            self._discard()
            raise VideoError(f"{self.target}: {failure.strerror}") from failure

    def copy(self, packet: Any) -> None:
        """Pass on a packet of another stream."""
        stream = self.copied[packet.stream_index]
        ticks = round(self._shift / packet.time_base)
        if packet.pts is not None:
            packet.pts -= ticks
            packet.dts = packet.pts if packet.dts is None else packet.dts - ticks
        elif packet.dts is not None:
            packet.dts -= ticks
        elif stream.disposition & Disposition.attached_pic:
            packet.pts = packet.dts = 0  # covers have no time
        else:
            return  # nobody could say when it is to be played
        packet.stream = stream
        self._mux([packet])

    def write(self, rgb: Floats, pts: int, duration: int) -> None:
        """Encode a picture, float32 RGB (h,w,3) in [0,1], shown at `pts` of the clip's ticks."""
        if any(self._odd):
            below, right = self._odd
            rgb = np.pad(rgb, ((0, below), (0, right), (0, 0)), mode="edge")
        height, width = rgb.shape[:2]
        frame = av.VideoFrame(width, height, self._video.codec_context.pix_fmt)
        for plane, samples in zip(frame.planes, self.coding.planes(rgb), strict=True):
            rows = np.frombuffer(memoryview(plane), samples.dtype).reshape(samples.shape[0], -1)
            rows[:, : samples.shape[1]] = samples
        context = self._video.codec_context
        frame.time_base = context.time_base
        frame.pts = pts - round(self._shift / context.time_base)
        frame.colorspace, frame.color_range = context.colorspace, context.color_range
        self._durations[frame.pts] = duration
        self._written += 1
        try:
            packets = self._video.encode(frame)
        except FFmpegError as error:
            raise VideoError(f"{self.target}: {error.strerror}") from error
        self._mux(packets)

    def _discard(self) -> None:
        """Close a file that nobody will see."""
        with suppress(FFmpegError):
            self._container.close()

    def _mux(self, packets: list[Any]) -> None:
        try:
            for packet in packets:
                if packet.stream is self._video:
                    packet.duration = self._durations.pop(packet.pts, packet.duration)
                self._container.mux(packet)
        except FFmpegError as error:
            raise VideoError(f"{self.target}: {error.strerror}") from error

    def _add_video(self, clip: Clip, height: int, width: int) -> Any:
        stream: Any = self._container.add_stream(self.encoder.name, rate=clip.rate)
        context = stream.codec_context
        context.width, context.height = width, height
        context.pix_fmt = "yuv420p" if self.encoder.bits == 8 else "yuv420p10le"
        context.time_base = clip.time_base
        context.sample_aspect_ratio = clip.aspect
        context.color_range = 2 if self.coding.full else 1
        context.colorspace = self.coding.matrix
        context.color_primaries, context.color_trc = clip.primaries, clip.transfer
        context.thread_type = "AUTO"
        context.options = self.encoder.settings(self._quality)
        if self.encoder.name == "libx265" and self._container.format.name in ("mp4", "mov"):
            context.codec_tag = "hvc1"  # what Apple's players ask for
        return stream

    def _add_copies(self, clip: Clip, notice: Callable[[str], None]) -> dict[int, Any]:
        """Streams for all else that the format can hold, by their number in the clip."""
        copies: dict[int, Any] = {}
        suffix = self.target.suffix
        attaches = self._container.format.name == "matroska"
        chapters = "bin_data" if clip.container.chapters() else None  # once more, as a stream
        for stream in clip.container.streams:
            if stream.index == clip.index or (stream.type == "data" and stream.name == chapters):
                continue
            named = stream.codec_context or stream  # a codec nobody knows has no context
            codec = getattr(named, "name", None)
            try:
                if codec is None or stream.type in ("data", "" if attaches else "attachment"):
                    raise ValueError(f"{stream.type} in {suffix}")
                copy = self._container.add_stream_from_template(stream, opaque=True)
            except (ValueError, FFmpegError):
                if stream.type == "audio" and codec is not None:
                    raise VideoError(
                        f"{self.target}: {suffix} can't hold the sound of {clip.path}, {codec}; "
                        "choose .mkv"
                    ) from None
                what = f"{stream.type} stream ({codec or 'unknown'})"
                notice(f"{clip.path}: {suffix} can't hold its {what}, which is dropped")
                continue
            copy.metadata.update(_kept(stream.metadata))
            copy.disposition = stream.disposition
            copies[stream.index] = copy
        return copies

    def _describe(self, clip: Clip) -> None:
        source = clip.container
        self._container.metadata.update(_kept(source.metadata))
        self._container.set_chapters(source.chapters())
        stream = source.streams[clip.index]
        self._video.metadata.update(_kept(stream.metadata))


def _order(packets: list[Any]) -> None:
    """Say when to decode packets that are all of a video: x265 makes it up for the shortest."""
    times = sorted(packet.pts for packet in packets)
    pairs = list(zip(packets, times, strict=True))
    late = max((time - packet.pts for packet, time in pairs), default=0)
    for packet, time in pairs:
        packet.dts = time - late


def _kept(metadata: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in metadata.items() if key.lower() not in _OWN}

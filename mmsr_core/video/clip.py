"""A video file that is read: what it says of its pictures, and the pictures one after the other."""

from collections.abc import Collection, Generator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import numpy as np
from av.error import FFmpegError
from av.sidedata.sidedata import Type as SideData
from av.stream import Disposition

from mmsr_core.errors import VideoError
from mmsr_core.runtime.tiles import Floats
from mmsr_core.video.colour import WEIGHTS, Coding, Plane

UNSPECIFIED = 2
"""H.273's number of a matrix, primaries or transfer that nobody named."""
SMALL = 576
"""Pictures of at most so many rows are in BT.601's matrix where none is named, others in 709's."""
_CENTRED = ("mjpeg", "mpeg1video")
"""Codecs whose chroma lies in the middle of four luma samples; in others over the left two."""

_MISSING = Fraction(1, 2)
"""Seconds by which a whole file may be shorter than it says."""


@dataclass(frozen=True)
class Frame:
    """A decoded picture as it is to be shown, and when: in ticks of the clip's time base."""

    planes: tuple[Plane, ...]
    pts: int
    duration: int


@dataclass(frozen=True)
class Damage:
    """Something in the file that could not be decoded."""

    reason: str


@dataclass(frozen=True)
class Turn:
    """How a picture is turned to be shown: transposed, then its rows or columns reversed."""

    transposed: bool = False
    rows: bool = False
    columns: bool = False

    @classmethod
    def of(cls, frame: av.VideoFrame) -> Self:
        """From a frame's display matrix: x' = ax + cy, y' = bx + dy, fixed point."""
        found: Any = frame.side_data.get(SideData.DISPLAYMATRIX.name)
        if found is None:
            return cls()
        a, b, _, c, d = np.frombuffer(found, np.int32)[:5].tolist()
        if abs(a) >= abs(b):
            return cls(False, d < 0, a < 0)
        return cls(True, b < 0, c < 0)

    def __call__(self, plane: Any) -> Any:
        """A plane (h,w) or picture (h,w,c), upright."""
        plane = plane.swapaxes(0, 1) if self.transposed else plane
        plane = plane[::-1] if self.rows else plane
        return plane[:, ::-1] if self.columns else plane


@dataclass
class Clip:
    """The pictures of a video file, upright. A context manager: `container` is open inside it.

    VideoError for a file without a picture that can be decoded.
    """

    path: Path
    container: Any = field(init=False)
    index: int = field(init=False)
    """Of the stream that is the video: its default one, and never a cover."""
    height: int = field(init=False)
    width: int = field(init=False)
    coding: Coding = field(init=False)
    primaries: int = field(init=False)
    transfer: int = field(init=False)
    aspect: Fraction = field(init=False)
    """Width of a sample over its height."""
    time_base: Fraction = field(init=False)
    rate: Fraction = field(init=False)
    """Frames a second, on average."""
    frames: int = field(init=False)
    """As far as the file says; 0 where it doesn't."""
    remarks: tuple[str, ...] = field(init=False)
    """What of the pictures can't be kept."""

    def __post_init__(self) -> None:
        self.container = _open(self.path)
        try:
            self._look()
        except BaseException:
            self.container.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.container.close()

    def rgb(self, frame: Frame) -> Floats:
        """A frame as float32 RGB (h,w,3) in [0,1]."""
        return np.ascontiguousarray(self._turn(self.coding.rgb(frame.planes)))

    def upright(self, frame: Frame) -> tuple[Plane, ...]:
        """The samples of a frame as they came, turned as `rgb` is."""
        return tuple(np.ascontiguousarray(self._turn(plane)) for plane in frame.planes)

    def items(self, copied: Collection[int]) -> Generator[Any]:
        """All frames, and the packets of the streams `copied`, in the order of the file.

        Reads the file anew, so that it may run in another thread. Times never repeat.
        """
        step = max(1, round(1 / (self.rate * self.time_base)))
        last: int | None = None
        ends = Fraction(0)
        with _open(self.path) as container:
            video = container.streams[self.index]
            video.thread_type = "AUTO"
            for packet in _packets(container, self.index):
                if isinstance(packet, Damage):
                    yield packet
                    continue
                if packet.pts is not None:
                    ends = max(ends, (packet.pts + (packet.duration or 0)) * packet.time_base)
                if packet.stream.index in copied:
                    if packet.size:  # the last ones are empty
                        yield packet
                elif packet.stream.index == self.index:
                    for frame in _decoded(packet):
                        if isinstance(frame, Damage):
                            yield frame
                            continue
                        pts = frame.pts
                        if last is not None and (pts is None or pts <= last):
                            pts = last + (step if pts is None else 1)
                        last = pts or 0
                        yield Frame(self._planes(frame), last, frame.duration or step)
            promised = Fraction(container.duration or 0, av.time_base)
            ends -= Fraction(container.start_time or 0, av.time_base)
            if ends < promised - _MISSING:
                yield Damage(f"it ends after {float(ends):.1f} of {float(promised):.1f} s")

    def _look(self) -> None:
        streams = self.container.streams.video
        covers = Disposition.attached_pic | Disposition.timed_thumbnails
        moving = [stream for stream in streams if not stream.disposition & covers]
        if not moving:
            raise VideoError(f"{self.path}: has no video stream")
        chosen = [stream for stream in moving if stream.disposition & Disposition.default]
        stream = (chosen or moving)[0]
        self.index = stream.index
        self.rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        self.time_base = stream.time_base or 1 / self.rate
        self.frames = stream.frames
        if not self.frames and self.container.duration:
            self.frames = round(self.container.duration / av.time_base * self.rate)
        self._describe(self._first(), stream)

    def _first(self) -> av.VideoFrame:
        for packet in _packets(self.container, self.index):
            if isinstance(packet, Damage) or packet.stream.index != self.index:
                continue
            for frame in _decoded(packet):
                if isinstance(frame, av.VideoFrame):
                    return frame
        raise VideoError(f"{self.path}: not one of its frames can be decoded")

    def _describe(self, frame: av.VideoFrame, stream: Any) -> None:
        name, bits = frame.format.name, frame.format.components[0].bits
        self._format = _planar(name, bits)
        self._coded = frame.height, frame.width
        matrix = int(frame.colorspace)
        if self._format.startswith("rgb"):
            matrix = 0
        elif matrix not in WEIGHTS:
            matrix = 6 if frame.height <= SMALL else 1
        full = int(frame.color_range) == 2 or name.startswith("yuvj") or matrix == 0
        bits = 16 if self._format in ("yuv444p16le", "rgb48le") else 8 if bits < 8 else bits
        self.coding = Coding(matrix, bits, full, stream.codec_context.name in _CENTRED)
        self.primaries, self.transfer = int(frame.color_primaries), int(frame.color_trc)
        self._turn = Turn.of(frame)
        height, width = self._coded
        self.height, self.width = (width, height) if self._turn.transposed else (height, width)
        self.aspect = stream.sample_aspect_ratio or Fraction(1)
        if self._turn.transposed:
            self.aspect = 1 / self.aspect
        found = {
            "its transparency is dropped": frame.format.name.startswith(("yuva", "rgba", "gbrap")),
            "it is interlaced, and upscaled as if it were not": frame.interlaced_frame,
            f"colour matrix {int(frame.colorspace)} is taken for {matrix}": matrix != 0
            and int(frame.colorspace) not in (*WEIGHTS, UNSPECIFIED),
        }
        self.remarks = tuple(remark for remark, holds in found.items() if holds)

    def _planes(self, frame: av.VideoFrame) -> tuple[Plane, ...]:
        """Its samples, in the size and format of the first."""
        if (frame.format.name, frame.height, frame.width) != (self._format, *self._coded):
            height, width = self._coded
            frame = frame.reformat(width, height, self._format)
        if self._format.startswith("rgb"):
            pixels: Any = frame.to_ndarray()
            return tuple(pixels[:, :, channel].copy() for channel in range(3))
        kind = np.dtype(np.uint8 if self.coding.bits == 8 else np.uint16)
        count = 1 if self._format.startswith("gray") else 3
        return tuple(
            np.frombuffer(memoryview(plane), kind)
            .reshape(-1, plane.line_size // kind.itemsize)[: plane.height, : plane.width]
            .copy()
            for plane in frame.planes[:count]
        )


def _open(path: Path) -> Any:
    try:
        return av.open(str(path), "r", metadata_errors="replace")
    except FFmpegError as error:
        raise VideoError(f"{path}: {error.strerror}") from error


def _packets(container: Any, video: int) -> Generator[Any]:
    """All packets; Damage, and the end, where the file can't be read on."""
    try:
        yield from container.demux()
    except FFmpegError as error:
        yield Damage(str(error.strerror))
        last = av.Packet()  # an empty one: the decoder gives what it still has
        last.stream = container.streams[video]
        yield last


def _decoded(packet: Any) -> Generator[Any]:
    """The frames of a packet, or Damage."""
    try:
        yield from packet.decode()
    except FFmpegError as error:
        yield Damage(str(error.strerror))


def _planar(name: str, bits: int) -> str:
    """The pixel format that frames of format `name` are taken apart in."""
    planar = name.startswith(("yuv4", "yuvj4", "gray")) and name.endswith(
        ("0p", "1p", "2p", "4p", "gray", "le")
    )
    if planar and bits <= 16 and "f" not in name:
        return name
    packed = {"nv12": "yuv420p", "nv21": "yuv420p", "p010le": "yuv420p10le"}
    if name in packed:
        return packed[name]
    if name.startswith(("yuv", "nv", "p0", "p2", "p4", "uyv", "yvy", "y2", "xyz", "ayuv", "vuy")):
        return "yuv444p" if bits <= 8 else "yuv444p16le"
    return "rgb24" if bits <= 8 else "rgb48le"

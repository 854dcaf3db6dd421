"""Videos: frame by frame through an upscaler. Needs PyAV, the extra `video`.

Importing this package loads none of it, so that a command may ask what a video is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmsr_core.errors import VideoError

if TYPE_CHECKING:
    from mmsr_core.runtime.chain import Upscaler
    from mmsr_core.runtime.engine import Engine

__all__ = ["VIDEO_SUFFIXES", "VIDEO_TARGETS", "Settings", "check_video", "upscale_video"]

VIDEO_TARGETS = (".mp4", ".m4v", ".mov", ".mkv", ".webm")
"""What a video can be written as."""
VIDEO_SUFFIXES = (
    *VIDEO_TARGETS,
    *(".avi", ".mpg", ".mpeg", ".m2v", ".ts", ".mts", ".m2ts", ".vob"),
    *(".wmv", ".flv", ".3gp", ".ogv"),
)
"""What is taken for a video in a folder."""


@dataclass(frozen=True)
class Settings:
    """How a video is upscaled: `effort`, `overlap` and `memory` as of `Engine.bands`.

    `quality` from 1 to 100 is the encoder's (default: 85, hard to tell from the frames).
    `threshold` is by how many steps of 8 bits a sample may differ before its cell counts as
    changed; with None every frame is upscaled from nothing.
    """

    effort: float | None = None
    overlap: int | None = None
    memory: int | None = None
    quality: int | None = None
    threshold: float | None = 2.0


def check_video(target: Path) -> None:
    """VideoError when videos can't be handled here, or not be written as `target` asks."""
    try:
        import av  # noqa: F401
    except ModuleNotFoundError:
        raise VideoError(
            "upscaling a video needs av, which is not installed; pip install 'mmsr[video]'"
        ) from None
    if target.suffix.lower() not in VIDEO_TARGETS:
        raise VideoError(
            f"{target}: videos are written as {', '.join(VIDEO_TARGETS)}; choose one of these"
        )


def upscale_video(
    upscaler: "Upscaler | Engine",
    source: Path,
    target: Path,
    settings: Settings = Settings(),
    progress: Callable[[float], None] = lambda share: None,
    notice: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Upscale a video file and say how it went.

    Its other streams are copied as they are. `progress` is told the share that is done, by a
    thread of its own: what it raises ends the work. `notice` is told what could not be kept.
    Whatever interrupts it leaves `target` as it was. VideoError when the source can't be read or
    the target can't be written.
    """
    check_video(target)
    from mmsr_core.video.upscale import upscale

    return upscale(upscaler, source, target, settings, progress, notice)

"""The model of `mmsr upscale`, opened, and what it does to one file."""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from mmsr_core.api.family import open_upscaler
from mmsr_core.cli.codecs import installed_codecs
from mmsr_core.cli.inputs import is_video
from mmsr_core.errors import MmsrError
from mmsr_core.runtime.chain import Upscaler
from mmsr_core.runtime.files import GPU_WORKERS, Facts, Settings, Task, upscale_file, workers_for
from mmsr_core.runtime.files.many import Notice, Upscale
from mmsr_core.runtime.memory import PROCESS, SHARE, Budget, free_memory
from mmsr_core.runtime.pipeline import Progress
from mmsr_core.video import Settings as VideoSettings
from mmsr_core.video import upscale_video

if TYPE_CHECKING:
    from mmsr_core.cluster.actor import Share
    from mmsr_core.runtime.sizes import Size


@dataclass(frozen=True)
class Asked:
    """What holds for every image of a batch, as the options have it: see `mmsr upscale --help`.

    MmsrError for a memory in which not even the program itself has room.
    """

    model: str | None
    device: str
    size: "Size"
    effort: float | None
    overlap: int | None
    quality: int | None
    memory: int | None
    jobs: int | None
    most: int

    def __post_init__(self) -> None:
        if self.memory is not None and self.memory <= PROCESS:
            raise MmsrError(
                f"--memory {self.memory / 2**20:.0f}M: mmsr itself takes {PROCESS >> 20} MiB; "
                "raise --memory above that"
            )

    def open(
        self, images: int, notice: Notice, cores: int | None = None, part: float = 1.0
    ) -> tuple[Upscaler, Settings]:
        """The model, with as many threads as so many images in flight leave each.

        `cores` are those of this machine that may be used, and `part` is of its memory.
        """
        workers, threads = workers_for(images, cores, self.jobs)
        upscaler = open_upscaler(self.model, self.size, self.device, threads, notice)
        cell = min(engine.manifest.tiles.cell for engine in upscaler.engines)
        if self.overlap is not None and self.overlap > cell:
            name = self.model or upscaler.manifest.name
            raise MmsrError(f"--overlap {self.overlap} is wider than a tile of {name}, {cell}")
        if self.device == "auto":
            click.echo(f"on {upscaler.device.name} ({upscaler.device.reason})", err=True)
        if upscaler.device.is_gpu and self.jobs is None:
            workers = min(workers, GPU_WORKERS)
        free = int(free_memory() * SHARE * part)
        room = free if self.memory is None else self.memory - PROCESS
        codecs = installed_codecs(self.device, threads, notice)
        settings = Settings(
            self.effort, self.overlap, room, workers, self.quality, self.most, codecs
        )
        return upscaler, settings


def open_share(asked: Asked, images: int, share: "Share") -> Upscale:
    """What an actor of a cluster does with one image, so many at once, on its share of a node."""
    lost = logging.getLogger(__name__).warning  # to the node's log: nobody watches here
    upscaler, settings = asked.open(images, lost, share.cores, share.memory)
    return upscaling(upscaler, settings, lost)


def upscaling(upscaler: Upscaler, settings: Settings, notice: Notice) -> Upscale:
    """What is done for one task: an image, or a video by its name."""
    budget = Budget(settings.memory)
    room = settings.memory // settings.workers
    video = VideoSettings(settings.effort, settings.overlap, room, settings.quality)

    def upscale(task: Task, progress: Progress) -> Facts:
        if is_video(task):
            return upscale_video(upscaler, task.source, task.target, video, progress, notice)
        return upscale_file(upscaler, task, settings, budget, progress)

    return upscale

"""Image files to image files: found, named, upscaled several at a time, and taken up again."""

from collections.abc import Callable, Generator, Sequence

from mmsr_core.runtime.files.listing import Listing, list_files
from mmsr_core.runtime.files.many import (
    GPU_WORKERS,
    Facts,
    Outcome,
    Stuck,
    each_file,
    workers_for,
)
from mmsr_core.runtime.files.one import Settings, Upscales, upscale_file
from mmsr_core.runtime.files.tasks import Naming, Task, make_folders, plan_tasks
from mmsr_core.runtime.memory import Budget

__all__ = [
    "GPU_WORKERS",
    "Facts",
    "Listing",
    "Naming",
    "Outcome",
    "Settings",
    "Stuck",
    "Task",
    "Upscales",
    "each_file",
    "list_files",
    "make_folders",
    "plan_tasks",
    "upscale_file",
    "upscale_files",
    "workers_for",
]


def upscale_files(
    upscaler: Upscales,
    tasks: Sequence[Task],
    settings: Settings,
    watch: Callable[[float], None] = lambda share: None,
) -> Generator[tuple[Task, Outcome], None, None]:
    """Upscale image files; each with its outcome as they end, see `each_file`.

    While one image is decoded or encoded others are upscaled; which, changes no bit of any.
    """
    budget = Budget(settings.memory)
    return each_file(
        lambda task, progress: upscale_file(upscaler, task, settings, budget, progress),
        tasks,
        settings.workers,
        watch=watch,
    )

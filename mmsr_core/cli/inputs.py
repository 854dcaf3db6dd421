"""What `mmsr upscale` was asked for, as tasks: looked at before a model is opened."""

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from mmsr_core.cli.batch import Batch
from mmsr_core.cli.extras import needs
from mmsr_core.cluster.errand import Errand
from mmsr_core.cluster.plan import Place, Request, plan_errands
from mmsr_core.cluster.stores import is_url, name_of
from mmsr_core.errors import ImageError, MmsrError
from mmsr_core.runtime.atomic import sweep
from mmsr_core.runtime.files.listing import list_files
from mmsr_core.runtime.files.tasks import Existing, Naming, Task, make_folders, plan_tasks
from mmsr_core.runtime.image import IMAGE_SUFFIXES, WRITABLE_SUFFIXES, check_writable
from mmsr_core.runtime.image.formats import CODEC_SUFFIX, format_of
from mmsr_core.video import VIDEO_SUFFIXES, VIDEO_TARGETS, check_video

_LIST = Path("-")


def plan_batch(
    inputs: Sequence[Place],
    null: bool,
    output: Place,
    form: str | None,
    pattern: str,
    map_path: Place | None,
    overwrite: bool,
    resume: bool,
    on_nodes: bool = False,
) -> Batch:
    """Find every input and give it its output; MmsrError before any work when that can't be.

    The folders are made, and what a killed run left half written in them is removed. Places may
    be URLs where the work is done `on_nodes` of a cluster.
    """

    def suffix(source: str) -> str:
        if source.lower() in VIDEO_SUFFIXES:
            return source if source.lower() in VIDEO_TARGETS else ".mp4"
        if form is not None:
            return f".{form}"
        return source if source.lower() in WRITABLE_SUFFIXES else ".png"

    existing: Existing = "overwrite" if overwrite else "resume" if resume else "refuse"
    listed = list(_list(null)) if _LIST in inputs else None
    named = [place for place in inputs if place != _LIST]
    suffixes = (*IMAGE_SUFFIXES, CODEC_SUFFIX)
    urls = [place for place in (*named, output, map_path) if isinstance(place, str)]
    if on_nodes and (urls or any(map(is_url, listed or ()))):
        naming = Naming(Path(), suffix, pattern)
        request = Request(named, listed, output, map_path, naming, suffixes, VIDEO_SUFFIXES)
        return _plan_errands(request, existing, form)
    if urls:
        raise MmsrError(f"{urls[0]}: a URL needs --ray; fetch the files first, or use that")
    paths = [Path(place) for place in named]
    output, map_path = Path(output), None if map_path is None else Path(map_path)
    naming = Naming(output, suffix, pattern, map_path)
    listing = list_files(paths, listed, suffixes, VIDEO_SUFFIXES, output)
    if form is not None and naming.is_file(listing) and _differs(output, form):
        raise ImageError(f"{output}: --format {form} makes .{form} files; name it so")
    tasks, finished = plan_tasks(listing, naming, existing, _check)
    for folder in make_folders([*tasks, *finished]):
        sweep(folder)
    return Batch(tasks, finished, listing.refused)


def _plan_errands(request: Request, existing: Existing, form: str | None) -> Batch:
    with needs("ray", "a URL"):
        plan = plan_errands(request, existing, lambda errand: _check_errand(errand, form))
    near = {Path(path) for one in plan.errands for path in one.written() if not is_url(path)}
    for folder in make_folders(Task(path, path) for path in near):
        sweep(folder)
    return Batch(plan.errands, plan.finished, plan.refused)


def is_video(task: Task) -> bool:
    """Whether a task's source is taken for a video, by its name."""
    return task.source.suffix.lower() in VIDEO_SUFFIXES


def _differs(output: Path, form: str) -> bool:
    alike = {"jpeg": "jpg", "tif": "tiff"}
    suffix = output.suffix.lower().removeprefix(".")
    return alike.get(suffix, suffix) != form


def _check(task: Task) -> None:
    """MmsrError when what a task makes can't be written where it goes."""
    if not is_video(task):
        for path in task.written():
            check_writable(path)
        return
    if task.map is not None:
        raise ImageError(f"{task.source}: is a video, which has no --map; upscale it without")
    check_video(task.target)


def _check_errand(errand: Errand, form: str | None) -> None:
    """As `_check`, for what goes to a URL as well."""
    source, *targets = (Path(name_of(place)) for place in (errand.source, *errand.written()))
    if source.suffix.lower() in VIDEO_SUFFIXES:
        _check(Task(source, *targets))
        return
    if form is not None and _differs(targets[0], form):
        raise ImageError(f"{errand.target}: --format {form} makes .{form} files; name it so")
    for place, named in zip(errand.written(), targets, strict=True):
        format_of(named) if is_url(place) else check_writable(Path(place))


def _list(null: bool) -> Iterable[str]:
    """The paths on standard input: one a line, or each ended by a NUL."""
    data = sys.stdin.buffer.read()
    lines = data.split(b"\0") if null else data.splitlines()
    return [os.fsdecode(line) for line in lines if line]

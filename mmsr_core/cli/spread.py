"""Where the work of `mmsr upscale` is done: on this machine, or on the nodes of a cluster."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmsr_core.cli.extras import needs
from mmsr_core.cli.opening import Asked, open_share, upscaling
from mmsr_core.runtime.atomic import sweep
from mmsr_core.runtime.files import Task, each_file

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from mmsr_core.cli.batch import Job, Work
    from mmsr_core.runtime.files import Outcome
    from mmsr_core.runtime.files.many import Notice


@contextmanager
def on_this_machine(
    asked: Asked, tasks: "Sequence[Job]", resume: bool, notice: "Notice"
) -> "Iterator[tuple[Work, dict[str, Any]]]":
    """What does the work here, and what a report says of it before its rows."""
    near = [task for task in tasks if isinstance(task, Task)]
    upscaler, settings = asked.open(len(near), notice)
    upscale = upscaling(upscaler, settings, notice)
    facts = {"model": asked.model or upscaler.manifest.name, "device": upscaler.device.name}

    def work(
        watch: "Callable[[float], None]", say: "Notice"
    ) -> "Generator[tuple[Job, Outcome], None, None]":
        yield from each_file(upscale, near, settings.workers, resume, watch, say)

    yield work, facts


@contextmanager
def on_nodes(
    asked: Asked, tasks: "Sequence[Job]", resume: bool, address: str, cores: int | None
) -> "Iterator[tuple[Work, dict[str, Any]]]":
    """What has it done by the Ray cluster at an address; ClusterError when there is none."""
    from mmsr_core.cluster.errand import Errand
    from mmsr_core.cluster.stores import is_url

    # Read when Ray is imported: a thread that outlives the connection opens none of its own.
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
    with needs("ray", "mmsr upscale --ray"):
        from mmsr_core.cluster.connection import connected
        from mmsr_core.cluster.many import alive, crew_for, each_on_nodes
    errands = [Errand.of(task) if isinstance(task, Task) else task for task in tasks]
    if asked.model is not None and Path(asked.model).exists():
        asked = replace(asked, model=str(Path(asked.model).absolute()))
    near = {Path(place).parent for one in errands for place in one.written() if not is_url(place)}
    try:
        with connected(address):
            nodes = alive()
            crew = crew_for(nodes, len(errands), cores, asked.jobs, asked.device == "cpu")
            each = "a GPU" if crew.gpus else f"{crew.cores} cores"
            click.echo(f"on {len(nodes)} nodes: {crew.actors} actors, {each} each", err=True)
            opening = partial(open_share, asked, crew.at_once)

            def work(
                watch: "Callable[[float], None]", say: "Notice"
            ) -> "Generator[tuple[Job, Outcome], None, None]":
                for number, outcome in each_on_nodes(opening, errands, crew, resume, watch):
                    yield tasks[number], outcome

            yield work, {"model": asked.model, "device": asked.device, "actors": crew.actors}
    finally:
        for folder in near:  # what actors were at that were lost, or ended with the connection
            sweep(folder)

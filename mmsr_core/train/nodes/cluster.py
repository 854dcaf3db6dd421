"""The experts of a run on the nodes of a Ray cluster: each is a task, wherever there is room.

The nodes share the run directory and the images. An expert whose node is lost goes on elsewhere,
from its last checkpoint.
"""

import pickle
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from mmsr_core import __version__
from mmsr_core.errors import DeviceError, RecipeError
from mmsr_core.plugin.catalog import Catalog
from mmsr_core.train.data import Report
from mmsr_core.train.experts import unfinished
from mmsr_core.train.nodes.inbox import Inbox
from mmsr_core.train.nodes.task import Order, fingerprint
from mmsr_core.train.run import Run

RETRIES = 3
"""Times that one expert may lose its node."""
POLL = 0.5
"""Seconds between two looks at the tasks."""


def train_on_nodes(run: Run, catalog: Catalog, images: Path, report: Report) -> None:
    """Train every unfinished expert of a run on the nodes of the connected cluster.

    An expert that fails does not stop the others: its reason is reported at once, and raised as
    RecipeError when they are done. DeviceError when no node has the devices that an expert asks
    for. When this call ends, so do its tasks; what they have saved can be resumed.
    """
    asked = unfinished(run, catalog)
    directory, images = run.directory.absolute(), images.absolute()
    start = run.recipe.start and run.recipe.start.absolute()
    marker = directory / f"shared-{uuid.uuid4().hex}"
    photos = fingerprint(run.recipe, images)
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    rooms = {
        expert.name: room(nodes, run.recipe.fit_of(expert).devices, len(asked)) for expert in asked
    }
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    inbox = ray.remote(Inbox).options(num_cpus=0, scheduling_strategy=here).remote()
    train = ray.remote(max_calls=1)(_task())  # what it leaves in memory goes with its process
    tasks: dict[Any, str] = {}
    marker.touch()
    try:
        for name, (cpus, gpus) in rooms.items():
            order = Order(
                directory, marker.name, images, photos, name, catalog, max(1, cpus), start
            )
            options = train.options(
                num_cpus=cpus,
                num_gpus=gpus,
                max_retries=RETRIES,
                scheduling_strategy="SPREAD",
                name=f"{run.recipe.name}: {name}",
            )
            tasks[options.remote(__version__, pickle.dumps(order), inbox)] = name
        _follow(tasks, inbox, report)
    finally:
        for task in tasks:
            ray.cancel(task, force=True)
        marker.unlink(missing_ok=True)


def room(nodes: Sequence[Mapping[str, float]], devices: int, experts: int) -> tuple[int, int]:
    """CPUs and GPUs that each of so many experts is given, of the nodes' resources.

    Where there are GPUs, a device is one, with its share of its node's CPUs. Otherwise a device
    is a process, and the experts share the nodes' CPUs evenly. DeviceError when no node has
    enough.
    """
    kind = "GPU" if any(node.get("GPU", 0) for node in nodes) else "CPU"
    able = [node for node in nodes if node.get(kind, 0) >= max(1, devices)]
    if not able:
        most = max((node.get(kind, 0) for node in nodes), default=0)
        raise DeviceError(
            f"training.devices asks for {devices} {kind}s, and no node of the cluster has more "
            f"than {most:g}; lower it"
        )
    if kind == "GPU":
        return min(int(node.get("CPU", 0) * devices / node["GPU"]) for node in able), devices
    together = -(-experts // len(able))
    return max(devices, min(int(node["CPU"]) for node in able) // together), 0


def _task() -> Callable[[str, bytes, Any], str | None]:
    """The remote function. Made here, not in the module, so that it travels whole: a node
    without mmsr has to be able to say so."""

    def train(version: str, order: bytes, inbox: Any) -> str | None:
        import platform

        import ray

        node = f"{platform.node()}/{ray.get_runtime_context().get_node_id()[:8]}"
        same = "install the same mmsr, with its extras train and ray, on every node"
        try:
            from mmsr_core import __version__ as there

            if there != version:
                return f"on node {node}: mmsr is {there}, here it is {version}; {same}"
            from mmsr_core.train.nodes.task import carry_out
        except ImportError as error:
            return f"on node {node}: cannot import {error.name}; {same}"
        return carry_out(order, node, lambda *told: inbox.tell.remote(*told))

    return train


def _follow(tasks: dict[Any, str], inbox: Any, report: Report) -> None:
    """Report what the tasks do until all have ended; RecipeError when one failed."""
    states = dict.fromkeys(tasks.values(), "waits")
    failed: list[str] = []
    running = list(tasks)
    while running:
        ended, running = ray.wait(running, timeout=POLL)
        for what, done, total in ray.get(inbox.take.remote()):
            if total:
                states[what.partition(":")[0]] = f"{100 * done // total} %"
            else:
                report(what, 0, 0)
        for task in ended:
            name = tasks[task]
            reason = _outcome(task)
            states[name] = "done" if reason is None else "failed"
            if reason is not None:
                failed.append(f"{name}: {reason}")
                report(failed[-1], 0, 0)
        shown = ", ".join(f"{name} {state}" for name, state in states.items())
        report(f"experts: {shown}" if running else "experts", len(tasks) - len(running), len(tasks))
    if failed:
        raise RecipeError(failed[0])


def _outcome(task: Any) -> str | None:
    """Why a task that ended has failed, in one line; None when it has not."""
    try:
        reason: str | None = ray.get(task)
    except RayTaskError:
        raise  # not the user's to mend
    except RayError as error:
        lines = str(error).splitlines()
        return f"its node was lost {RETRIES + 1} times; --resume it ({lines[0]})"
    return reason

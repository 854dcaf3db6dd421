"""Many images on the nodes of a Ray cluster, by Ray Data: one actor per GPU, or per n cores.

An actor opens its model once. One whose node is lost is started anew elsewhere, and what it was
at is done again; an image that takes its actor with it every time is given up alone.
"""

import json
import logging
import pickle
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import ray
import ray.data
from ray import cloudpickle
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from mmsr_core import __version__
from mmsr_core.cluster.actor import Order, Share, outcome_of
from mmsr_core.cluster.errand import Errand, Upscale
from mmsr_core.cluster.ledger import Ledger
from mmsr_core.cluster.stores import is_url
from mmsr_core.errors import ClusterError, DeviceError
from mmsr_core.runtime.atomic import presence
from mmsr_core.runtime.files import GPU_WORKERS, Outcome

TIMES = 4
"""Times at most that an image is begun while others are in flight beside it."""
ALONE = 2
"""And times that it is begun alone, before it is given up."""
SPARE = 8
"""Processes in a row that may die while they open the model."""
BLOCKS = 4096
"""Portions at most that the images are handed out in."""
CORES = 4
"""Cores at most that an actor takes where nobody says how many."""
_READER = "mmsr-answers"
THREADS = (_READER, "StreamingExecutor", "iter_threaded", "ray-data-metadata")
"""How the names of a batch's threads begin, that of its reader and those of Ray Data."""
_TICK = 0.1
_LEAVING = 30.0
"""Seconds in which the threads of a batch that is left early have to end."""
_LOST = "the process that was at it was lost each time; out of memory? lower --jobs or --memory"


@dataclass(frozen=True)
class Crew:
    """So many actors, the cores and GPUs of each, and how many images each has in flight."""

    actors: int
    cores: int
    gpus: int
    at_once: int


def crew_for(
    nodes: Sequence[Mapping[str, float]],
    images: int,
    cores: int | None = None,
    jobs: int | None = None,
    on_cpu: bool = False,
) -> Crew:
    """The crew for so many images, of the nodes' resources.

    Where there are GPUs every actor has one, unless `on_cpu`. Otherwise it has `cores`, or as
    many as leave the fewest idle. `jobs` is how many images each has in flight, instead of one
    a core. DeviceError when no node has room for an actor.
    """
    gpus = sum(int(node.get("GPU", 0)) for node in nodes)
    cpus = [int(node.get("CPU", 0)) for node in nodes]
    if gpus and not on_cpu:
        each = min(int(n.get("CPU", 0) / n["GPU"]) for n in nodes if n.get("GPU", 0) >= 1)
        return Crew(min(gpus, images), min(each, cores or each), 1, jobs or GPU_WORKERS)
    if cores is None:
        used = {n: sum(cpu // n * n for cpu in cpus) for n in range(1, CORES + 1)}
        cores = max(used, key=lambda n: (used[n], n))
    actors = sum(cpu // cores for cpu in cpus)
    if not actors:
        raise DeviceError(
            f"an actor takes {cores} CPU cores, and no node of the cluster has more than "
            f"{max(cpus, default=0)}"
        )
    return Crew(min(actors, images), cores, 0, jobs or cores)


def alive() -> list[Mapping[str, float]]:
    """The resources of every node of the connected cluster."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]


def each_on_nodes(
    open_upscale: Callable[[Share], Upscale],
    errands: Sequence[Errand],
    crew: Crew,
    resume: bool = False,
    watch: Callable[[float], None] = lambda share: None,
) -> Generator[tuple[int, Outcome], None, None]:
    """Carry out every errand on the connected cluster; its number and its outcome, as they end.

    `open_upscale` is pickled, and called once by every actor. `watch` is told the share that is
    done, several times a second; what it raises ends the batch. ClusterError when a node can't
    take part.
    """
    left = dict(enumerate(errands))
    with _marker(errands) as marker:
        openings = crew.actors + SPARE
        asked = Order(open_upscale, crew.cores, marker, resume, openings)
        order = cloudpickle.dumps(asked)  # type: ignore[no-untyped-call]
        # An image may have been lost with its actor for another's sake: once more, each alone.
        for shift, times in ((crew, TIMES), (replace(crew, at_once=1), ALONE)):
            if left:
                answers = _shift(order, left, shift, times, watch, len(errands))
                for number, outcome in answers:
                    del left[number]
                    yield number, outcome
    for number in left:
        yield number, Outcome("failed", error=_LOST)


@contextmanager
def _marker(errands: Sequence[Errand]) -> Iterator[Path | None]:
    """A file where answers go, for every node to see; None where they all go to URLs."""
    folders = {Path(errand.target).parent for errand in errands if not is_url(errand.target)}
    if not folders:
        yield None
        return
    with presence(min(folders)) as marker:
        yield marker


def _shift(
    order: bytes,
    errands: Mapping[int, Errand],
    crew: Crew,
    times: int,
    watch: Callable[[float], None],
    total: int,
) -> Iterator[tuple[int, Outcome]]:
    """The outcomes of all errands but those that so many times were lost with their actors."""
    done = total - len(errands)
    answers: SimpleQueue[tuple[int, str] | Exception | None] = SimpleQueue()
    data = _data(errands, order, crew, times)

    def work() -> None:
        try:
            for batch in data.iter_batches(batch_size=None, prefetch_batches=0):
                for answer in zip(batch["number"], batch["answer"], strict=True):
                    answers.put(answer)
            answers.put(None)
        except Exception as error:
            answers.put(error)

    threading.Thread(target=work, name=_READER, daemon=True).start()
    try:
        while True:
            watch(done / total)
            try:
                answer = answers.get(timeout=_TICK)
            except Empty:
                continue
            if answer is None:
                return
            if isinstance(answer, Exception):
                lines = str(answer).splitlines() or [type(answer).__name__]
                raise ClusterError(f"the Ray cluster failed ({lines[0]}); run again with --resume")
            number, packed = answer
            told = json.loads(packed)
            if "refusal" in told:
                raise ClusterError(told["refusal"])
            if "lost" not in told:
                done += 1
                yield int(number), outcome_of(told)
    finally:
        _end_threads()


def _end_threads() -> None:
    """End what still runs here of a batch, as it may have been left early.

    A thread that asks Ray for anything while the connection is closed has Ray end the process on
    the spot, with exit code 1 and without a word.
    """
    limit = time.monotonic() + _LEAVING
    while time.monotonic() < limit:
        running = [one for one in threading.enumerate() if one.name.startswith(THREADS)]
        if not running:
            return
        for thread in running:
            if end := getattr(thread, "shutdown", None):  # Ray Data's executor is a thread
                with suppress(Exception):  # of a cluster that is gone, too
                    end(force=False)
        running[0].join(_TICK)


def _data(errands: Mapping[int, Errand], order: bytes, crew: Crew, times: int) -> Any:
    """The dataset of the answers, which are made as it is read."""
    log = logging.getLogger("ray.data")
    log.handlers[:] = [logging.NullHandler()]
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    ledger = ray.remote(Ledger).options(num_cpus=0, scheduling_strategy=here).remote()
    pool = ray.data.ActorPoolStrategy(
        min_size=1,
        max_size=crew.actors,
        initial_size=crew.actors,
        max_tasks_in_flight_per_actor=2 * crew.at_once,
        max_concurrent_calls_per_actor=crew.at_once,
        enable_true_multi_threading=True,
    )
    rows = [{"number": number, "errand": pickle.dumps(one)} for number, one in errands.items()]
    return ray.data.from_items(rows, override_num_blocks=min(len(rows), BLOCKS)).map_batches(
        _actor(),
        fn_constructor_args=(__version__, order, ledger, times),
        batch_size=1,
        compute=pool,
        num_cpus=crew.cores,
        num_gpus=crew.gpus,
    )


def _actor() -> type:
    """The class of the actors. Made here, not in the module, so that it travels whole: a node
    without mmsr has to be able to say so."""

    class Upscaling:
        def __init__(self, version: str, order: bytes, ledger: Any, times: int) -> None:
            import platform

            import ray

            here = ray.get_runtime_context().get_node_id()
            node = f"{platform.node()}/{here[:8]}"
            same = "install the same mmsr, with its extra ray, on every node"
            self.actor: Any = None
            self.refusal: str | None = None
            try:
                from mmsr_core import __version__ as there

                if there != version:
                    self.refusal = f"on node {node}: mmsr is {there}, here it is {version}; {same}"
                    return
                from mmsr_core.cluster.actor import Actor
            except ImportError as error:
                self.refusal = f"on node {node}: cannot import {error.name}; {same}"
                return
            nodes = ray.nodes()  # type: ignore[no-untyped-call]
            resources = next(n["Resources"] for n in nodes if n["NodeID"] == here)

            def begin(number: int) -> int:
                return int(ray.get(ledger.begin.remote(number)))

            self.actor = Actor(order, node, resources, begin, ledger.end.remote, times)
            self.refusal = self.actor.refusal

        def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
            import json

            answers = [
                json.dumps({"refusal": self.refusal})
                if self.refusal
                else self.actor.answer(int(number), errand)
                for number, errand in zip(batch["number"], batch["errand"], strict=True)
            ]
            return {"number": batch["number"], "answer": answers}

    return Upscaling

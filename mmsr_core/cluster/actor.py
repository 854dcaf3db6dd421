"""What an actor does on its node: it opens its model once, and upscales images as they come."""

import json
import pickle
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mmsr_core.cluster.errand import Errand, Upscale, carry_out
from mmsr_core.cluster.ledger import OPENING
from mmsr_core.errors import ClusterError, MmsrError
from mmsr_core.runtime.files import Facts, Outcome, Task, each_file
from mmsr_core.runtime.pipeline import Progress


@dataclass(frozen=True)
class Share:
    """What an actor has of its node: CPU cores, and the part of the memory."""

    cores: int
    memory: float


@dataclass(frozen=True)
class Order:
    """What holds for every image. `open` makes, of an actor's share, what upscales one image.

    `marker` is a file beside the answers, which every node has to see.
    """

    open: Callable[[Share], Upscale]
    cores: int
    marker: Path | None
    resume: bool
    openings: int
    """Times in a row that the model may be begun to be opened, and not opened."""


class Actor:
    """An opened model. `refusal` says in one line why there is none, if so.

    `begin` notes that an errand is begun and says how often it was, `end` forgets that; one that
    was begun more than so many `times` is left alone.
    """

    def __init__(
        self,
        packed: bytes,
        node: str,
        resources: Mapping[str, float],
        begin: Callable[[int], int],
        end: Callable[[int], object],
        times: int,
    ) -> None:
        self.refusal: str | None = None
        self._node, self._begin, self._times = node, begin, times
        order: Order = pickle.loads(packed)
        self._resume = order.resume
        if begin(OPENING) > order.openings:
            self.refusal = f"on node {node}: the process dies opening the model; out of memory?"
            return
        try:
            _check_shared(order.marker)
            self._upscale = order.open(Share(order.cores, _part(order.cores, resources)))
        except MmsrError as error:
            self.refusal = f"on node {node}: {error}"
        end(OPENING)

    def answer(self, number: int, packed: bytes) -> str:
        """How an image went, as JSON; whatever goes wrong is in it."""
        if self._begin(number) > self._times:
            return json.dumps({"lost": True})
        errand: Errand = pickle.loads(packed)
        task = Task(Path(errand.source), Path(errand.target))  # what each_file looks at with resume
        resume = self._resume and not errand.is_far()

        def upscale(_: Task, progress: Progress) -> Facts:
            return carry_out(errand, self._upscale, progress)

        ((_, outcome),) = each_file(upscale, [task], 1, resume)
        return json.dumps(asdict(self._told(outcome, errand)))

    def _told(self, outcome: Outcome, errand: Errand) -> Outcome:
        error = outcome.error.removeprefix(f"{errand.source}: ")
        return Outcome(outcome.status, outcome.facts | {"node": self._node}, error, outcome.trace)


def _part(cores: int, resources: Mapping[str, float]) -> float:
    """Which part of a node's memory an actor may take, where all that fit are on it."""
    if resources.get("GPU"):
        return 1 / resources["GPU"]
    return min(1.0, cores / max(1.0, resources.get("CPU", 1.0)))


def _check_shared(marker: Path | None) -> None:
    if marker is not None and not marker.exists():
        raise ClusterError(
            f"{marker.parent} is not what it is on the machine that mmsr upscale was started on; "
            "put it on a file system that all nodes share, or give a URL"
        )


def outcome_of(answer: dict[str, Any]) -> Outcome:
    """The outcome that an answer tells of."""
    return Outcome(**answer)

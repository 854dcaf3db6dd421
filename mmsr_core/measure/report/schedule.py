"""Packing experts onto workers: how long training takes when several train at once."""

from collections.abc import Sequence

EXACT = 10
"""Up to so many jobs the best packing is searched for."""


def shortest(seconds: Sequence[float], workers: int) -> float:
    """The least time in which `workers` finish jobs of these seconds, each job on one worker.

    Exact for up to `EXACT` jobs; for more of them the longest goes first to the worker that is
    free first, which is at most a third longer.
    """
    jobs = sorted(seconds, reverse=True)
    workers = max(1, min(workers, len(jobs)))  # more of them would have nothing to do
    found = _greedy(jobs, workers)
    bound = max([*jobs[:1], sum(jobs) / workers])
    if len(jobs) > EXACT or found <= bound:
        return found
    loads = [0.0] * workers

    def place(index: int, best: float) -> float:
        if index == len(jobs):
            return min(best, max(loads))
        for worker, load in enumerate(loads):
            if load + jobs[index] >= best or load in loads[:worker]:
                continue  # no gain, or the same as with a worker tried before
            loads[worker] += jobs[index]
            best = place(index + 1, best)
            loads[worker] = load
        return best

    return place(0, found)


def _greedy(jobs: Sequence[float], workers: int) -> float:
    loads = [0.0] * workers
    for job in jobs:
        loads[loads.index(min(loads))] += job
    return max(loads)

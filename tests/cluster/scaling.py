"""How throughput grows with the actors of a cluster on this machine; by hand, not a test.

    python tests/cluster/scaling.py IMAGES --model compact-x2 --actors 1 2 --laps 3

The clock runs from the first image that is done to the last, so that neither the cluster's nor the
model's start counts. Laps of all numbers of actors take turns, and the median counts.
"""

import argparse
import time
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from ray.cluster_utils import Cluster

from mmsr_core.cli.opening import Asked, open_share
from mmsr_core.cluster.connection import connected
from mmsr_core.cluster.errand import Errand
from mmsr_core.cluster.many import alive, crew_for, each_on_nodes
from mmsr_core.runtime.image import find_images
from mmsr_core.runtime.sizes import Size


def lap(actors: int, model: str, images: list[Path]) -> float:
    """Images a second by so many actors of one core, each on a node of its own."""
    head = {"num_cpus": 0, "include_dashboard": False, "_system_config": {"worker_niceness": 0}}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    for _ in range(actors):
        cluster.add_node(num_cpus=1)
    asked = Asked(model, "cpu", Size(), None, None, None, None, None, 10**9)
    times: list[float] = []
    try:
        with TemporaryDirectory() as out, connected(cluster.address):
            errands = [Errand(str(p.absolute()), f"{out}/{p.stem}.png") for p in images]
            crew = crew_for(alive(), len(errands), cores=1)
            assert crew.actors == actors
            opening = partial(open_share, asked, crew.at_once)
            for _, outcome in each_on_nodes(opening, errands, crew):
                assert outcome.status == "done", outcome.error
                times.append(time.monotonic())
    finally:
        cluster.shutdown()
    return (len(times) - 1) / (times[-1] - times[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=Path)
    parser.add_argument("--model", default="compact-x2")
    parser.add_argument("--actors", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--laps", type=int, default=3)
    asked = parser.parse_args()
    images = find_images(asked.images)
    rates: dict[int, list[float]] = {actors: [] for actors in asked.actors}
    for _ in range(asked.laps):
        for actors, of_it in rates.items():
            of_it.append(lap(actors, asked.model, images))
            print(f"{actors} actors: {of_it[-1]:.2f} images a second", flush=True)
    for actors, of_it in rates.items():
        print(f"{actors} actors: median {median(of_it):.2f} images a second")


if __name__ == "__main__":
    main()

"""Requests per second and p95 of `mmsr serve` beside the engine called directly, by hand:

    python tests/serve/load.py --model compact-x4 --clients 1,4,16 --requests 48

Pictures of noise and smooth parts, SIDE pixels, PNG to PNG. Both ways take turns, three rounds; the
engine's own throughput is that of the same files through `Model.upscale_file` in as many threads as
the server has jobs. The machine's noise is in every figure: medians are told, and the rounds.
"""

import argparse
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from running import body, request, server

import mmsr_core
from mmsr_core.runtime.cgroup import usable_cores


def pictures(side, count=8):
    """PNG files that are part noise, part smooth."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(count):
        rough = rng.random((side, side, 3))
        smooth = cv2.resize(rng.random((5, 5, 3)), (side, side), interpolation=cv2.INTER_CUBIC)
        mask = cv2.resize(rng.random((4, 4)), (side, side))[..., None] > 0.6
        pixels = np.where(mask, 0.6 * rough + 0.4 * smooth, smooth).clip(0, 1)
        found.append(cv2.imencode(".png", (pixels * 255).astype(np.uint8))[1].tobytes())
    return found


def timed(task, count, workers):
    """Requests per second, and the p95 of their seconds."""

    def one(number):
        started = time.perf_counter()
        task(number)
        return time.perf_counter() - started

    started = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        seconds = sorted(pool.map(one, range(count)))
    return count / (time.perf_counter() - started), seconds[int(0.95 * (count - 1))]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="compact-x4")
    parser.add_argument("--clients", default="1,4,16")
    parser.add_argument("--requests", type=int, default=48)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    files, cores = pictures(asked.side), usable_cores()
    bodies = [body(content) for content in files]
    model = mmsr_core.load(asked.model, "cpu")
    with tempfile.TemporaryDirectory() as name, server(asked.model, "--queue", 64) as (_, port):
        folder = Path(name)
        for number, content in enumerate(files):
            (folder / f"{number}.png").write_bytes(content)

        def direct(number):
            source = folder / f"{number % len(files)}.png"
            model.upscale_file(source, folder / f"out-{number}.png")

        def over_http(number):
            connection = request(port, "POST", "/v1/upscale", bodies[number % len(files)])
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200, answer.status
            connection.close()

        for task in (direct, over_http):
            timed(task, len(files), cores)
        for clients in map(int, asked.clients.split(",")):
            rounds = []
            for _ in range(asked.rounds):
                alone, own = timed(direct, asked.requests, min(clients, cores))
                served, theirs = timed(over_http, asked.requests, clients)
                rounds.append((alone, own, served, theirs, served / alone))
            alone, own, served, theirs, share = map(statistics.median, zip(*rounds, strict=True))
            print(
                f"{clients:3d} clients: engine {alone:.2f}/s, p95 {own:.2f} s; server "
                f"{served:.2f}/s, p95 {theirs:.2f} s; ratio {share:.3f} "
                f"({', '.join(f'{one[-1]:.3f}' for one in rounds)})",
                flush=True,
            )


if __name__ == "__main__":
    main()

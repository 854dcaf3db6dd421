"""Thousands of faulty files through one worker after the other.

    python tests/strangers/fuzz.py --cases 2000 --seed 1

Every case has to end in one line of refusal or in a sound answer: within 5 seconds and 1 GiB,
without a crash, without a word from a library, with nothing left behind. An image that turns out
to be sound and large is given up after 3 seconds, and has to leave nothing either. The same seed
makes the same files.
"""

import argparse
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SHELVES = (ROOT, ROOT / "plugins", ROOT / "exporters", ROOT / "registry", ROOT / "tests", HERE)
sys.path[:0] = [str(path) for path in SHELVES]

from mutate import mutate, mutate_json  # noqa: E402
from seeds import HEIGHT, WIDTH, write_bundles, write_images  # noqa: E402

from mmsr_core.runtime.bundle import digest  # noqa: E402

SECONDS = 5.0
MEMORY = 2**30
TARGETS = (".png", ".png", ".jpg", ".tif", ".webp")


@dataclass(frozen=True)
class Case:
    """A spoiled file, what it is taken for, and what became of it."""

    name: str
    kind: str
    path: Path
    suffix: str = ""
    outcome: str = ""
    fault: str = ""
    said: str = ""
    seconds: float = 0.0
    peak: int = 0


class Worker:
    """A process that takes cases, watched for its time and its memory."""

    def __init__(self, bundle: Path) -> None:
        path = os.pathsep.join(map(str, SHELVES))
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "worker.py"), str(bundle)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "VIPS_CONCURRENCY": "1"},
        )
        self._answers: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()
        self._answers.get(timeout=60)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put("")

    def take(self, case: Case) -> Case:
        """The case with its outcome; after "crash", "hang" and "memory" the worker is gone."""
        facts = {"name": case.name, "kind": case.kind, "path": case.path, "suffix": case.suffix}
        assert self._process.stdin is not None
        started = time.monotonic()
        self._process.stdin.write(json.dumps({**facts, "path": str(case.path)}) + "\n")
        self._process.stdin.flush()
        while True:
            try:
                line = self._answers.get(timeout=0.05)
                break
            except queue.Empty:
                size = self._size()
                if time.monotonic() - started > SECONDS or size > MEMORY:
                    what = "hang" if size <= MEMORY else "memory"
                    self.close()
                    return Case(**facts, outcome=what, fault=f"{what}: {size >> 20} MiB")
        seconds = time.monotonic() - started
        if not line:
            code = self._process.wait()
            return Case(**facts, outcome="crash", fault=f"crash: exit {code}", seconds=seconds)
        found = json.loads(line)
        if found["peak"] > MEMORY and not found["fault"]:
            found["fault"] = f"memory: {found['peak'] >> 20} MiB"
        return Case(**facts, **found, seconds=seconds)

    def _size(self) -> int:
        try:
            pages = Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]
        except (OSError, IndexError):
            return 0
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()


def cases(folder: Path, count: int, seed: int) -> Iterator[Case]:
    """Spoiled files, one at a time: the last one is deleted when the next is asked for."""
    images = write_images(folder / "images")
    bundle, packed = write_bundles(folder)
    for number in range(count):
        rng = Random(f"{seed}/{number}")
        kind = rng.choice(("image",) * 7 + ("zip", "manifest", "graph"))
        name = f"{seed}-{number:05d}-{kind}"
        if kind == "image":
            source, other = rng.choice(images), rng.choice(images)
            path = folder / f"{name}-{source.name}"
            path.write_bytes(mutate(source.read_bytes(), other.read_bytes(), (HEIGHT, WIDTH), rng))
            yield Case(name, kind, path, rng.choice(TARGETS))
        elif kind == "zip":
            path = folder / f"{name}.zip"
            path.write_bytes(mutate(packed.read_bytes(), images[0].read_bytes(), (), rng))
            yield Case(name, kind, path)
        else:
            path = folder / name
            shutil.copytree(bundle, path)
            spoil_bundle(path, kind, rng)
            yield Case(name, kind, path)
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def spoil_bundle(bundle: Path, kind: str, rng: Random) -> None:
    """Spoil the manifest, or a graph whose hash the manifest then has right."""
    manifest = bundle / "manifest.json"
    if kind == "manifest":
        manifest.write_bytes(mutate_json(manifest.read_bytes(), rng))
        return
    graph = bundle / rng.choice(("router.onnx", "cheap.onnx", "dear.onnx"))
    graph.write_bytes(mutate(graph.read_bytes(), (bundle / "dear.onnx").read_bytes(), (), rng))
    facts = json.loads(manifest.read_bytes())
    facts["files"] |= digest({graph.name: graph.read_bytes()})
    manifest.write_text(json.dumps(facts))


def run(count: int, seed: int, keep: Path | None = None) -> list[Case]:
    """Take so many cases; what was at fault is copied to `keep`."""
    done = []
    with tempfile.TemporaryDirectory() as name:
        worker = None
        try:
            for case in cases(Path(name), count, seed):
                worker = worker or Worker(Path(name) / "bundle")
                done.append(worker.take(case))
                if done[-1].outcome in ("crash", "hang", "memory"):
                    worker = None
                if done[-1].fault and keep is not None:
                    keep.mkdir(parents=True, exist_ok=True)
                    copy = shutil.copytree if case.path.is_dir() else shutil.copyfile
                    copy(case.path, keep / case.path.name)
        finally:
            if worker is not None:
                worker.close()
    return done


def main() -> None:
    """Run, and print what became of the cases."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="copy files that were at fault to this folder")
    options = parser.parse_args()
    done = run(options.cases, options.seed, options.keep)
    for case in done:
        if case.fault:
            lines = case.fault.strip().splitlines()
            print(f"{case.path.name} {case.suffix}: {lines[0][:150]} … {lines[-1][:150]}")
    counts = Counter((case.kind, case.outcome) for case in done)
    for (kind, outcome), number in sorted(counts.items()):
        print(f"{kind:10}{outcome:10}{number:6}")
    slowest = max(done, key=lambda case: case.seconds)
    largest = max(done, key=lambda case: case.peak)
    print(f"slowest {slowest.seconds:.2f} s ({slowest.path.name}), ", end="")
    print(f"largest {largest.peak / 2**20:.0f} MiB ({largest.path.name})")
    print(f"{sum(bool(case.fault) for case in done)} at fault of {len(done)}")
    sys.exit(any(case.fault for case in done))


if __name__ == "__main__":
    main()

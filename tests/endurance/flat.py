"""Thousands of small images in one process: does its memory stay flat?

python tests/endurance/flat.py --images 3000

Exit code 1 when memory grows by more than 5 KB an image after the first hundred (Linux only).
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from batches import make_images, upscale_words

WARM = 100
"""Images after which growth counts: allocators and caches have their size by then."""
MOST = 5 * 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--model", default="compact-x4")
    parser.add_argument("--jobs", type=int, default=2)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_images(folder / "in", asked.images, 16, 96)
        seen = watch(folder, asked)
    done, rss = np.array(seen, np.float64).T
    warm = done >= WARM
    slope, _ = np.polyfit(done[warm], rss[warm], 1)
    first, last = rss[warm][0] / 2**20, rss[warm][-1] / 2**20
    print(f"{asked.images} images, {warm.sum()} samples: {first:.1f} MiB after {WARM}, {last:.1f}")
    print(f"MiB at the end, {rss.max() / 2**20:.1f} MiB at most; {slope / 1024:.2f} KB an image")
    return int(slope > MOST or done[-1] < asked.images - 50)


def watch(folder: Path, asked: argparse.Namespace) -> list[tuple[int, int]]:
    """(images done, bytes resident) several times a second until the batch is through."""
    words, environment = upscale_words(
        *(folder / "in", "-o", folder / "out", "--json", folder / "rows.json"),
        *("--model", asked.model, "--device", "cpu", "--jobs", asked.jobs),
    )
    process = subprocess.Popen(words, env=environment)
    seen: list[tuple[int, int]] = []
    while process.poll() is None:
        time.sleep(0.25)
        try:
            pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
            done = sum(1 for entry in os.scandir(folder / "out") if entry.name[0] != ".")
        except (OSError, IndexError):
            continue
        if pages:  # a process that has just ended holds none
            seen.append((done, pages * os.sysconf("SC_PAGE_SIZE")))
    return seen


if __name__ == "__main__":
    sys.exit(main())

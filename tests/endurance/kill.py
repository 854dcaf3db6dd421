"""kill -9 at random moments of a batch, `--resume` after each: is every output whole?

python tests/endurance/kill.py --kills 200 --images 300

A batch is started, killed and started again until it is through; then a new one begins, until
there were so many kills. After each of them every file that has its name is compared with that of
an undisturbed run, byte by byte. Exit code 1 when any differs, is missing, or is left over.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from batches import make_images, upscale_words

from mmsr_core.runtime.atomic import is_part


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default="compact-x2")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return endure(Path(folder), asked)


def endure(folder: Path, asked: argparse.Namespace) -> int:
    """Kill, resume and compare; the exit code."""
    make_images(folder / "in", asked.images, 24, 72)
    started = time.monotonic()
    run(folder, "undisturbed", asked.model).wait()
    expected = contents(folder / "undisturbed")
    print(f"undisturbed: {len(expected)} in {time.monotonic() - started:.1f} s", flush=True)
    moments = random.Random(asked.seed)
    if len(expected) != asked.images:
        print("the undisturbed run did not make every image")
        return 1
    kills = torn = left = batches = 0
    (folder / "out").mkdir()
    while kills < asked.kills:
        process = run(folder, "out", asked.model)
        images = moments.randrange(asked.images // 4)
        kills += is_killed(process, folder / "out", images, moments.uniform(0, 0.1))
        found = contents(folder / "out")
        left += sum(is_part(path.name) for path in (folder / "out").iterdir())
        torn += sum(expected.get(name) != data for name, data in found.items())
        if len(found) == asked.images:
            batches += 1
            torn += finish(folder, asked.model, expected)
            for path in (folder / "out").iterdir():
                path.unlink()
        if kills % 20 == 0:
            print(f"{kills} kills, {batches} batches, {torn} faults", flush=True)
    torn += finish(folder, asked.model, expected)
    print(f"{kills} kills in {batches + 1} batches of {asked.images} images")
    print(f"{left} files were half written at a kill; all were removed by the next run")
    print(f"{torn} faults")
    return int(torn > 0)


def is_killed(process: subprocess.Popen[bytes], out: Path, images: int, fraction: float) -> bool:
    """Kill a run once it has made so many images more, and a moment later; False if it ended."""
    wanted = len(list(out.glob("[!.]*"))) + images
    while process.poll() is None and len(list(out.glob("[!.]*"))) < wanted:
        time.sleep(0.002)
    try:
        process.wait(fraction)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return True
    return False


def finish(folder: Path, model: str, expected: dict[str, bytes]) -> int:
    """Resume to the end; how many files are then missing, different or left over."""
    code = run(folder, "out", model).wait()
    found = contents(folder / "out")
    over = [path for path in (folder / "out").iterdir() if path.name not in expected]
    missing = sum(found.get(name) != data for name, data in expected.items())
    return missing + len(over) + (code != 0)


def run(folder: Path, out: str, model: str) -> subprocess.Popen[bytes]:
    """A run of the batch, taken up where it was left."""
    words, environment = upscale_words(
        *(folder / "in", "-o", folder / out, "--resume"), *("--model", model, "--device", "cpu")
    )
    return subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL)


def contents(folder: Path) -> dict[str, bytes]:
    """What every file holds that has its name."""
    files = [path for path in folder.iterdir() if not is_part(path.name)]
    return {path.name: path.read_bytes() for path in files}


if __name__ == "__main__":
    sys.exit(main())

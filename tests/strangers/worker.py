"""Takes what strangers send: one spoiled file after the other, each told of in a line of JSON."""

import json
import os
import resource
import shutil
import sys
import tempfile
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from mmsr_core.errors import MmsrError
from mmsr_core.runtime.engine import Engine
from mmsr_core.runtime.files import Settings, Task, upscale_file
from mmsr_core.runtime.image import open_image, read
from mmsr_core.runtime.memory import Budget
from mmsr_registry import Registry

MEMORY = 256 * 2**20
PATIENCE = 3.0
"""Seconds until an image is given up that turns out to be large and sound; a hang is not."""
LARGE = 2**20


class _Enough(Exception):
    """The image is at work for long enough."""


def peak() -> int:
    """The most memory in bytes since `forget_peak`."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def forget_peak() -> None:
    """Measure anew, where the system lets one."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def take_image(engine: Engine, source: Path, folder: Path, suffix: str) -> str:
    """Upscale a file; raises AssertionError when what comes out is not sound."""
    target = folder / f"out{suffix}"
    settings = Settings(None, None, MEMORY, 1)
    started = time.monotonic()

    def watch(share: float) -> None:
        if time.monotonic() - started > PATIENCE:
            raise _Enough

    try:
        facts = upscale_file(engine, Task(source, target), settings, Budget(MEMORY), watch)
    except _Enough:
        header = open_image(source).header
        assert header.height * header.width > LARGE, "slow, but not large"
        assert not list(folder.iterdir()), "left behind"
        return "large"
    assert [path.name for path in folder.iterdir()] == [target.name], "more than the answer is left"
    image = read(target)
    height, width = image.rgb.shape[:2]
    assert [width, height] == facts["upscaled"] == [2 * size for size in facts["size"]], "its size"
    assert np.isfinite(image.rgb).all(), "not finite"
    return "sound"


def take_bundle(source: Path, folder: Path) -> str:
    """Add a bundle, open it and run it."""
    registry = Registry(folder / "home", folder / "shelf")
    try:
        added = registry.add(source)
    except MmsrError:
        assert not registry.home.exists(), "a refused bundle left something"
        raise
    try:
        answer = Engine.open(added.directory, "cpu", threads=1).upscale(
            np.full((16, 16, 3), 0.5, np.float32), memory=MEMORY
        )
        assert np.isfinite(answer.pixels).all(), "not finite"
    finally:
        registry.remove(str(added))
        shutil.rmtree(folder / "home")
    return "sound"


def take(engine: Engine, case: dict[str, str]) -> dict[str, Any]:
    """What became of one case."""
    forget_peak()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            if case["kind"] == "image":
                outcome = take_image(engine, Path(case["path"]), folder, case["suffix"])
            else:
                outcome = take_bundle(Path(case["path"]), folder)
            fault = ""
        except MmsrError as error:
            outcome, fault = "refused", ""
            if "\n" in str(error) or not str(error) or len(str(error)) > 2000:
                fault = f"not one line: {str(error)[:500]!r}"
            elif left := sorted(path.name for path in folder.iterdir()):
                fault = f"left behind: {left}"
            return {"outcome": outcome, "fault": fault, "peak": peak(), "said": str(error)[:300]}
        except BaseException:
            outcome, fault = "fault", traceback.format_exc()[-1500:]
    return {"outcome": outcome, "fault": fault, "peak": peak(), "said": ""}


def main() -> None:
    """Answer each line on standard input; whatever libraries print is a fault."""
    with os.fdopen(os.dup(1), "w") as answers, tempfile.TemporaryFile() as noise:
        os.dup2(noise.fileno(), 1)
        os.dup2(noise.fileno(), 2)
        engine = Engine.open(sys.argv[1], "cpu", threads=1)
        print("ready", file=answers, flush=True)
        for line in sys.stdin:
            noise.seek(0)
            noise.truncate()
            found = take(engine, json.loads(line))
            noise.seek(0)
            printed = noise.read().decode("utf-8", "replace")
            if printed and not found["fault"]:
                found["fault"] = f"printed: {printed[:500]}"
            print(json.dumps(found), file=answers, flush=True)


if __name__ == "__main__":
    main()

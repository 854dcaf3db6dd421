"""Peak memory of one contender, and the time from nothing to the first image.

Run as a module in a fresh process: what a long-lived one has touched before is none of the
contender's.
"""

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mmsr_core.errors import MmsrError
from mmsr_core.measure.bench.contenders import Contender

STATUS = Path("/proc/self/status")
REASON = 200
"""Characters of a failed process's last line that are told."""


@dataclass(frozen=True)
class Footprint:
    """A fresh process that upscaled one file: its peak memory in bytes of the host, None where
    the system doesn't tell; seconds from its start until the image was written."""

    peak: int | None
    seconds: float


def measure(contender: Contender, source: Path, target: Path) -> Footprint:
    """Let a fresh process upscale the file `source` into `target`; MmsrError when it fails."""
    report = target.with_suffix(".json")
    task = {
        "contender": contender.as_json(),
        "source": str(source),
        "target": str(target),
        "report": str(report),
    }
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    started = time.time()
    done = subprocess.run(
        [sys.executable, "-m", __name__, json.dumps(task)],
        env=environment,
        capture_output=True,
        text=True,
        errors="replace",
        start_new_session=True,  # Ctrl-C reaches us alone, and we end it without a traceback
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        reason = lines[-1][:REASON] if lines else f"exit status {done.returncode}"
        raise MmsrError(f"{contender.name}: fails in a process of its own ({reason})")
    facts = json.loads(report.read_text())
    if "problem" in facts:
        raise MmsrError(facts["problem"])
    return Footprint(facts["peak"], facts["finished"] - started)


def peak_memory() -> int | None:
    """The most memory that this process has held so far, in bytes."""
    try:
        # Linux's ru_maxrss starts from the parent's peak; this one is the process's own.
        found = re.search(r"^VmHWM:\s*(\d+) kB$", STATUS.read_text(), re.MULTILINE)
    except OSError:
        found = None
    if found:
        return int(found[1]) * 1024
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def main(argument: str) -> None:
    """Do the task that `measure` gives."""
    from mmsr_core.measure.bench.lap import run_lap
    from mmsr_core.runtime.engine import Engine

    task = json.loads(argument)
    facts: dict[str, object]
    contender = Contender.from_json(task["contender"])
    try:
        upscale = contender.open(partial(Engine.open, device=contender.device))
        run_lap(upscale, Path(task["source"]), Path(task["target"]))
        facts = {"peak": peak_memory(), "finished": time.time()}
    except MmsrError as error:
        facts = {"problem": str(error)}
    Path(task["report"]).write_text(json.dumps(facts))


if __name__ == "__main__":
    main(sys.argv[1])

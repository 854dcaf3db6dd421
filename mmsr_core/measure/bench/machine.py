"""The machine that a benchmark ran on."""

import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from mmsr_core.runtime.cgroup import usable_cores

CPUINFO = Path("/proc/cpuinfo")
PACKAGES = ("mmsr", "numpy", "opencv-python-headless", "onnxruntime", "onnxruntime-gpu")
PEERS = ("pillow", "torch", "spandrel")


def machine() -> dict[str, Any]:
    """Processor, cores that this process may use, system, versions, and providers there."""
    import onnxruntime

    return {
        "cpu": cpu(),
        "cores": usable_cores(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: found for name in (*PACKAGES, *PEERS) if (found := _version(name))},
        "providers": onnxruntime.get_available_providers(),
    }


def cpu() -> str:
    """What the processor calls itself."""
    try:
        named = re.search(r"^model name\s*:\s*(.+)$", CPUINFO.read_text(), re.MULTILINE)
    except OSError:
        named = None
    return named[1] if named else platform.processor() or platform.machine()


def load() -> float | None:
    """How many processes wanted to run, the mean of the last minute; None where nobody counts."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None

"""The cgroups around this process: what a container may take of its machine."""

import os
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")
CGROUPS = Path("/sys/fs/cgroup")


def folders(controller: str, proc: Path, cgroups: Path) -> Iterator[tuple[int, Path]]:
    """(version, folder) of every cgroup that `controller` counts this process in, innermost first.

    Nothing where there are no cgroups (not on Linux); a folder that is named may not be there,
    since inside a container the path of version 1 is still the host's.
    """
    try:
        lines = (proc / "self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            version, root = 2, cgroups
        elif controller in controllers.split(","):
            version, root = 1, cgroups / controller
        else:
            continue
        group = root / path.lstrip("/")
        for folder in (group, *group.parents):
            if not folder.is_relative_to(root):
                break
            yield version, folder


def usable_cores(proc: Path = PROC, cgroups: Path = CGROUPS) -> int:
    """Cores that this process may keep busy: those it may run on, within its cgroups' quotas.

    A quota of a part of a core counts as the whole: half a core idle costs more than waiting.
    """
    quotas = (_quota(version, folder) for version, folder in folders("cpu", proc, cgroups))
    return min([_allowed(), *(max(1, -int(-quota // 1)) for quota in quotas if quota is not None)])


def _allowed() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quota(version: int, folder: Path) -> float | None:
    """Cores' worth of time that a cgroup grants; None when it doesn't limit it."""
    try:
        if version == 2:
            quota, period = map(int, (folder / "cpu.max").read_text().split())
        else:
            quota = int((folder / "cpu.cfs_quota_us").read_text())
            period = int((folder / "cpu.cfs_period_us").read_text())
    except (OSError, ValueError):  # no such cgroup, or "max": no limit
        return None
    return quota / period if quota > 0 and period > 0 else None

import os

import pytest

from mmsr_core.runtime.cgroup import usable_cores

V2 = "0::/pod/job\n"
V1 = "5:memory:/pod\n4:cpu,cpuacct:/pod/job\n0::/\n"


@pytest.fixture
def cores(monkeypatch, tmp_path):
    """The usable cores of eight, given /proc/self/cgroup and the files under /sys/fs/cgroup."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)

    def count(groups, files):
        (tmp_path / "self").mkdir()
        (tmp_path / "self" / "cgroup").write_text(groups)
        for name, content in files.items():
            path = tmp_path / "cgroups" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return usable_cores(tmp_path, tmp_path / "cgroups")

    return count


def test_a_quota_limits_the_cores(cores):
    assert cores(V2, {"pod/job/cpu.max": "300000 100000\n"}) == 3


def test_a_part_of_a_core_counts_as_one(cores):
    assert cores(V2, {"pod/job/cpu.max": "50000 100000\n"}) == 1


def test_two_cores_and_a_bit_count_as_three(cores):
    assert cores(V2, {"pod/job/cpu.max": "210000 100000\n"}) == 3


def test_the_tightest_cgroup_around_counts(cores):
    files = {"pod/job/cpu.max": "max 100000\n", "pod/cpu.max": "200000 100000\n"}
    assert cores(V2, files | {"cpu.max": "600000 100000\n"}) == 2


def test_a_container_sees_its_own_cgroup_as_the_root(cores):
    assert cores("0::/\n", {"cpu.max": "400000 100000\n"}) == 4


def test_a_quota_of_version_1_limits_the_cores(cores):
    files = {"pod/job/cpu.cfs_quota_us": "150000\n", "pod/job/cpu.cfs_period_us": "50000\n"}
    assert cores(V1, {f"cpu/{name}": content for name, content in files.items()}) == 3


def test_no_quota_leaves_the_cores_that_the_process_may_run_on(cores):
    files = {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}
    assert cores(V1, files | {"cpu.max": "max 100000\n"}) == 8


def test_a_quota_above_the_cores_adds_none(cores):
    assert cores(V2, {"cpu.max": "6400000 100000\n"}) == 8


def test_without_cgroups_every_core_counts(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 3}, raising=False)
    assert usable_cores(tmp_path, tmp_path) == 2


def test_a_system_without_affinity_counts_its_cores(monkeypatch, tmp_path):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert usable_cores(tmp_path, tmp_path) == 6

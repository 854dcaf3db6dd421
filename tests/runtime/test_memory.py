import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmsr_core.errors import ImageError
from mmsr_core.runtime.bundle import Manifest
from mmsr_core.runtime.memory import Budget, free_memory, largest_block, needed
from mmsr_core.runtime.plan import BLOCK, Block

GIB = 2**30


@pytest.fixture
def machine(tmp_path):
    """machine(free, groups): a /proc and a /sys/fs/cgroup with (limit, used, cache) by folder."""
    proc, cgroups = tmp_path / "proc", tmp_path / "cgroup"

    def make(free, groups, mine="/a/b"):
        (proc / "self").mkdir(parents=True)
        (proc / "meminfo").write_text(f"MemTotal: 1 kB\nMemAvailable:   {free // 1024} kB\n")
        (proc / "self/cgroup").write_text(f"0::{mine}\n")
        for folder, (limit, used, cache) in groups.items():
            group = cgroups / folder
            group.mkdir(parents=True, exist_ok=True)
            (group / "memory.max").write_text(f"{limit}\n")
            (group / "memory.current").write_text(f"{used}\n")
            (group / "memory.stat").write_text(f"anon 1\ninactive_file {cache}\n")
        return free_memory(proc, cgroups)

    return make


def test_what_the_machine_has_free_may_be_used(machine):
    assert machine(8 * GIB, {}) == 8 * GIB


def test_a_cgroup_without_a_limit_limits_nothing(machine):
    assert machine(8 * GIB, {"a/b": ("max", GIB, 0)}) == 8 * GIB


def test_the_tightest_of_the_cgroups_around_counts(machine):
    groups = {"a": (3 * GIB, 2 * GIB, 0), "a/b": (5 * GIB, GIB, 0)}
    assert machine(8 * GIB, groups) == GIB


def test_a_cgroups_file_cache_is_free(machine):
    assert machine(8 * GIB, {"a/b": (2 * GIB, 2 * GIB, GIB)}) == GIB


def test_a_cgroup_of_version_1_counts(tmp_path):
    group = tmp_path / "cgroup/memory/a"
    group.mkdir(parents=True)
    (group / "memory.limit_in_bytes").write_text(f"{2 * GIB}\n")
    (group / "memory.usage_in_bytes").write_text(f"{GIB}\n")
    (group / "memory.stat").write_text("cache 5\ntotal_inactive_file 7\n")
    (tmp_path / "self").mkdir()
    (tmp_path / "self/cgroup").write_text("5:cpu,memory:/a\n")
    assert free_memory(tmp_path, tmp_path / "cgroup") == GIB + 7


def test_where_nothing_can_be_read_it_is_2_gib(tmp_path):
    assert free_memory(tmp_path, tmp_path) == 2 * GIB


def test_this_machine_has_memory():
    assert free_memory() > 2**20


@given(st.integers(1, 9000), st.integers(1, 9000), st.integers(0, 2**36))
def test_the_block_fits_and_is_the_usual_one_where_that_does(height, width, memory):
    manifest = Manifest.model_validate(FACTS)
    block = largest_block(manifest, height, width, 10, memory)
    assert block == Block(1, 1) or needed(manifest, height, width, 10, block) <= memory
    if needed(manifest, height, width, 10, BLOCK) <= memory and width < 3700:
        assert block == BLOCK


@given(st.integers(1, 9000), st.integers(1, 60000), st.integers(0, 2**36))
def test_what_was_needed_is_enough(height, width, memory):
    manifest, size = Manifest.model_validate(FACTS), (height, width)
    block = largest_block(manifest, height, width, 10, memory)
    enough = needed(manifest, height, width, 10, block)
    assert needed(manifest, height, width, 10, largest_block(manifest, *size, 10, enough)) == enough


def test_wide_images_get_low_blocks():
    manifest = Manifest.model_validate(FACTS)
    blocks = [
        largest_block(manifest, 9000, width, 10, 2**40) for width in (3700, 5000, 12500, 25000)
    ]
    assert blocks == [Block(16, 16), Block(11, 11), Block(4, 32), Block(2, 64)]


def test_an_image_too_wide_for_any_block_gets_the_lowest():
    manifest = Manifest.model_validate(FACTS)
    assert largest_block(manifest, 9000, 100_000, 10, 2**40) == Block(1, 128)


def test_a_bundle_that_says_what_it_holds_is_believed():
    def bytes_for(memory):
        experts = [one | {"memory": memory} for one in FACTS["experts"]]
        manifest = Manifest.model_validate(FACTS | {"experts": experts})
        return needed(manifest, 100, 100, 10, BLOCK)

    assert bytes_for(2000.0) - bytes_for(1000.0) == 1000 * 100 * 100


def test_parts_of_a_budget_wait_for_each_other():
    budget, order = Budget(10), []
    entered = threading.Event()

    def second():
        with budget.part(6):
            order.append("second")
            entered.set()

    with budget.part(6):
        thread = threading.Thread(target=second)
        thread.start()
        assert not entered.wait(0.05)
        order.append("first")
    thread.join(5)
    assert order == ["first", "second"]


def test_what_waiting_raises_ends_the_wait():
    def stop():
        raise InterruptedError

    budget = Budget(10)
    with budget.part(6):
        with pytest.raises(InterruptedError), budget.part(6, stop):
            pass
        with budget.part(4):  # nothing was taken
            pass


def test_parts_that_fit_do_not_wait():
    budget = Budget(10)
    with budget.part(4), budget.part(6):
        pass


def test_more_than_there_is_is_refused_with_what_to_do():
    message = r"needs about 3 MiB, 2 MiB are .*raise --memory"
    with pytest.raises(ImageError, match=message), Budget(2 * 2**20).part(3 * 2**20):
        pass


def test_a_part_is_given_back_after_an_error():
    budget = Budget(10)
    with pytest.raises(RuntimeError), budget.part(10):
        raise RuntimeError
    with budget.part(10):
        pass


FACTS = {
    "name": "tiny-x4",
    "version": "1.0.0",
    "scale": 4,
    "classes": ["ALL"],
    "routes": {"ALL": {"experts": ["one"]}},
    "experts": [
        {"name": "one", "backbone": "b", "depth": 1, "graph": "g", "macs": 1, "cost": 1}
        | {"radius": 2}
    ],
    "router": {"graph": "g", "output": "errors", "features": []},
    "tiles": {"cell": 32, "halo": 8, "seam": 2},
    "effort": {"default": 1.0},
    "files": {"g": "0" * 64},
    "made": {"by": "a test"},
}

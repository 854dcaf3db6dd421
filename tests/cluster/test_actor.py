"""What an actor says of a model that it can't open, without a cluster."""

import pickle

import pytest

from mmsr_core.cluster.actor import Actor, Order
from mmsr_core.errors import DeviceError


def refuse(share):
    raise DeviceError(f"no device for {share.memory:.0%}")


def opened(share):
    return lambda task, progress: {}


def actor(opening, marker=None, begun=1, resources=None, times=4):
    order = Order(opening, cores=2, marker=marker, resume=False, openings=3)
    return Actor(
        *(pickle.dumps(order), "n", resources or {}, lambda number: begun, lambda number: None),
        times,
    )


def test_a_model_that_can_not_be_opened_is_one_line_with_its_node():
    assert actor(refuse).refusal == "on node n: no device for 100%"


def test_a_folder_that_a_node_does_not_see_is_one_line(tmp_path):
    marker = tmp_path / "out" / "marker"
    assert "out is not what it is on the machine that" in actor(opened, marker).refusal
    marker.parent.mkdir()
    marker.touch()
    assert actor(opened, marker).refusal is None


def test_a_model_that_takes_its_process_along_is_opened_so_many_times():
    assert actor(opened, begun=3).refusal is None
    assert "the process dies opening the model" in actor(opened, begun=4).refusal


@pytest.mark.parametrize(
    ("resources", "memory"),
    [({"CPU": 8.0}, "25%"), ({"CPU": 1.0}, "100%"), ({"CPU": 8.0, "GPU": 2.0}, "50%")],
)
def test_actors_of_a_node_share_its_memory(resources, memory):
    assert actor(refuse, resources=resources).refusal.endswith(memory)


def test_an_image_that_was_begun_too_often_is_left_alone():
    assert actor(opened, begun=2, times=1).answer(0, b"") == '{"lost": true}'

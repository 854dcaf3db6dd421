"""What an expert holds while it runs, measured where nothing else is."""

import pytest
from graphs import nearest, network

from mmsr_core.errors import ExportError
from mmsr_onnx.memory import measure_memory


def test_a_network_holds_at_least_its_answer():
    assert measure_memory(network(scale=2), 2, "expert") >= 4 * 3 * 2**2


def test_a_wider_network_holds_more():
    narrow, wide = (measure_memory(network(channels=n), 2, "expert") for n in (6, 96))
    assert wide > 2 * narrow


def test_a_graph_that_fails_says_which_expert_it_is():
    with pytest.raises(ExportError, match="deep: fails in a process of its own"):
        measure_memory(nearest(scale=2), 3, "deep")

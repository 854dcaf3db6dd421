import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from plain import upscaler

from mmsr_core.errors import BundleError, ExportError
from mmsr_onnx.given.running import Running
from mmsr_onnx.given.wrap import wrap_graph
from mmsr_onnx.parity import textured_tiles

PICTURES = textured_tiles(3, 20, 28, seed=9)


def answer(given):
    return Running(given.graph, given.scale, "given")(PICTURES)


@pytest.fixture
def expected(tmp_path):
    """What an expert answers that takes and gives what experts do."""
    return answer(wrap_graph(upscaler(tmp_path / "plain.onnx"), force=False))


@pytest.mark.parametrize(
    ("form", "noted", "apart"),
    [
        ({"white": 255.0}, "[0,255] to [0,255]", 1e-5),
        ({"black": -1.0}, "[-1,1] to [-1,1]", 1e-5),
        ({"last": True}, "channels last", 1e-6),
        ({"channels": 1}, "grey", 1e-6),
        ({"kind": TensorProto.FLOAT16}, "ONNX", 4e-3),
        ({"kind": TensorProto.UINT8, "white": 255.0}, "[0,255] to [0,255]", 2 / 255),
        ({"sizes": (1, None, None)}, "ONNX", 1e-6),
    ],
)
def test_whatever_a_graph_takes_becomes_the_same_expert(tmp_path, expected, form, noted, apart):
    given = wrap_graph(upscaler(tmp_path / "other.onnx", **form), force=False)
    assert (given.scale, given.file) == (2, "other.onnx")
    assert noted in given.architecture
    assert np.abs(answer(given) - expected).max() <= apart


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_scale_is_found(tmp_path, scale):
    assert wrap_graph(upscaler(tmp_path / "a.onnx", scale=scale), force=False).scale == scale


@pytest.mark.parametrize("layers", [1, 3, 5])
def test_the_reach_of_a_changed_pixel_is_the_number_of_its_3x3_convolutions(tmp_path, layers):
    given = wrap_graph(upscaler(tmp_path / "a.onnx", layers=layers), force=False)
    assert (given.radius, given.halo) == (layers, 8)


def test_the_work_is_counted_as_it_is(tmp_path):
    given = wrap_graph(upscaler(tmp_path / "a.onnx", layers=2), force=False)
    assert given.macs == 2 * 3 * 3 * 9 + 12 * 3


def test_the_nodes_of_a_graph_of_our_kind_stay_as_they_are(tmp_path):
    path = upscaler(tmp_path / "a.onnx")
    before = [node.op_type for node in onnx.load(path).graph.node]
    graph = onnx.load_from_string(wrap_graph(path, force=False).graph).graph
    assert [node.op_type for node in graph.node] == [*before, "Clip"]
    assert (graph.input[0].name, graph.output[0].name) == ("tiles", "upscaled")


def test_a_network_that_pools_over_the_picture_is_refused_with_that_reason(tmp_path):
    path = upscaler(tmp_path / "pools.onnx", pools=True)
    with pytest.raises(ExportError, match="pools over the whole picture or looks too far"):
        wrap_graph(path, force=False)
    forced = wrap_graph(path, force=True)
    assert (forced.radius, forced.halo) == (None, 64)


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        ({"sizes": (None, 64, 64)}, "pictures of 64 by 64 pixels alone; export it again"),
        ({"channels": 4}, "takes 4 channels"),
        ({"kind": TensorProto.INT32}, "is of int32, not float32, float16, uint8"),
        ({"scale": 1}, "enlarges by 1"),
    ],
)
def test_a_graph_that_is_no_expert_is_refused_in_one_line(tmp_path, form, reason):
    with pytest.raises(ExportError, match=reason) as caught:
        wrap_graph(upscaler(tmp_path / "wrong.onnx", **form), force=False)
    assert "\n" not in str(caught.value)
    assert "wrong.onnx" in str(caught.value)


def test_what_is_like_its_input_in_no_range_is_taken_by_force_alone(tmp_path):
    path = upscaler(tmp_path / "negative.onnx")
    model = onnx.load(path)
    weight = next(tensor for tensor in model.graph.initializer if tensor.name == "repeat")
    weight.CopyFrom(
        onnx.numpy_helper.from_array(-0.2 * onnx.numpy_helper.to_array(weight), "repeat")
    )
    onnx.save(model, path)
    with pytest.raises(ExportError, match="is it an upscaler"):
        wrap_graph(path, force=False)
    assert wrap_graph(path, force=True).scale == 2


@pytest.mark.parametrize("content", [b"", b"not a graph", b"\x89PNG\r\n\x1a\n" + bytes(99)])
def test_a_file_that_is_no_graph_is_one_line(tmp_path, content):
    path = tmp_path / "noise.onnx"
    path.write_bytes(content)
    with pytest.raises(ExportError, match="not an ONNX graph") as caught:
        wrap_graph(path, force=False)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(ExportError, match="cannot read it"):
        wrap_graph(tmp_path / "no.onnx", force=False)


def test_operators_of_strangers_are_refused(tmp_path):
    path = upscaler(tmp_path / "a.onnx")
    model = onnx.load(path)
    model.graph.node[0].domain = "com.microsoft"
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    onnx.save(model, path)
    with pytest.raises(BundleError, match=r'an operator of "com\.microsoft"'):
        wrap_graph(path, force=False)

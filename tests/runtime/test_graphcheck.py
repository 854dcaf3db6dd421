import struct

import numpy as np
import pytest
from graphs import graph, mean_fuser, nearest, network, router
from hypothesis import given
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto, helper, numpy_helper

from mmsr_core.errors import BundleError, NotFinite
from mmsr_core.runtime.graphcheck import check_graph
from mmsr_core.runtime.wire import PARTS
from mmsr_registry import Registry

SHELF = sorted(Registry().shelf.rglob("*.onnx"))
NODE = helper.make_node


def expert(nodes, weights=None):
    """A graph of tiles → upscaled with these nodes, unchecked by onnx."""
    ends = [helper.make_tensor_value_info(n, 1, [None] * 4) for n in ("tiles", "upscaled")]
    tensors = [numpy_helper.from_array(np.asarray(v), k) for k, v in (weights or {}).items()]
    body = helper.make_graph(nodes, "test", ends[:1], ends[1:], tensors)
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def refusal(model, kind=BundleError):
    data = model if isinstance(model, bytes) else model.SerializeToString()
    with pytest.raises(kind) as caught:
        check_graph(data, "the graph")
    message = str(caught.value)
    assert message.startswith("the graph: ")
    assert "\n" not in message
    return message


def said_of(data):
    """The refusal of some bytes, nothing when they pass."""
    try:
        check_graph(data, "bytes")
    except BundleError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("path", SHELF, ids=lambda path: "/".join(path.parts[-4:]))
def test_every_graph_that_ships_passes(path):
    check_graph(path.read_bytes(), path.name)


@pytest.mark.parametrize("data", [network(), nearest(), router([1.0], [0.0]), mean_fuser()])
def test_a_plain_graph_passes(data):
    check_graph(data, "plain")


@pytest.mark.parametrize("data", [b"", b"hello", nearest()[:100], b"\xff" * 40], ids=str)
def test_what_is_no_graph_is_refused(data):
    assert "not an ONNX graph" in refusal(data)


@given(st.binary(max_size=400))
def test_any_bytes_pass_or_are_refused(data):
    assert "\n" not in said_of(data)


@given(st.integers(0, len(nearest()) - 1), st.integers(0, 255))
def test_any_changed_byte_passes_or_is_refused(place, value):
    data = bytearray(nearest())
    data[place] = value
    assert "\n" not in said_of(bytes(data))


def test_a_name_with_a_line_break_is_quoted_in_one_line():
    model = expert([NODE("Identity", ["tiles\nand more"], ["upscaled"])])
    assert 'takes "tiles and more"' in refusal(model)


@pytest.mark.parametrize("domain", ["com.microsoft", "evil", "ai.onnx.training"])
def test_operators_of_other_domains_are_refused(domain):
    model = expert([NODE("Gelu", ["tiles"], ["upscaled"], domain=domain)])
    assert f'it uses Gelu, an operator of "{domain}"' in refusal(model)


def test_data_in_another_file_is_refused():
    model = expert([NODE("Add", ["tiles", "w"], ["upscaled"])], {"w": np.float32([1])})
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../etc/passwd")
    assert 'its weight "w" lies in another file' in refusal(model)


def test_data_in_another_file_is_refused_in_an_attribute_too():
    tensor = numpy_helper.from_array(np.float32([1]), "w")
    tensor.external_data.add(key="location", value="/etc/passwd")
    nodes = [NODE("Constant", [], ["w"], value=tensor), NODE("Add", ["tiles", "w"], ["upscaled"])]
    assert "lies in another file" in refusal(expert(nodes))


@pytest.mark.parametrize("op", ["Loop", "Scan", "If"])
def test_loops_and_branches_are_refused(op):
    body = expert([NODE("Identity", ["tiles"], ["upscaled"])]).graph
    model = expert([NODE(op, ["tiles"], ["upscaled"], body=body)])
    assert f"its {op} is a loop or a branch" in refusal(model)


def test_functions_are_refused():
    model = expert([NODE("Identity", ["tiles"], ["upscaled"])])
    model.functions.add(name="f", domain="own")
    assert "functions of its own" in refusal(model)


def test_a_training_part_is_refused():
    model = expert([NODE("Identity", ["tiles"], ["upscaled"])])
    model.training_info.add()
    assert "train itself" in refusal(model)


def test_sparse_weights_are_refused():
    model = expert([NODE("Identity", ["tiles"], ["upscaled"])])
    model.graph.sparse_initializer.add(dims=[2**20, 2**20])
    assert "sparse" in refusal(model)


@pytest.mark.parametrize("dims", [[2**40], [2**20, 2**20], [64, 2], [-1]])
def test_a_weight_that_declares_more_than_it_holds_is_refused(dims):
    model = expert([NODE("Add", ["tiles", "w"], ["upscaled"])], {"w": np.float32([1, 2])})
    del model.graph.initializer[0].dims[:]
    model.graph.initializer[0].dims.extend(dims)
    assert 'its weight "w" has fewer numbers than it says' in refusal(model)


def test_an_attribute_given_twice_is_refused():
    data = expert([NODE("Constant", [], ["w"], value=numpy_helper.from_array(np.float32([1])))])
    attribute = data.graph.node[0].attribute[0]
    tensor = attribute.t.SerializeToString()
    twice = attribute.SerializeToString() + b"\x2a" + bytes([len(tensor)]) + tensor
    node = b"\x22\x08Constant\x12\x01w" + b"\x2a" + bytes([len(twice)]) + twice
    body = b"\x0a" + bytes([len(node)]) + node
    assert "several values" in refusal(b"\x08\x08\x3a" + bytes([len(body)]) + body)


def test_constants_that_double_are_refused():
    nodes = [NODE("Concat", [f"z{i}"] * 2, [f"z{i + 1}"], axis=0) for i in range(40)]
    model = expert([*nodes, NODE("Add", ["tiles", "z40"], ["upscaled"])], {"z0": np.float32([1])})
    assert "from constants alone" in refusal(model)


@pytest.mark.parametrize(
    "node",
    [
        NODE("ConstantOfShape", ["shape"], ["z"]),
        NODE("Expand", ["one", "shape"], ["z"]),
        NODE("Tile", ["one", "shape"], ["z"]),
        NODE("RandomNormal", [], ["z"], shape=[2**20, 2**20]),
    ],
    ids=lambda node: node.op_type,
)
def test_constants_that_grow_are_refused(node):
    weights = {"one": np.float32([1]), "shape": np.array([2**40])}
    model = expert([node, NODE("Add", ["tiles", "z"], ["upscaled"])], weights)
    assert f"its {node.op_type} works on constants alone" in refusal(model)


def test_nodes_out_of_order_are_refused():
    model = expert([NODE("Relu", ["z"], ["upscaled"]), NODE("Relu", ["tiles"], ["z"])])
    assert 'its Relu takes "z", which is not there yet' in refusal(model)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", [np.float32, np.float16, np.float64])
def test_weights_that_are_not_finite_are_refused(bad, kind):
    model = expert([NODE("Add", ["tiles", "w"], ["upscaled"])], {"w": np.array([1, bad], kind)})
    assert refusal(model, NotFinite) == 'the graph: its weight "w" is not finite'


def test_weights_in_plain_lists_are_looked_at_too():
    tensor = helper.make_tensor("w", TensorProto.FLOAT, [2], [1.0, np.nan])
    assert not tensor.raw_data
    model = expert([NODE("Add", ["tiles", "w"], ["upscaled"])])
    model.graph.initializer.append(tensor)
    refusal(model, NotFinite)


def test_a_single_infinity_is_a_bound_and_passes():
    nodes = [NODE("Clip", ["tiles", "low", "high"], ["upscaled"])]
    weights = {"low": np.float32(0), "high": np.float32(np.inf)}
    check_graph(graph(nodes, weights, ("tiles", 4), ("upscaled", 4)), "bounded")


def test_a_single_nan_is_refused():
    model = expert([NODE("Add", ["tiles", "w"], ["upscaled"])], {"w": np.float32(np.nan)})
    refusal(model, NotFinite)


def test_more_fields_than_any_graph_has_are_refused():
    assert "too many parts" in refusal(b"\x08\x08" * (PARTS + 1))


def test_a_forest_of_many_numbers_passes():
    floats, ints = [0.5] * 100_000, list(range(100_000))
    modes = [b"BRANCH_LEQ", b"LEAF", b"", b"x" * 32, b"x" * 200] * 20_000
    forest = NODE(
        *("TreeEnsembleRegressor", ["tiles"], ["upscaled"]),
        domain="ai.onnx.ml",
        nodes_values=floats,
        nodes_nodeids=ints,
        nodes_modes=modes,
    )
    check_graph(expert([forest]).SerializeToString(), "forest")


def test_a_loop_behind_a_long_list_is_still_seen():
    model = expert([NODE("Loop", ["tiles"], ["upscaled"], ints=list(range(1000)))])
    attribute = model.graph.node[0].attribute[0]
    attribute.g.CopyFrom(expert([]).graph)  # whatever its type says
    assert "a loop or a branch" in refusal(model)


def test_the_walk_agrees_with_onnx_on_what_a_graph_holds():
    data = network()
    model = ModelProto.FromString(data)
    model.graph.initializer[0].raw_data += struct.pack("<f", np.nan)
    refusal(model, NotFinite)


def forest(trees, op="TreeEnsembleRegressor"):
    return expert([NODE(op, ["tiles"], ["upscaled"], domain="ai.onnx.ml", nodes_treeids=trees)])


def test_a_tree_that_may_be_too_deep_for_the_stack_is_refused():
    assert "a tree of more than 8192 nodes" in refusal(forest([0, 1] * 8193))


def test_a_forest_of_many_small_trees_passes():
    check_graph(forest([n // 8 for n in range(40_000)]).SerializeToString(), "forest")


def test_a_forest_that_does_not_number_its_trees_is_refused():
    assert "is a TreeEnsemble" in refusal(forest([0], "TreeEnsemble"))


def test_a_tree_hidden_behind_overlong_numbers_is_refused():
    name = b"\x0a\x0dnodes_treeids"
    attribute = name + b"\x40\x00\x40\x80\x00\x40\x80\x80\x00" * 9
    node = b"\x22\x04Tree\x2a" + bytes([len(attribute)]) + attribute
    body = b"\x0a" + bytes([len(node)]) + node
    assert "longer than it has to be" in refusal(b"\x08\x08\x3a" + bytes([len(body)]) + body)


def test_more_nodes_than_can_be_opened_in_time_are_refused():
    nodes = [NODE("Relu", ["tiles"], [f"x{number}"]) for number in range(10_001)]
    assert "it has 10001 nodes" in refusal(expert(nodes))

import numpy as np
import pytest
from graphs import expert, network, write_upscaler

from mmsr_core.errors import NotFinite, OutOfMemory
from mmsr_core.runtime.bundle import Manifest
from mmsr_core.runtime.engine import Engine
from mmsr_core.runtime.experts import Experts, suited
from mmsr_core.runtime.session import Device, Session

CPU, GPU = Device("cpu", "a test"), Device("cuda:0", "a test")
EIGHT_BITS = {
    "precision": "int8",
    "graph": "dear-int8.onnx",
    "exact": "dear.onnx",
    "exact_cost": 2.5,
}


def tiles(count=1, height=40, width=24):
    return np.random.default_rng(0).random((count, 3, height, width), np.float32)


@pytest.fixture
def bundle(tmp_path):
    """`dear` in 8 bits, its fp32 graph beside it, and `cheap` in fp32 alone."""
    experts = [expert("cheap", 0.01, 3.0, 0), expert("dear", 1.0, 500.0, 2) | EIGHT_BITS]
    return write_upscaler(tmp_path / "b", {"dear-int8.onnx": network(seed=1)}, experts=experts)


@pytest.fixture
def experts(bundle, monkeypatch):
    """experts(breaks, device): theirs is a session that breaks(origin, tiles) may make fail."""

    def make(breaks, device=CPU):
        said, runs = [], []

        class Breaking(Session):
            def run(self, array, output, shape):
                runs.append((self._origin, array.shape))
                breaks(self._origin, array)
                return super().run(array, output, shape)

        monkeypatch.setattr("mmsr_core.runtime.experts.Session", Breaking)
        graphs = {name: bundle.graph(name) for name in bundle.manifest.files}
        return Experts(bundle.manifest, graphs, device, 1, said.append), said, runs

    return make


def larger_than(pixels):
    def breaks(origin, array):
        if array[0, 0].size * len(array) > pixels:
            raise OutOfMemory("too much")

    return breaks


def not_finite(origin, array):
    if origin == "dear":
        raise NotFinite("dear: upscaled is not finite")


def healthy(origin, array):
    pass


def test_a_batch_that_runs_out_of_memory_is_halved_and_said_once(experts):
    batch = tiles(count=8, height=8, width=8)
    found, said, runs = experts(larger_than(2 * 64))
    whole, _, _ = experts(healthy)
    np.testing.assert_array_equal(found.run("cheap", batch), whole.run("cheap", batch))
    assert said == ["cheap: out of memory on cpu; going on in halves"]
    assert [shape[0] for _, shape in runs] == [8, 4, 2, 2, 2, 2]


def test_what_was_too_much_once_is_not_tried_again(experts):
    found, _, runs = experts(larger_than(2 * 64))
    found.run("cheap", tiles(count=8, height=8, width=8))
    runs.clear()
    found.run("cheap", tiles(count=8, height=8, width=8))
    assert [shape[0] for _, shape in runs] == [2, 2, 2, 2]


@pytest.mark.parametrize(("height", "width"), [(40, 24), (24, 41), (33, 33)])
def test_a_tile_that_runs_out_of_memory_is_halved_without_a_trace(experts, height, width):
    tile = tiles(1, height, width)
    found, said, runs = experts(larger_than(height * width // 3))
    whole, _, _ = experts(healthy)
    np.testing.assert_allclose(found.run("dear", tile), whole.run("dear", tile), atol=1e-6)
    assert len(runs) > 4
    assert said


def test_a_tile_too_small_to_be_halved_runs_out_of_memory(experts):
    with pytest.raises(OutOfMemory):
        experts(larger_than(0))[0].run("dear", tiles())


def test_a_tile_that_is_not_finite_runs_on_the_exact_graph_and_is_said_once(experts):
    found, said, _ = experts(not_finite)
    answer = found.run("dear", tiles())
    found.run("dear", tiles())
    exact = Session(network(), CPU, "exact").run(tiles(), "upscaled", answer.shape)
    np.testing.assert_array_equal(answer, exact)
    assert said == ["dear: an answer in int8 is not finite; that tile runs in fp32"]


def test_the_finite_tiles_of_a_batch_keep_their_precision(experts):
    batch = tiles(count=3)
    batch[1] = 0

    def breaks(origin, array):
        if origin == "dear" and (array == 0).all((1, 2, 3)).any():
            raise NotFinite("dear: upscaled is not finite")

    found, _, _ = experts(breaks)
    whole, _, _ = experts(healthy)
    eight, mended = whole.run("dear", batch), found.run("dear", batch)
    np.testing.assert_allclose(mended[[0, 2]], eight[[0, 2]], atol=1e-6)
    assert np.abs(mended[1] - eight[1]).max() > 1e-3


def test_without_an_exact_graph_what_is_not_finite_stays_an_error(experts):
    def breaks(origin, array):
        raise NotFinite(f"{origin}: upscaled is not finite")

    with pytest.raises(NotFinite, match="cheap"):
        experts(breaks)[0].run("cheap", tiles())


def test_the_exact_graph_is_opened_when_it_is_first_needed(experts):
    found, _, _ = experts(not_finite)
    assert found._exact == {}
    found.run("dear", tiles())
    assert list(found._exact) == ["dear"]


def test_a_gpu_runs_the_fp32_graph_of_an_8_bit_expert_at_its_own_cost(bundle):
    dear = suited(bundle.manifest, GPU).expert("dear")
    assert (dear.graph, dear.cost, dear.precision, dear.exact) == ("dear.onnx", 2.5, "fp32", None)
    assert suited(bundle.manifest, GPU).deepest == dear


def test_fp16_is_for_gpus(bundle):
    facts = bundle.manifest.model_dump()
    facts["experts"][1]["precision"] = "fp16"
    manifest = Manifest.model_validate(facts)
    assert suited(manifest, GPU) == manifest
    dear = suited(manifest, CPU).expert("dear")
    assert (dear.graph, dear.cost, dear.precision) == ("dear.onnx", 2.5, "fp32")


def test_a_cpu_runs_what_the_bundle_says(bundle):
    assert suited(bundle.manifest, CPU) is bundle.manifest


def test_an_engine_mends_what_is_not_finite(bundle, monkeypatch):
    said = []
    engine = Engine(bundle, "cpu", notice=said.append)
    image = np.random.default_rng(0).random((30, 20, 3), np.float32)
    plain = engine.upscale(image, effort=1.0).pixels
    session = engine._pipeline.experts._sessions["dear"]

    def overflow(array, output, shape):
        raise NotFinite("dear: upscaled is not finite")

    monkeypatch.setattr(session, "run", overflow)
    mended = engine.upscale(image, effort=1.0).pixels
    assert np.abs(mended - plain).max() > 1e-3
    assert len(said) == 1

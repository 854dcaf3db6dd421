import numpy as np
import pytest
from graphs import expert, mean_fuser, nearest, network, router, write_upscaler
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsr_core import load
from mmsr_core.errors import BundleError, DeviceError
from mmsr_core.runtime.engine import Engine
from mmsr_core.runtime.plan import Costs, Plan, Region
from mmsr_core.runtime.session import Device

FUSED = {
    "classes": ["SIMPLE", "MODERATE"],
    "routes": {
        "SIMPLE": {"experts": ["bright", "dark"], "fuser": "mean"},
        "MODERATE": {"experts": ["dark"]},
    },
    "experts": [expert("bright", 0.4, 10.0, 0), expert("dark", 0.5, 20.0, 0)],
    "fusers": {"mean": {"graph": "mean.onnx"}},
}
FUSED_GRAPHS = {
    "router.onnx": router([1.0, -1.0], [0.0, 1.0]),
    "bright.onnx": nearest(gain=0.75),
    "dark.onnx": nearest(gain=0.25),
    "mean.onnx": mean_fuser(),
}


def noise(height, width, seed=0):
    return np.random.default_rng(seed).random((height, width, 3), np.float32)


def halves(height=32, width=64):
    """Black on the left, noise on the right: one half for each route."""
    image = noise(height, width)
    image[:, : width // 2] = 0
    return image


def enlarged(image, scale=2):
    return image.repeat(scale, 0).repeat(scale, 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("engines")


@pytest.fixture(scope="module")
def engine(folder):
    return Engine(write_upscaler(folder / "tiny"), "cpu")


@pytest.fixture(scope="module")
def one_expert(folder):
    """Both routes run the same network at different costs, so that plans cut where they like."""
    routes = {"SIMPLE": {"experts": ["cheap"]}, "COMPLEX": {"experts": ["dear"]}}
    graphs = {"cheap.onnx": network(), "dear.onnx": network()}
    return Engine(write_upscaler(folder / "one", graphs, routes=routes), "cpu")


@pytest.fixture
def opened(tmp_path):
    """opened(graphs, **facts): an engine on a changed bundle."""
    return lambda graphs, **facts: Engine(write_upscaler(tmp_path / "b", graphs, **facts), "cpu")


def test_each_part_goes_to_its_route(engine):
    routes = engine.upscale(halves()).plan.routes
    assert routes.tolist() == [[0] * 4 + [1] * 4] * 4


def test_each_part_is_answered_by_its_route(engine):
    image = halves()
    pixels = engine.upscale(image).pixels
    left, right = slice(0, 62), slice(66, 128)  # beyond the cross-fade
    assert (pixels[:, left] == 0).all()
    whole = engine.run_expert("dear", image)
    np.testing.assert_allclose(pixels[:, right], whole[:, right], atol=1e-5)


@settings(max_examples=25)
@given(
    st.integers(1, 60),
    st.integers(1, 60),
    st.integers(0, 99),
    st.floats(0, 1),
    st.sampled_from([None, 0, 3, 8]),
)
def test_one_expert_in_tiles_equals_that_expert_on_the_whole_image(
    one_expert, height, width, seed, effort, overlap
):
    image = noise(height, width, seed)
    dark = np.random.default_rng(seed).random((-(-height // 8), -(-width // 8))) < 0.5
    image[dark.repeat(8, 0).repeat(8, 1)[:height, :width]] = 0
    tiled = one_expert.upscale(image, effort, overlap).pixels
    np.testing.assert_allclose(tiled, one_expert.run_expert("dear", image), atol=1e-5)


def test_a_checkerboard_of_routes_shows_no_border(one_expert, monkeypatch):
    image = noise(48, 40)

    def checkerboard(losses, grid, costs, price, *_):
        routes = np.indices((grid.rows, grid.columns)).sum(0) % 2
        regions = tuple(
            Region(grid.box(slice(i, i + 1), slice(j, j + 1)), int(routes[i, j]))
            for i, j in np.ndindex(routes.shape)
        )
        return Plan(grid, regions, routes, costs)

    monkeypatch.setattr("mmsr_core.runtime.engine.make_plan", checkerboard)
    result = one_expert.upscale(image)
    assert len(result.plan.regions) == 30
    np.testing.assert_allclose(result.pixels, one_expert.run_expert("dear", image), atol=1e-5)


def test_without_enough_halo_the_border_would_show(opened):
    facts = {"tiles": {"cell": 8, "halo": 0, "seam": 0}}
    engine = opened({"cheap.onnx": network()}, **facts)
    image = halves()
    difference = np.abs(engine.upscale(image).pixels - engine.run_expert("dear", image))
    assert difference[:, 60:68].max() > 1e-3
    assert difference[:, :60].max() < 1e-5


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 50), (7, 3), (9, 17)])
def test_any_size_is_upscaled(engine, height, width):
    assert engine.upscale(noise(height, width)).pixels.shape == (2 * height, 2 * width, 3)


def test_effort_one_runs_the_deepest_expert_everywhere(engine):
    image = halves()
    result = engine.upscale(image, effort=1.0)
    assert (result.plan.routes == 1).all()
    assert len(result.plan.regions) == 1
    np.testing.assert_array_equal(result.pixels, engine.run_expert("dear", image))


def test_effort_one_costs_what_a_plain_run_costs(engine):
    result = engine.upscale(halves(), effort=1.0)
    assert result.plan.cost == pytest.approx(1.0)
    assert result.macs == 500.0 * 32 * 64


def test_macs_count_the_halo(engine):
    result = engine.upscale(halves())
    computed = (32 + 3) * 32  # each half, two pixels of halo and one of seam beyond the border
    assert result.macs == computed * 3.0 + computed * 500.0


def test_effort_defaults_to_the_bundles_own(folder):
    engine = Engine(write_upscaler(folder / "eager", effort={"default": 1.0}), "cpu")
    assert (engine.upscale(halves()).plan.routes == 1).all()


def test_a_fused_route_joins_the_answers_of_its_experts(opened):
    engine = opened(FUSED_GRAPHS, **FUSED)
    image = np.full((16, 16, 3), 0.1, np.float32)
    np.testing.assert_allclose(engine.upscale(image).pixels, 0.05, atol=1e-6)


def test_a_fused_and_a_plain_route_share_an_expert(opened):
    engine = opened(FUSED_GRAPHS, **FUSED)
    image = np.full((32, 64, 3), 0.1, np.float32)
    image[:, 32:] = 0.9
    result = engine.upscale(image)
    assert result.plan.routes[0].tolist() == [0] * 4 + [1] * 4
    np.testing.assert_allclose(result.pixels[:, :62], 0.05, atol=1e-6)
    np.testing.assert_allclose(result.pixels[:, 66:], 0.225, atol=1e-6)


def test_a_fused_route_costs_all_its_experts(opened):
    result = opened(FUSED_GRAPHS, **FUSED).upscale(np.full((16, 16, 3), 0.1, np.float32))
    assert result.macs == 30.0 * 256
    assert result.plan.cost == pytest.approx(0.9)


def test_images_upscaled_together_equal_images_upscaled_alone(engine, monkeypatch):
    monkeypatch.setattr(Device, "batch_pixels", 2**20)
    images = [halves(), noise(20, 30), halves(), noise(1, 1)]
    for image, result in zip(images, engine.upscale_all(images), strict=True):
        np.testing.assert_allclose(result.pixels, engine.upscale(image).pixels, atol=1e-6)


def test_no_images_are_no_results(engine):
    assert engine.upscale_all([]) == []


def test_progress_rises_to_all(engine):
    shares = []
    engine.upscale(halves(), progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)


def test_the_stages_are_timed(engine):
    seconds = engine.upscale(halves()).seconds
    assert seconds.keys() == {"route", "plan", "read", "experts", "stitch"}
    assert all(spent > 0 for spent in seconds.values())


def test_probabilities_route_as_well(opened):
    facts = {
        "router": {"graph": "router.onnx", "output": "probs", "features": ["mean"]},
        "effort": {"default": 0.8},
    }
    engine = opened({"router.onnx": router([-1.0, 1.0], [1.0, 0.0], "probs")}, **facts)
    assert engine.upscale(halves()).plan.routes[0].tolist() == [0] * 4 + [1] * 4


def test_a_router_that_answers_no_number_is_refused(opened):
    engine = opened({"router.onnx": router([3e38, 0.0], [3e38, 1.0])})
    with pytest.raises(BundleError, match="tiny-x2: router: errors is not finite"):
        engine.upscale(noise(8, 8))


def test_a_router_that_answers_for_other_routes_is_refused(opened):
    engine = opened({"router.onnx": router([0.0] * 3, [1.0] * 3)})
    with pytest.raises(BundleError, match=r"errors has shape \(4, 3\), not \(4, 2\)"):
        engine.upscale(noise(16, 16))


def test_a_router_without_the_promised_output_is_refused(opened):
    engine = opened({"router.onnx": router([0.0] * 2, [1.0] * 2, "probs")})
    with pytest.raises(BundleError, match='no output named "errors"; here: features, probs'):
        engine.upscale(noise(16, 16))


def test_an_expert_of_another_scale_is_refused(opened):
    engine = opened({"dear.onnx": network(scale=3)})
    with pytest.raises(BundleError, match="dear: upscaled has shape"):
        engine.upscale(noise(16, 16), effort=1.0)


def test_a_graph_that_is_not_onnx_is_refused(opened):
    with pytest.raises(BundleError, match="dear: not an ONNX graph"):
        opened({"dear.onnx": b"not a graph"})


def test_a_device_that_is_not_there_is_refused(folder):
    with pytest.raises(DeviceError, match='no device "tpu"'):
        Engine(write_upscaler(folder / "tpu"), "tpu")


def test_an_unknown_expert_is_refused_with_the_nearest(engine):
    with pytest.raises(BundleError, match=r'no expert named "dere".*did you mean "dear"'):
        engine.run_expert("dere", noise(8, 8))


@pytest.mark.parametrize("overlap", [-1, 9])
def test_an_overlap_wider_than_a_cell_is_refused(engine, overlap):
    with pytest.raises(ValueError, match=f"overlap {overlap} is not within 0 and the cell, 8"):
        engine.upscale(noise(8, 8), overlap=overlap)


@pytest.mark.parametrize("effort", [-0.1, 1.1, np.nan])
def test_an_effort_outside_its_range_is_refused(engine, effort):
    with pytest.raises(ValueError, match="is not within 0 and 1"):
        engine.upscale(noise(8, 8), effort=effort)


def test_an_engine_opens_from_a_folder(folder):
    directory = write_upscaler(folder / "opened").directory
    assert Engine.open(directory, "cpu").manifest.name == "tiny-x2"


def test_halo_covers_a_wide_overlap(one_expert):
    image = halves()
    costs = one_expert.upscale(image, overlap=8).plan.costs
    assert costs == Costs.of([[0.01], [1.0]], halo=2 + 4)


def test_the_router_answers_the_same_bits_with_any_number_of_threads():
    cells = np.random.default_rng(0).random((96, 3, 32, 32), np.float32) ** 3
    one, two, three = (
        load("compact-x4", "cpu", threads).engine._router.session.run(cells, "errors", (96, 6))
        for threads in (1, 2, 3)
    )
    np.testing.assert_array_equal(two, one)
    np.testing.assert_array_equal(three, one)

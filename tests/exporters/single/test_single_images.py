"""The one graph of many images answers for each what it answers for that one alone."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from systems import brightening, fused, grown, plain, probable

from mmsr_core.runtime.bundle import Bundle
from mmsr_onnx.single.check import Answer, Reference, check_images, open_graph
from mmsr_onnx.single.image import images_graph

Run = Callable[..., Answer]


@pytest.fixture(scope="module", params=[plain, fused, probable, grown])
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return request.param(tmp_path_factory.mktemp("images") / "bundle")


@pytest.fixture(scope="module")
def batched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Reference]:
    bundle = plain(tmp_path_factory.mktemp("batched") / "bundle")
    return open_graph(images_graph(bundle).SerializeToString()), Reference.open(bundle)


def test_a_batch_of_unlike_images_and_efforts_is_answered_image_by_image(bundle: Bundle) -> None:
    assert check_images(images_graph(bundle).SerializeToString(), bundle) <= 1e-5


@settings(max_examples=20)
@given(
    count=st.integers(1, 4),
    height=st.integers(1, 70),
    width=st.integers(1, 150),
    efforts=st.lists(st.floats(0, 1, width=32), min_size=4, max_size=4),
)
def test_an_image_is_answered_as_if_alone(
    batched: tuple[Run, Reference], count: int, height: int, width: int, efforts: list[float]
) -> None:
    run, reference = batched
    images = np.stack([(1 - 0.2 * k) * brightening(height, width, k) for k in range(count)])
    upscaled, routes = run(images.astype(np.float32), np.float32(efforts)[:count, None])
    for index in range(count):
        image = images[index].astype(np.float32)
        expected, wanted = reference.upscale_image(image, efforts[index])
        np.testing.assert_array_equal(routes[index], wanted)
        np.testing.assert_allclose(upscaled[index], expected, atol=1e-5)

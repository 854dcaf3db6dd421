import tomllib
from importlib.metadata import EntryPoint, PackageNotFoundError, distribution
from pathlib import Path

import pytest
import torch

from mmsr_core.errors import PluginError
from mmsr_core.plugin.catalog import Catalog
from mmsr_core.plugin.testing import (
    check_backbone,
    check_classifier,
    check_codec,
    check_extractor,
    check_fuser,
    check_metric,
)
from mmsr_onnx.graphs import IMAGE, UPSCALED, from_torch, to_bytes
from mmsr_onnx.parity import check_network


def installed():
    """The catalog of this environment, or of the checkout that the tests run from."""
    try:
        distribution("mmsr")
    except PackageNotFoundError:
        pyproject = (Path(__file__).parents[2] / "pyproject.toml").read_text()
        table = tomllib.loads(pyproject)["project"]["entry-points"]["mmsr"]
        return Catalog.load(EntryPoint(name, value, "mmsr") for name, value in table.items())
    return Catalog.load()


CATALOG = installed()


def every(kind):
    found = [entry.component for entry in CATALOG.entries if entry.kind == kind]
    return pytest.mark.parametrize("component", found, ids=lambda component: component.name)


def test_every_installed_plugin_loads():
    assert CATALOG.broken == ()
    assert CATALOG.conflicts() == []


@every("backbone")
def test_every_installed_backbone_keeps_its_contract(component):
    check_backbone(component)


@every("extractor")
def test_every_installed_extractor_keeps_its_contract(component):
    check_extractor(component)


@every("classifier")
def test_every_installed_classifier_keeps_its_contract(component):
    check_classifier(component, names=("tvat", "edge_score"))


@every("fuser")
def test_every_installed_fuser_keeps_its_contract(component):
    check_fuser(component)


@every("codec")
def test_every_installed_codec_keeps_its_contract(component):
    check_codec(component)


@every("metric")
def test_every_installed_metric_that_opens_keeps_its_contract(component):
    try:
        component.open()
    except PluginError as error:  # its weights or its package are not on this machine
        pytest.skip(str(error))
    check_metric(component)


def compare(module, axes, *shapes):
    """The module against its graph, on inputs (n,3,h,w) or (n,k,3,h,w) of several shapes."""
    inputs = [torch.rand(shape).numpy() for shape in shapes]
    example, names = torch.from_numpy(inputs[0]), ("inputs", "outputs")
    graph = to_bytes(from_torch(module, example, names, axes, "graph"))
    check_network(module, graph, inputs, "graph")


@every("backbone")
def test_every_installed_backbone_answers_alike_as_a_graph(component):
    module = component.build(depth=component.depths[0], scale=component.scales[0]).eval()
    compare(module, (IMAGE, UPSCALED), (2, 3, 12, 16), (3, 3, 17, 9))


@every("extractor")
def test_every_installed_extractor_answers_alike_as_a_graph(component):
    axes = ("n", None, None, None), ("n", None)
    compare(component.build().eval(), axes, (4, 3, 32, 32), (7, 3, 32, 32))


@every("fuser")
def test_every_installed_fuser_answers_alike_as_a_graph(component):
    axes = ("n", None, None, "h", "w"), ("n", None, "h", "w")
    compare(component.build(scale=2).eval(), axes, (2, 2, 3, 12, 16), (3, 2, 3, 17, 9))

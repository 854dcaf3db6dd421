from dataclasses import replace
from pathlib import Path

import pytest
from torch import nn

from mmsr_core.errors import PluginError
from mmsr_core.plugin.components import Loaded, Loader
from mmsr_core.plugin.testing import check_loader


def load(path: Path) -> Loaded:
    """A nearest neighbour, of any file that says so."""
    if path.read_bytes() != b"nearest":
        raise PluginError(f"{path}: no nearest neighbour")
    return Loaded(module=nn.Upsample(scale_factor=2).eval(), architecture="nearest", scale=2)


SOUND = Loader(name="nearest", summary="nearest", suffixes=(".near",), load=load)


@pytest.fixture
def path(tmp_path):
    (tmp_path / "a.near").write_bytes(b"nearest")
    return tmp_path / "a.near"


def test_a_sound_loader_passes(path):
    check_loader(SOUND, path)


def careless(path: Path) -> Loaded:
    return Loaded(module=nn.Upsample(scale_factor=2).eval(), architecture="nearest", scale=2)


def clumsy(path: Path) -> Loaded:
    return load(path) if path.name == "a.near" else {}["weights"]


@pytest.mark.parametrize(
    ("changes", "seen"),
    [
        ({"load": careless}, "seen: an upscaler"),
        ({"load": clumsy}, "seen: KeyError"),
        ({"load": lambda path: replace(load(path), scale=3)}, "promised float32"),
        ({"load": lambda path: replace(load(path), module=nn.Upsample(scale_factor=2))}, "train"),
        ({"suffixes": (".NEAR",)}, "promised suffixes"),
        ({"suffixes": (".far",)}, "promised to open .near"),
    ],
)
def test_a_loader_that_breaks_its_contract_is_told(path, changes, seen):
    with pytest.raises(PluginError, match=seen):
        check_loader(replace(SOUND, **changes), path)

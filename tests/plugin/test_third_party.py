"""A stranger's distribution, installed by pip: it trains, exports, and is not needed after."""

import json
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import numpy as np
import pytest

from mmsr_core.runtime import image

ROOT = Path(__file__).parents[2]
SOURCES = (
    "mmsr_core",
    "plugins",
    "exporters",
    "registry",
    "pyproject.toml",
    "README.md",
    "LICENSE",
)
RECIPE = """
name = "stranger-x2"
scale = 2
data = [{ folder = "photos" }]
split = { experts = 0.5, router = 0.25, test = 0.25 }
training = { steps = 5, batch = 2, patch = 12, warmup = 0 }
experts = [
  { name = "floor", backbone = "bicubic" },
  { name = "strange", backbone = "example", depth = 1, options = { channels = 8 } },
]
[router]
classifier = { name = "forest", options = { trees = 4 } }
[routes]
SIMPLE = "floor"
COMPLEX = "strange"
"""
NO_TRAINING = "import sys; sys.modules.update(dict.fromkeys({}))\n".format(
    ["torch", "sklearn", "scipy", "onnx", "skl2onnx", "mmsr_example_backbone"]
)


def run(*command):
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def write_photo(path, seed):
    """Half smooth, half noise, so that both classes have cells."""
    rng = np.random.default_rng(seed)
    pixels = np.tile(np.linspace(0, 1, 96, dtype=np.float32)[None, :, None], (96, 1, 3))
    pixels[:, 48:] = rng.random((96, 48, 3), dtype=np.float32)
    image.write(path, image.Image(rgb=pixels, alpha=None, bits=8, grey=False))


class Environment:
    """A virtual environment that has what this one has, and the given wheels besides."""

    def __init__(self, directory, *wheels):
        venv.create(directory, with_pip=False)
        self.bin = directory / "bin"
        paths = {"base": str(directory), "platbase": str(directory)}
        self.packages = Path(sysconfig.get_path("purelib", "venv", vars=paths))
        (self.packages / "running.pth").write_text(sysconfig.get_path("purelib") + "\n")
        pip = (sys.executable, "-m", "pip", "--python", self.bin / "python")
        run(*pip, "install", "-q", "--no-index", "--no-deps", "--ignore-installed", *wheels)

    def mmsr(self, *args):
        return run(self.bin / "mmsr", *args)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """The wheels of mmsr and of the example, built from copies so that no checkout changes."""
    work = tmp_path_factory.mktemp("sources")
    (work / "mmsr").mkdir()
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info", "build")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, work / "mmsr" / name, ignore=ignore)
        else:
            shutil.copy(ROOT / name, work / "mmsr")
    shutil.copytree(ROOT / "tests/thirdparty", work / "example", ignore=ignore)
    pip = (sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation")
    run(*pip, "-w", work / "wheels", work / "mmsr", work / "example")
    return {path.name.split("-")[0]: path for path in (work / "wheels").glob("*.whl")}


@pytest.fixture(scope="module")
def author(wheels, tmp_path_factory):
    """Where the plugin is installed."""
    return Environment(tmp_path_factory.mktemp("author"), *wheels.values())


@pytest.fixture(scope="module")
def bundle(author, tmp_path_factory):
    """What the stranger's backbone was trained and exported to."""
    work = tmp_path_factory.mktemp("training")
    (work / "recipe.toml").write_text(RECIPE)
    (work / "photos").mkdir()
    for seed in range(4):
        write_photo(work / "photos" / f"{seed}.png", seed)
    author.mmsr("train", work / "recipe.toml", "--out", work / "run")
    author.mmsr("export", work / "run", "--onnx", "--out", work / "bundle")
    return work / "bundle"


def test_an_installed_plugin_is_listed_with_its_owner(author):
    found = json.loads(author.mmsr("plugins", "--json"))
    owners = {component["name"]: component["owner"] for component in found["components"]}
    assert owners["example"] == "mmsr-example-backbone 0.1.0"
    assert owners["compact"].startswith("mmsr ")
    assert found["broken"] == found["conflicts"] == []


def test_the_main_distribution_does_not_bring_the_example(wheels):
    listing = run(sys.executable, "-m", "zipfile", "-l", wheels["mmsr"])
    assert "mmsr_core/draft.py" in listing
    assert "example" not in listing


def test_its_bundle_upscales_where_neither_it_nor_torch_is_there(bundle, wheels, tmp_path):
    machine = Environment(tmp_path / "machine", wheels["mmsr"])
    (machine.packages / "no_training.pth").write_text(NO_TRAINING)
    write_photo(tmp_path / "photo.png", 9)
    machine.mmsr("upscale", tmp_path / "photo.png", "-o", tmp_path / "large.png", "--model", bundle)
    assert image.read(tmp_path / "large.png").rgb.shape == (192, 192, 3)

"""docs/tutorial.md, followed word for word; only the trainings are shorter."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mmsr_core.runtime import image

ROOT = Path(__file__).parents[2]
TUTORIAL = (ROOT / "docs/tutorial.md").read_text()
SCRIPT = "from mmsr_core.cli import main; main(prog_name='mmsr')"


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", TUTORIAL, re.MULTILINE | re.DOTALL)


def commands():
    lines = (
        line.partition("#")[0].strip() for block in blocks("sh") for line in block.splitlines()
    )
    return [line for line in lines if line.startswith("mmsr ")]


def write_photo(path, seed):
    """A smooth ramp beside coarse noise, so that every class has cells."""
    rng = np.random.default_rng(seed)
    pixels = np.tile(np.linspace(0, 1, 160, dtype=np.float32)[None, :, None], (128, 1, 3))
    pixels[:, 80:] = rng.random((64, 40, 3), dtype=np.float32).repeat(2, 0).repeat(2, 1)
    image.write(path, image.Image(rgb=pixels, alpha=None, bits=8, grey=False))


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """The folder in which every command was run, and what each printed."""
    folder = tmp_path_factory.mktemp("tutorial")
    for name, count in (("photos", 8), ("kept-aside", 2)):
        (folder / name).mkdir()
        for seed in range(count):
            write_photo(folder / name / f"{seed}.png", seed)
    recipe, count = re.subn(r"steps = \d+", "steps = 3", blocks("toml")[0])
    assert count
    (folder / "recipe.toml").write_text(recipe)
    roots = [str(ROOT / shelf) for shelf in ("", "plugins", "exporters", "registry")]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(roots),
        "MMSR_HOME": str(folder / "home"),
    }
    printed = {}
    for line in commands():
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, *shlex.split(line)[1:]],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{line}: {done.stderr}"
        printed[line] = done.stdout + done.stderr
    return folder, printed


def test_the_tutorial_has_commands_from_training_to_measuring():
    names = [line.split()[1] for line in commands()]
    assert {"train", "export", "models", "upscale", "evaluate"} <= set(names)


def test_the_tutorial_ends_with_upscaled_photographs_and_a_picture(followed):
    folder, _ = followed
    large = image.read(folder / "large/0.png").rgb
    assert large.shape == (256, 320, 3)
    assert (folder / "mine.png").stat().st_size > 0


def test_the_models_of_the_tutorial_are_told(followed):
    _, printed = followed
    shown = next(text for line, text in printed.items() if line.startswith("mmsr models show"))
    assert "mine-x2" in shown


def test_the_table_of_the_tutorial_has_the_rows_that_are_printed(followed):
    _, printed = followed
    told = next(text for line, text in printed.items() if line.startswith("mmsr evaluate"))
    rows = re.findall(r"^([a-z0-9-]+) +\d+\.\d+", told, re.M)
    assert rows
    assert all(re.search(rf"^{row} +\d", TUTORIAL, re.M) for row in rows)

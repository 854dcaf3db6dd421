"""What the README and its further pages show works as shown."""

import re
import shlex
import tomllib
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from mmsr_core.cli import COMMANDS
from mmsr_core.train.recipe import parse

ROOT = Path(__file__).parents[2]
PAGES = "\n".join(path.read_text() for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")))
NAMES = ("shallow", "middle", "deep")
RECIPE = {
    "name": "shown",
    "scale": 4,
    "data": [{"folder": "photos", "store": "photos.tiles"}],
    "experts": {name: {"name": name, "backbone": "compact"} for name in NAMES},
    "routes": dict(zip(("SIMPLE", "MODERATE", "COMPLEX"), NAMES, strict=True)),
}


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGES, re.MULTILINE | re.DOTALL)


def commands():
    lines = "\n".join(blocks("sh")).splitlines()
    parts = [part.strip() for line in lines for part in line.partition("#")[0].split("&&")]
    return [part for part in parts if part.startswith("mmsr ")]


@pytest.mark.parametrize("block", blocks("python"))
def test_the_python_runs(block):
    exec(block, {"photo": np.full((9, 11, 3), 0.5, np.float32)})


@pytest.mark.parametrize("block", blocks("toml"))
def test_the_parts_of_a_recipe_are_accepted_in_one(block):
    shown = tomllib.loads(block)
    experts = RECIPE["experts"] | {one["name"]: one for one in shown.get("experts", ())}
    parse({**RECIPE, **shown, "experts": list(experts.values())}, "shown")


@pytest.mark.parametrize("line", commands())
def test_every_command_and_option_exists(line):
    _, name, *words = shlex.split(line)
    assert name in COMMANDS
    command = import_module(f"mmsr_core.cli.{name}").command
    if hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("-")} <= known

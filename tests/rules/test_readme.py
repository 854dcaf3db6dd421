"""What the README shows works as shown."""

import re
import shlex
import tomllib
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from mmsr_core.cli import COMMANDS
from mmsr_core.train.recipe import Route

README = (Path(__file__).parents[2] / "README.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands():
    lines = "\n".join(blocks("sh")).splitlines()
    parts = [part.strip() for line in lines for part in line.partition("#")[0].split("&&")]
    return [part for part in parts if part.startswith("mmsr ")]


@pytest.mark.parametrize("block", blocks("python"))
def test_the_python_runs(block):
    exec(block, {"photo": np.full((9, 11, 3), 0.5, np.float32)})


@pytest.mark.parametrize("block", blocks("toml"))
def test_the_routes_are_routes_of_a_recipe(block):
    routes = tomllib.loads(block)["routes"]
    assert [Route.model_validate(route).experts for route in routes.values()]


@pytest.mark.parametrize("line", commands())
def test_every_command_and_option_exists(line):
    _, name, *words = shlex.split(line)
    assert name in COMMANDS
    command = import_module(f"mmsr_core.cli.{name}").command
    if hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("-")} <= known

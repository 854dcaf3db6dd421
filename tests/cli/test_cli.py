import sys
from types import ModuleType

import click
import pytest
from click.testing import CliRunner

from mmsr_core.cli import COMMANDS, main
from mmsr_core.errors import MmsrError


@pytest.fixture
def run():
    return lambda *args: CliRunner().invoke(main, args, prog_name="mmsr")


@pytest.fixture
def plant(monkeypatch):
    """plant(action): `mmsr upscale` becomes a command that only does `action`."""

    def planted(action):
        module = ModuleType("mmsr_core.cli.upscale")
        module.command = click.command()(action)
        monkeypatch.setitem(sys.modules, module.__name__, module)

    return planted


def raising(error):
    def action():
        raise error

    return action


def test_help_lists_every_command_with_its_line(run):
    text = run("--help").output
    assert all(f"{name} " in text and line in text for name, line in COMMANDS.items())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(run, name):
    result = run(name, "--help")
    assert result.exit_code == 0
    assert f"Usage: mmsr {name}" in result.output


def test_an_unknown_command_suggests_the_nearest(run):
    result = run("upscail", "photo.png")
    assert result.exit_code == 2
    assert 'did you mean "upscale"?' in result.stderr


def test_an_unknown_option_is_a_usage_error(run):
    result = run("--colour")
    assert result.exit_code == 2
    assert "--colour" in result.stderr


def test_the_version_is_one_line(run):
    result = run("--version")
    assert result.exit_code == 0
    assert result.output.startswith("mmsr ")
    assert result.output.count("\n") == 1


def test_an_error_is_one_line_and_exit_code_1(run, plant):
    plant(raising(MmsrError("no such thing; do another")))
    result = run("upscale")
    assert result.exit_code == 1
    assert result.stderr == "mmsr: error: no such thing; do another\n"
    assert result.stdout == ""


def test_an_error_that_quotes_control_characters_stays_one_harmless_line(run, plant):
    plant(raising(MmsrError("no file\n\x1b[2Jevil.png")))
    assert run("upscale").stderr == "mmsr: error: no file  [2Jevil.png\n"


def test_ctrl_c_is_one_line_and_exit_code_130(run, plant):
    plant(raising(KeyboardInterrupt()))
    result = run("upscale")
    assert result.exit_code == 130
    assert result.stderr == "mmsr: error: interrupted\n"


def test_a_closed_pipe_is_not_worth_a_word(run, plant):
    plant(raising(BrokenPipeError(32, "Broken pipe")))
    result = run("upscale")
    assert result.exit_code == 1
    assert result.stderr == ""


def test_an_unexpected_exception_is_not_hidden(run, plant):
    plant(raising(ZeroDivisionError()))
    assert isinstance(run("upscale").exception, ZeroDivisionError)

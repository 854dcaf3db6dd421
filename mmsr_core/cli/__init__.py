"""The command line: one module per command, imported when that command runs."""

from importlib import import_module

import click

from mmsr_core.errors import MmsrError, no_such, one_line

COMMANDS = {
    "upscale": "Enlarge images: files or a folder in, files or a folder out.",
    "serve": "Upscale over HTTP: an API and a page.",
    "compress": "Make images small: .mmc files, by a learned codec.",
    "decompress": "Make images of .mmc files.",
    "evaluate": "Measure quality, time and cost of a model on HR photographs.",
    "bench": "Measure time and memory, file to file, beside other programs.",
    "prepare": "Cut photographs into tiles and prune the flat ones.",
    "niqe": "Score images by NIQE, which needs no reference.",
    "pretrain": "Train an encoder on images without labels.",
    "train": "Train experts and their router from a recipe.",
    "study": "Compare routers on a finished run.",
    "probe": "Measure what an encoder's representation is worth.",
    "report": "Write the tables of what runs and evaluations measured.",
    "export": "Turn a training run into a bundle that deploys.",
    "wrap": "Make a routed bundle of upscalers trained elsewhere.",
    "models": "List, show, search, add, remove and verify models.",
    "plugins": "List the installed components and who brings them.",
}
"""name → short help, here so that `mmsr --help` imports none of them."""

EXAMPLES = """\b
Examples:
  mmsr upscale photo.jpg -o photo-x4.png
  mmsr upscale holiday/ -o holiday-x4/ --effort 0.5
  mmsr models show compact-x4
  mmsr evaluate --model compact-x4 --images photographs/
  mmsr train recipe.toml --images photographs/ --out run
  mmsr export run --onnx --out my-model

`mmsr COMMAND --help` explains a command.
"""


class Failure(click.ClickException):
    """What the user can mend: one line on stderr, exit code 1 unless another is given."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(one_line(message))
        self.exit_code = exit_code  # type: ignore[misc]  # click has one for each class

    def show(self, file: object = None) -> None:
        """Print the line."""
        click.echo(f"mmsr: error: {self.message}", err=True)


class Program(click.Group):
    """A group that knows its commands by name and imports one only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order in which one comes to need them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command's module; a near name is suggested for an unknown one."""
        if cmd_name not in COMMANDS:
            if cmd_name.startswith("-"):  # an option; click has its own words for that
                return None
            raise click.UsageError(no_such("command", cmd_name, COMMANDS, "there are"), ctx)
        command: click.Command = import_module(f"{__name__}.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table of commands, from their short helps."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; what the user can mend becomes one line."""
        try:
            return super().invoke(ctx)
        except MmsrError as error:
            raise Failure(str(error)) from error
        except KeyboardInterrupt:
            raise Failure("interrupted", 130) from None


def _version(ctx: click.Context, option: click.Parameter, asked: bool) -> None:
    if asked:
        from mmsr_core import __version__

        click.echo(f"mmsr {__version__}")
        ctx.exit()


@click.group(cls=Program, epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Show the version and exit.",
)
def main() -> None:
    """Upscale images: every tile gets the cheapest network that does it justice.

    A model is a bundle of networks of different depth and a router that chooses among them,
    tile by tile. It runs on ONNX Runtime alone; training needs the extra `train`.
    """

"""Options that several commands share."""

import click

model = click.option(
    "--model", default="compact-x4", show_default=True, help="NAME[@VERSION] or a path."
)
device = click.option(
    "--device",
    default="auto",
    show_default=True,
    help="auto (cuda or cpu), cpu, cuda[:N], tensorrt[:N] or openvino.",
)

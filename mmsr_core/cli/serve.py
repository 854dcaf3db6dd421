"""mmsr serve: pictures in and out over HTTP, and a page."""

from pathlib import Path

import click

from mmsr_core.cli import options
from mmsr_core.cli.extras import needs
from mmsr_core.cli.size import size as memory_size


@click.command(
    epilog="""\b
Examples:
  mmsr serve
  mmsr serve --host 0.0.0.0 --port 80 --keys keys.txt
  mmsr serve --model compact-x4 --model ./my-bundle --max-megapixels 12
"""
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="The port; 0 is any that is free.",
)
@click.option(
    "--model",
    "models",
    multiple=True,
    help="NAME[@VERSION] or a path, several times if need be; the first is what a request gets "
    "that names none.  [default: all models that are stored here]",
)
@options.device
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="Pictures at work at once.  [default: one a core, 3 on a GPU]",
)
@click.option(
    "--queue",
    type=click.IntRange(min=1),
    default=16,
    show_default=True,
    metavar="N",
    help="Pictures that may wait; one more is told to come back (429).",
)
@click.option(
    "--memory",
    type=memory_size,
    metavar="SIZE",
    help="Memory for the pictures at work, say 800M or 2G.  [default: half of what is free]",
)
@click.option(
    "--max-megapixels",
    type=click.FloatRange(min=0, min_open=True),
    default=64,
    show_default=True,
    metavar="N",
    help="Refuse pictures that are larger; answers may be 16 times as large.",
)
@click.option(
    "--max-upload",
    type=memory_size,
    default="64M",
    show_default=True,
    metavar="SIZE",
    help="Refuse requests that are larger.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=600,
    show_default=True,
    metavar="SECONDS",
    help="How long one picture may be at work.",
)
@click.option(
    "--keep",
    type=click.FloatRange(min=1),
    default=600,
    show_default=True,
    metavar="SECONDS",
    help="How long a finished picture waits to be fetched.",
)
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="How long accepted pictures may take once the server is asked to end.",
)
@click.option(
    "--keys",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Let in only who sends one of the keys in this file, one a line.",
)
def command(
    host: str,
    port: int,
    models: tuple[str, ...],
    device: str,
    jobs: int | None,
    queue: int,
    memory: int | None,
    max_megapixels: float,
    max_upload: int,
    timeout: float,
    keep: float,
    grace: float,
    keys: Path | None,
) -> None:
    """Serve an HTTP API, and a page for it, until Ctrl-C.

    Pictures are upscaled on this machine; nothing is sent anywhere else. POST /v1/upscale answers
    with the upscaled picture; /openapi.json describes the rest.
    """
    with needs("serve", "mmsr serve"):
        from mmsr_core.serve.app import make_app
        from mmsr_core.serve.process import Server, bound
    from tempfile import TemporaryDirectory

    from mmsr_core.runtime.cgroup import usable_cores
    from mmsr_core.runtime.files import GPU_WORKERS
    from mmsr_core.runtime.memory import SHARE, free_memory
    from mmsr_core.serve.models import Models
    from mmsr_core.serve.settings import Limits, read_keys

    known = read_keys(keys)
    with bound(host, port) as listening:  # before the models, which take their time
        served = Models(models, device, lambda line: click.echo(line, err=True))
        limits = Limits(
            jobs=jobs or (GPU_WORKERS if served.is_gpu else usable_cores()),
            queue=queue,
            body=max_upload,
            pixels=int(max_megapixels * 1e6),
            seconds=timeout,
            keep=keep,
            grace=grace,
            keys=known,
        )
        room = int(free_memory() * SHARE) if memory is None else memory
        address, chosen = listening.getsockname()[:2]
        shown = f"[{address}]" if ":" in address else address
        click.echo(f"mmsr on http://{shown}:{chosen} ({served.device}); Ctrl-C ends it", err=True)
        with TemporaryDirectory(prefix="mmsr-serve-") as home:
            Server(make_app(served, limits, room, Path(home)), limits).serve_on(listening)

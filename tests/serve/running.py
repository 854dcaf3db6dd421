"""`mmsr serve` as a process, for tests and for the scripts beside them."""

import http.client
import os
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
TRAINING = {"torch", "sklearn", "scipy", "onnx", "skl2onnx"}
SCRIPT = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {refused!r}:
            raise ModuleNotFoundError(f"{{name}} is refused here", name=name)

sys.meta_path.insert(0, Refuse())
from mmsr_core.cli import main
main(sys.argv[1:], prog_name="mmsr")
"""
BOUNDARY = "x-mmsr-x"


def started(*args, refused=TRAINING):
    """`mmsr serve ARGS`, where importing what only training needs raises."""
    roots = [ROOT, ROOT / "plugins", ROOT / "exporters", ROOT / "registry"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, roots))}
    command = [sys.executable, "-c", SCRIPT.format(refused=refused), "serve", *map(str, args)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


@contextmanager
def server(model, *args):
    """A running server of one model and its port."""
    process = started("--port", 0, "--model", model, "--device", "cpu", "--grace", 0, *args)
    try:
        yield process, int(re.search(r":(\d+) ", process.stderr.readline())[1])
    finally:
        process.terminate()
        try:
            process.wait(20)
        finally:
            process.kill()
            process.stderr.close()


def body(content, **fields):
    """A multipart form with a picture."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{{}}"'
    parts = [f"{head.format(name)}\r\n\r\n{value}\r\n" for name, value in fields.items()]
    file = head.format("image") + '; filename="a.png"\r\n\r\n'
    return "".join([*parts, file]).encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()


def request(port, method, path, content=None, timeout=60):
    """A connection whose request is sent."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    connection.request(method, path, content, headers if content else {})
    return connection

"""ONNX Runtime for the web: the few files of its npm package that a page needs."""

import shutil
import subprocess
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

from mmsr_core.errors import ExportError

VERSION = "1.30.0"
PACKAGE = f"onnxruntime-web@{VERSION}"
WASM = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
WEBGPU = (
    "ort.webgpu.min.mjs",
    "ort-wasm-simd-threaded.asyncify.mjs",
    "ort-wasm-simd-threaded.asyncify.wasm",
)
FILES = WASM + WEBGPU
LIMIT = 64 * 2**20
"""Bytes that a file of the runtime may have."""
PATIENCE = 300
"""Seconds that npm may take."""


def read_runtime(given: Path | None, names: tuple[str, ...] = FILES) -> dict[str, bytes]:
    """Files of the runtime by name: of a folder, of a package that npm packed, or fetched by npm.

    Raises ExportError where they can't be had.
    """
    if given is None:
        return _fetch(names)
    if given.is_dir():
        return _of_folder(given, names)
    if given.is_file():
        return _of_package(given, names)
    raise ExportError(f"{given}: no such file or folder; {_asked()}")


def _fetch(names: tuple[str, ...]) -> dict[str, bytes]:
    npm = shutil.which("npm")
    if npm is None:
        raise ExportError(f"the page needs {PACKAGE}, and npm is not installed; {_asked()}")
    with TemporaryDirectory() as work:
        line = [npm, "pack", "--silent", "--prefer-offline", "--ignore-scripts", PACKAGE]
        try:
            done = subprocess.run(
                line, cwd=work, capture_output=True, text=True, timeout=PATIENCE, check=False
            )
        except subprocess.TimeoutExpired:
            raise ExportError(
                f"npm took longer than {PATIENCE} s for {PACKAGE}; {_asked()}"
            ) from None
        packed = sorted(Path(work).glob("*.tgz"))
        if done.returncode or not packed:
            said = [text for text in done.stderr.splitlines() if "ERR" in text or "error" in text]
            reason = (said or done.stderr.splitlines() or ["it says nothing"])[0].strip()
            raise ExportError(f"npm can't fetch {PACKAGE} ({reason[:200]}); {_asked()}")
        return _of_package(packed[0], names)


def _of_folder(folder: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    """Of the package's own folder, of its `dist`, or of one that it is installed in."""
    places = (folder, folder / "dist", folder / "node_modules" / "onnxruntime-web" / "dist")
    for place in places:
        if all((place / name).is_file() for name in names):
            return {name: (place / name).read_bytes() for name in names}
    raise ExportError(f"{folder}: not all of {', '.join(names)} are there; {_asked()}")


def _of_package(path: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    """Of a .tgz; nothing is unpacked but the files that are wanted."""
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(path, "r:gz") as package:
            for member in package:
                name = member.name.removeprefix("package/dist/")
                if name in names and member.isfile() and member.size <= LIMIT:
                    content = package.extractfile(member)
                    assert content is not None  # it is a file
                    found[name] = content.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ExportError(f"{path}: not a package of npm's ({error}); {_asked()}") from None
    missing = [name for name in names if name not in found]
    if missing:
        raise ExportError(f"{path}: has no {missing[0]}; {_asked()}")
    return found


def _asked() -> str:
    return f"give --runtime the folder or .tgz that `npm pack {PACKAGE}` makes elsewhere"

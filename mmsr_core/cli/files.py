"""Files that a command writes beside its images: looked at before the work, written after it."""

import csv
import io
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mmsr_core.errors import MmsrError


def check_place(path: Path | None) -> None:
    """MmsrError when no file can be written at `path`; None is fine, there is nothing to write."""
    if path is None:
        return
    if path.is_dir():
        raise MmsrError(f"{path}: is a folder; name a file in it")
    if not path.parent.is_dir():
        raise MmsrError(f"{path}: {path.parent} is not a folder; make it first")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise MmsrError(f"{path}: folder {path.parent} is not writable")


def write_json(path: Path, facts: dict[str, Any]) -> None:
    """Write facts for a machine to read; MmsrError when the disk says no."""
    _write(path, json.dumps(facts, indent=2, allow_nan=False) + "\n")


def write_csv(path: Path, lines: Iterable[Sequence[object]]) -> None:
    """Write a table for a machine to read; MmsrError when the disk says no."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    _write(path, text.getvalue())


def _write(path: Path, text: str) -> None:
    """All of the text or nothing."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        try:
            part.write_text(text, encoding="utf-8")
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise MmsrError(f"{path}: cannot write it ({error.strerror})") from None

"""Files that a command writes beside its images: looked at before the work, written after it."""

import csv
import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TextIO

from mmsr_core.errors import MmsrError
from mmsr_core.runtime.atomic import replacing

STANDARD_OUTPUT = Path("-")


def check_place(path: Path | None) -> None:
    """MmsrError when no file can be written at `path`; None and "-" are fine."""
    if path is None or path == STANDARD_OUTPUT:
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


@contextmanager
def json_rows(path: Path | None, facts: dict[str, Any]) -> Iterator[Callable[[object], None]]:
    """Write facts and, under "images", row after row as it is given, to a file or "-".

    However the block ends the document is whole, with the rows that there were. A disc that is
    full ends no batch: MmsrError when the block is over. A reader of standard output that went
    away is no error.
    """
    if path is None:
        yield lambda row: None
        return
    errors: list[OSError] = []
    with ExitStack() as stack:
        try:
            rows = _Rows(stack.enter_context(_opened(path)))
        except OSError as error:
            raise MmsrError(f"{path}: cannot write it ({error.strerror})") from None

        def attempt(write: Callable[[Any], None], what: object) -> None:
            if not errors:
                try:
                    write(what)
                except OSError as error:
                    errors.append(error)

        attempt(rows.begin, facts)
        raised: BaseException | None = None
        try:
            yield lambda row: attempt(rows.add, row)
        except BaseException as error:
            raised = error
        attempt(rows.end, None)
        attempt(lambda _: stack.close(), None)
        if errors and path != STANDARD_OUTPUT:  # raised in here, so that no half of it appears
            line = f"{path}: cannot write it ({errors[0].strerror})"
            raise raised or MmsrError(line) from None
    if errors and path == STANDARD_OUTPUT:
        # What is still in its buffer would be written, and fail again, when the process ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if raised is not None:
        raise raised


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    if path == STANDARD_OUTPUT:
        yield sys.stdout
        return
    with replacing(path) as part, part.open("w", encoding="utf-8") as file:
        yield file


class _Rows:
    """A JSON object whose last member is a list that grows."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._between = ""

    def begin(self, facts: dict[str, Any]) -> None:
        head = json.dumps(facts, allow_nan=False).removesuffix("}")
        self._file.write(head + (", " if facts else "") + '"images": [')

    def add(self, row: object) -> None:
        self._file.write(f"{self._between}\n{json.dumps(row, allow_nan=False)}")
        self._file.flush()
        self._between = ","

    def end(self, _: object) -> None:
        self._file.write("\n]}\n")
        self._file.flush()


def _write(path: Path, text: str) -> None:
    """All of the text or nothing."""
    try:
        with replacing(path) as part:
            part.write_text(text, encoding="utf-8")
    except OSError as error:
        raise MmsrError(f"{path}: cannot write it ({error.strerror})") from None

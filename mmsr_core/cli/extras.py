"""Naming the extra that a command needs, when its packages are not installed."""

from collections.abc import Iterator
from contextlib import contextmanager

from mmsr_core.errors import MmsrError


@contextmanager
def needs(extra: str, what: str) -> Iterator[None]:
    """Turn a missing third-party package into one line that names the extra."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0].startswith("mmsr"):
            raise
        raise MmsrError(
            f"{what} needs {error.name}, which is not installed; pip install 'mmsr[{extra}]'"
        ) from None

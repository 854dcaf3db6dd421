"""What a server allows."""

from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path

from mmsr_core.errors import MmsrError


@dataclass(frozen=True)
class Limits:
    """Bounds of a server, so that no client takes more than its share."""

    jobs: int = 2
    """Pictures at work at once."""
    queue: int = 16
    """Pictures that wait for their turn; one more is refused with 429."""
    body: int = 64 * 2**20
    """Bytes of a request."""
    pixels: int = 64_000_000
    """Of a picture that is sent; an answer may have `GROWTH` times as many."""
    seconds: float = 600.0
    """That one picture may be at work."""
    keep: float = 600.0
    """Seconds for which an answer is kept that nobody has taken away."""
    grace: float = 60.0
    """Seconds that accepted pictures get to be finished when the server is asked to end."""
    patience: float = 30.0
    """Seconds until the next bytes of a request have to be there."""
    keys: tuple[str, ...] = ()
    """Whoever knows one of them is let in; without any, everybody is."""

    def admits(self, key: str) -> bool:
        """Whether a key opens the door; how long that takes tells nothing about any key."""
        given = sha256(key.encode()).digest()
        same = [compare_digest(given, sha256(known.encode()).digest()) for known in self.keys]
        return not self.keys or any(same)


GROWTH = 16
"""Pixels of the largest answer for each of the largest picture."""
KEPT = 64
"""Finished answers that are kept at most; the oldest makes way."""


def read_keys(path: Path | None) -> tuple[str, ...]:
    """The keys in a file, one a line, # beginning a comment; MmsrError when there is none."""
    if path is None:
        return ()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise MmsrError(f"--keys {path}: cannot read it ({error})") from None
    keys = tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))
    if not keys:
        raise MmsrError(f"--keys {path}: holds no key; write one a line")
    return keys

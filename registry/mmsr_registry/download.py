"""Downloads: HTTPS, bounded, resumed where they broke off, and checked against a hash."""

import errno
import hashlib
import http.client
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mmsr_core.errors import BundleError

try:
    import fcntl
except ImportError:  # Windows: two downloads of one file at once aren't noticed there
    fcntl = None  # type: ignore[assignment]

LIMIT = 2**30
"""Bytes of a download, unless somebody says otherwise."""
TIMEOUT = 30.0
"""Seconds without a byte until a connection counts as broken."""
KEPT = 7 * 24 * 3600
"""Seconds that an unfinished download waits to be resumed."""
_LOCAL = ("127.0.0.1", "::1", "localhost")
_BLOCK = 2**18

Progress = Callable[[int, int], None]
"""Told the bytes that are there, and those that there will be."""


class _Broken(Exception):
    """The connection broke off; what came is kept, and another try may go on from there."""


@dataclass(frozen=True)
class Downloads:
    """A folder of downloads, finished and unfinished, by their address."""

    folder: Path
    limit: int = LIMIT
    progress: Progress = lambda done, total: None
    waits: tuple[float, ...] = (0.5, 2.0, 5.0)
    """Seconds before each further try."""

    def fetch(self, url: str, sha256: str | None = None, limit: int | None = None) -> Path:
        """The file with the content of `url`; it belongs to the caller, who moves or deletes it.

        Its hash is checked when `sha256` is given, and a finished file with that hash is taken as
        it is. Raises BundleError: one line, whatever went wrong. What has come of a file when the
        connection breaks, or the user interrupts, stays and is gone on with by the next call.
        """
        check_address(url)
        part = self.folder / f"{hashlib.sha256(url.encode()).hexdigest()[:32]}.part"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._sweep()
            with _locked(part, url):
                if not (sha256 and part.exists() and _digest(part) == sha256):
                    self._persist(url, part, self.limit if limit is None else limit)
                    if sha256 and (got := _digest(part)) != sha256:
                        _drop(part)
                        raise BundleError(
                            f"{url}: its SHA-256 is {got}, not {sha256}: damaged or changed"
                        )
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                self.discard(part)
            raise BundleError(f"{self.folder}: cannot write there ({error.strerror})") from None
        except BundleError:
            if part.exists() and not part.stat().st_size:
                self.discard(part)
            raise
        part.with_suffix(".from").unlink(missing_ok=True)
        return part

    def discard(self, part: Path) -> None:
        """Delete what `fetch` gave, if it is still there, and the folder if it is empty then."""
        with suppress(OSError):
            part.unlink(missing_ok=True)
            part.with_suffix(".from").unlink(missing_ok=True)
            self.folder.rmdir()

    def _persist(self, url: str, part: Path, limit: int) -> None:
        for wait in (*self.waits, None):
            try:
                return self._go_on(url, part, limit)
            except _Broken as error:
                if wait is None:
                    raise BundleError(
                        f"{url}: {error}; the same command goes on from there"
                    ) from None
                time.sleep(wait)

    def _go_on(self, url: str, part: Path, limit: int) -> None:
        """One connection, from where the last one broke off if the server has the same file."""
        note = part.with_suffix(".from")
        have = part.stat().st_size
        same = note.read_text() if have and note.exists() else ""
        headers = {"Range": f"bytes={have}-", "If-Range": same} if same else {}
        with _opened(url, headers) as answer:
            if answer is None:  # what is here is longer than what is there
                _drop(part)
                raise _Broken("the file there has changed")
            begins = f"bytes {have}-"
            resumed = answer.status == 206 and answer.headers.get("Content-Range", "").startswith(
                begins
            )
            if answer.status == 206 and not resumed:
                _drop(part)
                raise _Broken("the server sent another part than was asked for")
            have = have if resumed else 0
            left = _length(answer.headers.get("Content-Length"))
            if left is not None and have + left > limit:
                raise _too_large(url, limit)
            with part.open("r+b") as file:
                file.seek(have)
                file.truncate()
                note.write_text(_validator(answer.headers))
                self._copy(answer, file, url, have, left, limit)

    def _copy(
        self, answer: Any, file: Any, url: str, have: int, left: int | None, limit: int
    ) -> None:
        total = None if left is None else have + left
        while block := _block(answer):
            have += len(block)
            if have > limit:
                raise _too_large(url, limit)
            file.write(block)
            if total is not None:
                self.progress(have, total)
        if total is not None and have != total:
            raise _Broken(f"the connection ended after {have} of {total} bytes")

    def _sweep(self) -> None:
        """Delete what nobody has come back for."""
        for path in self.folder.iterdir():
            if path.suffix in (".part", ".from") and time.time() - path.stat().st_mtime > KEPT:
                path.unlink(missing_ok=True)


def check_address(url: str, redirected_from: str | None = None) -> None:
    """Raise BundleError for an address that isn't HTTPS; this machine itself may speak HTTP."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise BundleError(f"{url}: not an address") from None
    local = host in _LOCAL and (redirected_from is None or _is_local(redirected_from))
    if not host or not url.isprintable() or " " in url or parts.scheme not in ("https", "http"):
        raise BundleError(f"{url}: not an address that starts with https://")
    if parts.scheme == "http" and not local:
        who = f"{redirected_from} redirects to {url}" if redirected_from else url
        raise BundleError(f"{who}: not encrypted, so anybody could change it; https:// is needed")
    if parts.username or parts.password:
        raise BundleError(f"https://{host}: passwords in addresses show in logs; leave it out")


def _is_local(url: str) -> bool:
    return urlsplit(url).hostname in _LOCAL


class _Redirects(urllib.request.HTTPRedirectHandler):
    max_redirections = 5

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        check_address(newurl, redirected_from=req.full_url)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(url: str) -> urllib.request.OpenerDirector:
    """HTTP and nothing else: urllib's own would also open files and FTP."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler({} if _is_local(url) else None),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(),
    ):
        opener.add_handler(handler)
    return opener


@contextmanager
def _opened(url: str, headers: dict[str, str]) -> Iterator[Any]:
    """The server's answer, None where it says that there is no such range.

    _Broken for what may be better at the next try, BundleError for what will not.
    """
    request = urllib.request.Request(url, headers={"User-Agent": "mmsr", **headers})
    try:
        answer = _opener(url).open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and headers:
            yield None
            return
        raise _refusal(url, error.code) from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            untrusted = error.reason.verify_message
            raise BundleError(
                f"{url}: its certificate is not to be trusted ({untrusted})"
            ) from None
        why = getattr(error.reason, "strerror", None) or error.reason
        raise _Broken(f"cannot reach {urlsplit(url).hostname} ({why})") from None
    except (OSError, http.client.HTTPException) as error:
        raise _Broken(f"the connection broke off ({str(error) or type(error).__name__})") from None
    with answer:
        yield answer


def _refusal(url: str, code: int) -> Exception:
    if code in (401, 403):
        return BundleError(
            f"{url}: not open to everybody ({code}); download it yourself, then add the file"
        )
    if code in (404, 410):
        return BundleError(f"{url}: there is nothing at this address ({code})")
    if code in (408, 425, 429) or code >= 500:
        return _Broken(f"the server can't answer now ({code})")
    if 300 <= code < 400:
        return BundleError(f"{url}: redirected in circles, or nowhere ({code})")
    return BundleError(f"{url}: the server refuses ({code})")


def _block(answer: Any) -> bytes:
    try:
        return bytes(answer.read(_BLOCK))
    except (OSError, http.client.HTTPException) as error:
        raise _Broken(f"the connection broke off ({str(error) or type(error).__name__})") from None


def _validator(headers: Any) -> str:
    """What tells one content of an address from another, for If-Range; empty: nothing does."""
    tag = headers.get("ETag", "")
    chosen = headers.get("Last-Modified", "") if not tag or tag.startswith("W/") else tag
    return chosen if len(chosen) < 256 and chosen.isprintable() else ""


def _length(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() else None


def _too_large(url: str, limit: int) -> BundleError:
    return BundleError(f"{url}: larger than {limit / 2**20:g} MiB; --limit allows more")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _drop(part: Path) -> None:
    """Empty an unfinished download that is of no use; it stays there, being locked."""
    part.with_suffix(".from").unlink(missing_ok=True)
    with part.open("wb"):
        pass


@contextmanager
def _locked(part: Path, url: str) -> Iterator[None]:
    """While nobody else downloads the same; the file exists."""
    with part.open("ab") as file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BundleError(f"{url}: another mmsr is downloading it; wait for it") from None
        yield

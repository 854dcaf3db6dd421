"""A web server on this machine that serves files, and misbehaves as it is told."""

import hashlib
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Site:
    """What a server serves, by path, and what it was asked for."""

    files: dict[str, bytes] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    status: dict[str, int] = field(default_factory=dict)
    """Paths that are answered with an error."""
    breaks: list[int] = field(default_factory=list)
    """For each of the next answers: the bytes after which the connection breaks."""
    ranges: bool = True
    tagged: bool = True
    sized: bool = True
    asked: list[tuple[str, str]] = field(default_factory=list)
    """(path, Range header) of every request."""
    url: str = ""


@contextmanager
def serving(site):
    """Serve `site` on a free port while the block lasts; `site.url` has no slash at its end."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            path = self.path.partition("?")[0]
            asked = self.headers.get("Range", "")
            site.asked.append((self.path, asked))
            if path in site.status:
                return self.send_error(site.status[path])
            if path in site.redirects:
                self.send_response(302)
                self.send_header("Location", site.redirects[path])
                return self.end_headers()
            if path not in site.files:
                return self.send_error(404)
            content = site.files[path]
            tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
            start = 0
            if site.ranges and asked and self.headers.get("If-Range") == tag:
                start = int(asked.removeprefix("bytes=").removesuffix("-"))
                if start >= len(content):
                    return self.send_error(416)
            self.send_response(206 if start else 200)
            if start:
                last = len(content) - 1
                self.send_header("Content-Range", f"bytes {start}-{last}/{len(content)}")
            if site.sized:
                self.send_header("Content-Length", str(len(content) - start))
            if site.tagged:
                self.send_header("ETag", tag)
            self.end_headers()
            end = start + site.breaks.pop(0) if site.breaks else len(content)
            self.wfile.write(content[start:end])
            self.close_connection = True

        def log_message(self, *_):
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_):
            """A client that hangs up in the middle is nothing to tell of."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

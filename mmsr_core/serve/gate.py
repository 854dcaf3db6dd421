"""The gate: who comes in, how much they bring, and how long they may take to bring it."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mmsr_core.serve.problem import Problem
from mmsr_core.serve.settings import Limits

LOG = logging.getLogger("mmsr.serve")
OPEN = ("/", "/health", "/page/", "/openapi.json")
"""Paths that need no key: the page has to be seen to ask for one."""
SPARE = 8
"""Requests beyond those that the queue has room for, which are told to come back."""
_SAFE = {
    "content-security-policy": "default-src 'self'; img-src 'self' blob: data:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


@dataclass
class Gate:
    """ASGI middleware around the whole application."""

    app: ASGIApp
    limits: Limits
    count: Callable[[str, int], None]
    posts: int = 0
    """Requests with a body that are on their way."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        headers, status = Headers(scope=scope), 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                found = MutableHeaders(scope=message)
                for name, value in _SAFE.items():
                    found.setdefault(name, value)
            await send(message)

        brings = scope["method"] == "POST"
        self.posts += brings
        try:
            self._check(scope, headers)
            await self.app(scope, self._measured(receive), answer)
        except Problem as problem:
            if not status:
                await problem.response()(scope, receive, answer)
        except Exception:
            LOG.exception("%s %s failed", scope["method"], scope["path"])
            if not status:
                unforeseen = Problem(500, "internal error; the server's log says more")
                await unforeseen.response()(scope, receive, answer)
        finally:
            self.posts -= brings
            self.count(getattr(scope.get("route"), "path", "other"), status or 499)

    def _check(self, scope: Scope, headers: Headers) -> None:
        """Problem 403 for other sites' pages, 401 without a key, 413 for too much, 429."""
        path = scope["path"]
        if headers.get("sec-fetch-site") == "cross-site" and scope["method"] not in ("GET", "HEAD"):
            raise Problem(403, "another site's page may not use this server")
        is_open = path in OPEN or path.startswith("/page/")
        if not is_open and not self.limits.admits(_key(headers)):
            raise Problem(
                401,
                "a key is needed: send the header Authorization: Bearer KEY",
                {"WWW-Authenticate": "Bearer"},
            )
        told = headers.get("content-length", "0")
        if told.isdecimal() and int(told) > self.limits.body:
            raise self._too_much()
        if self.posts > self.limits.queue + self.limits.jobs + SPARE:
            raise Problem(429, "too many requests at once; try again", {"Retry-After": "5"})

    def _measured(self, receive: Receive) -> Receive:
        """`receive`, until the body is too large or its sender too slow."""
        brought, whole = 0, False

        async def measured() -> Message:
            nonlocal brought, whole
            if whole:  # from here on it waits for the client to leave
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), self.limits.patience)
            except TimeoutError:
                raise Problem(408, "the request did not arrive in time; send it again") from None
            brought += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if brought > self.limits.body:
                raise self._too_much()
            return message

        return measured

    def _too_much(self) -> Problem:
        size = f"{self.limits.body / 2**20:g} MiB"
        return Problem(413, f"the request is larger than {size}; send a smaller file")


def _key(headers: Headers) -> str:
    kind, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if kind.lower() == "bearer" else headers.get("x-api-key", "")

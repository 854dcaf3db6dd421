"""What a client is told when something can't be done: application/problem+json (RFC 9457)."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

MEDIA = "application/problem+json"


class Problem(HTTPException):
    """One line for a client, with its HTTP status and headers."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, detail, dict(headers or {}))

    def body(self) -> dict[str, Any]:
        """The JSON that says it."""
        return {"title": title(self.status_code), "status": self.status_code, "detail": self.detail}

    def response(self) -> JSONResponse:
        """The whole answer."""
        return JSONResponse(self.body(), self.status_code, self.headers, MEDIA)


class ProblemBody(BaseModel):
    """A problem, as JSON."""

    title: str = Field(description="What the status means.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What was asked, what there is, what to do.")


def title(status: int) -> str:
    """The phrase of an HTTP status."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Client Closed Request"


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """These statuses for OpenAPI, each with a problem as its body."""
    body = {MEDIA: {"schema": {"$ref": "#/components/schemas/ProblemBody"}}}
    return {status: {"description": title(status), "content": body} for status in statuses}

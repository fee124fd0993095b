"""The body of every error response of the local API."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict

PROBLEM: Final = "Problem"
"""the name of `ErrorResponse` in the OpenAPI document"""


class InvalidField(BaseModel):
    """An invalid field of a request, and the reason; never its value, which may be a password."""

    type: str
    """kind of the error, a word for programs"""
    loc: list[str | int]
    """`body`, `path` or `query`, then the path to the field in it"""
    msg: str
    """why the field is invalid, as a sentence"""


class ErrorResponse(BaseModel):
    """The body of every error response of the API: why the request was refused."""

    model_config = ConfigDict(extra="forbid", title=PROBLEM)

    detail: str | list[InvalidField]
    """a readable sentence; with status 400 or 422 it may be a list of the unknown or invalid fields"""
    starting: bool | None = None
    """true with status 503 while the station starts: try again after a few seconds; null or missing otherwise"""
    wait_s: int | None = None
    """with status 429: seconds from now until another attempt is accepted; null or missing otherwise"""


ERRORS: Final = {
    400: "The query has a parameter that this operation does not have: `detail` names it; or the request is malformed.",
    401: "Nobody is signed in, or the access token is not valid.",
    403: "The user's role is insufficient, or a page of another site sent the request.",
    404: "The requested resource does not exist.",
    409: "The current state of the station does not allow the request.",
    413: "The body is too large.",
    422: "The request is invalid: `detail` names the fields.",
    503: "The station is starting, its storage fails, or there are too many requests: try again.",
}
"""the error status codes that any route may return"""
TOO_MANY: Final[dict[int | str, dict[str, object]]] = {
    429: {"description": "Too many attempts: try again after the number of seconds in the header Retry-After."}
}
"""for the argument `responses` of a route that limits attempts"""

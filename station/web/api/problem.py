"""The one form in which the local API reports an error, and the OpenAPI description of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from station.web.api.status import Json


class InvalidField(BaseModel):
    """Where a request is wrong, and why; never what was sent: that may be a password."""

    type: str
    loc: list[str | int]
    """`body`, `path` or `query`, then the names down to the value"""
    msg: str


class Problem(BaseModel):
    """Why a request is refused."""

    model_config = ConfigDict(extra="forbid")

    detail: str | list[InvalidField]
    """a sentence for people; with status 422 it may be a list of the fields that are wrong"""
    starting: bool | None = None
    """true with status 503 while the station starts: ask again"""
    wait_s: int | None = None
    """seconds until another attempt is accepted, with status 429"""


ERRORS: Final = {
    401: "Nobody is signed in, or the access token is not valid.",
    403: "The role of the user does not suffice, or a foreign page sent the request.",
    404: "There is no such thing.",
    409: "The present state of the station does not allow it.",
    413: "The body is too large.",
    422: "The request is not understood: `detail` names the fields.",
    503: "The station starts, its storage fails, or too many ask at once: ask again.",
}
"""the status codes that any route may answer with, besides its own"""
_GENERATED: Final = ("HTTPValidationError", "ValidationError")
"""FastAPI's own description of 422, which `Problem` replaces"""


def describe_errors(document: Json) -> None:
    """Add `Problem` and the status codes that it comes with to every operation of an OpenAPI document.

    Here and not by the argument `responses` of FastAPI: that would build a validator for each route and status.
    """
    reference = "#/components/schemas/{model}"
    problem = Problem.model_json_schema(ref_template=reference)
    components = cast("dict[str, Json]", document.setdefault("components", {}))
    schemas = components.setdefault("schemas", {})
    for name in _GENERATED:
        schemas.pop(name, None)
    schemas |= cast("Json", problem.pop("$defs"))
    schemas["Problem"] = problem
    content = {"application/json": {"schema": {"$ref": reference.format(model="Problem")}}}
    for operations in cast("dict[str, dict[str, dict[str, Json]]]", document["paths"]).values():
        for operation in operations.values():
            for status, description in ERRORS.items():
                operation["responses"][str(status)] = {"description": description, "content": content}

"""The body of every error response of the local API, and its OpenAPI description."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from station.interfaces.json_object import Json

_SCHEMA: Final = "Problem"
"""the name of `ErrorResponse` in the OpenAPI document"""


class InvalidField(BaseModel):
    """An invalid field of a request and what is wrong with it; never its value, which may be a password."""

    type: str
    loc: list[str | int]
    """`body`, `path` or `query`, then the names down to the value"""
    msg: str


class ErrorResponse(BaseModel):
    """The reason why a request is refused."""

    model_config = ConfigDict(extra="forbid", title=_SCHEMA)

    detail: str | list[InvalidField]
    """a sentence for people; with status 422 it may be a list of the fields that are wrong"""
    starting: bool | None = None
    """true with status 503 while the station starts: ask again"""
    wait_s: int | None = None
    """seconds until another attempt is accepted, with status 429"""


ERRORS: Final = {
    401: "Nobody is signed in, or the access token is not valid.",
    403: "The role of the user does not suffice, or a foreign page sent the request.",
    404: "It does not exist.",
    409: "The present state of the station does not allow the request.",
    413: "The body is too large.",
    422: "The request is invalid: `detail` names the fields.",
    503: "The station is starting, its storage fails, or there are too many requests: try again.",
}
"""the status codes that any route may answer with, besides its own"""
_GENERATED: Final = ("HTTPValidationError", "ValidationError")
"""FastAPI's own description of 422, which `ErrorResponse` replaces"""


def describe_errors(document: Json) -> None:
    """Add `ErrorResponse` and its status codes to every operation of an OpenAPI document.

    The argument `responses` of FastAPI would build a validator for each route and status code.
    """
    reference = "#/components/schemas/{model}"
    schema = ErrorResponse.model_json_schema(ref_template=reference)
    components = cast("dict[str, Json]", document.setdefault("components", {}))
    schemas = components.setdefault("schemas", {})
    for name in _GENERATED:
        schemas.pop(name, None)
    schemas |= cast("Json", schema.pop("$defs"))
    schemas[_SCHEMA] = schema
    content = {"application/json": {"schema": {"$ref": reference.format(model=_SCHEMA)}}}
    for operations in cast("dict[str, dict[str, dict[str, Json]]]", document["paths"]).values():
        for operation in operations.values():
            for status, description in ERRORS.items():
                operation["responses"][str(status)] = {"description": description, "content": content}

"""The OpenAPI document of the local API: adds error responses, roles and security schemes to FastAPI's document."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final, cast

from fastapi.routing import APIRoute

from station.interfaces.access.roles import least_role_of
from station.interfaces.access.visitor import CSRF_HEADER, SECURE_COOKIE, SESSION_COOKIE
from station.interfaces.api.problem import ERRORS, PROBLEM, ErrorResponse
from station.security.access.accounts import Role

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from station.interfaces.json_object import Json

ROLE: Final = "x-least-role"
"""the extension field of an operation with its least role"""
_GENERATED: Final = ("HTTPValidationError", "ValidationError")
"""FastAPI's schemas of the response 422, which `ErrorResponse` replaces"""
_REFERENCE: Final = "#/components/schemas/{model}"
_SCHEMES: Final[Mapping[str, Json]] = {
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": SESSION_COOKIE,
        "description": (
            f"The cookie of a session started with POST /api/session; over TLS its name is {SECURE_COOKIE}."
            f" Requests that change something also need the header {CSRF_HEADER} with the value that"
            " GET /api/session returns as `csrf`."
        ),
    },
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "An access token created with POST /api/access-tokens, or of a session started with `bearer`.",
    },
}
_SECURITY: Final = [{name: list[str]()} for name in _SCHEMES]
"""either of the schemes"""


def add_errors_and_roles(document: Json, routes: Iterable[BaseRoute]) -> None:
    """Add error responses, least role and security schemes to a document that FastAPI generated, in place."""
    components = cast("dict[str, Json]", document.setdefault("components", {}))
    components["securitySchemes"] = dict(_SCHEMES)
    _add_error_schema(components.setdefault("schemas", {}))
    paths = cast("dict[str, dict[str, Json]]", document["paths"])
    for route in routes:
        if not isinstance(route, APIRoute) or not route.include_in_schema:
            continue
        for method in route.methods or ():
            operation = paths[route.path_format][method.lower()]
            operation["operationId"] = route.name if method != "HEAD" else f"{route.name}_head"
            _add_errors(operation)
            _add_role(operation, route)


def _add_error_schema(schemas: Json) -> None:
    for name in _GENERATED:
        schemas.pop(name, None)
    schema = ErrorResponse.model_json_schema(ref_template=_REFERENCE)
    schemas |= cast("Json", schema.pop("$defs"))
    schemas[PROBLEM] = schema


def _add_errors(operation: Json) -> None:
    """Add the error responses; FastAPI's argument `responses` would build a validator for each route and status."""
    content = {"application/json": {"schema": {"$ref": _REFERENCE.format(model=PROBLEM)}}}
    responses = cast("dict[str, Json]", operation["responses"])
    for status, response in responses.items():
        if status.startswith(("4", "5")):
            response["content"] = content
    for status, description in ERRORS.items():
        responses[str(status)] = {"description": description, "content": content}


def _add_role(operation: Json, route: APIRoute) -> None:
    declared = least_role_of(route)
    role = declared.role if declared is not None else Role.SERVICE
    operation[ROLE] = role.label
    operation["security"] = [] if role is Role.VISITOR else _SECURITY
    who = "No sign-in is required." if role is Role.VISITOR else f"Required role: {role.label} or higher."
    operation["description"] = f"{operation.get('description', '')}\n\n{who}".lstrip()

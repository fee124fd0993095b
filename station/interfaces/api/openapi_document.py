"""The OpenAPI document of the local API: what it has beyond the document of FastAPI."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from fastapi.routing import APIRoute

from foundation.json_values import list_of, object_of, objects_of, text_of
from station.interfaces.access.roles import least_role_of
from station.interfaces.access.visitor import CSRF_HEADER, SECURE_COOKIE, SESSION_COOKIE
from station.interfaces.api.problem import ERRORS, PROBLEM, ErrorResponse
from station.interfaces.api.schema_descriptions import add_descriptions, models_in
from station.security.access.accounts import Role

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from station.interfaces.json_object import Json

DESCRIPTION: Final = """\
The local API of a charging station. Everything that its page does is done through it.

Each operation states the least role that it requires; a role includes the permissions of those before it: visitor,
driver, owner, installer, service. A browser signs in with POST /api/session; a script sends an access token, which the
owner creates with POST /api/access-tokens, as `Authorization: Bearer …`. Bodies are JSON, and unknown fields are
rejected (422). Every error has the form `Problem`. Units stand in the names of the fields: `_a` amperes, `_v` volts,
`_w` watts, `_wh` watt-hours, `_s` seconds, `_c` degrees Celsius. Times are ISO 8601 with an offset from UTC.
"""
"""the text at the head of the document"""
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


def complete_document(document: Json, routes: Iterable[BaseRoute]) -> None:
    """Complete a document that FastAPI generated, in place.

    Adds error responses, least roles and security schemes, the descriptions of the fields, and examples of the bodies.
    """
    components = object_of(document.setdefault("components", {}))
    components["securitySchemes"] = dict(_SCHEMES)
    schemas = object_of(components.setdefault("schemas", {}))
    _add_error_schema(schemas)
    described = [route for route in routes if isinstance(route, APIRoute) and route.include_in_schema]
    bodies = (route.body_field.field_info.annotation for route in described if route.body_field is not None)
    models = models_in([*(route.response_model for route in described), *bodies])
    add_descriptions(schemas, {**models, **models_in([ErrorResponse]), PROBLEM: ErrorResponse})
    paths = object_of(document["paths"])
    for route in described:
        for method in route.methods or ():
            operation = object_of(object_of(paths[route.path_format])[method.lower()])
            operation["operationId"] = route.name if method != "HEAD" else f"{route.name}_head"
            _add_errors(operation)
            _add_role(operation, route)
            _add_examples(operation, schemas)


def _add_error_schema(schemas: Json) -> None:
    for name in _GENERATED:
        schemas.pop(name, None)
    schema = ErrorResponse.model_json_schema(ref_template=_REFERENCE)
    schemas |= object_of(schema.pop("$defs"))
    schemas[PROBLEM] = schema


def _add_errors(operation: Json) -> None:
    """Add the error responses; FastAPI's argument `responses` would build a validator for each route and status."""
    content = {"application/json": {"schema": {"$ref": _REFERENCE.format(model=PROBLEM)}}}
    responses = object_of(operation["responses"])
    for status, response in responses.items():
        if status.startswith(("4", "5")):
            object_of(response)["content"] = content
    for status, description in ERRORS.items():
        responses[str(status)] = {"description": description, "content": content}


def _add_examples(operation: Json, schemas: Json) -> None:
    """Show the examples of a body, or of the model of each of its alternatives, beside the schema of the body."""
    body = object_of(operation.get("requestBody", {}))
    for content in map(object_of, object_of(body.get("content", {})).values()):
        examples: Json = {}
        for model in _alternatives(object_of(content["schema"])):
            name = text_of(model.get("$ref", "")).rpartition("/")[2]
            described = model if "examples" in model else object_of(schemas.get(name, {}))
            for value in list_of(described.get("examples", [])):
                examples[name or "example"] = {"value": value}
        if examples:
            content["examples"] = examples


def _alternatives(schema: Json) -> list[Json]:
    """The schemas of which a value has to match one."""
    return objects_of(schema.get("oneOf", schema.get("anyOf", [schema])))


def _add_role(operation: Json, route: APIRoute) -> None:
    declared = least_role_of(route)
    role = declared.role if declared is not None else Role.SERVICE
    operation[ROLE] = role.label
    operation["security"] = [] if role is Role.VISITOR else _SECURITY
    required_role = "No sign-in is required." if role is Role.VISITOR else f"Required role: {role.label} or higher."
    operation["description"] = f"{operation.get('description', '')}\n\n{required_role}".lstrip()

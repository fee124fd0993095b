"""The reference of the HTTP API: its OpenAPI document, with the role that each operation needs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from station.interfaces.api.problem import ERRORS
from tools.references.api_document import Api, api
from tools.references.markdown import sentence, table
from tools.references.names import fields_of
from tools.references.schema import NOTHING, Definitions, Schema, fields, is_null, resolved, words

_HEAD: Final = """\
# HTTP API

A station serves this API at the address of its page (`[http]` in the [installation file](installation-file.md)). The
same as an OpenAPI 3.1 document is `/api/openapi.json`; `/api/docs` shows it in a browser, also without
internet, and tries requests out.

- **Roles.** Each operation requires a role: visitor, driver, owner, installer or service; a role includes the
  permissions of those before it in this list. Requests from the machine itself (127.0.0.1) have the role service,
  unless `http.trust_loopback` is false.
- **Signing in.** A browser signs in with `POST /api/session` and a password. A script sends an access token, which the
  owner creates with `POST /api/access-tokens`: `Authorization: Bearer …`.
- **Bodies** are JSON. Unknown fields are rejected (422), unknown query parameters too (400).
- **`?wait=settled`** delays the response to a change until the station has carried it out, for scripts and tests.
- **Operations below `/api/sim/`** control simulated hardware and exist only on a station with simulated hardware.

## Errors

Every operation may respond with these status codes. The body is `{"detail": "a sentence"}`; with 400 and 422 `detail`
may be a list of the unknown or invalid fields.

"""


class Parameter(BaseModel):
    """A parameter of the path or the query."""

    model_config = ConfigDict(populate_by_name=True)

    name: str
    where: str = Field(alias="in")
    required: bool = False
    described: Schema = Field(NOTHING, alias="schema")
    description: str = ""


class Example(BaseModel):
    """An example of a body; without a value it only has a summary."""

    summary: str = ""
    value: JsonValue = None


class Content(BaseModel):
    """A body in one format."""

    model_config = ConfigDict(populate_by_name=True)

    described: Schema = Field(NOTHING, alias="schema")
    examples: dict[str, Example] = {}


class Body(BaseModel):
    """A request or response body, by its format."""

    description: str = ""
    content: dict[str, Content] = {}


class Operation(BaseModel):
    """A method of a path."""

    model_config = ConfigDict(populate_by_name=True)

    summary: str = ""
    description: str = ""
    tags: list[str] = []
    parameters: list[Parameter] = []
    request: Body | None = Field(None, alias="requestBody")
    responses: dict[str, Body] = {}


class Components(BaseModel):
    """The schemas that the operations share."""

    schemas: dict[str, Schema] = {}


class Document(BaseModel):
    """The parts of an OpenAPI document that the reference shows."""

    paths: dict[str, dict[str, Operation]]
    components: Components = Components()


def page() -> str:
    """Generate the page."""
    described = api()
    document = Document.model_validate(described.document)
    errors = table(("status", "meaning"), [(str(status), meaning) for status, meaning in ERRORS.items()])
    parts = [_HEAD, errors]
    group = ""
    for name, method, path, operation in sorted(
        _operations(document), key=lambda entry: (entry[0], entry[2], entry[1])
    ):
        if name != group:
            parts.append(f"## {name}\n\n")
            group = name
        parts += _operation(method, path, operation, described, document.components.schemas)
    return "".join(parts)


def _operations(document: Document) -> Iterator[tuple[str, str, str, Operation]]:
    """Each operation with its group, method and path."""
    for path, methods in document.paths.items():
        for method, operation in methods.items():
            yield _group(path, operation), method.upper(), path, operation


def _group(path: str, operation: Operation) -> str:
    """The tag of an operation, or else the first part of its path."""
    if operation.tags:
        return operation.tags[0]
    parts = path.removeprefix("/api").strip("/").split("/")
    return f"/api/{parts[0]}" if path.startswith("/api/") else path


def _operation(method: str, path: str, operation: Operation, described: Api, definitions: Definitions) -> Iterator[str]:
    yield f"### `{method} {path}`\n\n"
    yield f"{sentence(operation.summary)} Role: **{described.role(method, path)}**.\n\n"
    if operation.description:
        yield f"{operation.description}\n\n"
    given = [
        (
            f"`{parameter.name}`",
            parameter.where,
            words(parameter.described, definitions),
            _required(parameter.required),
            sentence(parameter.description),
        )
        for parameter in operation.parameters
    ]
    yield table(("parameter", "in", "value", "", "meaning"), given)
    if operation.request is not None:
        for kind, content in operation.request.content.items():
            yield f"Request body (`{kind}`): {words(content.described, definitions)}\n\n"
            yield _fields(content.described, definitions)
            yield from _examples(content)
    yield from _answer(method, path, operation, definitions)


def _examples(content: Content) -> Iterator[str]:
    for example in content.examples.values():
        if example.value is None:
            yield f"Example: {example.summary}\n\n"
        else:
            yield f"Example:\n\n```json\n{json.dumps(example.value, indent=2, ensure_ascii=False)}\n```\n\n"


def _required(required: bool) -> str:
    return "required" if required else ""


def _fields(schema: Schema, definitions: Definitions) -> str:
    """A table of the fields of a body; for alternatives with a field of the same name, all its types."""
    kinds: dict[str, dict[str, None]] = {}
    meanings: dict[str, dict[str, None]] = {}
    for place, field_schema in fields(schema, definitions):
        kinds.setdefault(place, {})[_kind(field_schema, definitions)] = None
        meanings.setdefault(place, {})[sentence(field_schema.description)] = None
    rows = [(f"`{place}`", ", ".join(kind), " ".join(meanings[place])) for place, kind in kinds.items()]
    return table(("field", "value", "meaning"), rows)


def _kind(schema: Schema, definitions: Definitions) -> str:
    """The type of a field, including null."""
    null = " or null" if any(is_null(choice) for choice in resolved(schema, definitions).choices) else ""
    return f"{words(schema, definitions)}{null}"


def _answer(method: str, path: str, operation: Operation, definitions: Definitions) -> Iterator[str]:
    """Describe a successful response: its schema, and further fields recorded from a running station."""
    for status, body in operation.responses.items():
        if not status.startswith("2"):
            continue
        kinds = ", ".join(f"`{kind}`" for kind in body.content) or "no body"
        yield f"Response {status}: {kinds}.\n\n"
        named: set[str] = set()
        for content in body.content.values():
            yield _fields(content.described, definitions)
            named |= {place.rstrip("[]") for place, _ in fields(content.described, definitions)}
        recorded_fields = fields_of("api_answers").get(path, []) if method == "GET" else []
        further = [
            field_name
            for field_name in recorded_fields
            if field_name.rstrip("[]") not in named and not field_name[:3].isdecimal()
        ]
        if further:
            yield f"Fields: {', '.join(f'`{field_name}`' for field_name in further)}.\n\n"

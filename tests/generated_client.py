"""Generates a typed Python client from the OpenAPI document of the local API, as its users can.

Each schema becomes a `TypedDict` or a `Literal`, each operation a method that is named by its `operationId`.
"""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Iterator
from typing import Any, Final

Schema = dict[str, Any]

_PRIMITIVES: Final = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
_HEAD: Final = '''"""Generated from the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NotRequired, TypeAlias, TypedDict, cast
from urllib.parse import quote

import httpx

'''
_CLIENT: Final = """

class Client:
    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def _send(self, method: str, path: str, query: Mapping[str, object], body: object) -> httpx.Response:
        params = {name: str(value) for name, value in query.items() if value is not None}
        return self._http.request(method, path, params=params, json=body).raise_for_status()
"""


def client_module(document: Schema) -> str:
    """The text of a module with the class `Client` and the types of its arguments and results."""
    types = "\n\n".join(_definition(name, schema) for name, schema in document["components"]["schemas"].items())
    methods = "\n".join(
        _method(path, name, operation)
        for path, operations in document["paths"].items()
        for name, operation in operations.items()
    )
    return f"{_HEAD}{types}\n{_CLIENT}\n{methods}"


def _definition(name: str, schema: Schema) -> str:
    if "properties" not in schema:
        return f"{name}: TypeAlias = {json.dumps(_type(schema))}"  # quoted: it may refer to a later definition
    required = set(schema.get("required", []))
    fields = (
        f"    {field}: {_type(field_schema) if field in required else f'NotRequired[{_type(field_schema)}]'}"
        for field, field_schema in schema["properties"].items()
    )
    return "\n".join((f"class {name}(TypedDict):", *fields)) + "\n"


def _type(schema: Schema) -> str:
    """The Python type of a schema; `object` for free JSON."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if alternatives := schema.get("anyOf", schema.get("oneOf")):
        return " | ".join(dict.fromkeys(_type(alternative) for alternative in alternatives))
    if "const" in schema or "enum" in schema:
        return f"Literal[{', '.join(repr(literal) for literal in schema.get('enum', [schema.get('const')]))}]"
    match schema.get("type"):
        case "array" if "prefixItems" in schema:
            return f"tuple[{', '.join(_type(item_schema) for item_schema in schema['prefixItems'])}]"
        case "array":
            return f"list[{_type(schema.get('items', {}))}]"
        case "object":
            extra: Schema | bool = schema.get("additionalProperties", True)
            return f"dict[str, {_type(extra) if not isinstance(extra, bool) else 'object'}]"
        case str(kind):
            return _PRIMITIVES[kind]
        case _:
            return "object"


def _method(path: str, http_method: str, operation: Schema) -> str:
    places = {parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == "path"}
    body, result = operation.get("requestBody"), _result(operation)
    parameters = ", ".join(("self", *_arguments(operation)))
    query = ", ".join(
        f'"{parameter["name"]}": {_argument(parameter["name"])}'
        for parameter in operation.get("parameters", [])
        if parameter["in"] == "query"
    )
    target = re.sub(r"{(\w+)}", lambda place: f"{{quote(str({_argument(place[1])}), safe='')}}", path)
    prefix = "f" if places else ""
    sent = "body" if body is not None and "application/json" in body["content"] else "None"
    call = f'self._send("{http_method.upper()}", {prefix}"{target}", {{{query}}}, {sent})'
    value = f'cast("{result}", {call}.json())' if result != "bytes" else f"{call}.content"
    return f"    def {operation['operationId']}({parameters}) -> {result}:\n        return {value}\n"


def _arguments(operation: Schema) -> Iterator[str]:
    parameters, body = operation.get("parameters", []), operation.get("requestBody")
    yield from (
        f"{_argument(parameter['name'])}: {_type(parameter['schema'])}"
        for parameter in parameters
        if parameter["in"] == "path"
    )
    if body is not None and "application/json" in body["content"]:
        kind = _type(body["content"]["application/json"]["schema"])
        yield f"body: {kind}" if body.get("required") else f"body: {kind} = None"
    if queries := [parameter for parameter in parameters if parameter["in"] == "query"]:
        yield "*"
        for parameter in queries:
            kind = _type(parameter["schema"])
            optional = kind if "None" in kind.split(" | ") else f"{kind} | None"
            yield f"{_argument(parameter['name'])}: {kind if parameter.get('required') else f'{optional} = None'}"


def _argument(name: str) -> str:
    return f"{name}_" if keyword.iskeyword(name) else name


def _result(operation: Schema) -> str:
    (good,) = (response for status, response in operation["responses"].items() if status.startswith("2"))
    content = good.get("content", {})
    return _type(content["application/json"]["schema"]) if set(content) == {"application/json"} else "bytes"

"""What the OpenAPI document says of each field, parameter and body, for the whole document of a station."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

import pytest
from fastapi.routing import APIRoute

from tests.api_document import openapi_document, simulated_application


def _properties(value: object, place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each property of each schema in a part of the document, and each named item of a tuple, with its place."""
    if isinstance(value, list):
        for position, item in enumerate(cast("list[object]", value)):
            yield from _properties(item, f"{place}[{position}]")
    elif isinstance(value, dict):
        schema = cast("dict[str, Any]", value)
        for name, inner in schema.get("properties", {}).items():
            yield f"{place}.{name}", inner
        for inner in schema.get("prefixItems", []):
            if "title" in inner:
                yield f"{place}.{inner['title']}", inner
        for key, nested in schema.items():
            if key not in {"example", "examples", "default"}:
                yield from _properties(nested, f"{place}.{key}")


def _operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in openapi_document()["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_every_property_is_described() -> None:
    properties = dict(_properties(openapi_document(), ""))
    assert len(properties) > 800
    assert [place for place, schema in properties.items() if not schema.get("description")] == []


def test_every_schema_and_every_parameter_is_described() -> None:
    schemas = openapi_document()["components"]["schemas"]
    assert [name for name, schema in schemas.items() if not schema.get("description")] == []
    assert [
        f"{operation}: {parameter['name']}"
        for operation, described in _operations()
        for parameter in described.get("parameters", [])
        if not parameter.get("description")
    ] == []


def test_descriptions_speak_of_json_and_not_of_python() -> None:
    described = [schema.get("description", "") for _, schema in _properties(openapi_document(), "")]
    assert [text for text in described if "None" in text or "True" in text or "False" in text] == []


def test_an_enumeration_says_what_its_values_mean() -> None:
    described = openapi_document()["components"]["schemas"]["OrderReason"]["description"]
    assert "- `wire-broken`: the wire of a supervised contact is broken: limited, to be safe" in described.splitlines()


def test_every_body_has_an_example() -> None:
    assert [
        f"{operation} {kind}"
        for operation, described in _operations()
        for kind, content in described.get("requestBody", {}).get("content", {}).items()
        if not content.get("examples")
    ] == []


_BODIES = {
    f"{method} {route.path_format}": route.body_field
    for route in simulated_application().routes
    if isinstance(route, APIRoute) and route.body_field is not None and route.include_in_schema
    for method in route.methods or ()
}


@pytest.mark.parametrize("operation", _BODIES)
def test_each_example_of_a_body_is_valid(operation: str) -> None:
    method, path = operation.split()
    described = openapi_document()["paths"][path][method.lower()]["requestBody"]["content"]["application/json"]
    for name, example in described["examples"].items():
        given = json.loads(json.dumps(example["value"]))
        assert _BODIES[operation].validate(given, {}, loc=("body",))[1] in (None, []), name


def test_each_alternative_of_a_body_has_its_own_example() -> None:
    body = openapi_document()["paths"]["/api/commissioning/steps"]["post"]["requestBody"]["content"]["application/json"]
    assert [example["$ref"].rpartition("/")[2] for example in body["schema"]["oneOf"]] == list(body["examples"])

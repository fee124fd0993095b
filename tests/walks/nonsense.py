"""Generates payloads that fit their schema but make no sense: extreme numbers, texts and times in every field."""

from __future__ import annotations

import importlib.util
import json
import math
import random
from functools import cache
from pathlib import Path
from typing import Any

from ocpp_handlers.wire.edition import V201, Edition

NUMBERS = (0, 1, 2, 3, -1, 1.0, 2**31 - 1, 2**31, 2**63, -(2**63), 10**30, 1e300)
FRACTIONS = (0.0, -0.0, 0.1, -0.1, 16.0, 5e-324, 1e308, -1e308)
TEXTS = (
    "",
    "1",
    "04A3B2C1D5E680",
    "\x00",
    "\n",
    "é🚗",
    "'; DROP TABLE events; --",
    "../../etc/passwd",
    "http://127.0.0.1:9/x",
    "ws://127.0.0.1:9",
    "file:///etc/passwd",
    "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----",
    "EVSE",
    "TxCtrlr",
)
MOMENTS = (
    "",
    "tomorrow",
    "2024-05-06T07:08:09Z",
    "2024-02-30T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "2100-01-01T00:00:00.123456789Z",
)
_LONGEST = 10_000


def actions(edition: Edition = V201) -> list[str]:
    """All actions of an edition."""
    return sorted(file.stem.removesuffix("Request") for file in _folder(edition).glob("*Request.json"))


def random_payload(message: str, rng: random.Random, edition: Edition = V201) -> Any:
    """A random payload of a message (such as ResetRequest) that its schema allows."""
    schema = schema_of(message, edition)
    return _random_value(schema, schema.get("definitions", {}), rng)


def _folder(edition: Edition) -> Path:
    found = importlib.util.find_spec("ocpp")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / edition.schema_folder / "schemas"


@cache
def schema_of(message: str, edition: Edition = V201) -> dict[str, Any]:
    """The JSON schema of a message (such as ResetRequest)."""
    return json.loads((_folder(edition) / f"{message}.json").read_text(encoding="utf-8-sig"))


def _random_value(node: dict[str, Any], definitions: dict[str, Any], rng: random.Random) -> Any:
    if "$ref" in node:
        return _random_value(definitions[node["$ref"].rsplit("/", 1)[-1]], definitions, rng)
    if "enum" in node:
        return rng.choice(node["enum"])
    match node.get("type"):
        case "object":
            chosen = {
                name: field_schema
                for name, field_schema in node["properties"].items()
                if name in node.get("required", ()) or rng.random() < (0.1 if name == "customData" else 0.5)
            }
            return {name: _random_value(field_schema, definitions, rng) for name, field_schema in chosen.items()}
        case "array":
            least = node.get("minItems", 0)
            items = rng.randint(least, max(least, min(node.get("maxItems", 4), 4)))
            return [_random_value(node["items"], definitions, rng) for _ in range(items)]
        case "string":
            longest = node.get("maxLength", _LONGEST)
            texts = MOMENTS if node.get("format") == "date-time" else (*TEXTS, "y" * longest)
            return rng.choice(texts)[:longest]
        case "integer":
            return _number_within(node, NUMBERS, rng)
        case "number":
            return _number_within(node, (*NUMBERS, *FRACTIONS), rng)
        case "boolean":
            return rng.random() < 0.5
        case _:  # of any type
            return rng.choice((None, 1, "x", [], {"a": [1.5]}))


def _number_within(node: dict[str, Any], numbers: tuple[float, ...], rng: random.Random) -> float:
    """One of the numbers that the schema of a field allows."""
    lowest, highest = node.get("minimum", -math.inf), node.get("maximum", math.inf)
    return rng.choice([number for number in numbers if lowest <= number <= highest])

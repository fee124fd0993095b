"""Checks patterns against JSON schemas: their fields must exist, and their texts be possible in enumerations."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Final

from foundation.json_values import is_list, is_object, object_of
from simulator.csms.messages import schema_folder
from simulator.scenarios.patterns import ITEM_KEY, literal_texts
from station.core.installation_file.document import KeyPath, RuleError

_SUFFIX: Final = "Request"
_PLACE_KEYS: Final = frozenset({"evseId", "connectorId"})
"""fields with the number of an EVSE or connector"""
_MOST_LISTED: Final = 12
"""values or fields that an error lists"""


@cache
def action_names() -> frozenset[str]:
    """The names of all actions of OCPP 2.0.1."""
    return frozenset(file.stem.removesuffix(_SUFFIX) for file in schema_folder().glob(f"*{_SUFFIX}.json"))


@cache
def message_schema(name: str) -> Mapping[str, object]:
    """The JSON schema of a message, such as `TransactionEventRequest`, from the package `ocpp`."""
    return object_of(json.loads((schema_folder() / f"{name}.json").read_text(encoding="utf-8-sig")))


def similar_name(name: str, known: Iterator[str] | list[str]) -> str:
    """A hint in brackets at the known name that is most similar, else at all of them."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {near[0]}?" if near else f"known: {_listing(names)}"


def fields_at(schema: Mapping[str, object], path: KeyPath) -> list[str]:
    """The names of the fields that a value of the schema has at a path; none if it has no fields there."""
    nodes = list(_alternatives(schema, schema))
    for step in path:
        inner = [_inner(node, step) for node in nodes]
        nodes = [found for node in inner if node is not None for found in _alternatives(schema, node)]
    return [name for node in nodes for name in object_of(node.get("properties", {}))]


def _inner(node: Mapping[str, object], step: str | int) -> Mapping[str, object] | None:
    found = node.get("items") if isinstance(step, int) else object_of(node.get("properties", {})).get(step)
    return object_of(found) if found is not None else None


def enumerated_part(schema: Mapping[str, object], value: object) -> object:
    """A pattern with the values of enumerations, the flags, and the numbers of EVSE and connector in a value.

    Of a list only the first item. None: there are none.
    """
    return _enumerated(schema, [schema], value)


def _enumerated(root: Mapping[str, object], nodes: Sequence[Mapping[str, object]], value: object) -> object:
    nodes = [resolved for node in nodes for resolved in _alternatives(root, node)]
    if is_object(value):
        properties = [object_of(node["properties"]) for node in nodes if "properties" in node]
        found = {
            key: inner if key in _PLACE_KEYS and isinstance(inner, int) else _enumerated(root, inner_nodes, inner)
            for key, inner in value.items()
            if (inner_nodes := [object_of(fields[key]) for fields in properties if key in fields])
        }
        return {key: inner for key, inner in found.items() if inner is not None} or None
    if is_list(value):
        items = [object_of(node["items"]) for node in nodes if "items" in node]
        first = _enumerated(root, items, value[0]) if value else None
        return {"0": first} if first is not None else None
    if isinstance(value, bool):
        return value
    return value if isinstance(value, str) and any(_enumeration(node) for node in nodes) else None


def pattern_errors(schema: Mapping[str, object], pattern: object, path: KeyPath) -> list[RuleError]:
    """What a pattern at `path` expects that no value of the schema has: unknown fields, and texts of enumerations."""
    return list(_errors(schema, [schema], pattern, path))


def _errors(
    root: Mapping[str, object], nodes: Sequence[Mapping[str, object]], pattern: object, path: KeyPath
) -> Iterator[RuleError]:
    """`nodes`: the schemas of which one applies to the value; an empty list: any value is possible."""
    nodes = [resolved for node in nodes for resolved in _alternatives(root, node)]
    if any(not node or _is_free(node) for node in nodes):
        return
    if is_object(pattern):
        lists = [node for node in nodes if "items" in node]
        objects = [node for node in nodes if "properties" in node]
        for key, inner in pattern.items():
            if lists and (key == ITEM_KEY or key.isdecimal()):
                yield from _errors(root, [object_of(node["items"]) for node in lists], inner, (*path, key))
            elif objects:
                yield from _field_errors(root, objects, key, inner, path)
            elif lists:
                yield RuleError((*path, key), 'is a list: its keys are "*" (one of the items) or the index of an item')
            else:
                yield RuleError((*path, key), "does not exist: the value has no fields")
    elif is_list(pattern):
        lists = [node for node in nodes if "items" in node]
        if not lists:
            yield RuleError(path, "is no list")
            return
        for index, inner in enumerate(pattern):
            yield from _errors(root, [object_of(node["items"]) for node in lists], inner, (*path, index))
    elif isinstance(pattern, str):
        yield from _text_errors(nodes, pattern, path)


def _field_errors(
    root: Mapping[str, object], objects: list[Mapping[str, object]], key: str, inner: object, path: KeyPath
) -> Iterator[RuleError]:
    properties = [object_of(node["properties"]) for node in objects]
    found = [object_of(fields[key]) for fields in properties if key in fields]
    if found:
        yield from _errors(root, found, inner, (*path, key))
    else:
        names = [name for fields in properties for name in fields if name != "customData"]
        yield RuleError((*path, key), f"does not exist ({similar_name(key, names)})")


def _text_errors(nodes: list[Mapping[str, object]], pattern: str, path: KeyPath) -> Iterator[RuleError]:
    if not all("enum" in node or "const" in node for node in nodes if node.get("type") != "null"):
        return
    values = [str(value) for node in nodes for value in _enumeration(node)]
    for text in literal_texts(pattern):
        if values and text not in values:
            yield RuleError(path, f'can never be "{text}" ({similar_name(text, values)})')


def _enumeration(node: Mapping[str, object]) -> list[object]:
    if "const" in node:
        return [node["const"]]
    values = node.get("enum", [])
    return values if is_list(values) else []


def _alternatives(root: Mapping[str, object], node: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    """The schemas that a schema refers to or unites."""
    reference = node.get("$ref")
    if isinstance(reference, str):
        target: object = root
        for step in reference.removeprefix("#/").split("/"):
            target = object_of(target)[step]
        yield from _alternatives(root, object_of(target))
        return
    for key in ("anyOf", "oneOf", "allOf"):
        if is_list(parts := node.get(key)):
            for part in parts:
                yield from _alternatives(root, object_of(part))
            return
    yield node


def _is_free(node: Mapping[str, object]) -> bool:
    """Whether a schema allows fields that it does not name."""
    return "properties" not in node and "items" not in node and node.get("type", "object") == "object"


def _listing(names: list[str]) -> str:
    more = len(names) - _MOST_LISTED
    return ", ".join(sorted(names)[:_MOST_LISTED]) + (f" and {more} more" if more > 0 else "")

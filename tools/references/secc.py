"""The reference of the lines between a station and an SECC in a process of its own, from their types."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Final, cast, get_args

import msgspec

from foundation.member_docstrings import MemberDocstrings
from station.core import vehicle_link
from station.devices.secc import secc_protocol
from station.devices.secc.secc_protocol import SeccLine, StationLine, protocol_schema
from tools.references.markdown import sentence, table

_HEAD: Final = """\
# Lines of the SECC protocol

The lines of [the protocol](../secc.md), version {version}. The JSON Schema is at the end; `borne secc-check --schema`
prints it too.

"""
_NO_KEYS: Final = "No keys.\n\n"


def page() -> str:
    """Generate the page."""
    schema = json.dumps(protocol_schema(), indent=2, sort_keys=True)
    return "".join(
        (
            _HEAD.format(version=secc_protocol.VERSION),
            "## From the station\n\n",
            *(_line(kind) for kind in _kinds(StationLine)),
            "## From the SECC\n\n",
            *(_line(kind) for kind in _kinds(SeccLine)),
            "## Values\n\n",
            *(_value(name, definition) for name, definition in sorted(_values().items())),
            f"## JSON Schema\n\n```json\n{schema}\n```\n",
        )
    )


def _kinds(alias: object) -> Iterator[type]:
    for kind in get_args(alias):
        yield from _kinds(kind) if get_args(kind) else (cast("type", kind),)


def _definitions() -> Mapping[str, Mapping[str, object]]:
    return cast("Mapping[str, Mapping[str, object]]", protocol_schema()["$defs"])


def _values() -> Mapping[str, Mapping[str, object]]:
    """The definitions that are no lines."""
    lines = {kind.__name__ for alias in (StationLine, SeccLine) for kind in _kinds(alias)}
    return {name: found for name, found in _definitions().items() if name not in lines | {"station", "secc"}}


def _line(kind: type) -> str:
    info = msgspec.inspect.type_info(kind)
    assert isinstance(info, msgspec.inspect.StructType)
    heading = f"### `{info.tag}`\n\n{sentence(inspect.getdoc(kind) or '')}\n\n"
    return heading + (_keys(kind, _definitions()[kind.__name__]) or _NO_KEYS)


def _value(name: str, definition: Mapping[str, object]) -> str:
    kind = _class_named(name)
    heading = f"### {name}\n\n{sentence(inspect.getdoc(kind) or '')}\n\n"
    if issubclass(kind, Enum):
        meanings, words = MemberDocstrings().of(kind), cast("list[str]", definition["enum"])
        members = {str(member.value): member.name for member in kind}
        return heading + table(
            ("value", "meaning"), ((f"`{word}`", _meaning(meanings.get(members[word]))) for word in words)
        )
    return heading + _keys(kind, definition)


def _class_named(name: str) -> type[object]:
    return cast("type[object]", getattr(vehicle_link, name))


def _keys(kind: type[object], definition: Mapping[str, object]) -> str:
    meanings = MemberDocstrings().of(kind)
    required = cast("list[str]", definition.get("required", []))
    properties = cast("Mapping[str, Mapping[str, object]]", definition.get("properties", {}))
    rows = [
        (f"`{name}`", _type(found), "yes" if name in required else "", _meaning(meanings.get(name)))
        for name, found in properties.items()
        if name not in {"event", "order"}
    ]
    return table(("key", "type", "required", "meaning"), rows)


def _meaning(docstring: str | None) -> str:
    return sentence(docstring) if docstring else ""


def _type(found: Mapping[str, object]) -> str:
    """A type in words, with its bounds."""
    if (reference := found.get("$ref")) is not None:
        return str(reference).rpartition("/")[2]
    if (options := found.get("anyOf")) is not None:
        return " or ".join(_type(option) for option in cast("list[Mapping[str, object]]", options))
    if found.get("type") == "array":
        most = f", at most {found['maxItems']}" if "maxItems" in found else ""
        return f"list of {_type(cast('Mapping[str, object]', found.get('items', {})))}{most}"
    bounds = [f"{words} {found[key]}" for key, words in _BOUNDS.items() if key in found]
    return ", ".join([str(found.get("type", "any")), *bounds])


_BOUNDS: Final = {
    "minimum": "from",
    "maximum": "to",
    "minLength": "characters from",
    "maxLength": "to",
}

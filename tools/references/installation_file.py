"""The reference of the installation file: every key with its type, default and meaning, from its tables."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, get_args

from msgspec import NODEFAULT, structs
from pydantic import BaseModel

from foundation.member_docstrings import MemberDocstrings
from foundation.table import Table
from foundation.table_definition import keys_of
from foundation.table_model import table_model
from station.configuration import schema_keys as keys
from station.configuration.installation_example import installation_example
from station.configuration.installation_file import Configuration
from station.devices.simulated_config import SimulatedBoardConfig
from tools.references.markdown import sentence, table
from tools.references.schema import Schema, code, words

_DOCSTRINGS: Final = MemberDocstrings()
_HEAD: Final = """\
# Installation file

The installation file, in TOML, contains the settings that the installer makes before the first start.
`borne init FILE` writes the [example](#the-whole-example) below; on a terminal, or with options such as
`--board linux`, it writes a file for the parts of a station ([bring-up](../bring-up.md)). `borne check FILE` lists
every mistake with file, line and key.

- Units are part of the key: `_a` amperes, `_w` watts, `_s` seconds, `_wh` watt-hours.
- Every key can also be given by an environment variable, which takes precedence: `csms.url` is `BORNE_CSMS_URL`,
  `evse[0].max_current_a` is `BORNE_EVSE_0_MAX_CURRENT_A`. See [Environment variables](environment.md).
- Relative paths are relative to the working directory.
- `[[name]]` is a list of tables: write it once for each entry. A table that occurs in several places is described once.

"""


@dataclass(frozen=True)
class Section:
    """One kind of table of the file."""

    model: type[Table]
    choice: str
    """the key and value that select this kind among several (`type = "linux"`), or the enclosing table; else empty"""
    places: list[str]
    """places where it may occur, such as `evse[].meter`; the empty text is the file itself"""


def sections() -> list[Section]:
    """The kinds of tables in the order of the file, each once."""
    found: dict[type[Table], Section] = {}
    for section in _tables(Configuration, "", ""):
        first = found.setdefault(section.model, section)
        first.places.extend(place for place in section.places if place not in first.places)
    return list(found.values())


def _tables(model: type[Table], place: str, choice: str) -> Iterator[Section]:
    """A table and all nested tables."""
    own = _choice(model)
    yield Section(model, own or choice, [place])
    for name, kind in keys.key_types(model).items():
        inner = f"{place}.{name}" if place else name
        yield from _tables_in(kind, inner, f"{_plain(place)}.{own}" if own else choice)


def _tables_in(kind: object, place: str, choice: str) -> Iterator[Section]:
    for table_type in keys.tables(kind):
        yield from _tables(table_type, place, choice)
    if (entry := keys.entry(kind)) is not None:
        yield from _tables_in(entry, f"{place}[]", choice)


def _choice(model: type[Table]) -> str:
    """The key and value that select this kind of table, if its `type` or `kind` has a single value; else empty."""
    for name in ("type", "kind"):
        kind = keys.key_types(model).get(name)
        if len(values := get_args(kind)) == 1:
            return f'{name} = "{values[0]}"'
    return ""


def page() -> str:
    """Generate the page."""
    parts = [_HEAD]
    for section in sections():
        parts += [_title(section), f"{summary_of(section.model)}\n\n", _keys(section), "\n"]
    parts.append(f"## The whole example\n\nAs written by `borne init`:\n\n```toml\n{installation_example()}```\n")
    return "".join(parts)


def _title(section: Section) -> str:
    """The heading of a table, with the other places where it may occur."""
    first, *other_places = section.places
    if not first:
        return "## The tables\n\n"
    where = (
        f" where `{section.choice}`" if section.choice and (_choice(section.model) or len(section.places) == 1) else ""
    )
    also = (
        f"Also: {', '.join(f'`{place_of(other_place)}`' for other_place in other_places)}.\n\n" if other_places else ""
    )
    return f"## `{place_of(first)}`{where} {{ #{section.model.__name__} }}\n\n{also}"


def _plain(place: str) -> str:
    """A place without its list markers."""
    return place.replace("[]", "")


def place_of(place: str) -> str:
    """Format a place as its table is written in TOML: `[evse.meter]`, or `[[evse]]` if it is a list."""
    return f"[[{_plain(place)}]]" if place.endswith("[]") else f"[{_plain(place)}]"


def _keys(section: Section) -> str:
    return table(("key", "value", "default", "meaning"), rows_of(section))


def rows_of(section: Section) -> list[tuple[str, str, str, str]]:
    """Key, permitted values, default and meaning of each key of a table, in Markdown."""
    schema = Schema.model_validate(table_model(section.model).model_json_schema())
    definitions = _definitions(section.model)
    meanings = _meanings(section.model)
    fields = {struct_field.encode_name: struct_field for struct_field in structs.fields(section.model)}
    rows: list[tuple[str, str, str, str]] = []
    for name, kind in keys.key_types(section.model).items():
        meaning = _tables_named(name, kind, section) or words(schema.properties[name], definitions)
        implied = section.model is SimulatedBoardConfig and name == "type"
        default = code("simulated") if implied else _default(kind, fields.get(name), schema.properties[name])
        rows.append((f"`{name}`", meaning, default, _meaning(name, kind, meanings)))
    return rows


def _meanings(model: type[Table]) -> Mapping[str, str]:
    """The docstring of each key."""
    members = _DOCSTRINGS.of(model)
    return {key: members[attribute] for key, attribute in keys_of(model).items() if attribute in members}


def _meaning(name: str, kind: object, meanings: Mapping[str, str]) -> str:
    """The meaning of a key: its docstring, or that of its table."""
    if name in meanings:
        return sentence(meanings[name])
    if name == "type":
        return "Chooses this kind of table."
    models = keys.tables(kind) or keys.tables(keys.entry(kind))
    return summary_of(models[0]) if len(models) == 1 else ""


def summary_of(model: type[Table]) -> str:
    """The docstring of a table in one paragraph, without its name."""
    return sentence(re.sub(r"^\[+[\w.]+\]+: ", "", inspect.cleandoc(model.__doc__ or "")))


def _definitions(model: type[Table]) -> dict[str, Schema]:
    class Whole(BaseModel):
        """A schema with its definitions."""

        defs: dict[str, Schema] = {}

    document = table_model(model).model_json_schema()
    return Whole.model_validate({"defs": document.get("$defs", {})}).defs


def _tables_named(name: str, kind: object, section: Section) -> str:
    """Links to the tables of a key; empty if it has none."""
    models = keys.tables(kind)
    place = f"{section.places[0]}.{name}" if section.places[0] else name
    if not models and (models := keys.tables(keys.entry(kind))):
        place += "[]"
    if not models:
        return ""
    links = [f"[`{_choice(model) or place_of(place)}`](#{model.__name__})" for model in models]
    further = [_PLAIN[plain_type] for plain_type in keys.plain_types(kind) if plain_type in _PLAIN]
    start = f"table with {' or '.join(links)}" if len(links) > 1 else links[0]
    return " or ".join([start, *further])


_PLAIN: Final[dict[object, str]] = {str: "text", bool: "true or false", int: "integer", float: "number"}


def _default(kind: object, field: structs.FieldInfo | None, schema: Schema) -> str:
    """The default of a key; `field` is None for the key that chooses the kind of table."""
    if field is None or field.required:
        return "**required**"
    if field.default is NODEFAULT:
        return "set by the program"
    if field.name != field.encode_name and not keys.tables(kind):
        return "depends on others"
    if field.default is None and field.name == field.encode_name:
        return "–"
    if field.default == ():
        return "none"
    if keys.tables(kind) or keys.tables(keys.entry(kind)):
        return "its defaults"
    return code(schema.default) if not isinstance(schema.default, float) else f"`{schema.default:g}`"

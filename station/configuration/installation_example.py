"""The example of an installation file, generated from the tables: every key with its meaning and default or a sample.

Keys and tables are described by their docstrings. The sample of a key without default is in its annotation,
`Meta(examples=[…])`; that of a table has the keys by which this occurrence differs from the samples of its own keys.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple, get_args, get_type_hints

from msgspec import NODEFAULT, UNSET
from msgspec.structs import fields

from foundation.json_values import is_array, is_object, object_of
from foundation.member_docstrings import MemberDocstrings
from foundation.table import Table
from foundation.table_definition import keys_of
from station.configuration import schema_keys
from station.configuration.example_lines import Line, comment_lines, in_place, not_in_force, text_of
from station.configuration.example_values import first_choice, key_range, other_choices, sample_of, toml_text
from station.configuration.installation_tables import InstallationTables

_HEAD: Final = """\
The installation file of a charging station.

A commented-out key shows its default, or an example if it has no default. A required key must be in its table.
An indented table takes the place of the one above, which is then removed.
An environment variable overrides a key: BORNE_CSMS_URL, BORNE_EVSE_0_MAX_CURRENT_A.
Relative paths start at the working directory. `borne check FILE` reports every error in this file."""
_ABSENT: Final = (NODEFAULT, UNSET, None, ())
"""defaults that are no values to show"""

Sample = Mapping[str, object]


class _Key(NamedTuple):
    """A key of a table."""

    name: str
    kind: object
    default: object
    sample: object
    meaning: str
    owner: type
    """the class that declares the key"""

    @property
    def required(self) -> bool:
        """Whether a table without this key is invalid."""
        return self.default is NODEFAULT

    @property
    def tables(self) -> Sequence[type[Table]]:
        """The kinds of table that the key has, or its entries if it is a list; empty: it has plain values."""
        return schema_keys.tables(self.kind) or schema_keys.tables(schema_keys.entry(self.kind))

    @property
    def is_list(self) -> bool:
        """Whether the key has a list of tables."""
        return not schema_keys.tables(self.kind)


def installation_example(values: Sample = MappingProxyType({})) -> str:
    """Generate the example that `borne init` writes.

    `values`: the keys of tables, by the name of the table, that are in force with these values.
    """
    return text_of([*comment_lines(_HEAD), *_ExampleWriter().file(values)])


def sample_values(table: type[Table]) -> Mapping[str, object]:
    """The required keys of a table, with the samples that the example shows."""
    return _ExampleWriter().required(table, {})


class _ExampleWriter:
    """Makes the lines of the example; each kind of table is described in full where it occurs first."""

    def __init__(self) -> None:
        self._docstrings = MemberDocstrings()
        self._described: set[type[Table]] = set()
        self._described_keys: set[tuple[type, str]] = set()

    def file(self, values: Sample) -> Iterator[Line]:
        """All tables of the file, each below its description."""
        for key in self._keys(InstallationTables, values):
            described = [key.meaning] if key.meaning else []
            if len(key.tables) == 1:
                described.append(_summary(key.tables[0]))
            yield Line()
            yield from comment_lines("\n".join(_as_sentence(text) for text in described))
            yield from self._tables(key, key.name, "", in_force=self._in_force(key, values))

    @staticmethod
    def _in_force(key: _Key, values: Sample) -> bool:
        return key.name in values or key.default not in _ABSENT or key.required

    def _tables(self, key: _Key, path: str, meaning: str, *, in_force: bool) -> Iterator[Line]:
        """The table of a key, or an entry of its list, and the other kinds of table that may take its place."""
        sample = _table_sample(key.sample)
        default_table, *alternatives = _default_first(key, sample)
        alternative_tags = "".join(f', "{_tag(table)}"' for table in alternatives).removeprefix(", ")
        tag_comment = _summary(default_table) if len(key.tables) > 1 else ""
        if alternatives and not key.is_list:
            tag_comment += f"; or {alternative_tags}, see below"
        lines = self._table(default_table, path, sample, Line(_header(key, path), meaning), tag_comment)
        yield from lines if in_force else not_in_force(lines)
        for entry in _further_entries(key):
            yield Line()
            further = self._further_entry(default_table, path, entry)
            yield from further if in_force else not_in_force(further)
        for table in alternatives:
            if key.is_list:
                header = Line(_header(key, path), "")
                yield from not_in_force(self._table(table, path, {}, header, _summary(table)))
            else:
                yield Line()
                yield from comment_lines(f"In place of {_header(key, path)} above: {_summary(table)}")
                yield from in_place(self._table(table, path, {}, Line(_header(key, path)), ""))

    def _further_entry(self, table: type[Table], path: str, sample: Sample) -> Iterator[Line]:
        """An entry of a list after the first: only what is in force."""
        yield Line(f"[[{path}]]")
        for name, value in self.required(table, sample).items():
            yield Line(_assignment(name, value))

    def _table(self, table: type[Table], path: str, sample: Sample, header: Line, tag_comment: str) -> Sequence[Line]:
        """The header of a table and all its keys: first the plain ones, then those that have a table of their own."""
        self._described.add(table)
        lines, inner_tables, left_out = [header], list[Line](), False
        for key in self._keys(table, sample):
            in_force = key.required or key.name in sample
            if not in_force and (key.owner, key.name) in self._described_keys:
                left_out = True
                continue
            if key.owner is not table:
                self._described_keys.add((key.owner, key.name))
            if key.tables and not self._described.issuperset(key.tables):
                meaning = key.meaning or _summary(key.tables[0])
                is_default = key.default not in _ABSENT
                tables = self._tables(key, f"{path}.{key.name}", meaning, in_force=in_force or is_default)
                inner_tables += [Line(), *tables]
            elif key.name == table.__struct_config__.tag_field:
                lines.insert(1, Line(_assignment(key.name, key.sample), tag_comment))
            else:
                line = Line(_assignment(key.name, self._value(key)), _meaning(key))
                lines += [line] if in_force else not_in_force([line])
        if left_out:
            lines += comment_lines("Its other keys are those above.")
        return [*lines, *inner_tables]

    def _value(self, key: _Key) -> object:
        """The value that a key shows; a table, which is described elsewhere, with its required keys."""
        if not key.tables:
            return key.sample
        if key.is_list:
            entries: Sequence[object] = key.sample if is_array(key.sample) and key.sample else [{}]
            return [self.required(key.tables[0], object_of(entry)) for entry in entries]
        sample = _table_sample(key.sample)
        return self.required(_default_first(key, sample)[0], sample)

    def required(self, table: type[Table], sample: Sample) -> Sample:
        """The required keys of a table, and those of its sample."""
        tag = table.__struct_config__.tag_field
        keys = sorted(self._keys(table, sample), key=lambda key: key.name != tag)
        return {key.name: self._value(key) for key in keys if key.required or key.name in (*sample, tag)}

    def _keys(self, table: type[Table], sample: Sample) -> Iterator[_Key]:
        hints: dict[str, object] = get_type_hints(table, include_extras=True)
        meanings = self._docstrings.of(table)
        defaults = {field.name: field.default for field in fields(table)}
        factories = {field.name for field in fields(table) if field.default_factory is not NODEFAULT}
        for name, attribute in keys_of(table).items():
            kind = schema_keys.key_types(table)[name]
            owner = next(base for base in table.__mro__ if attribute in inspect.get_annotations(base))
            if attribute not in defaults:  # the tag
                yield _Key(name, kind, None, get_args(kind)[0], "", owner)
                continue
            default = UNSET if attribute in factories else defaults[attribute]
            value = sample[name] if name in sample else sample_of(hints[attribute])
            if value is None:
                value = default if default not in _ABSENT else first_choice(kind)
            key = _Key(name, kind, default, value, _one_line(meanings.get(attribute, "")), owner)
            if value is None and not key.tables:
                raise LookupError(f"{table.__name__}.{name} has no default: its annotation needs Meta(examples=[…])")
            yield key


def _default_first(key: _Key, sample: Sample) -> Sequence[type[Table]]:
    """The kinds of table of a key, that of the sample or the default first."""
    by_tag = {_tag(table): table for table in reversed(key.tables)}
    tag_field = key.tables[0].__struct_config__.tag_field
    chosen = sample[tag_field] if tag_field and tag_field in sample else _tag(type(key.default))
    default_table = by_tag.get(chosen, key.tables[0])
    return [default_table, *(table for table in key.tables if table is not default_table)]


def _tag(table: type) -> object:
    return table.__struct_config__.tag if issubclass(table, Table) else None


def _table_sample(sample: object) -> Sample:
    """The sample of a table, or of the first entry of a list of tables; without one its own keys have samples."""
    table_sample = next(iter(sample), None) if is_array(sample) else sample
    return table_sample if is_object(table_sample) else {}


def _further_entries(key: _Key) -> Sequence[Sample]:
    """The samples of the entries after the first in a list of tables."""
    return [entry for entry in key.sample[1:] if is_object(entry)] if is_array(key.sample) else ()


def _header(key: _Key, path: str) -> str:
    return f"[[{path}]]" if key.is_list else f"[{path}]"


def _assignment(name: str, value: object) -> str:
    return f"{name} = {toml_text(value)}"


def _summary(table: type[Table]) -> str:
    """The docstring of a table, without its place."""
    return re.sub(r'^\[+[\w.]+\]+(?: of type "[\w-]+")?: ', "", _one_line(inspect.cleandoc(table.__doc__ or "")))


def _one_line(docstring: str) -> str:
    """A docstring in one line, its paragraphs as sentences."""
    paragraphs = (" ".join(text.split()).removesuffix(".") for text in docstring.split("\n\n"))
    return ". ".join(paragraphs)


def _meaning(key: _Key) -> str:
    """Whether a key is required, its other values, its docstring and its range."""
    parts = ["required"] if key.required else []
    meaning = key.meaning or (_summary(key.tables[0]) if len(key.tables) == 1 else "")
    parts += [text for text in (other_choices(key.kind, key.sample), key_range(key.kind), meaning) if text]
    return "; ".join(parts)


def _as_sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."

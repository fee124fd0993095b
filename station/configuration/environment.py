"""Environment variables that override the installation file: BORNE_EVSE_0_MAX_CURRENT_A is evse[0].max_current_a."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from foundation.json_values import is_list, is_object
from station.configuration import schema_keys as config_keys
from station.core.installation_file.document import ConfigurationDocument, KeyPath, NestingError, parse_toml

_PREFIX = "BORNE_"
_NOT_KEYS = frozenset({"BORNE_TOKEN"})
"""variables that begin so and set no key: `borne sim` reads it"""


def overlay(document: ConfigurationDocument, environ: Mapping[str, str], root: object) -> ConfigurationDocument:
    """Return the document with every BORNE_ variable of `environ` applied; files and the environment are not changed.

    `ConfigurationDocument.refused` lists the variables that match no key of the model `root` or skip an entry of a
    list.
    """
    tree = document.tree
    variables: dict[KeyPath, str] = {}
    refused: list[str] = []
    names = sorted((name for name in environ if name.startswith(_PREFIX) and name not in _NOT_KEYS), key=_sort_key)
    for name in names:
        suffix = name.removeprefix(_PREFIX)
        found = _find_key(suffix, root)
        if found is None:
            refused.append(f"{name}: is not a known environment variable{_suggestion(suffix, root)}")
            continue
        path, kind = found
        try:
            tree = _with_value(tree, path, _parse_value(environ[name], kind))
        except IndexError as error:
            refused.append(f"{name}: skips an entry of the list, whose next entry has index {error}")
        else:
            variables[path] = name
    return replace(document, tree=tree, variables=variables, refused=tuple(refused))


def _sort_key(name: str) -> list[str]:
    """Sort key that puts BORNE_EVSE_2 before BORNE_EVSE_10, and a table before its keys."""
    return [word.zfill(9) if word.isdecimal() else word for word in name.split("_")]


def _find_key(name: str, kind: object) -> tuple[KeyPath, object] | None:
    """The path of `PORT` (in a table) or `0_PHASES` (in a list) in a value of this type, and the type of the key."""
    for key, inner in sorted(config_keys.table_keys(kind).items(), key=lambda item: -len(item[0])):
        if name == key.upper():
            return (key,), inner
        if name.startswith(f"{key.upper()}_") and (inner_key := _find_key(name[len(key) + 1 :], inner)) is not None:
            return (key, *inner_key[0]), inner_key[1]
    index = re.match(r"([0-9]+)(?:_|$)", name)
    if index is None or (inner := config_keys.entry(kind)) is None:
        return None
    if index.end() == len(name):
        return (int(index[1]),), inner
    inner_key = _find_key(name[index.end() :], inner)
    return inner_key and ((int(index[1]), *inner_key[0]), inner_key[1])


def _suggestion(name: str, root: object) -> str:
    """A suggestion for a misspelt variable, or an empty text; `name` without the prefix."""
    index = re.search(r"_([0-9]+)_", name)
    names = list(_variable_names("", root, index[1] if index else "0"))
    return "".join(
        f" (did you mean {_PREFIX}{suggestion}?)" for suggestion in difflib.get_close_matches(name, names, n=1)
    )


def _variable_names(prefix: str, kind: object, index: str) -> Iterator[str]:
    """All variable names below a type; entries of lists with this index."""
    inner_kinds = {f"{prefix}{key.upper()}": inner for key, inner in config_keys.table_keys(kind).items()}
    if (entry := config_keys.entry(kind)) is not None:
        inner_kinds[f"{prefix}{index}"] = entry
    for name, inner in inner_kinds.items():
        yield name
        yield from _variable_names(f"{name}_", inner, index)


def _parse_value(text: str, kind: object) -> object:
    """Parse the text of a variable: a text key takes it as is, any other as TOML (32, true, [1, 2])."""
    if config_keys.is_text(kind):
        return text
    try:
        return parse_toml(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, NestingError):
        return text  # the model reports the error


def _with_value(tree: object, path: KeyPath, value: object) -> object:
    """`tree` with the value set at the path; a wrong type on the way is left for the model to reject.

    Raises:
        IndexError: the path is beyond the end of a list; the argument is the length of the list.
    """
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(step, str):
        table: object = {} if tree is None else tree
        if not is_object(table):
            return tree
        return table | {step: _with_value(table.get(step), rest, value)}
    entries: object = [] if tree is None else tree
    if not is_list(entries):
        return tree
    if step > len(entries):
        raise IndexError(len(entries))
    before = entries[step] if step < len(entries) else None
    return [*entries[:step], _with_value(before, rest, value), *entries[step + 1 :]]

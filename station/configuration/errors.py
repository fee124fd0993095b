"""Error messages for a rejected configuration: one sentence each with file, line, key, expected and actual value."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from foundation.frozen import Frozen
from station.configuration import schema_keys as config_keys
from station.configuration.line_numbers import line_numbers
from station.core.installation_file.document import (
    ConfigurationDocument,
    ConfigurationError,
    KeyPath,
    RuleError,
    RuleErrors,
    dotted,
)

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from foundation.table import Table

_EXPECTED = {
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "decimal_max_places": "must have at most {decimal_places} decimals",
    "decimal_parsing": "must be a number",
    "decimal_type": "must be a number",
    "dict_type": "must be a table",
    "finite_number": "must be a finite number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "greater_than": "must be more than {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "less_than": "must be less than {lt:g}",
    "less_than_equal": "must be at most {le:g}",
    "literal_error": "must be {expected}",
    "model_attributes_type": "must be a table",
    "model_type": "must be a table",
    "path_type": "must be a path in quotes",
    "string_too_long": "length must be at most {max_length}",
    "string_too_short": "length must be at least {min_length}",
    "string_type": "must be text in quotes",
    "too_short": "must have {min_length} or more entries",
    "tuple_type": "must be a list of tables, in double brackets",
    "union_tag_invalid": "must be one of {expected_tags}",
    "union_tag_not_found": "is missing",
}
"""expectation by type of pydantic error"""
_LONGEST_SHOWN = 60
_MUST_BE = "must be "


class _Complaint(Frozen):
    path: KeyPath
    text: str
    shown: str = ""
    """actual value, in brackets"""


class _Place(Frozen):
    order: int
    name: str
    """file and line, or the environment variable"""


def explain_errors(
    found: Sequence[ErrorDetails], document: ConfigurationDocument, root: type[Table]
) -> ConfigurationError:
    """Translate all validation errors of an installation file into one error of sentences, in the order of the file.

    `found`: the details of `InvalidTableError`, which include broken rules between tables only if every value is valid.
    The result includes the refused variables of the document. The caller raises it.
    """
    places = _places(document)
    complaints = _without_alternatives(one for details in found for one in _complaints(details, root))
    return ConfigurationError(*_sentences(complaints, places), *document.refused)


def explain_rules(errors: Iterable[RuleError], document: ConfigurationDocument) -> ConfigurationError:
    """Translate the errors of a later check of an installation file into one error of sentences, as `explain_errors`.

    There must be at least one.
    """
    return ConfigurationError(*_sentences([_Complaint(one.key, str(one)) for one in errors], _places(document)))


def _sentences(complaints: Iterable[_Complaint], places: dict[KeyPath, _Place]) -> list[str]:
    """One sentence for each complaint, in the order of the file."""
    located = sorted(((_nearest(one.path, places), one) for one in complaints), key=lambda pair: pair[0].order)
    return [f"{place.name}: {dotted(one.path)}: {one.text}{one.shown}" for place, one in located]


def _places(document: ConfigurationDocument) -> dict[KeyPath, _Place]:
    """The origin of every key; a table that exists only by variables has the first of them as its origin."""
    places = {path: _Place(line, f"{document.path}:{line}") for path, line in line_numbers(document.text).items()}
    after_the_file = document.text.count("\n") + 2
    for path, variable in document.variables.items():
        place = _Place(after_the_file, variable)
        places = {other: known for other, known in places.items() if other[: len(path)] != path}
        places[path] = place
        for length in range(1, len(path)):
            places.setdefault(path[:length], place)
    return places


def _nearest(path: KeyPath, places: dict[KeyPath, _Place]) -> _Place:
    """The origin of a key, else of the nearest table around it; the root always has one."""
    while path not in places:
        path = path[:-1]
    return places[path]


def _complaints(details: ErrorDetails, root: object) -> Iterator[_Complaint]:
    path = _follow(details, root)[0]
    match details.get("ctx", {}).get("error"):
        case RuleErrors(errors=rules):
            yield from (_Complaint((*path, *rule.key), str(rule)) for rule in rules)
        case RuleError() as rule:
            yield _Complaint((*path, *rule.key), str(rule))
        case _:
            yield _complaint(details, root)


def _without_alternatives(complaints: Iterable[_Complaint]) -> list[_Complaint]:
    """Merge the errors of a union, where the model reports one for each alternative."""
    merged: list[_Complaint] = []
    for one in complaints:
        last = merged[-1] if merged else None
        if last is None or last.path != one.path:
            merged.append(one)
        elif last.text.startswith(_MUST_BE) and one.text.startswith(_MUST_BE) and last.text != one.text:
            wanted = one.text.removeprefix(_MUST_BE)
            former = last.text.replace('" or "', '", "') if wanted.startswith('"') else last.text
            merged[-1] = _Complaint(last.path, f"{former} or {wanted}", last.shown)
        elif one != last:
            merged.append(one)
    return merged


def _complaint(details: ErrorDetails, root: object) -> _Complaint:
    context = details.get("ctx", {})
    path, around, kind = _follow(details, root)
    shown = _shown(details["input"], kind)
    match details["type"]:
        case "missing":
            return _Complaint(path, "is missing")
        case "extra_forbidden":
            return _Complaint(path, f"is not a known key{_known(str(path[-1]), around)}")
        case "value_error":
            return _Complaint(path, str(context["error"]))
        case "union_tag_invalid" | "union_tag_not_found":
            path = (*path, str(context["discriminator"]).strip("'"))
            shown = _shown(context["tag"], None) if "tag" in context else ""
        case _:
            pass
    wanted = _EXPECTED.get(details["type"])
    text = details["msg"] if wanted is None else _as_toml(wanted.format_map(context))
    return _Complaint(path, text, shown)


def _as_toml(python: str) -> str:
    return python.replace("'", '"').replace("False", "false").replace("True", "true")


def _follow(details: ErrorDetails, root: object) -> tuple[KeyPath, object, object]:
    """The path as in the file, the type of the innermost table, and the type of the value."""
    path: KeyPath = ()
    around: object = None
    kind = root
    for left, step in enumerate(details["loc"], 1 - len(details["loc"])):  # 0 at the last step
        inner = config_keys.below(kind, step)
        if inner is None and (left or details["type"] != "extra_forbidden"):
            # Not a key: pydantic inserts the `type` of the chosen union member after the table.
            kind = config_keys.member(kind, str(step))
            continue
        path = (*path, step)
        around, kind = kind, inner
    return path, around, kind


def _known(key: str, table: object) -> str:
    known = list(config_keys.table_keys(table))
    near = difflib.get_close_matches(key, known, n=1)
    return f" (did you mean {near[0]}?)" if near else f" (known keys: {', '.join(known)})"


def _shown(value: object, kind: object) -> str:
    """The actual value in TOML notation; empty for a secret or a whole table."""
    whole_table = config_keys.tables(kind) or config_keys.entry(kind) is not None
    if whole_table or config_keys.is_secret(kind) or not isinstance(value, str | int | float):
        return ""
    written = str(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False)
    return f" (is {written if len(written) <= _LONGEST_SHOWN else written[:_LONGEST_SHOWN] + '…'})"

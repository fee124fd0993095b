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
_LONGEST_VALUE = 60
_MUST_BE = "must be "


class _Complaint(Frozen):
    path: KeyPath
    text: str
    actual: str = ""
    """actual value, in brackets"""


class _Origin(Frozen):
    order: int
    name: str
    """file and line, or the environment variable"""


def explain_errors(
    error_details: Sequence[ErrorDetails], document: ConfigurationDocument, root: type[Table], place: KeyPath = ()
) -> ConfigurationError:
    """Translate all validation errors of an installation file into one error of sentences, in the order of the file.

    `error_details`: of `InvalidTableError`, with broken rules between tables only if all values are valid. `place`:
    where the tables are in the document, if it is a file of another kind.
    The result includes the refused variables of the document. The caller raises it.
    """
    complaints = _without_alternatives(
        complaint for details in error_details for complaint in _complaints(details, root)
    )
    placed = [_Complaint((*place, *complaint.path), complaint.text, complaint.actual) for complaint in complaints]
    return ConfigurationError(*_sentences(placed, _origins(document)), *document.refused)


def explain_rules(errors: Iterable[RuleError], document: ConfigurationDocument) -> ConfigurationError:
    """Translate the errors of a later check of an installation file into one error of sentences, as `explain_errors`.

    There must be at least one.
    """
    return ConfigurationError(*_sentences([_Complaint(error.key, str(error)) for error in errors], _origins(document)))


def _sentences(complaints: Iterable[_Complaint], origins: dict[KeyPath, _Origin]) -> list[str]:
    """One sentence for each complaint, in the order of the file."""
    located = sorted(
        ((_nearest_origin(complaint.path, origins), complaint) for complaint in complaints),
        key=lambda pair: pair[0].order,
    )
    return [
        f"{origin.name}: {dotted(complaint.path)}: {complaint.text}{complaint.actual}" for origin, complaint in located
    ]


def _origins(document: ConfigurationDocument) -> dict[KeyPath, _Origin]:
    """The origin of every key; a table that exists only by variables has the first of them as its origin."""
    origins = {path: _Origin(line, f"{document.path}:{line}") for path, line in line_numbers(document.text).items()}
    after_the_file = document.text.count("\n") + 2
    for path, variable in document.variables.items():
        origin = _Origin(after_the_file, variable)
        origins = {key: known_origin for key, known_origin in origins.items() if key[: len(path)] != path}
        origins[path] = origin
        for length in range(1, len(path)):
            origins.setdefault(path[:length], origin)
    return origins


def _nearest_origin(path: KeyPath, origins: dict[KeyPath, _Origin]) -> _Origin:
    """The origin of a key, else of the nearest table around it; the root always has one."""
    while path not in origins:
        path = path[:-1]
    return origins[path]


def _complaints(details: ErrorDetails, root: object) -> Iterator[_Complaint]:
    path = _resolve_path(details, root)[0]
    match details.get("ctx", {}).get("error"):
        case RuleErrors(errors=rules):
            yield from (_Complaint((*path, *rule.key), str(rule)) for rule in rules)
        case RuleError() as rule:
            yield _Complaint((*path, *rule.key), str(rule))
        case _:
            yield _error_complaint(details, root)


def _without_alternatives(complaints: Iterable[_Complaint]) -> list[_Complaint]:
    """Merge the errors of a union, where the model reports one for each alternative."""
    merged: list[_Complaint] = []
    for complaint in complaints:
        last = merged[-1] if merged else None
        if last is None or last.path != complaint.path:
            merged.append(complaint)
        elif last.text.startswith(_MUST_BE) and complaint.text.startswith(_MUST_BE) and last.text != complaint.text:
            expectation = complaint.text.removeprefix(_MUST_BE)
            earlier_text = last.text.replace('" or "', '", "') if expectation.startswith('"') else last.text
            merged[-1] = _Complaint(last.path, f"{earlier_text} or {expectation}", last.actual)
        elif complaint != last:
            merged.append(complaint)
    return merged


def _error_complaint(details: ErrorDetails, root: object) -> _Complaint:
    context = details.get("ctx", {})
    path, table, kind = _resolve_path(details, root)
    actual = _actual_value(details["input"], kind)
    match details["type"]:
        case "missing":
            return _Complaint(path, "is missing")
        case "extra_forbidden":
            return _Complaint(path, f"is not a known key{_key_hint(str(path[-1]), table)}")
        case "value_error":
            return _Complaint(path, str(context["error"]))
        case "union_tag_invalid" | "union_tag_not_found":
            path = (*path, str(context["discriminator"]).strip("'"))
            actual = _actual_value(context["tag"], None) if "tag" in context else ""
        case _:
            pass
    expectation = _EXPECTED.get(details["type"])
    text = details["msg"] if expectation is None else _as_toml(expectation.format_map(context))
    return _Complaint(path, text, actual)


def _as_toml(python: str) -> str:
    return python.replace("'", '"').replace("False", "false").replace("True", "true")


def _resolve_path(details: ErrorDetails, root: object) -> tuple[KeyPath, object, object]:
    """The path as in the file, the type of the innermost table, and the type of the value."""
    path: KeyPath = ()
    table: object = None
    kind = root
    for steps_left, step in enumerate(details["loc"], 1 - len(details["loc"])):  # 0 at the last step
        inner = config_keys.below(kind, step)
        if inner is None and (steps_left or details["type"] != "extra_forbidden"):
            # Not a key: pydantic inserts the `type` of the chosen union member after the table.
            kind = config_keys.member(kind, str(step))
            continue
        path = (*path, step)
        table, kind = kind, inner
    return path, table, kind


def _key_hint(key: str, table: object) -> str:
    known_keys = list(config_keys.table_keys(table))
    suggestions = difflib.get_close_matches(key, known_keys, n=1)
    return f" (did you mean {suggestions[0]}?)" if suggestions else f" (known keys: {', '.join(known_keys)})"


def _actual_value(value: object, kind: object) -> str:
    """The actual value in TOML notation; empty for a secret or a whole table."""
    whole_table = config_keys.tables(kind) or config_keys.entry(kind) is not None
    if whole_table or config_keys.is_secret(kind) or not isinstance(value, str | int | float):
        return ""
    text = str(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False)
    return f" (is {text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + '…'})"

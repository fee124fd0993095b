"""One sentence for a configuration that is refused: file, line, key, what is wanted and what is there."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from metering.frozen import frozen
from station.configuration import keys as config_keys
from station.configuration.document import ConfigurationError, Document, KeyPath, RuleError, RuleErrors, dotted
from station.configuration.lines import lines

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

_WANTED = {
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
    "tuple_type": "must be a list of tables, in double brackets",
    "union_tag_invalid": "must be one of {expected_tags}",
    "union_tag_not_found": "is missing",
}
"""what each kind of pydantic error asks for"""
_LONGEST_SHOWN = 60


@frozen
class _Complaint:
    path: KeyPath
    text: str


@frozen
class _Place:
    order: int
    name: str
    """file and line, or the environment variable"""


def explain(error: ValidationError, document: Document, root: object) -> ConfigurationError:
    """Make one error of all complaints, in the order of the file."""
    places = _places(document)
    located = [(_nearest(complaint.path, places), complaint) for complaint in _complaints(error, root)]
    located.sort(key=lambda found: found[0].order)
    return ConfigurationError(*(f"{place.name}: {dotted(one.path)}: {one.text}" for place, one in located))


def _places(document: Document) -> dict[KeyPath, _Place]:
    """Where every key comes from; a table that only variables make belongs to the first of them."""
    places = {path: _Place(line, f"{document.path}:{line}") for path, line in lines(document.text).items()}
    after_the_file = document.text.count("\n") + 2
    for path, variable in document.variables.items():
        place = _Place(after_the_file, variable)
        places = {other: known for other, known in places.items() if other[: len(path)] != path}
        places[path] = place
        for length in range(1, len(path)):
            places.setdefault(path[:length], place)
    return places


def _nearest(path: KeyPath, places: dict[KeyPath, _Place]) -> _Place:
    """The place of the key, else of the nearest table around it; the whole document has one."""
    while path not in places:
        path = path[:-1]
    return places[path]


def _complaints(error: ValidationError, root: object) -> Iterator[_Complaint]:
    for details in error.errors(include_url=False):
        if details["type"] == "default_factory_not_called":
            continue  # only follows from another error
        path = _follow(details, root)[0]
        match details.get("ctx", {}).get("error"):
            case RuleErrors(errors=rules):
                yield from (_Complaint((*path, *rule.key), str(rule)) for rule in rules)
            case RuleError() as rule:
                yield _Complaint((*path, *rule.key), str(rule))
            case _:
                yield _complaint(details, root)


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
    wanted = _WANTED.get(details["type"])
    text = details["msg"] if wanted is None else wanted.format_map(context).replace("'", '"')
    return _Complaint(path, text + shown)


def _follow(details: ErrorDetails, root: object) -> tuple[KeyPath, object, object]:
    """The path as the file has it, the kind of the innermost table, and the kind of the value itself."""
    path: KeyPath = ()
    around: object = None
    kind = root
    for left, step in enumerate(details["loc"], 1 - len(details["loc"])):  # 0 at the last step
        inner = config_keys.below(kind, step)
        if inner is None and (left or details["type"] != "extra_forbidden"):
            # No key has that name: it is the `type` that was chosen, which pydantic puts after the table.
            kind = config_keys.member(kind, str(step))
            continue
        path = (*path, step)
        around, kind = kind, inner
    return path, around, kind


def _known(key: str, table: object) -> str:
    known = list(config_keys.keys(table))
    near = difflib.get_close_matches(key, known, n=1)
    return f" (did you mean {near[0]}?)" if near else f" (known here: {', '.join(known)})"


def _shown(value: object, kind: object) -> str:
    """What is there, as TOML writes it; nothing for a secret, and nothing for a whole table."""
    whole_table = config_keys.tables(kind) or config_keys.entry(kind) is not None
    if whole_table or config_keys.is_secret(kind) or not isinstance(value, str | int | float):
        return ""
    written = str(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False)
    return f" (is {written if len(written) <= _LONGEST_SHOWN else written[:_LONGEST_SHOWN] + '…'})"

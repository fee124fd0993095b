"""Patterns of JSON values, with which a scenario describes a message or a state that it expects.

A table matches an object with at least its keys, a list a list of the same length. Any other value matches itself.
Texts have these special forms:

- `*` any value, but it must be there; `!*` no value
- `Energy.*` a text with any characters in place of `*`
- `> 5`, `>= 5`, `< 5`, `<= 5`, `5 .. 10` a number in a range, also one that is written as text
- `!Accepted` any value but this text
- `Accepted|Scheduled` one of these texts
- `${name}` captures the value, or compares it with the one that was captured
- `=any text` exactly this text

In a value that is sent, `${name}` is replaced by the captured value, and `${now}`, `${now+3600}` or `${now-60}` by the
time of the station, so many seconds later or earlier.

In the place of a list, a table with the key `"*"` matches if one of the items matches, with the key `"0"` if the first
one does. `"*"` captures from the first item that matches.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Final

from foundation.json_values import is_list, is_object

Captures = dict[str, object]
"""captured values by name"""

ANY: Final = "*"
ABSENT: Final = "!*"
ITEM_KEY: Final = "*"
"""key of a pattern for one item of a list, whichever"""
_CAPTURE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*(?:[+-][0-9]{1,9})?)\}")
_MOMENT: Final = re.compile(r"now([+-][0-9]{1,9})?")
_COMPARISON: Final = re.compile(r"(<=|>=|<|>)\s*(-?[0-9]+(?:\.[0-9]+)?)")
_RANGE: Final = re.compile(r"(-?[0-9]+(?:\.[0-9]+)?)\s*\.\.\s*(-?[0-9]+(?:\.[0-9]+)?)")
_LONGEST_SHOWN: Final = 80
_TOLERANCE: Final = 1e-9
"""relative difference up to which numbers are equal"""


class UnknownCaptureError(Exception):
    """A text refers to a value that has not been captured; the message names it."""


def mismatch(pattern: object, value: object, captures: Captures) -> str | None:
    """Compare a value with a pattern; returns where and how they differ, or None if the value matches.

    Captures of the pattern are added to `captures`, also if a later part of the pattern does not match.
    """
    return _mismatch(pattern, value, captures, "")


def capture_names(text: str) -> list[str]:
    """The names of the captures in a text, in order."""
    return _CAPTURE.findall(text)


def moment_offset_s(name: str) -> int | None:
    """The seconds from now of a name such as `now+60`; None: it names no moment."""
    found = _MOMENT.fullmatch(name)
    return None if found is None else int(found[1] or "0")


def names_in(value: object) -> Iterator[str]:
    """Yield the name of each capture in the texts of a value, in order."""
    if isinstance(value, str):
        yield from capture_names(value)
    elif is_object(value):
        for inner in value.values():
            yield from names_in(inner)
    elif is_list(value):
        for inner in value:
            yield from names_in(inner)


def filled(value: object, captures: Mapping[str, object]) -> object:
    """A copy of a value with each `${name}` in its texts replaced; a text that is only one becomes the captured value.

    Raises:
        UnknownCaptureError: a name has not been captured.
    """
    if isinstance(value, str):
        return _filled_text(value, captures)
    if is_object(value):
        return {key: filled(inner, captures) for key, inner in value.items()}
    if is_list(value):
        return [filled(inner, captures) for inner in value]
    return value


def _filled_text(text: str, captures: Mapping[str, object]) -> object:
    def captured(match: re.Match[str]) -> object:
        if match[1] not in captures:
            raise UnknownCaptureError(f"${{{match[1]}}} has not been captured")
        return captures[match[1]]

    if (whole := _CAPTURE.fullmatch(text)) is not None:
        return captured(whole)
    return _CAPTURE.sub(lambda match: str(captured(match)), text)


def _mismatch(pattern: object, value: object, captures: Captures, place: str) -> str | None:
    if is_object(pattern):
        return _object_mismatch(pattern, value, captures, place)
    if is_list(pattern):
        if not is_list(value):
            return _difference(place, "a list", value)
        if len(value) != len(pattern):
            return f"{place or 'the value'}: expected {len(pattern)} items, was {len(value)}"
        for index, (inner, item) in enumerate(zip(pattern, value, strict=True)):
            if (found := _mismatch(inner, item, captures, f"{place}[{index}]")) is not None:
                return found
        return None
    if isinstance(pattern, str):
        return _text_mismatch(pattern, value, captures, place)
    return None if _same(pattern, value) else _difference(place, _shown(pattern), value)


def _object_mismatch(pattern: dict[str, object], value: object, captures: Captures, place: str) -> str | None:
    if is_list(value):
        return _items_mismatch(pattern, value, captures, place)
    if not is_object(value):
        return _difference(place, "an object", value)
    for key, inner in pattern.items():
        where = f"{place}.{key}" if place else key
        if inner == ABSENT:
            if value.get(key) is not None:
                return _difference(where, "no value", value[key])
        elif key not in value:
            return f"{where}: is missing (expected {_shown(inner)})"
        elif (found := _mismatch(inner, value[key], captures, where)) is not None:
            return found
    return None


def _items_mismatch(pattern: dict[str, object], items: list[object], captures: Captures, place: str) -> str | None:
    """Compare a list with a table whose keys are `*` or the index of an item."""
    for key, inner in pattern.items():
        where = f"{place}[{key}]"
        if key == ITEM_KEY:
            if (found := _any_item_mismatch(inner, items, captures, where)) is not None:
                return found
        elif not key.isdecimal():
            return f"{where}: expected an object, was a list"
        elif int(key) >= len(items):
            return f"{where}: is missing: there are {len(items)} items"
        elif (found := _mismatch(inner, items[int(key)], captures, where)) is not None:
            return found
    return None


def _any_item_mismatch(pattern: object, items: list[object], captures: Captures, place: str) -> str | None:
    found: str | None = None
    for item in items:
        tried = dict(captures)
        reason = _mismatch(pattern, item, tried, place)
        if reason is None:
            captures.update(tried)
            return None
        found = found or reason
    return f"{place}: none of {len(items)} items matches" + (f"; the first: {found}" if found is not None else "")


def _text_mismatch(pattern: str, value: object, captures: Captures, place: str) -> str | None:
    if pattern == ANY:
        return _difference(place, "any value", value) if value is None else None
    if pattern == ABSENT:
        return None if value is None else _difference(place, "no value", value)
    if pattern.startswith("="):
        return None if value == pattern[1:] else _difference(place, _shown(pattern[1:]), value)
    if (capture := _CAPTURE.fullmatch(pattern)) is not None:
        if capture[1] not in captures:
            captures[capture[1]] = value
            return None
        return None if _same(captures[capture[1]], value) else _difference(place, _shown(captures[capture[1]]), value)
    if (bounds := number_bounds(pattern)) is not None:
        number = _number(value)
        low, high, open_ended = bounds
        inside = number is not None and (low < number < high if open_ended else low <= number <= high)
        return None if inside else _difference(place, pattern, value)
    if _CAPTURE.search(pattern) is not None:
        pattern = str(filled(pattern, captures))
    if pattern.startswith("!"):
        return _difference(place, f"not {pattern[1:]}", value) if value == pattern[1:] else None
    choices = pattern.split("|")
    if isinstance(value, str) and any(_fits(choice, value) for choice in choices):
        return None
    return _difference(place, _shown(pattern), value)


def number_bounds(pattern: str) -> tuple[float, float, bool] | None:
    """The bounds of a pattern for a number, and whether they are outside its range; None: it is no such pattern."""
    if (comparison := _COMPARISON.fullmatch(pattern)) is not None:
        number = float(comparison[2])
        below = comparison[1].startswith("<")
        low, high = (float("-inf"), number) if below else (number, float("inf"))
        return low, high, not comparison[1].endswith("=")
    if (bounds := _RANGE.fullmatch(pattern)) is not None:
        return float(bounds[1]), float(bounds[2]), False
    return None


def literal_texts(pattern: str) -> list[str]:
    """The texts that a pattern names literally, such as those of an enumeration; none if it has another form."""
    if pattern.startswith("="):
        return [pattern[1:]]
    if number_bounds(pattern) is not None or _CAPTURE.search(pattern) is not None:
        return []
    return [choice for choice in pattern.removeprefix("!").split("|") if "*" not in choice]


def _fits(choice: str, value: str) -> bool:
    if "*" not in choice:
        return choice == value
    return re.fullmatch(".*".join(re.escape(part) for part in choice.split("*")), value, re.DOTALL) is not None


def _number(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    try:
        return float(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _same(expected: object, value: object) -> bool:
    if isinstance(expected, bool) or isinstance(value, bool):
        return expected is value
    if isinstance(expected, int | float) and isinstance(value, int | float):
        return abs(expected - value) <= _TOLERANCE * max(1.0, abs(expected))
    return expected == value


def _difference(place: str, expected: str, value: object) -> str:
    return f"{place or 'the value'}: expected {expected}, was {_shown(value)}"


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"

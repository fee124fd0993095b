"""Parsed JSON and TOML: the shape of a value is checked where it is used, which also shows it to the type checker.

The questions `is_…` are for values of any shape; `parse_object` and the functions `…_of` for those that must have one
shape: a file or a stored row of this program, or a message that was validated.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TypeGuard


def is_object(value: object) -> TypeGuard[dict[str, object]]:
    """Whether a parsed value is an object of JSON or a table of TOML: both have text keys only."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[object]]:
    """Whether a parsed value is an array."""
    return isinstance(value, list)


def is_array(value: object) -> TypeGuard[Sequence[object]]:
    """Whether a value is written as an array: a list or a tuple."""
    return isinstance(value, list | tuple)


def parse_object(text: str | bytes) -> dict[str, object]:
    """Parse the text of a JSON object.

    Raises:
        ValueError: it is not JSON, nested too deeply, or not an object.
    """
    try:
        return object_of(json.loads(text))
    except RecursionError:
        raise ValueError("is nested too deeply") from None


def object_of(value: object) -> dict[str, object]:
    """Return a value that must be an object.

    Raises:
        ValueError: it is not.
    """
    if not is_object(value):
        raise ValueError(f"must be an object, not {type(value).__name__}")
    return value


def list_of(value: object) -> list[object]:
    """Return a value that must be an array.

    Raises:
        ValueError: it is not.
    """
    if not is_list(value):
        raise ValueError(f"must be an array, not {type(value).__name__}")
    return value


def objects_of(value: object) -> list[dict[str, object]]:
    """Return a value that must be an array of objects.

    Raises:
        ValueError: it is not.
    """
    return [object_of(item) for item in list_of(value)]


def text_of(value: object) -> str:
    """Return a value that must be text.

    Raises:
        ValueError: it is not.
    """
    if not isinstance(value, str):
        raise ValueError(f"must be text, not {type(value).__name__}")
    return value


def number_of(value: object) -> float:
    """Return a value that must be a number; an integer stays one.

    Raises:
        ValueError: it is not, or is a truth value.
    """
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(f"must be a number, not {type(value).__name__}")
    return value


def integer_of(value: object) -> int:
    """Return a value that must be a whole number, written without a decimal point or exponent.

    Raises:
        ValueError: it is not, or is a truth value.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"must be a whole number, not {type(value).__name__}")
    return value


def number_or_none(value: object) -> float | None:
    """Return a value that must be a number or null.

    Raises:
        ValueError: it is neither.
    """
    return None if value is None else number_of(value)

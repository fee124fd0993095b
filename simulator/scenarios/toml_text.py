"""Writes values as TOML, for scenario files."""

from __future__ import annotations

import json
import re
from typing import Final

from foundation.json_values import is_array, is_object

_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")


def inline_value(value: object) -> str:
    """A value as TOML in one line; null, which TOML does not have, is left out of objects and lists.

    Raises:
        ValueError: a number is not finite.
    """
    if is_object(value):
        fields = (f"{key_text(key)} = {inline_value(inner)}" for key, inner in value.items() if inner is not None)
        return "{ " + ", ".join(fields) + " }" if value else "{}"
    if is_array(value):
        return "[" + ", ".join(inline_value(inner) for inner in value if inner is not None) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value, allow_nan=False)


def key_text(key: str) -> str:
    """A key as TOML: in quotes unless it needs none."""
    return key if _BARE_KEY.fullmatch(key) else json.dumps(key, ensure_ascii=False)

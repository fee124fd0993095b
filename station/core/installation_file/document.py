"""The installation file as text and parsed TOML, and its errors."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from msgspec import field

from foundation.frozen import Frozen
from foundation.json_values import is_list, is_object

_MAX_DEPTH: Final = 32
"""tables and arrays within each other; code that reads the tree is recursive, with Python's recursion limit"""

KeyPath = tuple[str | int, ...]
"""the location of a value, such as ("evse", 0, "max_current_a")"""


def dotted(path: KeyPath) -> str:
    """Format a path in dotted notation: evse[0].max_current_a."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return "".join(steps).removeprefix(".")


class ConfigurationError(Exception):
    """The installation file is invalid; the message is one sentence with location and reason."""

    def __init__(self, sentence: str, *others: str) -> None:
        """Create an error with the first sentence, and `others` for further errors in the file."""
        super().__init__(
            f"{sentence}; and {len(others)} more error{'s' if len(others) > 1 else ''}" if others else sentence
        )
        self.sentences = (sentence, *others)


class RuleError(ValueError):
    """A rule between keys is violated; raised by a validator, with `key` relative to the validated model."""

    def __init__(self, key: KeyPath, message: str) -> None:
        super().__init__(message)
        self.key = key


class RuleErrors(ValueError):
    """One or more rules between keys are violated; `errors` lists them."""

    def __init__(self, errors: Sequence[RuleError]) -> None:
        super().__init__("; ".join(str(error) for error in errors))
        self.errors = tuple(errors)


class ConfigurationDocument(Frozen):
    """The configuration, merged from the file and the environment variables that override it."""

    path: Path
    text: str
    """of the file"""
    tree: object
    """the values, parsed from TOML: nested dicts and lists"""
    variables: dict[KeyPath, str] = field(default_factory=dict[KeyPath, str])
    """the name of the environment variable for each overridden value"""
    refused: tuple[str, ...] = ()
    """an error sentence for each environment variable that matches no key"""


def read_installation_file(path: Path) -> ConfigurationDocument:
    """Read and parse the installation file as TOML; neither its keys nor environment variables are considered.

    Raises:
        ConfigurationError: it cannot be read, is not UTF-8, is not TOML, or is nested too deeply.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{path}:{line}: is not UTF-8 text") from error
    try:
        return ConfigurationDocument(path, text, parse_toml(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(_syntax_error(path, text, str(error))) from error
    except NestingError as error:
        raise ConfigurationError(f"{path}: {error}") from error


class NestingError(ValueError):
    """A TOML document is nested too deeply."""


def parse_toml(text: str) -> dict[str, object]:
    """Parse a TOML document.

    Raises:
        TOMLDecodeError: it is not TOML.
        NestingError: more than 32 tables and arrays are within each other.
    """
    try:
        tree: dict[str, object] | None = tomllib.loads(text)
    except RecursionError:
        tree = None
    if tree is None or _is_deeper(tree, _MAX_DEPTH):
        raise NestingError(f"is nested too deeply: at most {_MAX_DEPTH} tables and arrays may be within each other")
    return tree


def _is_deeper(tree: object, max_depth: int) -> bool:
    """Return whether more than `most` tables and arrays are within each other; without recursion."""
    level = [tree]
    for _ in range(max_depth + 1):
        level = [entry for value in level for entry in _entries(value)]
    return bool(level)


def _entries(value: object) -> Sequence[object]:
    if is_object(value):
        return list(value.values())
    return value if is_list(value) else ()


def _syntax_error(path: Path, text: str, message: str) -> str:
    """Format the message of tomllib, such as "Invalid value (at line 3, column 5)" or "… (at end of document)"."""
    position = re.search(r" \(at line (\d+), column (\d+)\)$", message)
    if position is None:
        last_line = text.rstrip("\n").count("\n") + 1
        return f"{path}:{last_line}: is not valid TOML: {message}"
    return f"{path}:{position[1]}: is not valid TOML: {message[: position.start()]} (column {position[2]})"

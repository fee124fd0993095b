"""The installation file as text and as a tree, and the errors that speak of it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import field
from pathlib import Path

from foundation.frozen import frozen

KeyPath = tuple[str | int, ...]
"""where a value lies: ("evse", 0, "max_current_a")"""


def dotted(path: KeyPath) -> str:
    """The path as people write it: evse[0].max_current_a."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return "".join(steps).removeprefix(".")


class ConfigurationError(Exception):
    """The installation file cannot be used; the message is one sentence that says where and why."""

    def __init__(self, sentence: str, *others: str) -> None:
        """Make an error of one sentence, and of `others` for further mistakes in the file."""
        super().__init__(f"{sentence}; and {len(others)} more" if others else sentence)
        self.sentences = (sentence, *others)


class RuleError(ValueError):
    """A rule between keys is broken; raised in a validator, `key` counted from the model it stands in.

    `premises`: what the rule reads besides; in them `*` stands for any entry of a list.
    """

    def __init__(self, key: KeyPath, message: str, premises: tuple[KeyPath, ...] = ()) -> None:
        super().__init__(message)
        self.key = key
        self.premises = premises


class RuleErrors(ValueError):
    """One or more rules between keys are broken."""

    def __init__(self, errors: Sequence[RuleError]) -> None:
        super().__init__("; ".join(str(error) for error in errors))
        self.errors = tuple(errors)


@frozen
class ConfigurationDocument:
    """What was configured and by whom: by the file, and by environment variables over it."""

    path: Path
    text: str
    tree: object
    variables: dict[KeyPath, str] = field(default_factory=dict[KeyPath, str])
    """the environment variable that each overridden value comes from"""
    refused: tuple[str, ...] = ()
    """a sentence for each environment variable that has no place in the file"""


def read(path: Path) -> ConfigurationDocument:
    """Read a TOML file.

    Raises:
        ConfigurationError: it cannot be read, is not UTF-8 or is not TOML.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{path}:{line}: is not text in UTF-8") from error
    try:
        return ConfigurationDocument(path, text, tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(_syntax_error(path, text, str(error))) from error


def _syntax_error(path: Path, text: str, message: str) -> str:
    """tomllib says "Invalid value (at line 3, column 5)" or "(at end of document)"."""
    where = re.search(r" \(at line (\d+), column (\d+)\)$", message)
    if where is None:
        last_line = text.rstrip("\n").count("\n") + 1
        return f"{path}:{last_line}: is not TOML: {message}"
    return f"{path}:{where[1]}: is not TOML: {message[: where.start()]} (column {where[2]})"

"""The stored names of attributes and words, and the errors of stored values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from foundation.expected_error import ExpectedError
from foundation.frozen import Frozen

StoredNames = Mapping[type, Mapping[str, str]]
"""for each class the stored name of each attribute; for each enumeration the stored word of each member"""


class UnmappedNameError(Exception):
    """Programming error: a class, attribute or enumeration member has no stored name, or a stored name is unused."""


class FieldError(Frozen):
    """Fault of one field of a stored value."""

    path: tuple[int | str, ...]
    kind: str
    """type of the error as pydantic names it, such as `missing`"""
    message: str
    """never contains the value"""


class StoredValueError(ExpectedError, ValueError):
    """A stored value cannot be read: fields are missing, invalid or unknown. The message does not contain their values,
    which may be secret.
    """

    def __init__(self, errors: Sequence[FieldError]) -> None:
        listed = "; ".join(f"{'.'.join(map(str, error.path))}: {error.message}" for error in errors)
        super().__init__(f"{len(errors)} validation error{'s' * (len(errors) != 1)}: {listed}")
        self.errors: Final = tuple(errors)

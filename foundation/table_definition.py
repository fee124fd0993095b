"""Definition of a table of the installation file: its keys with their constraints, its checks, and value types."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import get_annotations
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from msgspec import Meta

from foundation.frozen import Frozen

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Check = Callable[..., object]
"""checks the value of a key, and raises ValueError with the reason if it is not allowed; its result is ignored"""

FINITE: Final = {"allow_inf_nan": False}
STRICT: Final = {"strict": True}
"""`extra` of a `msgspec.Meta`: constraints that only pydantic knows, as arguments of its `Field`. msgspec is always
strict, and no table with an infinite number or NaN is given to it."""


class InvalidTableError(Exception):
    """The values of a table are invalid. The message shows no value, which may be a password, except a wrong `type`."""

    def __init__(self, details: Sequence[ErrorDetails]) -> None:
        super().__init__("; ".join(f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}" for detail in details))
        self.details: Final = details
        """each error as pydantic describes it, with the value"""


class UsablePath:
    """Annotation of a path: an empty text, which pathlib reads as the working directory, and NUL are rejected."""


class ValidatedAs:
    """Annotation of a key: the type by which pydantic validates it, where msgspec does not have that type."""

    def __init__(self, kind: object) -> None:
        self.kind: Final = kind


FilePath = Annotated[Path, UsablePath()]
Count = Annotated[int, Meta(extra=STRICT)]
Number = Annotated[float, Meta(extra=STRICT | FINITE)]


class TableDefinition(Frozen, omit_defaults=True):
    """The base class of `foundation.table.Table`, without its validation."""

    @classmethod
    def field_checks(cls) -> Mapping[str, Check]:
        """The checks of single keys that no constraint expresses, by field; None is not checked."""
        return {}

    def check_rules(self) -> None:
        """Check the rules between the keys of this table, each of which is valid by itself.

        Raises:
            ValueError: a rule is broken; the message says which.
        """

    def __post_init__(self) -> None:
        for name, check in self.field_checks().items():
            if (value := getattr(self, name)) is not None:
                check(value)
        self.check_rules()


def keys_of(table: type[TableDefinition]) -> dict[str, str]:
    """The field, or the class variable of the tag, of each key of a table, in the order of their declaration."""
    keys = dict(zip(table.__struct_fields__, table.__struct_encode_fields__, strict=True))
    if (tag := table.__struct_config__.tag_field) is not None:
        keys[tag] = tag
    declared = [name for base in reversed(table.__mro__) for name in get_annotations(base)]
    return {keys[name]: name for name in declared if name in keys}

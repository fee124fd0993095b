"""The docstrings below the fields of classes, as the API document and the references show them."""

from __future__ import annotations

from enum import Enum

from typing_extensions import TypedDict

from foundation.frozen import Frozen
from foundation.member_docstrings import MemberDocstrings


class _Place(TypedDict):
    """A place."""

    street: str
    """name and number"""
    town: str


class _Parcel(_Place):
    """A parcel, with its place."""

    weight_g: int
    """grams,
    with the wrapping"""


class _Value(Frozen):
    """A value, with a class inside it."""

    limit_a: float
    """amperes on each phase"""

    class Unit(Enum):
        """A unit."""

        AMPERE = "A"
        """of alternating current"""


def test_each_field_has_the_docstring_below_it_also_the_fields_of_bases() -> None:
    docstrings = MemberDocstrings()
    assert docstrings.of(_Place) == {"street": "name and number"}
    assert docstrings.of(_Parcel) == {"street": "name and number", "weight_g": "grams,\nwith the wrapping"}
    assert docstrings.of(_Value) == {"limit_a": "amperes on each phase"}


def test_classes_inside_classes_and_functions_have_their_own() -> None:
    class Local(Frozen):
        """A value of a function."""

        count: int
        """how many"""

    docstrings = MemberDocstrings()
    assert docstrings.of(_Value.Unit) == {"AMPERE": "of alternating current"}
    assert docstrings.of(Local) == {"count": "how many"}


def test_a_class_of_the_standard_library_has_none() -> None:
    assert MemberDocstrings().of(int) == {}

"""`@frozen` makes what the standard decorator makes, only sooner."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields, is_dataclass, replace
from typing import Generic, TypeVar

import pytest
from pydantic import TypeAdapter

from foundation.frozen import frozen

T = TypeVar("T")


@frozen
class Ours:
    """As this project makes it."""

    number: int
    text: str | None = None
    tags: list[str] = field(default_factory=list[str])
    secret: str = field(default="none", repr=False)
    remark: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Standard:
    """As the standard library makes it."""

    number: int
    text: str | None = None
    tags: list[str] = field(default_factory=list[str])
    secret: str = field(default="none", repr=False)
    remark: str = field(default="", compare=False)


@frozen
class Point:
    """A class of a module, as `pickle` wants it."""

    x: float
    y: float = 0.0


@frozen
class Box(Generic[T]):
    """Of whatever."""

    content: T


@frozen
class Nothing:
    """Without any field."""


@frozen
class Even:
    """Looks at what it is given."""

    number: int

    def __post_init__(self) -> None:
        if self.number % 2:
            raise ValueError("odd")


@frozen
class OwnMethods:
    """Says itself how it looks and whether it is the same."""

    number: int

    def __repr__(self) -> str:
        return "mine"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OwnMethods)

    def __hash__(self) -> int:
        return 7


@pytest.mark.parametrize(
    ("ours", "standard"),
    [(Ours(1, "a"), Standard(1, "a")), (Ours(1, None, ["x"], "s", "r"), Standard(1, None, ["x"], "s", "r"))],
)
def test_it_looks_compares_and_copies_like_the_standard_one(ours: Ours, standard: Standard) -> None:
    assert repr(ours) == repr(standard).replace("Standard", "Ours")
    assert asdict(ours) == asdict(standard)
    assert [one.name for one in fields(Ours)] == [one.name for one in fields(Standard)]
    assert ours == replace(ours) != standard
    assert (ours == replace(ours, remark="other"), ours == replace(ours, number=9)) == (True, False)
    assert Ours.__match_args__ == Standard.__match_args__
    assert is_dataclass(Ours)


def test_it_cannot_be_changed_nor_be_given_anything_new() -> None:
    point = Point(1.0)
    for change in (lambda: setattr(point, "x", 2.0), lambda: setattr(point, "z", 2.0), lambda: delattr(point, "x")):
        with pytest.raises(FrozenInstanceError):
            change()
    assert not hasattr(point, "__dict__")
    assert point == Point(1.0, 0.0)


def test_equal_ones_are_one_key() -> None:
    assert {Point(1.0), Point(1.0, 0.0), Point(2.0)} == {Point(2.0), Point(1.0)}
    assert {Box(1), Box(1)} == {Box(1)}
    assert {Nothing(), Nothing()} == {Nothing()}
    with pytest.raises(TypeError):
        hash(Ours(1))  # as its list


def test_a_default_that_is_made_is_made_for_each() -> None:
    assert Ours(1).tags is not Ours(1).tags


def test_what_is_missing_or_too_much_is_refused() -> None:
    for given in ((), (1, 2, 3)):
        with pytest.raises(TypeError, match="__init__"):
            Point(*given)
    with pytest.raises(TypeError, match="unexpected"):
        Ours(1, colour="red")  # pyright: ignore[reportCallIssue]  # the same


def test_it_looks_at_itself_where_the_class_says_so() -> None:
    assert Even(2).number == 2
    with pytest.raises(ValueError, match="odd"):
        Even(3)


def test_methods_of_the_class_itself_stay() -> None:
    assert (repr(OwnMethods(1)), OwnMethods(1) == OwnMethods(2), hash(OwnMethods(3))) == ("mine", True, 7)


def test_it_goes_through_pickle_copy_and_pydantic() -> None:
    point = Point(1.5, 2.5)
    assert pickle.loads(pickle.dumps(point)) == copy.copy(point) == copy.deepcopy(point) == point
    adapter = TypeAdapter(Point)
    assert adapter.validate_json(adapter.dump_json(point)) == point

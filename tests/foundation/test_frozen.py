"""A `Frozen` value never changes, is compared by its fields, and goes through pickle and pydantic."""

from __future__ import annotations

import copy
import pickle
from typing import Generic, TypeVar

import pytest
from msgspec import field
from msgspec.structs import replace
from pydantic import TypeAdapter, ValidationError

from foundation.frozen import Frozen, as_dict

T = TypeVar("T")


class Point(Frozen):
    """A class of a module, as `pickle` wants it."""

    x: float
    y: float = 0.0
    tags: list[str] = field(default_factory=list[str])


class Corner(Frozen):
    """Its values can be hashed."""

    x: float
    y: float = 0.0


class Box(Frozen, Generic[T]):
    """Of whatever."""

    content: T
    corners: tuple[Corner, ...] = ()


class NoFields(Frozen):
    """Without any field."""


class Even(Frozen):
    """Rejects odd numbers."""

    number: int

    def __post_init__(self) -> None:
        if self.number % 2:
            raise ValueError("odd")


class OwnMethods(Frozen):
    """Defines its own `__repr__` and `__eq__`."""

    number: int

    def __repr__(self) -> str:
        return "mine"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OwnMethods)

    def __hash__(self) -> int:
        return 7


def test_it_shows_its_fields_and_is_replaced_by_another() -> None:
    point = Point(1.0, tags=["a"])
    assert repr(point) == "Point(x=1.0, y=0.0, tags=['a'])"
    assert replace(point, y=2.0) == Point(1.0, 2.0, ["a"]) != point
    assert point == Point(1.0, 0.0, ["a"])
    assert Corner(1.0) != Box(1.0)


def test_it_is_matched_by_its_fields_in_order() -> None:
    match Corner(1.0, 2.0):
        case Corner(x, y):
            assert (x, y) == (1.0, 2.0)


def test_it_cannot_be_changed_nor_be_given_anything_new() -> None:
    corner = Corner(1.0)
    for change in (lambda: setattr(corner, "x", 2.0), lambda: setattr(corner, "z", 2.0), lambda: delattr(corner, "x")):
        with pytest.raises(AttributeError):
            change()
    with pytest.raises(TypeError):
        object.__setattr__(corner, "x", 2.0)
    assert not hasattr(corner, "__dict__")
    assert corner == Corner(1.0, 0.0)


def test_equal_ones_are_one_key() -> None:
    assert {Corner(1.0), Corner(1.0, 0.0), Corner(2.0)} == {Corner(2.0), Corner(1.0)}
    assert {Box(1), Box(1)} == {Box(1)}
    assert {NoFields(), NoFields()} == {NoFields()}
    with pytest.raises(TypeError):
        hash(Point(1))  # as its list


def test_a_default_that_is_made_is_made_for_each() -> None:
    assert Point(1).tags is not Point(1).tags


def test_what_is_missing_or_too_much_is_refused() -> None:
    for given in ((), (1, 2, 3)):
        with pytest.raises(TypeError):
            Corner(*given)
    with pytest.raises(TypeError, match=r"[Uu]nexpected"):
        Corner(1, colour="red")  # pyright: ignore[reportCallIssue]  # the same


def test_it_looks_at_itself_where_the_class_says_so() -> None:
    assert Even(2).number == 2
    with pytest.raises(ValueError, match="odd"):
        Even(3)


def test_methods_of_the_class_itself_stay() -> None:
    assert (repr(OwnMethods(1)), OwnMethods(1) == OwnMethods(2), hash(OwnMethods(3))) == ("mine", True, 7)


def test_it_goes_through_pickle_and_copy() -> None:
    point = Point(1.5, 2.5, ["a"])
    assert pickle.loads(pickle.dumps(point)) == copy.copy(point) == copy.deepcopy(point) == point


def test_it_becomes_dicts_at_any_depth() -> None:
    box = Box({"here": Corner(1.0)}, (Corner(2.0),))
    assert as_dict(box) == {"content": {"here": {"x": 1.0, "y": 0.0}}, "corners": [{"x": 2.0, "y": 0.0}]}


def test_pydantic_reads_and_writes_it() -> None:
    adapter = TypeAdapter(Box[Corner])
    box = Box(Corner(1.5, 2.5), (Corner(3.0),))
    text = b'{"content":{"x":1.5,"y":2.5},"corners":[{"x":3.0,"y":0.0}]}'
    assert adapter.dump_json(box) == text
    assert adapter.validate_json(text) == box
    assert adapter.validate_python(box) is box
    assert adapter.validate_json(b'{"content":{"x":1}}') == Box(Corner(1.0))


@pytest.mark.parametrize(
    ("text", "place"),
    [(b'{"corners": []}', ("content",)), (b'{"content": {"y": 1.0}}', ("content", "x")), (b"[]", ())],
)
def test_pydantic_names_the_field_that_is_wrong(text: bytes, place: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(Box[Corner]).validate_json(text)
    assert [error["loc"] for error in refused.value.errors()] == [place]


def test_pydantic_refuses_what_the_class_itself_refuses() -> None:
    with pytest.raises(ValidationError, match="odd"):
        TypeAdapter(Even).validate_python({"number": 3})

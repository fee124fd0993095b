"""What a parsed value is: asked of any value, required of one that must have a shape."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from foundation.json_values import (
    integer_of,
    is_array,
    is_list,
    is_object,
    list_of,
    number_of,
    number_or_none,
    object_of,
    objects_of,
    parse_object,
    text_of,
)


def test_a_shape_is_recognized() -> None:
    assert is_object({})
    assert not is_object([])
    assert is_list([])
    assert not is_list(())
    assert not is_list("text")
    assert is_array([])
    assert is_array(())
    assert not is_array("text")
    assert not is_array({})


def test_a_value_of_the_required_shape_is_returned_as_it_is() -> None:
    table, entries = {"a": 1}, [{"a": 1}]
    assert object_of(table) is table
    assert list_of(entries) is entries
    assert objects_of(entries) == entries
    assert text_of("") == ""
    assert number_of(3) == 3
    assert isinstance(number_of(3), int)
    assert number_or_none(None) is None
    assert number_or_none(0.5) == 0.5
    assert parse_object(b'{"a": 1}') == parse_object('{"a": 1}') == table


@pytest.mark.parametrize(
    ("read", "value", "problem"),
    [
        (object_of, [], "must be an object, not list"),
        (list_of, {}, "must be an array, not dict"),
        (list_of, (), "must be an array, not tuple"),
        (objects_of, [1], "must be an object, not int"),
        (text_of, 1, "must be text, not int"),
        (number_of, "1", "must be a number, not str"),
        (number_of, True, "must be a number, not bool"),
        (number_of, None, "must be a number, not NoneType"),
        (number_or_none, "", "must be a number, not str"),
        (parse_object, "[]", "must be an object, not list"),
        (parse_object, "{", "Expecting property name"),
    ],
)
def test_a_value_of_another_shape_is_an_error_that_says_what_it_must_be(
    read: Callable[..., object], value: object, problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        read(value)


def test_an_object_that_is_nested_too_deeply_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_object('{"a":' * 100_000)


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 1.0, True, "1", None])
def test_a_whole_number_is_an_integer_alone(value: object) -> None:
    with pytest.raises(ValueError, match="must be a whole number"):
        integer_of(value)
    assert integer_of(7) == 7

"""Patterns of scenarios: each form matches what it says, and a difference names its place."""

from __future__ import annotations

import pytest

from simulator.scenarios.patterns import (
    UnknownCaptureError,
    filled,
    literal_texts,
    mismatch,
    moment_offset_s,
    names_in,
)


@pytest.mark.parametrize(
    ("pattern", "value"),
    [
        ("Started", "Started"),
        ("*", 0),
        ("*", ""),
        ("!*", None),
        ("Energy.*", "Energy.Active.Import.Register"),
        ("*.Register", "Energy.Active.Import.Register"),
        ("a*b*c", "a1b2c"),
        ("> 5", 5.1),
        (">= 5", 5),
        ("< 5", "4.9"),
        ("<= -1.5", -1.5),
        ("5 .. 10", 10),
        ("5 .. 10", "5"),
        ("!Accepted", "Rejected"),
        ("Accepted|Scheduled", "Scheduled"),
        ("Acc*|Sched*", "Scheduled"),
        ("=a|b", "a|b"),
        ("=*", "*"),
        ("=> 5", "> 5"),
        (5, 5.0),
        (0.1 + 0.2, 0.3),
        (True, True),
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": "!*"}, {"b": 2}),
        ({"a": "!*"}, {"a": None}),
        ([1, "*"], [1, 2]),
        ({"*": {"a": 2}}, [{"a": 1}, {"a": 2}]),
        ({"1": {"a": 2}}, [{"a": 1}, {"a": 2}]),
        ({"0": 1, "*": 2}, [1, 2]),
        ({}, {"anything": 1}),
        ([], []),
    ],
)
def test_a_pattern_matches(pattern: object, value: object) -> None:
    assert mismatch(pattern, value, {}) is None


@pytest.mark.parametrize(
    ("pattern", "value", "reason"),
    [
        ("Started", "Ended", 'the value: expected "Started", was "Ended"'),
        ("*", None, "the value: expected any value, was null"),
        ("!*", 1, "the value: expected no value, was 1"),
        ("Energy.*", "Power.Active", 'the value: expected "Energy.*", was "Power.Active"'),
        ("a.c", "abc", 'the value: expected "a.c", was "abc"'),
        ("> 5", 5, "the value: expected > 5, was 5"),
        ("> 5", "many", 'the value: expected > 5, was "many"'),
        ("> 5", True, "the value: expected > 5, was true"),
        ("5 .. 10", 10.01, "the value: expected 5 .. 10, was 10.01"),
        ("!Accepted", "Accepted", 'the value: expected not Accepted, was "Accepted"'),
        ("5", 5, 'the value: expected "5", was 5'),
        (1, True, "the value: expected 1, was true"),
        (True, 1, "the value: expected true, was 1"),
        ({"a": 1}, {}, "a: is missing (expected 1)"),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, "a.b: expected 1, was 2"),
        ({"a": 1}, "text", 'the value: expected an object, was "text"'),
        ([1], [1, 2], "the value: expected 1 items, was 2"),
        ([1], {}, "the value: expected a list, was {}"),
        ({"a": [1, 2]}, {"a": [1, 3]}, "a[1]: expected 2, was 3"),
        ({"*": 2}, [1, 3], "[*]: none of 2 items matches; the first: [*]: expected 2, was 1"),
        ({"*": 2}, [], "[*]: none of 0 items matches"),
        ({"3": 2}, [1], "[3]: is missing: there are 1 items"),
        ({"a": 2}, [1], "[a]: expected an object, was a list"),
        ({"a": "!*"}, {"a": 0}, "a: expected no value, was 0"),
    ],
)
def test_a_difference_names_its_place_and_both_values(pattern: object, value: object, reason: str) -> None:
    assert mismatch(pattern, value, {}) == reason


def test_a_captured_value_is_compared_from_then_on_and_sent_with_its_type() -> None:
    captures: dict[str, object] = {}
    assert mismatch({"id": "${tx}", "n": "${n}"}, {"id": "abc", "n": 7}, captures) is None
    assert captures == {"tx": "abc", "n": 7}
    assert mismatch("${tx}", "abx", captures) == 'the value: expected "abc", was "abx"'
    assert mismatch("tx ${tx} of *", "tx abc of 9", captures) is None
    assert filled({"a": ["${n}", "no ${n}"]}, captures) == {"a": [7, "no 7"]}
    assert list(names_in({"a": ["${n}", {"b": "${now+60} ${tx}"}]})) == ["n", "now+60", "tx"]
    with pytest.raises(UnknownCaptureError, match="other"):
        filled("${other}", captures)


def test_an_item_that_does_not_match_captures_nothing() -> None:
    captures: dict[str, object] = {}
    items = [{"a": 1, "b": 1}, {"a": 2, "b": 3}]
    assert mismatch({"*": {"a": "${x}", "b": 3}}, items, captures) is None
    assert captures == {"x": 2}


@pytest.mark.parametrize(
    ("pattern", "texts"),
    [
        ("A", ["A"]),
        ("A|B", ["A", "B"]),
        ("!A", ["A"]),
        ("A*|B", ["B"]),
        ("*", []),
        ("> 5", []),
        ("${x}", []),
        ("=*", ["*"]),
    ],
)
def test_the_literal_texts_of_a_pattern(pattern: str, texts: list[str]) -> None:
    assert literal_texts(pattern) == texts


@pytest.mark.parametrize(
    ("name", "seconds"), [("now", 0), ("now+60", 60), ("now-5", -5), ("nowhere", None), ("tx", None)]
)
def test_a_name_of_a_moment_has_its_seconds_from_now(name: str, seconds: int | None) -> None:
    assert moment_offset_s(name) == seconds

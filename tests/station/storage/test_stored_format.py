"""Stored names are a format of their own: they stay when attributes, members and classes are renamed."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from inspect import isclass
from pathlib import Path
from typing import cast, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.frozen import Frozen
from station.billing import transaction_rows
from station.billing.price import FiniteAmounts
from station.charging.authorization.authorization_cache import TOKEN_INFOS
from station.charging.reservations.reservation import RESERVATIONS
from station.display.message_store import MESSAGES
from station.load.charging_profiles import PROFILES
from station.maintenance.firmware.record import ORDERS
from station.maintenance.monitoring import monitor_store
from station.storage import payloads
from station.storage.pydantic_format import PydanticFormat
from station.storage.stored_format import FlatFormat, StoredFormat, UnmappedNameError, names
from station.storage.stored_names import StoredValueError
from station.storage.unreadable_rows import describe_error

_ROOT = Path(__file__).parents[3]
FORMATS = (
    *(payloads.EVENTS, payloads.METER_VALUES, PROFILES, RESERVATIONS, MESSAGES, ORDERS, TOKEN_INFOS),
    *(transaction_rows.BILLS, transaction_rows.PRICE_LISTS, monitor_store.MONITORS, monitor_store.EVENTS),
)


class Colour(StrEnum):
    """An enumeration whose member RED is stored as `rot`."""

    RED = "red"


class Inner(Frozen):
    """A nested class whose attribute is stored as `length`."""

    length_m: float


class Outer(Frozen):
    """A class whose attributes `inner` and `paint` are stored as `parts` and `colour`."""

    inner: tuple[Inner, ...]
    paint: Colour
    note: str | None = None


OUTER = {Outer: names("note", inner="parts", paint="colour"), Inner: names(length_m="length"), Colour: names(RED="rot")}
OUTER_VALUE = Outer((Inner(1.5),), Colour.RED)


def test_attributes_that_are_to_be_omitted_are_not_stored_and_read_as_their_defaults() -> None:
    """By the name of the attribute, whatever its stored name is."""
    complete = Outer((Inner(1.5),), Colour.RED, "personal")
    form = StoredFormat(Outer, OUTER)
    stored = form.to_text(complete, without=("note", "paint"))
    assert json.loads(stored) == {"parts": [{"length": 1.5}]}
    stored = form.to_text(complete, without=("note",))
    assert form.from_text(stored) == Outer((Inner(1.5),), Colour.RED)


def test_renamed_attributes_and_words_keep_their_stored_names() -> None:
    form = StoredFormat(Outer, OUTER)
    text = form.to_text(OUTER_VALUE)
    assert json.loads(text) == {"parts": [{"length": 1.5}], "colour": "rot", "note": None}
    assert form.from_text(text) == OUTER_VALUE


@pytest.mark.parametrize(
    "stored",
    [
        {"parts": [{"width": 2}], "colour": "rot"},
        {"parts": [{"length_m": 1.5}], "colour": "rot"},
        {"parts": [{"length": 1.5}], "colour": "red"},
        {"parts": [{"length": 1.5}], "colour": "rot", "unknown": 1},
        {"parts": [{"length": 1.5}], "colour": "rot", "paint": "rot"},
        {},
    ],
)
def test_a_field_that_is_missing_or_not_known_makes_the_whole_unreadable(stored: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        StoredFormat(Outer, OUTER).from_text(json.dumps(stored))


@pytest.mark.parametrize(
    "incomplete",
    [
        {Outer: names("note", inner="parts"), Inner: names("length_m"), Colour: names(RED="rot")},
        {Outer: names("inner", "paint", "note", "former"), Inner: names("length_m"), Colour: names(RED="red")},
        {Outer: names("inner", "paint", "note"), Colour: names(RED="red")},
        {Outer: names("inner", "paint", "note"), Inner: names("length_m"), Colour: names()},
        {Outer: names("inner", "paint", "note"), Inner: names("length_m"), Colour: names(RED="red", BLUE="blue")},
        {Outer: names("inner", "paint", "note"), Inner: names("length_m")},
    ],
)
def test_what_has_no_stored_name_is_found(incomplete: dict[type, dict[str, str]]) -> None:
    with pytest.raises(UnmappedNameError):
        StoredFormat(Outer, incomplete).check()


def test_a_class_that_is_no_part_of_what_is_stored_needs_no_names() -> None:
    with pytest.raises(UnmappedNameError, match="StoredFormat has stored names, but is not used in Outer"):
        StoredFormat(Outer, OUTER | {StoredFormat: names()}).check()


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.kind.__name__)
def test_everything_that_is_stored_has_stored_names(form: StoredFormat[object]) -> None:
    form.check()


ODD: tuple[object, ...] = (
    *(None, True, 0, 1, -1, 1.5, "", "1", "x", "2024-01-01T00:00:00Z", list[object](), dict[str, object](), [1]),
    *("NaN", "sNaN", "-Infinity", "1E400"),
)


def values_of(kind: object) -> st.SearchStrategy[object]:
    """Any value of a type that is stored."""
    arguments = get_args(kind)
    if kind is datetime:
        return st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-3, minutes=-30))]))
    if kind is Decimal:
        return st.decimals(allow_nan=False, allow_infinity=False)
    if kind is float:
        return st.floats(-1e15, 1e15)
    if kind is int:
        return st.integers(-(2**53), 2**53)
    if get_origin(kind) is tuple:
        if arguments[-1] is ...:
            return st.lists(values_of(arguments[0]), max_size=2).map(tuple)
        return st.tuples(*map(values_of, arguments))
    if arguments:
        return st.one_of(*map(values_of, arguments))
    if isclass(kind) and issubclass(kind, Frozen):
        hints = get_type_hints(kind)
        return st.fixed_dictionaries({name: values_of(hint) for name, hint in hints.items()}).map(lambda of: kind(**of))
    return st.from_type(cast("type[object]", kind))


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.kind.__name__)
@given(data=st.data())
def test_what_is_stored_and_read_is_as_by_pydantic_which_wrote_the_rows_of_older_versions(
    form: StoredFormat[object], data: st.DataObject
) -> None:
    by_pydantic = PydanticFormat(form.kind, form.stored_names)
    value = data.draw(values_of(form.kind))
    text = form.to_text(value)
    assert json.loads(text) == json.loads(by_pydantic.to_json(value))
    assert form.from_text(text) == by_pydantic.from_json(text) == value
    older = by_pydantic.to_json(value).decode()
    assert form.from_text(older) == by_pydantic.from_json(older)


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.kind.__name__)
@given(data=st.data())
def test_a_damaged_row_is_read_as_by_pydantic_or_not_at_all(form: StoredFormat[object], data: st.DataObject) -> None:
    by_pydantic = PydanticFormat(form.kind, form.stored_names)
    stored: dict[str, object] = json.loads(form.to_text(data.draw(values_of(form.kind))))
    key = data.draw(st.sampled_from([*stored, "unknown"]))
    odd = data.draw(st.sampled_from(ODD))
    damaged = json.dumps(stored | {key: odd})
    try:
        read = form.from_text(damaged)
    except StoredValueError:
        read = None
    try:
        expected = by_pydantic.from_json(damaged)
    except StoredValueError:
        expected = None
    assert read == expected


@pytest.mark.parametrize("number", ["NaN", "sNaN", "Infinity", "-inf"])
@pytest.mark.parametrize(
    ("form", "stored"),
    [
        (transaction_rows.PRICE_LISTS, '{"time_per_hour": "%s"}'),
        (transaction_rows.PRICE_LISTS, '{"period": [{"name": "HC", "energy_per_kwh": "%s"}]}'),
        (transaction_rows.BILLS, '{"currency": "EUR", "lines": [], "total": "%s"}'),
    ],
)
def test_no_price_and_no_amount_is_read_that_is_not_finite(
    form: StoredFormat[object], stored: str, number: str
) -> None:
    """It would fail where it is rounded, in documents and in the totals of all transactions."""
    assert form.from_text(stored % "1.50")
    with pytest.raises(StoredValueError, match=r"finite|valid decimal"):
        form.from_text(stored % number)


def test_each_stored_object_with_decimal_numbers_allows_finite_ones_only() -> None:
    with_decimals = [
        cls
        for form in FORMATS
        for cls in form.stored_names
        if any(Decimal in get_args(hint) or hint is Decimal for hint in get_type_hints(cls).values())
    ]
    assert with_decimals
    assert [cls for cls in with_decimals if not issubclass(cls, FiniteAmounts)] == []


def test_the_error_of_a_row_is_described_without_its_values() -> None:
    text = json.dumps({"seq_no": "hunter2", "event_type": "hunter3", "hunter4": 1})
    with pytest.raises(StoredValueError) as refused:
        payloads.EVENTS.from_text(text)
    description = describe_error(refused.value)
    assert "seq_no: " in description or "transaction_id: is missing" in description
    assert not re.search("hunter[23]", f"{refused.value} {description}")


def test_nothing_is_stored_by_the_names_of_attributes() -> None:
    """`TypeAdapter` and `asdict` take the names of the code; what is no format of the storage may use them."""
    elsewhere = {"storage/pydantic_format.py"}
    found = {
        str(file.relative_to(_ROOT / "station"))
        for file in (_ROOT / "station").rglob("*.py")
        if "TypeAdapter(" in (text := file.read_text(encoding="utf-8")) or "dumps(asdict(" in text
    }
    assert found - elsewhere == set()


def test_a_flat_object_keeps_its_stored_names_too() -> None:
    form = FlatFormat(Inner, names(length_m="length"))
    assert form.to_dict(Inner(2.0)) == {"length": 2.0}
    assert form.from_dict({"length": 2.0}) == Inner(2.0)
    with pytest.raises(KeyError):
        form.from_dict({"length_m": 2.0})
    with pytest.raises(UnmappedNameError):
        FlatFormat(Inner, names("length"))

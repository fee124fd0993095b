"""Stored names are a format of their own: they stay when attributes, members and classes are renamed."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path

import pytest

from foundation.frozen import Frozen
from station.billing import transaction_rows
from station.charging.reservations.reservation import RESERVATIONS
from station.charging.tokens.authorization_cache import TOKEN_INFOS
from station.display.message_store import MESSAGES
from station.load.charging_profiles import PROFILES
from station.maintenance.firmware.record import ORDERS
from station.storage import payloads
from station.storage.stored_format import FlatFormat, StoredFormat, UnmappedNameError, names

_ROOT = Path(__file__).parents[3]


class Colour(StrEnum):
    """An enumeration whose value was `rot` once."""

    RED = "red"


class Inner(Frozen):
    """A part; its attribute was called `length` once."""

    length_m: float


class Outer(Frozen):
    """A whole; its attributes were called `parts` and `colour` once."""

    inner: tuple[Inner, ...]
    paint: Colour
    note: str | None = None


OUTER = {Outer: names("note", inner="parts", paint="colour"), Inner: names(length_m="length"), Colour: names(RED="rot")}
WHOLE = Outer((Inner(1.5),), Colour.RED)


def test_attributes_that_are_to_be_omitted_are_not_stored_and_read_as_their_defaults() -> None:
    """By the name of the attribute, whatever its stored name is."""
    whole = Outer((Inner(1.5),), Colour.RED, "personal")
    form = StoredFormat(Outer, OUTER)
    stored = form.to_text(whole, without=("note", "paint"))
    assert json.loads(stored) == {"parts": [{"length": 1.5}]}
    stored = form.to_text(whole, without=("note",))
    assert form.from_text(stored) == Outer((Inner(1.5),), Colour.RED)


def test_renamed_attributes_and_words_keep_their_stored_names() -> None:
    form = StoredFormat(Outer, OUTER)
    text = form.to_text(WHOLE)
    assert json.loads(text) == {"parts": [{"length": 1.5}], "colour": "rot", "note": None}
    assert form.from_text(text) == WHOLE


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


@pytest.mark.parametrize(
    "form",
    [
        payloads.EVENTS,
        payloads.METER_VALUES,
        PROFILES,
        RESERVATIONS,
        MESSAGES,
        ORDERS,
        TOKEN_INFOS,
        transaction_rows.BILLS,
        transaction_rows.PRICE_LISTS,
    ],
    ids=lambda form: form.kind.__name__,
)
def test_everything_that_is_stored_has_stored_names(form: StoredFormat[object]) -> None:
    form.check()


def test_nothing_is_stored_by_the_names_of_attributes() -> None:
    """`TypeAdapter` and `asdict` take the names of the code; what is no format of the storage may use them."""
    elsewhere = {"billing/documents/words.py", "storage/stored_format.py"}
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

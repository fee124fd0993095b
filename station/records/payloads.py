"""Events and samples as the record keeps them: JSON of their fields (docs/adr/0001-plain-json-payloads.md)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Final, TypeVar

from metering.sampling import MeterValue
from station.model import TransactionEvent

if TYPE_CHECKING:
    from pydantic import TypeAdapter

S = TypeVar("S")
T = TypeVar("T")
_log = logging.getLogger(__name__)


READABLE: Final = "CASE WHEN json_valid(payload) THEN payload ELSE '{}' END"
"""the payload in a statement that looks into all of them: one that flash memory has spoilt does not end it"""


@cache
def _events() -> TypeAdapter[TransactionEvent]:
    from pydantic import TypeAdapter

    return TypeAdapter(TransactionEvent)


@cache
def _meter_values() -> TypeAdapter[MeterValue]:
    from pydantic import TypeAdapter

    return TypeAdapter(MeterValue)


def of_event(event: TransactionEvent) -> str:
    """An event as JSON."""
    return _events().dump_json(event).decode()


def event_of(stored: object) -> TransactionEvent:
    """The event of a column.

    Raises:
        ValueError: it is none.
    """
    return _events().validate_json(str(stored))


def of_value(value: MeterValue) -> str:
    """A meter value as JSON."""
    return _meter_values().dump_json(value).decode()


def value_of(stored: object) -> MeterValue:
    """The meter value of a column.

    Raises:
        ValueError: it is none.
    """
    return _meter_values().validate_json(str(stored))


def read(parse: Callable[[S], T], stored: S) -> T | None:
    """What is stored; None where flash memory has spoilt it: that hides nothing else, and stays on record."""
    try:
        return parse(stored)
    except (ValueError, ArithmeticError) as error:  # the latter of numbers that are none
        _log.error("something on the record of transactions cannot be read and is left out: %s", error)
        return None

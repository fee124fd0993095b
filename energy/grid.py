"""Interfaces of grid sources and of sources of grid operators' orders, and the values that they yield.

All sample fields beyond `taken_at` and `currents_a` are optional: the control law works better with them.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from datetime import datetime, time
from enum import StrEnum
from typing import Final, Protocol

from msgspec.structs import replace

from foundation.bounds import CURRENT_A, POWER_W, VOLTAGE_V, Bounds
from foundation.expected_error import ExpectedError
from foundation.frozen import Frozen
from metering.reading import UNKNOWN_PHASES, Phases


class TariffColour(StrEnum):
    """The colour of a Tempo day, from cheap to expensive."""

    BLUE = "blue"
    WHITE = "white"
    RED = "red"


class TariffStep(Frozen):
    """A change of tariff that the grid meter announces for a time of day, in its own local time."""

    at: time
    index: int | None
    """supplier index, 1 to 10; None: no change"""
    contact_closed: bool | None
    """state of the dry contact (for the water heater) from then on; None: no change"""


class MeterTariff(Frozen):
    """Tariff information that the grid meter reports with a sample; what it does not report is None or empty."""

    period: str | None = None
    """the meter's own name of the running period: `HP..`, `HCJB`, `HEURE CREUSE`"""
    index: int | None = None
    """number of the running supplier index (P1: of the tariff); its price is in the contract only"""
    off_peak: bool | None = None
    """whether the running period is the cheap one of the day"""
    flat: bool = False
    """the contract has a single price (Linky: BASE), whatever the dry contact does"""
    has_peaks: bool = False
    """the contract has peak periods, even if none is announced (Linky: EJP)"""
    today: TariffColour | None = None
    tomorrow: TariffColour | None = None
    """None: not announced yet, or no such tariff"""
    peak_now: bool = False
    """a peak period is running: EJP, or a mobile peak of standard mode"""
    peak_announced: bool = False
    """a peak period is announced: EJP notice (30 minutes), or notice of standard mode (the day before)"""
    contact_closed: bool | None = None
    """state of the meter's dry contact, which most contracts close in the off-peak hours"""
    next_day: tuple[TariffStep, ...] = ()
    """tomorrow's steps, in order"""
    next_peak_day: tuple[TariffStep, ...] = ()
    """the steps of the next peak day"""


class GridSample(Frozen):
    """One sample of the house connection, for house and EVSEs together.

    Values that the source does not report are None.
    """

    taken_at: datetime
    """when the values were valid: the meter's own time if plausible, else the time of reception. A repeated time
    means that nothing is new"""
    currents_a: Phases[float | None] = UNKNOWN_PHASES
    """amperes drawn from the grid per phase; negative for export if the source can tell"""
    subscribed_current_a: float | None = None
    """amperes per phase that the contract allows, if reported"""
    apparent_power_va: float | None = None
    """of all phases together; negative when exported, if the source can tell"""
    apparent_powers_va: Phases[float | None] = UNKNOWN_PHASES
    """drawn per phase; 0 on a phase that exports"""
    overrun: bool = False
    """the meter reports that the subscribed power is exceeded"""
    tariff_period: str | None = None
    """the meter's own name or number of the running tariff period"""
    voltages_v: Phases[float | None] = UNKNOWN_PHASES
    powers_w: Phases[float | None] = UNKNOWN_PHASES
    """active power per phase, negative when exported"""
    power_w: float | None = None
    """active power of the connection, netted over the phases; negative when exported"""
    subscribed_va: float | None = None
    """contract power of all phases together (Linky: PREF, or ISOUSC at 200 V)"""
    cut_off_va: float | None = None
    """power of all phases together beyond which the meter disconnects after a time (Linky: PCOUP)"""
    fuse_a: float | None = None
    """amperes per phase of the meter's electronic fuse, live (Belgium 31.4.0, DSMR 3 17.0.0); None: none is set"""
    limiter_w: float | None = None
    """power of the meter's limiter, live (DSMR 17.0.0: W, in Luxembourg VA); None: none is set"""
    breaker_open: bool | None = None
    """the meter's own breaker has disconnected the house"""
    clipped: bool = False
    """the true currents may be higher than reported (a clipped current transformer): counts as an overload"""
    signed: bool = False
    """whether `currents_a` distinguishes export from import"""
    period_s: float = 1.0
    """update period of this source, in seconds: a controller must not be faster"""
    tariff: MeterTariff | None = None
    demand_w: float | None = None
    """mean power of the running quarter hour so far (Belgian capacity tariff)"""
    month_peak_w: float | None = None
    """highest quarter hour of this month (Belgian capacity tariff)"""


_SAMPLE_BOUNDS: Final[Mapping[str, Bounds]] = {
    "currents_a": CURRENT_A,
    "subscribed_current_a": CURRENT_A,
    "apparent_power_va": POWER_W,
    "apparent_powers_va": POWER_W,
    "voltages_v": VOLTAGE_V,
    "powers_w": POWER_W,
    "power_w": POWER_W,
    "subscribed_va": POWER_W,
    "cut_off_va": POWER_W,
    "fuse_a": CURRENT_A,
    "limiter_w": POWER_W,
    "demand_w": POWER_W,
    "month_peak_w": POWER_W,
}


def without_impossible_values(sample: GridSample) -> GridSample:
    """Return a sample without the values that no connection can have; the sample itself if there is none.

    They come from a damaged register or line, and count as not reported.
    """
    changed: dict[str, object] = {}
    for name, bounds in _SAMPLE_BOUNDS.items():
        value: float | Phases[float | None] | None = getattr(sample, name)
        if value is None or value is UNKNOWN_PHASES:
            continue
        plausible = value.map(bounds.plausible) if isinstance(value, Phases) else bounds.plausible(value)
        if plausible != value:
            changed[name] = plausible
    return replace(sample, **changed) if changed else sample


class SourceError(ExpectedError):
    """A grid source cannot be opened or read, or its connection is lost; the caller retries later."""


class GridSource(Protocol):
    """A source of samples of the house connection."""

    def samples(self) -> AsyncIterator[GridSample]:
        """Open the source and yield a sample for each new plausible value, until it is lost; never invent one.

        Raises:
            SourceError: the connection is lost. The caller waits and calls again.
        """
        ...


class OrderReason(StrEnum):
    """Why a grid order is in force, so that the controllable devices must limit their power."""

    ORDERED = "ordered"
    """the grid operator's contact is active"""
    NOT_READ_YET = "not-read-yet"
    """the contact has not been read since power-up: limited, to be safe"""
    WIRE_BROKEN = "wire-broken"
    """the wire of a supervised contact is broken: limited, to be safe"""
    INPUT_FAILED = "input-failed"
    """the input device does not respond: limited, to be safe"""


class GridOrder(Frozen):
    """An order of the grid operator (EnWG §14a): a power limit for all controllable devices together."""

    limit_w: float
    """power from the grid; the house's own production may be added"""
    since: datetime
    """UTC: when this order, or this reason for it, began"""
    reason: OrderReason = OrderReason.ORDERED


class GridOrderSource(Protocol):
    """A source of the grid operator's orders."""

    @property
    def order(self) -> GridOrder | None:
        """The order in force now, else None. Until the contact is first read, an order is in force."""
        ...

    def orders(self) -> AsyncGenerator[GridOrder | None]:
        """Yield the order in force, then each change; never ends, and never raises for a failed input."""
        ...

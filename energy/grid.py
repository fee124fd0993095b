"""What a house connection shows, what asks it, and what the grid operator orders: the contract of every source.

Every field beyond `taken_at` and `currents_a` is optional: a control law works without it, and better with it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from datetime import datetime, time
from enum import StrEnum
from typing import Protocol

from foundation.frozen import frozen
from metering.reading import UNKNOWN_PHASES, Phases


class TariffColour(StrEnum):
    """The colour of a Tempo day, from cheap to dear."""

    BLUE = "blue"
    WHITE = "white"
    RED = "red"


@frozen
class TariffStep:
    """From this time of day on (the meter's local time) another index counts."""

    at: time
    index: int | None
    """supplier index, 1 to 10; None: no change"""
    contact_closed: bool | None
    """what the dry contact (the water heater's) does from then on; None: no change"""


@frozen
class MeterTariff:
    """What the meter tells of prices; None and empty where it does not tell."""

    period: str | None = None
    """its own words for the running period: `HP..`, `HCJB`, `HEURE CREUSE`"""
    index: int | None = None
    """the number of the running supplier index (P1: of the tariff), whose price only the contract knows"""
    off_peak: bool | None = None
    """whether the running period is the cheap one of its day"""
    flat: bool = False
    """the contract has one price all day (Linky: BASE), whatever the dry contact does"""
    has_peaks: bool = False
    """the contract has peak periods, whether or not one is announced (Linky: EJP)"""
    today: TariffColour | None = None
    tomorrow: TariffColour | None = None
    """None: not announced yet, or no such tariff"""
    peak_now: bool = False
    """a dear peak period runs: EJP, or a mobile peak of standard mode"""
    peak_announced: bool = False
    """such a period will come: EJP notice (30 minutes), or notice of standard mode (the day before)"""
    contact_closed: bool | None = None
    """the meter's dry contact, which most contracts close in the off-peak hours"""
    next_day: tuple[TariffStep, ...] = ()
    """tomorrow's steps, in order"""
    next_peak_day: tuple[TariffStep, ...] = ()
    """the steps of the next peak day"""


@frozen
class GridSample:
    """One look at the house connection. What the source does not tell is None."""

    taken_at: datetime
    """when the values were true: the meter's own time where it gives one that can be right, else the time of
    reception. One that repeats means: nothing new"""
    currents_a: Phases[float | None] = UNKNOWN_PHASES
    """amperes drawn from the grid per phase; negative when the source knows that it exports"""
    subscribed_current_a: float | None = None
    """amperes per phase that the contract allows, where the source tells"""
    apparent_power_va: float | None = None
    apparent_powers_va: Phases[float | None] = UNKNOWN_PHASES
    """drawn per phase; 0 on one that feeds back"""
    overrun: bool = False
    """the meter itself says that the subscribed power is exceeded"""
    tariff_period: str | None = None
    voltages_v: Phases[float | None] = UNKNOWN_PHASES
    powers_w: Phases[float | None] = UNKNOWN_PHASES
    """active power per phase, negative when exported"""
    power_w: float | None = None
    """active power of the connection, netted over the phases; negative when exported"""
    subscribed_va: float | None = None
    """contract power of all phases together (Linky: PREF, or ISOUSC at 200 V)"""
    cut_off_va: float | None = None
    """power of all phases together beyond which the meter itself opens in the end (Linky: PCOUP)"""
    fuse_a: float | None = None
    """amperes per phase of the meter's electronic fuse, live (Belgium 31.4.0, DSMR 3 17.0.0); None: none is set"""
    limiter_w: float | None = None
    """power of the meter's limiter, live (DSMR 17.0.0: W, in Luxembourg VA); None: none is set"""
    breaker_open: bool | None = None
    """the meter's own breaker has disconnected the house"""
    clipped: bool = False
    """the true currents may be higher than told (a clipped current transformer): count it as an overload"""
    signed: bool = False
    """whether the source can tell export from import in `currents_a` at all"""
    period_s: float = 1.0
    """how often this source has something new, in seconds: a regulator must not be faster"""
    tariff: MeterTariff | None = None
    demand_w: float | None = None
    """mean power of the running quarter hour so far (Belgian capacity tariff)"""
    month_peak_w: float | None = None
    """highest quarter hour of this month (Belgian capacity tariff)"""


class SourceError(Exception):
    """A grid source cannot be opened or read; the caller tries again later."""


class GridSource(Protocol):
    """Something that tells how much the house draws."""

    def samples(self) -> AsyncIterator[GridSample]:
        """Yield a sample whenever the source has a believable new one; never invents one.

        Raises:
            SourceError: the wire is gone. The caller waits and calls again.
        """
        ...


class OrderReason(StrEnum):
    """Why the controllable devices must draw less."""

    ORDERED = "ordered"
    """the grid operator's contact says so"""
    NOT_READ_YET = "not-read-yet"
    """the contact has not been read since power-up: the careful side"""
    WIRE_BROKEN = "wire-broken"
    """a contact that is supervised cannot be told open from broken: the careful side"""
    INPUT_FAILED = "input-failed"
    """the input device does not answer: the careful side"""


@frozen
class GridOrder:
    """An order of the grid operator (EnWG §14a): all controllable devices together draw no more than this."""

    limit_w: float
    """from the grid; what the house produces itself at the moment may be added"""
    since: datetime
    reason: OrderReason = OrderReason.ORDERED


class GridOrderSource(Protocol):
    """Something that carries the grid operator's orders."""

    @property
    def order(self) -> GridOrder | None:
        """The order in force now; None: none. Before the first look at the contact there is one."""
        ...

    def orders(self) -> AsyncGenerator[GridOrder | None]:
        """Yield the order in force at first, then at each change; never ends, never raises for a failed input."""
        ...

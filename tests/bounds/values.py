"""Random values of the types of the domain, at and within the bounds.

A strategy is made of the type and the name of a field or argument: the end of its name is its unit.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum
from functools import cache
from inspect import isclass
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from hypothesis import strategies as st
from msgspec.structs import fields

from energy.charging_profile import ChargingProfile, Kind, Schedule, SchedulePeriod
from energy.composite import LimitSpan
from energy.composite_schedule import ShareFunction
from energy.phase_map import ROTATIONS, PhaseMap
from energy.profile_bounds import within_bounds
from energy.sharing import share
from energy.step_check import SteadyDraw
from energy.trip import CURVES, Protection
from foundation.bounds import CURRENT_A, DATES, DURATION_S, ENERGY_WH, POWER_W, VOLTAGE_V, Bounds
from foundation.frozen import Frozen

Values = st.SearchStrategy[Any]

FIRST: Final = datetime.min.replace(tzinfo=UTC)
LAST: Final = datetime.max.replace(tzinfo=UTC)
_CLOCK_BEGINS: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS: Final = {
    "a": CURRENT_A,
    "w": POWER_W,
    "va": POWER_W,
    "v": VOLTAGE_V,
    "wh": ENERGY_WH,
    "s": DURATION_S,
    "seconds": DURATION_S,
}
_USUAL: Final = (0.0, -0.0, 5e-324, 0.1, 5.9, 6.0, 16.0, 32.0, 230.0, 900.0, 4_140.0, 1e6)
_INTEGERS: Final[Mapping[str, Values]] = {
    "phases": st.sampled_from([1, 3]),
    "wired": st.sampled_from([1, 3]),
    "connected": st.sampled_from([1, 3]),
    "phase": st.sampled_from([1, 2, 3]),
    "phase_to_use": st.sampled_from([1, 2, 3]),
    "selectable_phases": st.sampled_from([1, 2, 3]),
    "terminals": st.sampled_from([0, 1, 2]),
    "grid_phases": st.sampled_from([0, 1, 2]),
    "evse_id": st.sampled_from([1, 2, 3]),
    "evse_ids": st.sampled_from([1, 2, 3]),
    "order": st.sampled_from([1, 2, 3]),
    "max_count": st.integers(1, 2**31 - 1),
    "interval_s": st.sampled_from([1, 86_400, 2**31 - 1]) | st.integers(1, 2**31 - 1),
    "indices": st.just(0),
}
_OF_PEERS: Final = frozenset({"valid_from", "valid_to", "starts_at", "ends_at", "expires_at", "until"})
"""dates of peers, which may be any that exist; all others are of the station's own clock"""


def numbers(name: str) -> Values:
    """Numbers of a field: some that occur, those at the bounds of its unit, and any others within them."""
    bounds = _UNITS.get(name.rsplit("_", 1)[-1], Bounds(-1e9, 1e9))
    notable = [number for number in (*_USUAL, bounds.lowest, bounds.highest) if bounds.includes(number)]
    return st.sampled_from(notable) | st.floats(bounds.lowest, bounds.highest)


def moments(name: str) -> Values:
    """Moments of a peer, or of the station's own clock."""
    if name in _OF_PEERS:
        return st.sampled_from([FIRST, LAST, DATES.earliest, DATES.latest]) | st.datetimes(timezones=st.just(UTC))
    earliest, latest = (moment.replace(tzinfo=None) for moment in (_CLOCK_BEGINS, DATES.latest))
    notable = [_CLOCK_BEGINS, datetime(2026, 3, 1, 12, tzinfo=UTC), DATES.latest]
    return st.sampled_from(notable) | st.datetimes(earliest, latest, timezones=st.just(UTC))


def integers(name: str) -> Values:
    """Integers of a field: a few where only a few mean something, else any of 32 bits that is not negative."""
    return _INTEGERS.get(name, st.sampled_from([0, 1, 2**31 - 1]) | st.integers(0, 2**31 - 1))


@cache
def _schedules(*, starts: bool) -> Values:
    """Schedules that are installed: periods in order from 0 on, with any limit that a double can hold."""
    starts_s = st.sets(st.integers(1, 2**31 - 1) | st.sampled_from([1, 60, 2**31 - 1]), max_size=3)
    limits = st.floats(0.0, allow_infinity=False, allow_nan=False) | st.sampled_from(_USUAL)
    choices = st.tuples(limits, st.sampled_from([None, 1, 2, 3]), st.sampled_from([None, 1, 2, 3]))
    periods = st.tuples(starts_s, st.lists(choices, min_size=4, max_size=4)).map(
        lambda drawn: tuple(
            SchedulePeriod(at_s, *choice) for at_s, choice in zip(sorted({0, *drawn[0]}), drawn[1], strict=False)
        )
    )
    return built(
        Schedule,
        periods=periods,
        starts_at=moments("starts_at") if starts else st.none(),
        duration_s=st.none() | integers("duration_s"),
    )


@cache
def sent_profiles() -> Values:
    """Charging profiles as a CSMS may send them."""

    def of(kind: Kind) -> Values:
        recurrency = _value(ChargingProfile, "recurrency") if kind is Kind.RECURRING else st.none()
        schedule = _schedules(starts=kind is not Kind.RELATIVE)
        return built(ChargingProfile, kind=st.just(kind), schedule=schedule, recurrency=recurrency)

    return st.one_of([of(kind) for kind in Kind])


@cache
def profiles() -> Values:
    """Charging profiles in the form that is evaluated."""
    return sent_profiles().map(within_bounds)


def _limit_spans() -> Values:
    """Return consecutive time spans, some of which have a limit."""
    moments_us = st.sets(st.integers(0, 2**31 * 1_000_000), min_size=2, max_size=5).map(sorted)
    return st.tuples(moments_us, st.lists(st.none() | numbers("limit_a"), min_size=5, max_size=5)).map(
        lambda drawn: [
            (since, until, limit)
            for since, until, limit in zip(drawn[0], drawn[0][1:], drawn[1], strict=False)
            if limit is not None
        ]
    )


def built(cls: type[Frozen], /, **given: Values) -> Values:
    """A strategy for a class, with strategies for some of its fields."""
    hints = _hints(cls)
    strategies = {
        field.name: given[field.name] if field.name in given else values(hints[field.name], field.name)
        for field in fields(cls)
    }
    return st.builds(cls, **strategies)


def _value(owner: type[Frozen], name: str) -> Values:
    return values(_hints(owner)[name], name)


@cache
def _hints(owner: type[Frozen]) -> Mapping[str, Any]:
    try:
        return get_type_hints(owner, include_extras=True)
    except NameError as error:  # of a class that is imported for type checking only
        raise UnknownTypeError(str(error)) from error


class UnknownTypeError(Exception):
    """No values of a type can be made."""


@cache
def values(kind: Any, name: str) -> Values:
    """A strategy for the values of a type, in a field or an argument of this name.

    Raises:
        UnknownTypeError: there is none.
    """
    if kind in _KNOWN:
        return _KNOWN[kind](name)
    if isinstance(kind, TypeVar):
        return numbers(name)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return values(arguments[0], name)
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in (Union, UnionType):
        return st.one_of([values(argument, name) for argument in arguments])
    if origin is tuple and arguments[-1] is not Ellipsis:
        return st.tuples(*(values(argument, name) for argument in arguments))
    if origin in _FROM_LISTS:
        return st.lists(values(arguments[0], name), max_size=3).map(_FROM_LISTS[origin])
    if origin in (Mapping, dict):
        return st.dictionaries(values(arguments[0], "evse_id"), values(arguments[1], name), max_size=3)
    owner = cast("type[object]", origin or kind)
    if isclass(owner) and issubclass(owner, Enum):
        return st.sampled_from(list(owner))
    if isclass(owner) and issubclass(owner, Frozen):
        type_parameters = (
            {field.name: values(arguments[0], name) for field in fields(owner)} if arguments else {}
        )  # Phases[float]
        return built(owner, **type_parameters)
    raise UnknownTypeError(f"{name}: {kind}")


_KNOWN: Final[dict[Any, Callable[[str], Values]]] = {
    NoneType: lambda _: st.none(),
    None: lambda _: st.none(),
    bool: lambda _: st.booleans(),
    int: integers,
    float: numbers,
    Decimal: lambda name: numbers(name).map(lambda number: Decimal(repr(number))),
    str: lambda _: st.text(max_size=20),
    bytes: lambda _: st.binary(max_size=40),
    datetime: moments,
    time: lambda _: st.times(),
    timedelta: lambda _: st.timedeltas(timedelta(0), timedelta(seconds=2**31)),
    tzinfo: lambda _: st.timedeltas(timedelta(hours=-14), timedelta(hours=14)).map(timezone),
    ChargingProfile: lambda _: profiles(),
    Schedule: lambda _: _schedules(starts=True),
    Sequence[LimitSpan]: lambda _: _limit_spans(),
    Iterable[LimitSpan]: lambda _: _limit_spans(),
    ShareFunction: lambda _: st.just(share),
    PhaseMap: lambda _: st.sampled_from([PhaseMap.from_rotation(rotation) for rotation in ROTATIONS]),
    Protection: lambda _: st.builds(Protection, st.sampled_from(list(CURVES.values())), st.floats(0.0, 1e9)),
    SteadyDraw: lambda name: built(SteadyDraw, grid_readings=st.tuples(st.tuples(numbers("now_s"), numbers("grid_a")))),
}
"""strategies of plain types, and of types whose fields depend on each other"""
_FROM_LISTS: Final[dict[Any, Callable[[Any], object]]] = {
    list: list,
    Sequence: list,
    Iterable: list,
    Collection: list,
    Container: list,
    tuple: tuple,
    frozenset: frozenset,
    set: set,
    Iterator: iter,
}

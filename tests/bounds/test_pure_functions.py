"""Arithmetic of the essential rooms is total: no value within the bounds raises an error or becomes NaN.

The functions, and the methods of immutable values, are found by walking over the packages, so that a new one is tested
without a line here.
"""

from __future__ import annotations

import importlib
import inspect
import math
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from types import FunctionType
from typing import Any, Final, cast, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import fields

from foundation.frozen import Frozen
from foundation.table_definition import TableDefinition
from tests.bounds.values import UnknownTypeError, Values, values
from tests.examples import examples

_ROOMS: Final = (
    "energy",
    "metering.plausibility",
    "metering.reading",
    "metering.uncounted_energy",
    "station.load",
    "station.charging",
    "station.core",
)
_BYTES: Final = ("energy.sources", "station.charging.signing", "station.core.installation_file")
"""rooms that parse bytes and files, whose tests damage these"""
_FITTING: Final = frozenset(
    {
        "energy.composite_schedule.composite_schedule",  # EVSEs that differ
        "energy.equal_phase_check.EqualPhaseCheck.after",  # three phases in each tuple
        "energy.equal_phase_check.EqualPhaseCheck.doubted",
        "energy.sharing.raise_after_others",  # the draw and the offer of each EVSE
        "energy.sharing.spread_remainder",  # the demand of each EVSE
    }
)
"""functions whose arguments must fit each other: test_fitting_arguments.py"""
_NO_NUMBERS: Final = frozenset(
    {
        "energy.phase_map.RotationLearner.phase_map",
        "station.charging.reservations.allocation.claim",
        "station.charging.transaction.start_points",
        "station.core.hardware.token_reader.id_token_from_uid",
        "station.core.light_patterns.highest_priority",
        "station.core.local_time.named_zone",
    }
)
"""functions of names and counts that their callers have checked"""


def _modules() -> Iterator[str]:
    for room in _ROOMS:
        found = importlib.import_module(room)
        if not hasattr(found, "__path__"):
            yield room
            continue
        for module in pkgutil.walk_packages(found.__path__, f"{room}."):
            if not module.ispkg and not module.name.startswith(_BYTES):
                yield module.name


def _functions() -> Iterator[tuple[str, FunctionType, type[Frozen] | None]]:
    """Yield name and function, and the class of a method."""
    for name in _modules():
        for found in vars(importlib.import_module(name)).values():
            if not isinstance(found, FunctionType | type) or found.__module__ != name or found.__name__.startswith("_"):
                continue
            if isinstance(found, FunctionType):
                yield f"{name}.{found.__name__}", found, None
            elif issubclass(found, Frozen) and not issubclass(found, TableDefinition):
                for attribute, member in vars(found).items():
                    method = member.fget if isinstance(member, property) else member
                    if isinstance(method, FunctionType) and not attribute.startswith("_"):
                        yield f"{name}.{found.__qualname__}.{attribute}", method, found


@cache
def _names() -> Mapping[str, Any]:
    """The classes that annotations may name although they are imported for type checking only."""
    found: dict[str, Any] = {}
    for name in _modules():
        found |= {key: value for key, value in vars(importlib.import_module(name)).items() if inspect.isclass(value)}
    return found


def _arguments(function: FunctionType, owner: type[Frozen] | None) -> dict[str, Values]:
    """A strategy for each argument.

    Raises:
        UnknownTypeError: an argument is no value but a collaborator.
    """
    try:
        hints = get_type_hints(function, {**_names(), **function.__globals__}, include_extras=True)
    except NameError as error:
        raise UnknownTypeError(str(error)) from error
    strategies: dict[str, Values] = {}
    for name in inspect.signature(function).parameters:
        strategies[name] = values(hints[name], name) if name in hints else values(owner, name)
    return strategies


def _cases() -> Iterator[object]:
    for name, function, owner in _functions():
        if name in _FITTING | _NO_NUMBERS or inspect.iscoroutinefunction(function):
            continue
        try:
            yield pytest.param(function, _arguments(function, owner), id=name)
        except UnknownTypeError:
            continue


def _has_no_nan(value: object) -> bool:
    """Return whether no number in a result is NaN, at any depth."""
    if isinstance(value, float):
        return not math.isnan(value)
    if isinstance(value, Frozen):
        return all(_has_no_nan(getattr(value, field.name)) for field in fields(value))
    if isinstance(value, Mapping):
        return all(map(_has_no_nan, cast("Mapping[object, object]", value).values()))
    if isinstance(value, list | tuple | set | frozenset):
        return all(map(_has_no_nan, cast("list[object]", value)))
    return True


def test_what_is_left_out_exists() -> None:
    assert {name for name, _, _ in _functions()} >= _FITTING | _NO_NUMBERS


@pytest.mark.parametrize(("function", "arguments"), list(_cases()))
def test_a_pure_function_has_a_result_for_all_values_within_the_bounds(
    function: Callable[..., object], arguments: dict[str, Values]
) -> None:
    """A ValueError is a result where the docstring announces it."""
    refuses = "ValueError" in (function.__doc__ or "")

    @examples(6)
    @given(st.fixed_dictionaries(arguments))
    def check(given_values: dict[str, Any]) -> None:
        try:
            result = function(**given_values)
        except ValueError:
            if not refuses:
                raise
            return
        assert _has_no_nan(list(cast("Iterator[object]", result)) if inspect.isgenerator(result) else result)

    check()

"""The numbers of stations' requests: JSON and the schemas of OCPP allow any size, and whole numbers written as 1.0."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from foundation.frozen import Frozen
from foundation.json_values import is_object, number_of, objects_of

IMPORT_REGISTER: Final = "Energy.Active.Import.Register"
_LARGEST_WHOLE: Final = 2**53
_LARGEST_MULTIPLIER: Final = 30


class TotalSample(Frozen):
    """A sampled value of all phases together."""

    measurand: str
    context: str
    value: float
    """in Wh or W: without multiplier, and not in thousands"""


def totals(meter_values: Iterable[Mapping[str, object]]) -> Iterator[TotalSample]:
    """Yield each sample of all phases together.

    Raises:
        ValueError: a number is out of range.
    """
    for meter_value in meter_values:
        for sample in objects_of(meter_value["sampledValue"]):
            if "phase" not in sample:
                yield TotalSample(
                    str(sample.get("measurand", IMPORT_REGISTER)),
                    str(sample.get("context", "Sample.Periodic")),
                    _scaled(sample["value"], sample.get("unitOfMeasure")),
                )


def _scaled(value: object, unit: object) -> float:
    """A value without its multiplier and thousands."""
    factor = 1.0
    if is_object(unit):
        multiplier = whole_number(unit.get("multiplier", 0))
        if abs(multiplier) > _LARGEST_MULTIPLIER:
            raise ValueError(f"multiplier must be -{_LARGEST_MULTIPLIER} to {_LARGEST_MULTIPLIER}")
        factor = 10.0**multiplier * (1000.0 if unit.get("unit") in ("kWh", "kW") else 1.0)
    number = number_of(value)
    if not -_LARGEST_WHOLE <= number <= _LARGEST_WHOLE or not math.isfinite(number * factor):
        raise ValueError(f"value must be -{_LARGEST_WHOLE} to {_LARGEST_WHOLE}")
    return number * factor


def whole_number(value: object) -> int:
    """A whole number.

    Raises:
        ValueError: it is out of range.
    """
    number = number_of(value)
    if not -_LARGEST_WHOLE <= number <= _LARGEST_WHOLE:
        raise ValueError(f"a whole number must be -{_LARGEST_WHOLE} to {_LARGEST_WHOLE}")
    return int(number)

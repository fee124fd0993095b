"""Computes the energy of a transaction from its signed readings, and checks whether it can be billed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Final

from foundation.frozen import Frozen
from metering.ocmf import END_REASONS, OcmfReading, OcmfRecord

_OBIS_CODE = re.compile(
    r"(?P<a>\w+)-(?P<b>\w+):(?P<c>\w+)\.(?P<d>\w+)(\.(?P<e>\w+))?([*.](?P<f>\w+))?", re.ASCII | re.IGNORECASE
)
_COMPENSATED_C_GROUPS: Final = frozenset({"98", "B1", "B3", "C1", "C3"})
"""OBIS groups C for energy at the vehicle, with the cable's loss deducted"""
_BILLED_C_GROUPS: Final = (
    _COMPENSATED_C_GROUPS | {"1", "9E"} | {f"{c:X}" for c in (*range(0xB0, 0xC0), *range(0xC0, 0xC8))}
)
_BILLED_F_GROUPS: Final = frozenset({None, "0", "200", "255", "FF"})
_INVALID_IDENTITY_STATES: Final = frozenset({"MISMATCH", "INVALID", "OUTDATED", "UNKNOWN"})
_METER_STATES: Final[Mapping[str, str]] = {
    "N": "not present",
    "T": "timeout",
    "D": "disconnected",
    "R": "removed",
    "M": "manipulated",
    "X": "exchanged",
    "I": "incompatible",
    "O": "out of range",
    "S": "substitute value",
    "E": "other error",
    "F": "read error",
}
_REQUIRED_FIELDS: Final[Mapping[str, str]] = {
    "MS": "the serial number of the meter",
    "IS": "whether the user was identified",
    "IT": "how the user was identified",
}
"""fields that are mandatory in each record (OCMF, table 2), but missing in records of well-known stations"""
_PAGINATION = re.compile(r"(?P<context>[TF])(?P<number>0|[1-9][0-9]{0,17})", re.ASCII)
_EQUAL_FIELDS: Final = ("MS", "GS", "ID", "IS")
"""fields that must be equal in all records of a transaction"""


class RegisterDelta(Frozen):
    """The energy that one register counted during a transaction: its begin and end reading in signed records."""

    register: str
    """OBIS code, as written"""
    begin: OcmfReading
    end: OcmfReading

    @property
    def energy_wh(self) -> Decimal:
        """The register at the end less that at the begin, in watt hours."""
        return (self.end.energy_wh or Decimal(0)) - (self.begin.energy_wh or Decimal(0))

    @property
    def duration_s(self) -> float | None:
        """Seconds between the two readings; None if a time is missing or has no offset."""
        begin = self.begin.time.moment if self.begin.time is not None else None
        end = self.end.time.moment if self.end.time is not None else None
        return (end - begin).total_seconds() if begin is not None and end is not None else None


class OcmfBill(Frozen):
    """Result of `check_bill`: the energies of a transaction, and objections to billing them."""

    register_deltas: tuple[RegisterDelta, ...]
    objections: tuple[str, ...]
    """sentences that say why the energy cannot be billed; empty: it can"""
    remarks: tuple[str, ...] = ()
    """missing mandatory fields, which do not affect the energies"""


def register_deltas(readings: Iterable[OcmfReading]) -> tuple[RegisterDelta, ...]:
    """Pair the first begin and the last end reading of each energy register; registers without both are left out."""
    begins: dict[str, OcmfReading] = {}
    ends: dict[str, OcmfReading] = {}
    for reading in readings:
        if reading.register is None or reading.energy_wh is None:
            continue
        if reading.reason == "B":
            begins.setdefault(reading.register, reading)
        elif reading.reason in END_REASONS:
            ends[reading.register] = reading
    return tuple(
        RegisterDelta(register, begin, ends[register]) for register, begin in begins.items() if register in ends
    )


def check_bill(records: Sequence[OcmfRecord]) -> OcmfBill:
    """Check whether the energy of one transaction can be billed by its records; signatures are not checked.

    The records may be in any order: their pagination gives it.
    """
    readings = [reading for record in records for reading in record.readings]
    remarks = [remark for record in records for remark in _missing_fields(record)]
    return OcmfBill(register_deltas(readings), tuple(_objections(records, readings)), tuple(remarks))


def billed_register(readings: Iterable[OcmfReading]) -> str | None:
    """The OBIS code of the register to bill: an import register, preferably at the vehicle; None if there is none."""
    fit = [reading.register for reading in readings if reading.register is not None and _is_billed(reading)]
    return next((register for register in fit if _group_c(register) in _COMPENSATED_C_GROUPS), fit[0] if fit else None)


def _is_billed(reading: OcmfReading) -> bool:
    match = _OBIS_CODE.fullmatch(reading.register or "")
    if match is None or reading.energy_wh is None:
        return False
    last = match["f"].upper().lstrip("0") or "0" if match["f"] is not None else None
    return (
        match["a"].lstrip("0") == "1"
        and match["d"].lstrip("0") == "8"
        and _group_c(reading.register or "") in _BILLED_C_GROUPS
        and last in _BILLED_F_GROUPS
    )


def _group_c(register: str) -> str:
    match = _OBIS_CODE.fullmatch(register)
    return match["c"].upper().lstrip("0") if match is not None else ""


def _objections(records: Sequence[OcmfRecord], readings: Sequence[OcmfReading]) -> Iterator[str]:
    for record in records:
        for key in record.repeated:
            yield f"{key} occurs twice in one object"
        if (level := record.text("IL")) in _INVALID_IDENTITY_STATES:
            yield f"the user identification is {level} (IL)"
        yield from _missing_pagination(record)
    yield from _field_differences(records)
    register = billed_register(readings)
    if register is None:
        yield "there is no reading of an energy register that can be billed"
        return
    of_register = [reading for reading in readings if reading.register == register]
    begins = [reading for reading in of_register if reading.reason == "B"]
    ends = [reading for reading in of_register if reading.reason in END_REASONS]
    for name, found in (("begin", begins), ("end", ends)):
        if len(found) != 1:
            yield (
                f"there is no {name} reading of {register}"
                if not found
                else (f"there are {len(found)} {name} readings of {register}")
            )
    for reading in of_register:
        yield from _reading_objections(reading)
    if len(begins) == 1 and len(ends) == 1:
        yield from _pair_objections(begins[0], ends[0])
        yield from _pagination_disorder(records, begins[0], ends[0])


def _missing_pagination(record: OcmfRecord) -> Iterator[str]:
    page = record.text("PG")
    if not page:
        yield "a record has no pagination (PG)"
    elif _pagination(record) is None:
        yield f"{page} is not a valid pagination of a record (PG)"


def _missing_fields(record: OcmfRecord) -> Iterator[str]:
    for key, field_text in _REQUIRED_FIELDS.items():
        if not record.text(key):
            yield f"the record {record.text('PG') or 'without pagination'} does not state {field_text} ({key})"


def _field_differences(records: Sequence[OcmfRecord]) -> Iterator[str]:
    for before, after in pairwise(records):
        for key in _EQUAL_FIELDS:
            if before.text(key) != after.text(key):
                yield f"{key} differs between the records: {before.text(key)}, then {after.text(key)}"


def _pagination_disorder(records: Sequence[OcmfRecord], begin: OcmfReading, end: OcmfReading) -> Iterator[str]:
    """Check the pagination: the begin has the lowest number, the end the highest, in whatever order the file is."""
    places = sorted(
        (end in record.readings, begin not in record.readings, page)
        for record in records
        if (page := _pagination(record)) is not None
    )
    for (*_, before), (*_, after) in pairwise(places):
        if before[0] != after[0] or before[1] >= after[1]:
            yield f"the pagination is not ascending: {before[0]}{before[1]}, then {after[0]}{after[1]}"


def _pagination(record: OcmfRecord) -> tuple[str, int] | None:
    match = _PAGINATION.fullmatch(record.text("PG") or "")
    return (match["context"], int(match["number"])) if match is not None else None


def _reading_objections(reading: OcmfReading) -> Iterator[str]:
    where = f"in the reading {reading.reason or ''}".rstrip()
    if reading.reason == "X":
        yield "the values are not usable from the reading with type X on"
    if reading.time is None or reading.time.moment is None:
        yield f"the time is missing {where} (TM)"
    if reading.value is None:
        yield f"the value is not a number {where} (RV)"
    if reading.status is None:
        yield f"the meter state is missing {where} (ST)"
    elif reading.status != "G":
        yield f"the meter was not in order {where}: {_METER_STATES.get(reading.status, reading.status)} (ST)"
    if "E" in (reading.error_flags or ""):
        yield f"the energy is marked as not usable {where} (EF)"


def _pair_objections(begin: OcmfReading, end: OcmfReading) -> Iterator[str]:
    if (begin.unit, begin.current_type) != (end.unit, end.current_type):
        yield "begin and end reading differ in unit or current type"
    figure = RegisterDelta(begin.register or "", begin, end)
    if figure.energy_wh < 0:
        yield "the register is lower at the end than at the begin"
    duration_s = figure.duration_s
    if duration_s is not None and duration_s < 0:
        yield "the end time is before the begin time"


def time_objection(figure: RegisterDelta) -> str | None:
    """The reason why the duration between both readings cannot be billed, even if the energy can; None if it can."""
    for name, reading in (("begin", figure.begin), ("end", figure.end)):
        state = reading.time.state if reading.time is not None else None
        if "t" in (reading.error_flags or ""):
            return f"the time of the {name} is marked as not usable (EF)"
        if state not in ("S", "R"):
            return f"the clock was not synchronised at the {name} (time state {state or 'missing'})"
    return None

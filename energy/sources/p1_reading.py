"""Decodes the objects of a P1 telegram to quantities. No I/O.

Objects are matched by their last three numbers (C.D.E): some meters send 1-1 instead of 1-0. A power is in kW unless
its unit says otherwise. Results: powers in W, energies in Wh, currents in A, voltages in V, aware times.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from energy.sources.p1_telegram import Telegram
from foundation.frozen import Frozen

_NUMBER: Final = re.compile(r"([+-]?\d{1,12}(?:\.\d{1,12})?)\*?([A-Za-z][A-Za-z0-9]*)?\Z")
"""no display has more digits; hundreds of digits would be read as infinity"""
_INTEGER: Final = re.compile(r"[0-9]{1,12}")
_TIME_STAMP: Final = re.compile(r"(\d{12})([SW]?)\Z")
_SEASON_ZONES: Final = {"S": timezone(timedelta(hours=2)), "W": timezone(timedelta(hours=1))}
_NO_LIMIT: Final = 999.0
"""a threshold of at least this many A, kW or kVA means no limit"""
_POWER_CODES: Final = ("1.7.0", "2.7.0")
_REGISTER_CODES: Final = ("1.8.1", "1.8.2", "2.8.1", "2.8.2")
_MAX_UNCHECKED_W: Final = 60_000.0
"""3 × 80 A, the largest connection of a household meter: without a checksum a higher power counts as corrupt"""
_BELGIAN_VERSION: Final = "502"
_EARLIEST, _LATEST = datetime(2000, 2, 1, tzinfo=UTC), datetime(2069, 1, 1, tzinfo=UTC)
"""plausible range: a clock that was never set shows 1 January 2000 or 1970"""


class PowerThreshold(Frozen):
    """A limit that the meter itself enforces, as a telegram reports it."""

    value: float
    unit: str | None
    """A, kW or kVA; None: not sent"""

    @property
    def is_set(self) -> bool:
        """Whether there is a limit: meters report 999 for none."""
        return self.value < (_NO_LIMIT * 1000.0 if self.unit in {"W", "VA"} else _NO_LIMIT)


class QuarterHourPeak(Frozen):
    """The quarter hour with the highest mean power of a month (Belgian capacity tariff)."""

    month: datetime | None
    peak_time: datetime | None
    peak_w: float | None


class SubMeter(Frozen):
    """A gas, heat, water or other meter on the M-Bus of the P1 meter, and its last reading."""

    channel: int
    type: int | None
    """2 electricity, 3 gas, 4 heat, 7 water; None: not sent"""
    read_at: datetime | None = None
    """naive if the meter does not send its time zone"""
    value: float | None = None
    unit: str | None = None


class P1Reading(Frozen):
    """The quantities of a P1 telegram of the house's meter; missing ones are None or empty."""

    version: str | None
    taken_at: datetime | None
    """time by the meter's clock"""
    import_w: float | None
    export_w: float | None
    net_per_phase_w: tuple[float | None, ...] = ()
    currents_a: tuple[float | None, ...] = ()
    """unsigned; whole amperes in older meters"""
    voltages_v: tuple[float | None, ...] = ()
    import_registers_wh: tuple[float, ...] = ()
    export_registers_wh: tuple[float, ...] = ()
    import_wh: float | None = None
    export_wh: float | None = None
    tariff: int | None = None
    """number of the running tariff"""
    threshold: PowerThreshold | None = None
    """object 17.0.0"""
    fuse: PowerThreshold | None = None
    """object 31.4.0"""
    breaker: int | None = None
    """object 96.3.10, state of the meter's own breaker: 1 is closed"""
    demand_w: float | None = None
    """mean of the running quarter hour (Belgium)"""
    month_peak: QuarterHourPeak | None = None
    peaks: tuple[QuarterHourPeak, ...] = ()
    sub_meters: tuple[SubMeter, ...] = ()

    @property
    def net_w(self) -> float | None:
        """Power of the connection in W, negative when it exports; None if the imported power is missing."""
        if self.import_w is None:
            return None
        return self.import_w - (self.export_w or 0.0)

    @property
    def belgian(self) -> bool:
        """Whether the telegram is of a Belgian meter, whose tariff 1 is the one of the day."""
        return self.version is not None and self.version.startswith(_BELGIAN_VERSION)


def believable(telegram: Telegram) -> bool:
    """Return whether the values of a telegram are valid.

    Without a checksum a telegram must contain the imported power and, if it has tariff registers, all powers and
    registers, each group with the same number of characters (P1 2.2 and 3.0), and no power beyond a household
    connection: lost characters would hide an export, or multiply a power by ten or a hundred.
    """
    if not telegram.believable or telegram.crc_ok:
        return telegram.believable
    objects = _by_quantity(telegram.objects)
    if not any(quantity in objects for quantity in _REGISTER_CODES):
        return _power_of(objects, "1.7.0") is not None
    rows = [[_first_value(objects, quantity) for quantity in row] for row in (_POWER_CODES, _REGISTER_CODES)]
    powers = [_parse_power(text) for text in rows[0]]
    known = all(_parse_power(text) is not None for row in rows for text in row)
    possible = all(power_w is not None and power_w <= _MAX_UNCHECKED_W for power_w in powers)
    return known and possible and all(len({len(text or "") for text in row}) == 1 for row in rows)


def read_telegram(telegram: Telegram) -> P1Reading:
    """Decode the quantities of a valid telegram."""
    objects = _by_quantity(telegram.objects)
    imports, exports = _registers_of(objects, "1.8"), _registers_of(objects, "2.8")
    peak = objects.get("1.6.0", ())
    return P1Reading(
        version=_first_value(objects, "0.2.8") or _first_value(objects, "96.1.4"),
        taken_at=parse_timestamp(_first_value(objects, "1.0.0")),
        import_w=_power_of(objects, "1.7.0"),
        export_w=_power_of(objects, "2.7.0"),
        net_per_phase_w=_net_per_phase(objects),
        currents_a=_values_per_phase(objects, "31.7.0", "51.7.0", "71.7.0"),
        voltages_v=_values_per_phase(objects, "32.7.0", "52.7.0", "72.7.0"),
        import_registers_wh=imports,
        export_registers_wh=exports,
        import_wh=_total_register(objects, "1.8.0", imports),
        export_wh=_total_register(objects, "2.8.0", exports),
        tariff=_parse_integer(_first_value(objects, "96.14.0")),
        threshold=_threshold_of(objects, "17.0.0"),
        fuse=_threshold_of(objects, "31.4.0"),
        breaker=_parse_integer(_first_value(objects, "96.3.10")),
        demand_w=_power_of(objects, "1.4.0"),
        month_peak=QuarterHourPeak(None, parse_timestamp(peak[0]), _parse_power(peak[1])) if len(peak) == 2 else None,
        peaks=_parse_peaks(objects.get("98.1.0", ())),
        sub_meters=_sub_meters_of(telegram.objects),
    )


def _by_quantity(objects: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Values of the electricity meter by C.D.E, its usual channels first; M-Bus channels 1 to 4 are left out."""
    found: dict[str, tuple[str, ...]] = {}
    for code in sorted(objects, key=lambda code: not code.startswith(("1-0:", "0-0:"))):
        place, _, quantity = code.partition("*")[0].rpartition(":")
        if place not in {"0-1", "0-2", "0-3", "0-4"}:
            found.setdefault(quantity, objects[code])
    return found


def _first_value(objects: Mapping[str, tuple[str, ...]], quantity: str) -> str | None:
    values = objects.get(quantity, ())
    return values[0] if values and values[0] != "" else None


def parse_number(text: str | None) -> tuple[float, str | None] | None:
    """Parse a value with an optional unit; None if it is not a number."""
    found = _NUMBER.match(text) if text is not None else None
    return (float(found[1]), found[2]) if found is not None else None


def _parse_integer(text: str | None) -> int | None:
    return int(text) if text is not None and _INTEGER.fullmatch(text) is not None else None


def _parse_power(text: str | None) -> float | None:
    """Parse a power or energy to W or Wh; without a unit it is in thousands."""
    parsed = parse_number(text)
    if parsed is None:
        return None
    value, unit = parsed
    match (unit or "kW").lower():
        case "w" | "wh" | "va":
            return value
        case "kw" | "kwh" | "kva":
            return round(value * 1000.0, 3)
        case _:
            return None


def _power_of(objects: Mapping[str, tuple[str, ...]], quantity: str) -> float | None:
    return _parse_power(_first_value(objects, quantity))


def _registers_of(objects: Mapping[str, tuple[str, ...]], kind: str) -> tuple[float, ...]:
    values = [_power_of(objects, f"{kind}.{tariff}") for tariff in (1, 2)]
    return tuple(value for value in values if value is not None)


def _total_register(
    objects: Mapping[str, tuple[str, ...]], quantity: str, registers: tuple[float, ...]
) -> float | None:
    stated = _power_of(objects, quantity)
    if stated is not None:
        return stated
    return round(sum(registers), 3) if registers else None


def _values_per_phase(objects: Mapping[str, tuple[str, ...]], *quantities: str) -> tuple[float | None, ...]:
    """One value for each phase of the meter; a single-phase meter does not send objects for the others."""
    values = [
        parsed[0] if (parsed := parse_number(_first_value(objects, quantity))) is not None else None
        for quantity in quantities
    ]
    while values and values[-1] is None:
        values.pop()
    return tuple(values)


def _net_per_phase(objects: Mapping[str, tuple[str, ...]]) -> tuple[float | None, ...]:
    imports = [_power_of(objects, quantity) for quantity in ("21.7.0", "41.7.0", "61.7.0")]
    exports = [_power_of(objects, quantity) for quantity in ("22.7.0", "42.7.0", "62.7.0")]
    net = [
        round((drawn or 0.0) - (given or 0.0), 3) if drawn is not None or given is not None else None
        for drawn, given in zip(imports, exports, strict=True)
    ]
    while net and net[-1] is None:
        net.pop()
    return tuple(net)


def _threshold_of(objects: Mapping[str, tuple[str, ...]], quantity: str) -> PowerThreshold | None:
    parsed = parse_number(_first_value(objects, quantity))
    return PowerThreshold(*parsed) if parsed is not None else None


def parse_timestamp(text: str | None) -> datetime | None:
    """Parse a time of the meter; naive without S or W (versions 2 and 3); None if missing or invalid."""
    found = _TIME_STAMP.match(text) if text is not None else None
    if found is None:
        return None
    try:
        moment = datetime.strptime(f"20{found[1]}+0000", "%Y%m%d%H%M%S%z")
        return moment.replace(tzinfo=_SEASON_ZONES.get(found[2]))
    except ValueError:
        return None


def plausible(moment: datetime) -> bool:
    """Return whether the clock that made this time stamp was ever set, by its year."""
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return _EARLIEST <= aware < _LATEST


def _parse_peaks(values: tuple[str, ...]) -> tuple[QuarterHourPeak, ...]:
    """Parse the history of peaks: count, two codes, then month, time and value of each peak."""
    count = _parse_integer(values[0]) if values else None
    if count is None:
        return ()  # other countries keep other things under this code
    rows = values[3 : 3 + 3 * count]
    row_starts = range(0, len(rows) - len(rows) % 3, 3)
    return tuple(
        QuarterHourPeak(parse_timestamp(rows[at]), parse_timestamp(rows[at + 1]), _parse_power(rows[at + 2]))
        for at in row_starts
    )


def _sub_meters_of(objects: Mapping[str, tuple[str, ...]]) -> tuple[SubMeter, ...]:
    found: list[SubMeter] = []
    for channel in range(1, 5):
        kind = _parse_integer(_first_value(objects, f"0-{channel}:24.1.0"))
        reading = next((objects[c] for c in (f"0-{channel}:24.2.1", f"0-{channel}:24.2.3") if c in objects), ())
        old = objects.get(f"0-{channel}:24.3.0", ())
        if len(reading) == 2 and (parsed := parse_number(reading[1])) is not None:
            found.append(SubMeter(channel, kind, parse_timestamp(reading[0]), parsed[0], parsed[1]))
        elif len(old) == 7 and (parsed := parse_number(old[6])) is not None:
            found.append(SubMeter(channel, kind, parse_timestamp(old[0]), parsed[0], old[5]))
        elif kind is not None:
            found.append(SubMeter(channel, kind))
    return tuple(found)

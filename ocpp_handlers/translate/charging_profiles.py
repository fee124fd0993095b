"""Charging profiles and schedules ↔ the data types of OCPP 2.0.1. Pure."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Final, cast

from energy.charging_profile import ChargingProfile, Kind, Purpose, RateUnit, Recurrency, Schedule, SchedulePeriod
from energy.profile_store import ProfileRefusal
from ocpp_handlers.translate.translate import parse_date_time, parse_integer
from ocpp_handlers.wire import timestamps
from ocpp_handlers.wire.session import PayloadError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from energy.composite_schedule import CompositePeriod
    from ocpp_handlers.wire import messages as m


_PLAIN: Final = 2
"""the number of fields of most schedule periods: startPeriod and limit"""
_UNSUPPORTED_PURPOSES: Final = frozenset(("PriorityCharging", "LocalGeneration"))
_DISCHARGING_FIELDS: Final = frozenset(
    f"{name}{phase}" for name in ("dischargeLimit", "setpoint", "setpointReactive") for phase in ("", "_L2", "_L3")
)


def unsupported_feature(wire: m.ChargingProfileType) -> ProfileRefusal | None:
    """Return the refusal of a profile that needs a feature of OCPP 2.1 which the station does not have, or None.

    K01.FR.115, K01.FR.120 to K01.FR.126, K01.FR.144. `profile_from_wire` can translate all other profiles.
    """
    if wire["chargingProfilePurpose"] in _UNSUPPORTED_PURPOSES:
        return ProfileRefusal("UnsupportedPurpose", f"chargingProfilePurpose {wire['chargingProfilePurpose']}")
    if wire["chargingProfileKind"] == "Dynamic":
        return ProfileRefusal("InvalidProfile", "chargingProfileKind: Dynamic is not supported")
    for name in ("dynUpdateInterval", "dynUpdateTime"):
        if name in wire:
            return ProfileRefusal("InvalidProfile", f"{name}: only a Dynamic profile may have it")
    refusals = map(_unsupported_by_schedule, wire["chargingSchedule"])
    return next((refusal for refusal in refusals if refusal is not None), None)


def _unsupported_by_schedule(wire: m.ChargingScheduleType) -> ProfileRefusal | None:
    if wire.get("useLocalTime", False):
        return ProfileRefusal("InvalidSchedule", "useLocalTime is not supported")
    if wire.get("randomizedDelay", 0) > 0:
        return ProfileRefusal("InvalidSchedule", "randomizedDelay is not supported")
    if "limitAtSoC" in wire:
        return ProfileRefusal("InvalidSchedule", "limitAtSoC is not supported")
    refusals = (_unsupported_by_period(period) for period in wire["chargingSchedulePeriod"] if len(period) > _PLAIN)
    return next((refusal for refusal in refusals if refusal is not None), None)


def _unsupported_by_period(wire: m.ChargingSchedulePeriodType) -> ProfileRefusal | None:
    if wire.get("evseSleep", False):
        return ProfileRefusal("InvalidSchedule", "evseSleep is not supported")
    if (mode := wire.get("operationMode", "ChargingOnly")) != "ChargingOnly":
        return ProfileRefusal("InvalidOperationMode", f"operationMode {mode} is not supported")
    if "limit_L2" in wire or "limit_L3" in wire:
        return ProfileRefusal("PhaseConflict", "limit_L2 and limit_L3 require a vehicle that reports power by phase")
    if discharging := sorted(_DISCHARGING_FIELDS & wire.keys()):
        return ProfileRefusal("InvalidSchedule", f"{discharging[0]} does not belong to operationMode ChargingOnly")
    return None


def profile_from_wire(wire: m.ChargingProfileType, evse_id: int) -> ChargingProfile:
    """Translate a ChargingProfileType for an EVSE (0: whole station); no rule is checked but `unsupported_feature`'s.

    Raises:
        PayloadError: a date and time is malformed, or an integer is beyond 32 bits.
    """
    schedules = tuple(_schedule_from_wire(schedule) for schedule in wire["chargingSchedule"])
    recurrency, max_offline = wire.get("recurrencyKind"), wire.get("maxOfflineDuration")
    return ChargingProfile(
        id=parse_integer(wire["id"], "chargingProfile.id"),
        evse_id=evse_id,
        stack_level=parse_integer(wire["stackLevel"], "chargingProfile.stackLevel"),
        purpose=Purpose(wire["chargingProfilePurpose"]),
        kind=Kind(wire["chargingProfileKind"]),
        schedule=schedules[0],
        alternatives=schedules if len(schedules) > 1 else (),
        recurrency=Recurrency(recurrency) if recurrency is not None else None,
        valid_from=_optional_date_time(wire.get("validFrom"), "validFrom"),
        valid_to=_optional_date_time(wire.get("validTo"), "validTo"),
        transaction_id=wire.get("transactionId"),
        max_offline_s=parse_integer(max_offline, "maxOfflineDuration") if max_offline is not None else None,
        invalid_after_offline=wire.get("invalidAfterOfflineDuration", False),
        custom_data=_custom_from_wire(wire.get("customData")),
    )


def profile_to_wire(profile: ChargingProfile) -> m.ChargingProfileType:
    """Translate a profile to ChargingProfileType as the CSMS sent it: no transactionId if it came with the start."""
    wire: m.ChargingProfileType = {
        "id": profile.id,
        "stackLevel": profile.stack_level,
        "chargingProfilePurpose": profile.purpose.value,
        "chargingProfileKind": profile.kind.value,
        "chargingSchedule": [schedule_to_wire(schedule) for schedule in profile.alternatives or (profile.schedule,)],
    }
    if profile.recurrency is not None:
        wire["recurrencyKind"] = profile.recurrency.value
    if profile.valid_from is not None:
        wire["validFrom"] = timestamps.encode(profile.valid_from)
    if profile.valid_to is not None:
        wire["validTo"] = timestamps.encode(profile.valid_to)
    if profile.transaction_id is not None and not profile.with_start:  # F01.FR.11
        wire["transactionId"] = profile.transaction_id
    if profile.max_offline_s is not None:
        wire["maxOfflineDuration"] = profile.max_offline_s
    if profile.invalid_after_offline:
        wire["invalidAfterOfflineDuration"] = True
    if profile.custom_data is not None:
        wire["customData"] = _custom_to_wire(profile.custom_data)
    return wire


def schedule_to_wire(schedule: Schedule) -> m.ChargingScheduleType:
    """Translate a charging schedule to ChargingScheduleType, with its sales tariff and custom data."""
    wire: m.ChargingScheduleType = {
        "id": schedule.id,
        "chargingRateUnit": schedule.unit.value,
        "chargingSchedulePeriod": [_period_to_wire(period) for period in schedule.periods],
    }
    if schedule.starts_at is not None:
        wire["startSchedule"] = timestamps.encode(schedule.starts_at)
    if schedule.duration_s is not None:
        wire["duration"] = schedule.duration_s
    if schedule.minimum_rate is not None:
        wire["minChargingRate"] = schedule.minimum_rate
    if schedule.sales_tariff is not None:
        wire["salesTariff"] = cast("m.SalesTariffType", json.loads(schedule.sales_tariff))
    if schedule.custom_data is not None:
        wire["customData"] = _custom_to_wire(schedule.custom_data)
    return wire


def composite_to_wire(
    evse_id: int, begin: datetime, duration_s: int, unit: RateUnit, levels: Iterable[CompositePeriod]
) -> m.CompositeScheduleType:
    """Translate a composite schedule to CompositeScheduleType; limits in `unit` are rounded down to one decimal.

    Periods that are equal then are one.
    """
    periods: list[m.ChargingSchedulePeriodType] = []
    for level in levels:
        limit = _round_down(level.limit)
        if not periods or (periods[-1].get("limit"), periods[-1].get("numberPhases")) != (limit, level.phases):
            periods.append({"startPeriod": level.start_s, "limit": limit, "numberPhases": level.phases})
    return {
        "evseId": evse_id,
        "duration": duration_s,
        "scheduleStart": timestamps.encode(begin),
        "chargingRateUnit": unit.value,
        "chargingSchedulePeriod": periods,
    }


def _round_down(limit: float) -> float:
    return math.floor(limit * 10.0 + 1e-6) / 10.0  # 6 A converted to watts give 4139.999… W


def _schedule_from_wire(wire: m.ChargingScheduleType) -> Schedule:
    duration, sales_tariff = wire.get("duration"), wire.get("salesTariff")
    return Schedule(
        id=parse_integer(wire["id"], "chargingSchedule.id"),
        unit=RateUnit(wire["chargingRateUnit"]),
        periods=tuple(_period_from_wire(period) for period in wire["chargingSchedulePeriod"]),
        starts_at=_optional_date_time(wire.get("startSchedule"), "startSchedule"),
        duration_s=parse_integer(duration, "duration") if duration is not None else None,
        minimum_rate=wire.get("minChargingRate"),
        custom_data=_custom_from_wire(wire.get("customData")),
        sales_tariff=json.dumps(sales_tariff) if sales_tariff is not None else None,
    )


def _period_from_wire(wire: m.ChargingSchedulePeriodType) -> SchedulePeriod:
    if "limit" not in wire:  # 2.1 requires it only where nothing but a limit is possible, as at this station
        raise PayloadError("OccurrenceConstraintViolation", "chargingSchedulePeriod.limit is missing")
    if len(wire) == _PLAIN:  # most have no other field than these two, and a profile has up to 1,024 of them
        return SchedulePeriod(parse_integer(wire["startPeriod"], "startPeriod"), float(wire["limit"]))
    phases, phase_to_use = wire.get("numberPhases"), wire.get("phaseToUse")
    return SchedulePeriod(
        parse_integer(wire["startPeriod"], "startPeriod"),
        float(wire["limit"]),
        parse_integer(phases, "numberPhases") if phases is not None else None,
        parse_integer(phase_to_use, "phaseToUse") if phase_to_use is not None else None,
        _custom_from_wire(wire.get("customData")),
    )


def _period_to_wire(period: SchedulePeriod) -> m.ChargingSchedulePeriodType:
    wire: m.ChargingSchedulePeriodType = {"startPeriod": period.start_s, "limit": period.limit}
    if period.phases is not None:
        wire["numberPhases"] = period.phases
    if period.phase_to_use is not None:
        wire["phaseToUse"] = period.phase_to_use
    if period.custom_data is not None:
        wire["customData"] = _custom_to_wire(period.custom_data)
    return wire


def _custom_from_wire(data: m.CustomData | None) -> str | None:
    return json.dumps(data) if data is not None else None


def _custom_to_wire(text: str) -> m.CustomData:
    return cast("m.CustomData", json.loads(text))


def _optional_date_time(text: str | None, field: str) -> datetime | None:
    return parse_date_time(text, field) if text is not None else None

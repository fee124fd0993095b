"""Routes for load management: reasons of the offered currents, shared limits, pause, tariff plan, priorities."""

from __future__ import annotations

from datetime import time
from typing import Annotated, Literal

from fastapi import HTTPException, Path
from pydantic import AfterValidator, Field
from typing_extensions import TypedDict

from energy.limit import LimitValues, limit_to_json, tightest
from energy.sharing import Policy
from energy.tariff import ChargePlan, PriceSignal, TariffMode
from station.charging.charging_station import ChargingStation
from station.interfaces.access.roles import require_role
from station.interfaces.api.dependencies import ACCEPTED, Accepted, Command, PathEvse, Settle, evse_of, example, part
from station.interfaces.api.routing import api_router
from station.load.charge_plan_settings import MOST_ENERGY_WH
from station.load.charge_plans import departure_text
from station.load.load_management import LoadManagement
from station.load.priorities import HIGHEST
from station.load.shared_limits import (
    LONGEST_S,
    USUAL_S,
    LimitRequest,
    LimitSetter,
    SharedLimits,
    SharedLimitValues,
    check_requester,
)
from station.load.tariff_steering import TariffSteering
from station.security.access.accounts import Role

router = api_router("load management")

_Load = Annotated[LoadManagement, part(LoadManagement)]
_Setter = Annotated[LimitSetter, Path(description="whose limit: each of them has one, and the lower one holds")]
_SharedLimits = Annotated[SharedLimits, part(SharedLimits)]
_Station = Annotated[ChargingStation, part(ChargingStation)]


class CurrentLimiting(Command):
    """Body of PUT /api/load-management/limits/{setter}: a limit for all EVSEs together, in A per phase, W or both.

    It holds for `for_s` seconds (900 if left out), or with `lasting` until it is removed.
    """

    model_config = example(current_a=10, for_s=900, by="energy manager")

    current_a: Annotated[float, Field(strict=True, ge=0, le=1000)] | None = None
    """amperes per phase, for all EVSEs together; null: not limited in amperes"""
    power_w: Annotated[float, Field(strict=True, ge=0, le=1e6)] | None = None
    """watts over all phases, for all EVSEs together; null: not limited in watts"""
    for_s: Annotated[float, Field(strict=True, gt=0, le=LONGEST_S)] = USUAL_S
    """seconds from now until the limit ends"""
    lasting: Annotated[bool, Field(strict=True)] = False
    """whether the limit holds until it is removed; excludes `for_s`"""
    by: Annotated[str, AfterValidator(check_requester)] | None = None
    """who sets the limit, as shown to people; null: not known"""


class TariffPlan(Command):
    """Body of PUT /api/load-management/tariff: a mode, and the energy to charge by a departure time.

    For one EVSE, or for all of them.
    """

    model_config = example(mode="off-peak", departure="07:30", energy_wh=20_000)

    mode: Literal["none", "off-peak", "avoid-peaks"]
    """none: always; off-peak: in the cheap hours; avoid-peaks: outside peak hours"""
    departure: Annotated[str, Field(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9])?$")] = ""
    """local time by which `energy_wh` is charged, such as 07:30; empty: none"""
    energy_wh: Annotated[int, Field(strict=True, ge=0, le=MOST_ENERGY_WH)] = 0
    """energy in Wh to charge by the departure, even at high prices; 0: the departure is ignored"""
    evse: Annotated[int, Field(strict=True)] | None = None
    """the EVSE that gets the plan; null: all of them, whose own plans end"""


class EvsePriority(Command):
    """Body of PUT /api/load-management/priorities/{evse_id}: the priority, used if current does not suffice for all."""

    model_config = example(priority=1)

    priority: Annotated[int, Field(strict=True, ge=0, le=HIGHEST)]
    """the EVSE with the higher one is served first"""


class PriceSignalShown(TypedDict):
    """Whether a tariff mode has the price data to wait for low prices; if not, vehicles charge at once."""

    usable: bool
    """whether vehicles can wait for low prices"""
    reason: PriceSignal
    """why the mode can wait (`known`), or cannot"""


class ChargePlanShown(TypedDict):
    """The tariff plan of an EVSE in GET /api/load-management: mode, departure and energy."""

    mode: TariffMode
    """when to charge: `none`: always; `off-peak`: in the cheap hours; `avoid-peaks`: outside peak hours"""
    departure: str
    """local time by which `energy_wh` is charged, such as 07:30; empty: none"""
    energy_wh: int
    """energy in Wh to charge by the departure, even at high prices; 0: the departure is ignored"""


class TariffPlanShown(ChargePlanShown):
    """The tariff plan of EVSEs without one of their own in GET /api/load-management, and what the modes can do."""

    price_signals: dict[TariffMode, PriceSignalShown]
    """for each tariff mode, whether it can wait for low prices"""


class LoadManagementState(TypedDict):
    """Response of GET /api/load-management: how the current is shared among the EVSEs, and what limits it."""

    reasons: dict[str, LimitValues | None]
    """by EVSE id: the limit that determines its current; null: nothing limits it"""
    limits: dict[str, SharedLimitValues]
    """by setter, `operator` or `user`: its limit for all EVSEs together"""
    paused: bool
    """whether the owner has paused all charging, or set a limit of 0 A"""
    protection_heat: float | None
    """estimated heating of the main fuse, 1: it trips; null: not monitored"""
    sharing: Policy
    """how current beyond the minimum of each EVSE is shared"""
    priorities: dict[str, int]
    """priority of each EVSE, by EVSE id; the higher one is served first"""
    tariff: TariffPlanShown
    """the tariff plan of the EVSEs that have none of their own"""
    plans: dict[str, ChargePlanShown]
    """by EVSE id: the tariff plan that applies there"""


class CurrentLimited(TypedDict):
    """Response of PUT /api/load-management/limits/{setter}: when the new limit ends."""

    accepted: Literal[True]
    """always true: the request was accepted"""
    until: str | None
    """when the limit ends (ISO 8601, UTC); null: it holds until it is removed"""


class TariffPlanned(TypedDict):
    """Response of PUT /api/load-management/tariff: whether the new plan can wait for low prices."""

    accepted: Literal[True]
    """always true: the request was accepted"""
    price_signal: PriceSignalShown | None
    """whether the new mode can wait for low prices; null: the mode is `none`, or there is no tariff control"""


@router.get(
    "/api/load-management", dependencies=[require_role(Role.DRIVER)], summary="Read the state of load management"
)
async def read_load_management(load: _Load, shared_limits: _SharedLimits, station: _Station) -> LoadManagementState:
    """Returns the limit that determines the current of each EVSE, shared limits, priorities and the tariff plan."""
    return {
        "reasons": {
            str(evse.id): limit_to_json(reason) if (reason := tightest(evse.limits)) is not None else None
            for evse in station.evses.values()
        },
        "limits": shared_limits.to_json(),
        "paused": shared_limits.paused,
        "protection_heat": load.grid.heat,
        "sharing": load.decisions.policy,
        "priorities": {str(evse_id): load.priorities.priority_of(evse_id) for evse_id in station.evses},
        "tariff": {**_plan_to_json(load.plans.of_all), "price_signals": _price_signals(load.tariff)},
        "plans": {str(evse_id): _plan_to_json(load.plans.of(evse_id)) for evse_id in station.evses},
    }


@router.put(
    "/api/load-management/limits/{setter}",
    status_code=202,
    dependencies=[require_role(Role.OWNER)],
    summary="Limit all EVSEs together",
)
async def set_shared_limit(
    setter: _Setter, body: CurrentLimiting, shared_limits: _SharedLimits, settle: Settle
) -> CurrentLimited:
    """Set the limit of the grid operator (`operator`) or the owner (`user`) for all EVSEs together.

    Replaces the limit of the same setter; the lower one of both counts. A pause continues.
    """
    if body.current_a is None and body.power_w is None:
        raise HTTPException(422, "current_a or power_w: one of them is required")
    if body.lasting and "for_s" in body.model_fields_set:
        raise HTTPException(422, "for_s: must be absent if lasting is true")
    for_s = None if body.lasting else body.for_s
    held = await shared_limits.set_limit(setter, LimitRequest(body.current_a, body.power_w, for_s, body.by or None))
    await settle()
    return {"accepted": True, "until": held.until.isoformat() if held.until is not None else None}


@router.delete(
    "/api/load-management/limits/{setter}",
    status_code=202,
    dependencies=[require_role(Role.OWNER)],
    summary="Remove a limit for all EVSEs",
)
async def end_shared_limit(setter: _Setter, shared_limits: _SharedLimits, settle: Settle) -> Accepted:
    """Remove the limit of the grid operator (`operator`), or that of the owner (`user`) and a pause."""
    await shared_limits.clear_limit(setter)
    await settle()
    return ACCEPTED


@router.put(
    "/api/load-management/pause", status_code=202, dependencies=[require_role(Role.OWNER)], summary="Pause all charging"
)
async def pause_charging(shared_limits: _SharedLimits, settle: Settle) -> Accepted:
    """Offer no current to any vehicle until the pause is ended, also after a restart."""
    await shared_limits.pause()
    await settle()
    return ACCEPTED


@router.delete(
    "/api/load-management/pause", status_code=202, dependencies=[require_role(Role.OWNER)], summary="Resume charging"
)
async def resume_charging(shared_limits: _SharedLimits, settle: Settle) -> Accepted:
    """End the pause; the owner's own limit applies again, unless it is 0 A, which is removed."""
    await shared_limits.resume()
    await settle()
    return ACCEPTED


@router.put(
    "/api/load-management/tariff",
    status_code=202,
    dependencies=[require_role(Role.OWNER)],
    summary="Set the tariff plan",
)
async def set_tariff_plan(body: TariffPlan, load: _Load, station: _Station, settle: Settle) -> TariffPlanned:
    """Set the tariff plan of an EVSE or of all: charge at low prices, or outside peaks, as far as the departure allows.

    Replaces the whole plan: a field left out gets its default.
    """
    evse_id = evse_of(station, body.evse).id if body.evse is not None else None
    departure = time.fromisoformat(body.departure) if body.departure else None
    await load.plans.change(evse_id, ChargePlan(TariffMode(body.mode), departure, float(body.energy_wh)))
    load.decisions.request()
    await settle()
    return {"accepted": True, "price_signal": _price_signals(load.tariff).get(TariffMode(body.mode))}


@router.put(
    "/api/load-management/priorities/{evse_id}",
    status_code=202,
    dependencies=[require_role(Role.OWNER)],
    summary="Set the priority of an EVSE",
)
async def set_evse_priority(evse: PathEvse, body: EvsePriority, load: _Load, settle: Settle) -> Accepted:
    """Set the priority of an EVSE; a higher one is served first when the current does not suffice for all."""
    await load.priorities.change(evse.id, body.priority)
    load.decisions.request()
    await settle()
    return ACCEPTED


@router.post(
    "/api/evses/{evse_id}/charge-now",
    status_code=202,
    dependencies=[require_role(Role.DRIVER)],
    summary="Charge at any price",
)
async def charge_now(evse: PathEvse, load: _Load, settle: Settle) -> Accepted:
    """Ignore the tariff plan at an EVSE for the present charge; 409 if nobody is authorized there."""
    if evse.state.authorization is None:
        raise HTTPException(409, "no charge is in progress or authorized at this EVSE")
    load.tariff.ignore_tariff(evse.id)
    load.decisions.request()
    await settle()
    return ACCEPTED


def _plan_to_json(plan: ChargePlan) -> ChargePlanShown:
    return {"mode": plan.mode, "departure": departure_text(plan), "energy_wh": round(plan.energy_wh)}


def _price_signals(tariff: TariffSteering) -> dict[TariffMode, PriceSignalShown]:
    """By tariff mode: whether it can wait for low prices, and why."""
    signals = {mode: tariff.price_signal(mode) for mode in TariffMode if mode is not TariffMode.NONE}
    return {mode: {"usable": signal is PriceSignal.KNOWN, "reason": signal} for mode, signal in signals.items()}

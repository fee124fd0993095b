"""Schedule of each station of a fleet: vehicles, loads of the house, disturbances. Pure.

All of it follows from the seed of the plan and the number of the station, so it does not depend on the engine, on the
number of hosts, or on what other stations do. Times are simulated seconds since the begin of the plan.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from random import Random
from typing import Final, Literal

from foundation.frozen import Frozen
from metering.reading import Phases
from simulator.communication_model import CommunicationModel
from simulator.fleet.misbehaviour_table import MisbehaviourTable
from simulator.fleet.plan_tables import HOURS_PER_DAY, ArrivalsTable, FleetPlan, VehicleTable
from simulator.vehicle import VehicleModel
from station.core.vehicle_link import Contract

_DAY_S: Final = 86_400.0
_HOUR_S: Final = 3_600.0
_EVCCID_BYTES: Final = 5
"""random bytes of the address of a communication controller, after one that says that nobody has assigned it"""
_UID_BYTES: Final = 6
"""random bytes of a UID of seven, whose first one names a manufacturer"""


class Arrival(Frozen):
    """A vehicle that comes to an EVSE, and the card of its driver."""

    at_s: float
    """when it is plugged in, if the EVSE is free by then; else as soon as it is"""
    stay_s: float
    """from plugging in until it leaves"""
    vehicle: VehicleModel
    uid: str
    """digits of the card"""


class HouseLoads(Frozen):
    """The other loads of the house from a moment on."""

    at_s: float
    currents_a: Phases[float]


class StationDisturbance(Frozen):
    """A cut at one station."""

    type: Literal["link-cut", "power-cut"]
    at_s: float
    lasts_s: float


def arrivals(plan: FleetPlan, number: int, evse_id: int, contracts: Sequence[Contract] = ()) -> Iterator[Arrival]:
    """The vehicles that come to an EVSE of station `number` within the duration, in order of time.

    `contracts`: those of which a vehicle with a contract has one; none: all are authorized by card.

    The gaps between the end of a stay and the next arrival are those of a Poisson process with the plan's frequency in
    each hour of the day.
    """
    random = _random_for(plan, number, f"evse {evse_id}")
    kinds, shares = plan.vehicle, [vehicle.share for vehicle in plan.vehicle]
    free_s = 0.0
    for index in count():
        at_s = _next_arrival_s(plan.arrivals, free_s, plan.fleet.duration_s, random)
        if at_s is None:
            return
        kind = random.choices(kinds, shares)[0]
        stay_s, soc = random.uniform(*kind.stay_s), random.uniform(*kind.soc)
        vehicle = VehicleModel(
            max_current_a=kind.max_current_a,
            phases=kind.phases,
            battery_wh=kind.battery_wh,
            soc=soc,
            communication=_draw_communication(
                kind, stay_s, contracts, _random_for(plan, number, f"communication {evse_id} {index}")
            ),
        )
        yield Arrival(at_s, stay_s, vehicle, _draw_card_uid(plan, random))
        free_s = at_s + stay_s


def house_loads(plan: FleetPlan, number: int) -> Iterator[HouseLoads]:
    """The loads of the house of station `number` within the duration; none if its house has no such loads."""
    houses = plan.houses
    random = _random_for(plan, number, "house")
    if houses is None or random.random() >= houses.share:
        return
    at_s = 0.0
    while at_s < plan.fleet.duration_s:
        yield HouseLoads(at_s, Phases(*(houses.base_a + random.uniform(0.0, houses.varying_a) for _ in range(3))))
        at_s += random.expovariate(1.0 / houses.changes_every_s)


def station_disturbances(plan: FleetPlan, number: int) -> list[StationDisturbance]:
    """The cuts of link and power at station `number`, in order of time."""
    found: list[StationDisturbance] = []
    for index, disturbance in enumerate(plan.disturbance):
        random = _random_for(plan, number, f"disturbance {index}")
        affected, late_s = random.random() < disturbance.share, random.uniform(0.0, disturbance.spread_s)
        if affected and disturbance.type in ("link-cut", "power-cut"):
            found.append(StationDisturbance(disturbance.type, disturbance.at_s + late_s, disturbance.lasts_s))
    return sorted(found, key=lambda disturbance: disturbance.at_s)


def station_misbehaviour(plan: FleetPlan, number: int) -> list[MisbehaviourTable]:
    """What station `number` does wrong with its messages, in order of time."""
    return sorted(
        (
            table
            for index, table in enumerate(plan.misbehaviour)
            if _random_for(plan, number, f"misbehaviour {index}").random() < table.share
        ),
        key=lambda table: table.at_s,
    )


def storms_s(plan: FleetPlan, number: int) -> list[float]:
    """Times at which a reconnect storm aborts the connection of station `number`, in order."""
    return sorted(
        disturbance.at_s
        for index, disturbance in enumerate(plan.disturbance)
        if disturbance.type == "reconnect-storm"
        and _random_for(plan, number, f"disturbance {index}").random() < disturbance.share
    )


def _random_for(plan: FleetPlan, number: int, purpose: str) -> Random:
    """A source of random numbers for one purpose at one station, the same on every machine."""
    return Random(f"{plan.fleet.seed}/{number}/{purpose}")


def _next_arrival_s(table: ArrivalsTable, after_s: float, until_s: float, random: Random) -> float | None:
    """Draw the next arrival by thinning: candidates at the highest frequency, each kept by that of its hour."""
    hours = table.hours or (1.0,) * HOURS_PER_DAY
    mean, highest = sum(hours) / HOURS_PER_DAY, max(hours)
    if table.per_day <= 0.0:
        return None
    highest_per_s = table.per_day / _DAY_S * highest / mean
    at_s = after_s
    while (at_s := at_s + random.expovariate(highest_per_s)) < until_s:
        hour = int(table.begin_hour + at_s / _HOUR_S) % HOURS_PER_DAY
        if random.random() * highest < hours[hour]:
            return at_s
    return None


def _draw_communication(
    kind: VehicleTable, stay_s: float, contracts: Sequence[Contract], random: Random
) -> CommunicationModel | None:
    """How a vehicle of a kind communicates; None: it does not."""
    if random.random() >= kind.iso15118_share:
        return None
    has_contract = random.random() < kind.contract_share
    return CommunicationModel(
        evccid=f"02{random.randbytes(_EVCCID_BYTES).hex().upper()}",
        contract=random.choice(contracts) if has_contract and contracts else None,
        departs_in_s=int(stay_s),
    )


def _draw_card_uid(plan: FleetPlan, random: Random) -> str:
    """The card of one of the plan's drivers."""
    if (uids := plan.tokens.uids) is not None:
        return random.choice(uids).upper()
    driver = Random(f"{plan.fleet.seed}/driver {random.randrange(plan.tokens.count)}")
    return "04" + driver.randbytes(_UID_BYTES).hex().upper()

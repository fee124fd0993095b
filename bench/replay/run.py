"""Replays the days of a site with one controller, and computes its score."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TypeAlias

from bench.replay.controllers import PEERS, BorneController, OracleController
from bench.replay.models import (
    BRISK,
    COMMON,
    LINKY,
    LINKY_STANDARD,
    MODBUS,
    P1,
    SLOW_ONE,
    STRONG,
    Breaker,
    Contactor,
    ReplayController,
    ReplayGridMeter,
    ReplayScore,
    ReplaySite,
    ReplayVehicle,
)
from bench.replay.traces import LoadTrace
from energy.pausing import RESUME_AFTER_S
from energy.trip import BREAKER_C
from energy.trip import LINKY as LINKY_CURVE
from foundation.constants import NOMINAL_VOLTAGE_V

SITES = (
    ReplaySite("flat, 9 kVA", "flat", 1, 9000 / 230, LINKY_CURVE, LINKY, BRISK),
    ReplaySite("small flat, 6 kVA", "small flat", 1, 6000 / 230, LINKY_CURVE, LINKY, SLOW_ONE),
    ReplaySite("all-electric flat, 6 kVA", "all-electric flat", 1, 6000 / 230, LINKY_CURVE, LINKY, BRISK),
    ReplaySite("family house, 18 kVA", "family house", 3, 18_000 / 3 / 230, LINKY_CURVE, LINKY, COMMON),
    ReplaySite(
        "family house, 18 kVA, VA per phase", "family house", 3, 18_000 / 3 / 230, LINKY_CURVE, LINKY_STANDARD, COMMON
    ),
    ReplaySite("family house, 3 × 25 A", "family house", 3, 25.0, BREAKER_C, P1, COMMON),
    ReplaySite("family house, 3 × 25 A, one phase", "family house", 3, 25.0, BREAKER_C, P1, SLOW_ONE),
    ReplaySite("workshop, 3 × 40 A", "workshop", 3, 40.0, BREAKER_C, MODBUS, STRONG),
)
ABOVE_A = 0.5
OURS = "this project"
ORACLE = "oracle"
PATIENT = "patient oracle"
"""an oracle whose pauses are at least as long as this project's"""
NAMES = (ORACLE, PATIENT, OURS, *PEERS)


def create_controller(name: str, site: ReplaySite, trace: LoadTrace) -> ReplayController:
    """Create a controller by its name."""
    if name in (ORACLE, PATIENT):
        return OracleController(site, trace, int(RESUME_AFTER_S) if name == PATIENT else 0)
    return BorneController(site) if name == OURS else PEERS[name](site)


def replay(site: ReplaySite, traces: Sequence[LoadTrace], name: str, *, keep: bool = False) -> ReplayScore:
    """Replay all days of a site with one controller; each day starts afresh, with a vehicle that takes the full offer.

    `keep`: also store offers and currents, for a picture.
    """
    score = ReplayScore()
    for trace in traces:
        _replay_day(site, trace, create_controller(name, site, trace), score, keep)
    return score


def _replay_day(
    site: ReplaySite, trace: LoadTrace, controller: ReplayController, score: ReplayScore, keep: bool
) -> None:
    vehicle, meter = ReplayVehicle(site.vehicle), ReplayGridMeter(site.meter, site.phases)
    contactor, breaker = Contactor(), Breaker(site.curve, site.limit_a)
    charged = False
    for second in range(len(trace)):
        house = trace.at(second)
        drawn = vehicle.currents_a
        flows = (house[0] + drawn[0], house[1] + drawn[1], house[2] + drawn[2])
        breaker.step(flows, score)
        score.above_s += any(a > site.limit_a + ABOVE_A and d >= 1.0 for a, d in zip(flows, drawn, strict=True))
        score.energy_wh += vehicle.current_a * site.vehicle.phases * NOMINAL_VOLTAGE_V / 3600.0
        order = controller.step(meter.step(flows), vehicle.current_a, second)
        if charged and order.offered_a < 6.0:
            score.pauses += 1
        charged = order.offered_a >= 6.0
        contactor.step(order, vehicle.current_a, score)
        vehicle.step(order.offered_a, contactor.closed)
        if keep:
            score.offers.append(order.offered_a)
            score.flows.append(max(flows[: site.phases]))
    score.seconds += len(trace)


Scores: TypeAlias = dict[str, ReplayScore]
"""scores of one site, by controller"""
Found: TypeAlias = dict[int, dict[str, Scores]]
"""scores by seed and site"""


def all_scores(
    sites: Sequence[ReplaySite],
    seeds: Sequence[int],
    traces_of: Callable[[ReplaySite, int], Sequence[LoadTrace]],
    say: Callable[[str], None],
) -> Found:
    """Replay all controllers on every site with every seed, in parallel processes.

    `traces_of` is pickled: a module-level function, or a partial of one.
    """
    found: Found = {seed: {} for seed in seeds}
    with ProcessPoolExecutor() as pool:
        waiting = {pool.submit(_played, site, seed, traces_of): (site, seed) for seed in seeds for site in sites}
        for done in as_completed(waiting):
            site, seed = waiting[done]
            found[seed][site.name] = done.result()
            say(f"seed {seed}, {site.name}")
    return {seed: {site.name: found[seed][site.name] for site in sites} for seed in seeds}


def _played(site: ReplaySite, seed: int, traces_of: Callable[[ReplaySite, int], Sequence[LoadTrace]]) -> Scores:
    traces = traces_of(site, seed)
    return {name: replay(site, traces, name) for name in NAMES}

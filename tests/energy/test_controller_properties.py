"""Whatever house, vehicles and limits do: no offer above any limit, none between 0 and 6 A, silence ends safe."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from energy.composite import ProfileTarget
from energy.controller import Decision, Demand, GridConnection, LoadController, SharedLimit
from energy.grid import GridSample
from energy.limit import Limit, LimitSource
from energy.phase_map import ROTATIONS, PhaseMap
from energy.profile_store import ProfileStore, no_selectable_phases
from energy.sharing import Policy
from metering.reading import Phases
from simulator.clock import VirtualClock
from tests import fakes
from tests.examples import examples
from tests.loops import run_on_station_loop

SELECTOR_A = 32.0
CONNECTION = GridConnection(3, 8.0, 40.0)
rotations = st.sampled_from([None, *(PhaseMap.from_rotation(name) for name in ROTATIONS)])
evses = st.lists(
    st.tuples(st.sampled_from([1, 3]), rotations, st.sampled_from([8.0, 16.0, 32.0]), st.integers(0, 2)),
    min_size=1,
    max_size=4,
)
moments = st.lists(
    st.tuples(
        st.integers(1, 40),  # seconds
        st.none() | st.tuples(*[st.floats(-20, 70)] * 3),  # the house; None: silence
        st.lists(
            st.tuples(st.booleans(), st.floats(0, 1.3)), min_size=4, max_size=4
        ),  # who wants, and how much it uses
        st.none() | st.floats(0, 40),  # a limit of the owner
    ),
    min_size=1,
    max_size=12,
)


async def play(
    evses: list[tuple[int, PhaseMap | None, float, int]],
    moments: list[tuple[int, tuple[float, ...] | None, list[tuple[bool, float]], float | None]],
    policy: Policy,
    after_decision: Callable[[LoadController, dict[int, Decision]], None] = lambda _, __: None,
    connection: GridConnection = CONNECTION,
) -> list[tuple[list[Demand], dict[int, Decision], float | None]]:
    """Every decision of a run, with its demands; `after_decision` is called after each of them."""
    clock: VirtualClock = fakes.clock()
    profiles = ProfileStore({number: phases for number, (phases, *_) in enumerate(evses, 1)}, no_selectable_phases)
    controller = LoadController(clock, profiles, connection, station_limit_a=SELECTOR_A, policy=policy)
    offered = dict.fromkeys(range(1, len(evses) + 1), 0.0)
    history: list[tuple[list[Demand], dict[int, Decision], float | None]] = []
    for seconds, house, vehicles, owner_a in moments:
        owner = SharedLimit(LimitSource.USER, owner_a) if owner_a is not None else None
        controller.limits.set_shared("user", owner)
        for _ in range(min(seconds, 12)):
            demands: list[Demand] = []
            for number, (phases, rotation, rating_a, priority) in enumerate(evses, 1):
                wants, uses = vehicles[number - 1]
                drawn_a = offered[number] * uses
                draw = Phases[float | None].all(drawn_a) if phases == 3 else single_phase(drawn_a)
                limits = (Limit(rating_a, LimitSource.HARDWARE, fakes.NOON),)
                demand = Demand(ProfileTarget(number), phases, wants, draw, limits, offered[number])
                demands.append(replace(demand, rotation=rotation, priority=priority))
            controller.observe_draw(demands)
            if house is not None:
                controller.process_sample(GridSample(clock.now(), Phases(house[0], house[1], house[2])))
            decisions = controller.decide(demands)
            history.append((demands, decisions, owner_a))
            after_decision(controller, decisions)
            offered = {number: decision.current_a for number, decision in decisions.items()}
            await clock.advance(seconds / 12)
    return history


def single_phase(current_a: float) -> Phases[float | None]:
    """The currents of a one-phase meter."""
    return Phases(current_a, None, None)


@examples(80)
@given(evses, moments, st.sampled_from(Policy))
def test_no_offer_is_ever_above_a_limit_or_between_0_and_6_a(
    evses: list[tuple[int, PhaseMap | None, float, int]],
    moments: list[tuple[int, tuple[float, ...] | None, list[tuple[bool, float]], float | None]],
    policy: Policy,
) -> None:
    for demands, decisions, owner_a in run_on_station_loop(play(evses, moments, policy)):
        for demand in demands:
            decision = decisions[demand.target.evse_id]
            assert decision.current_a == 0.0 or decision.current_a >= 6.0
            assert all(decision.current_a <= limit.current_a for limit in decision.limits)
            assert decision.current_a <= demand.own_limits[0].current_a
            if decision.current_a == 0.0:
                assert decision.binding is not None
                assert decision.binding.current_a < 6.0
        offers_a = [decisions[demand.target.evse_id].current_a for demand in demands if demand.may_charge]
        three = [
            decisions[demand.target.evse_id].current_a for demand in demands if demand.may_charge and demand.phases == 3
        ]
        assert sum(three) <= SELECTOR_A + 1e-6
        if owner_a is not None:
            assert all(current_a <= max(owner_a, 0.0) for current_a in offers_a)


@examples(30)
@given(evses, moments)
def test_a_source_that_falls_silent_always_ends_in_a_pause(
    evses: list[tuple[int, PhaseMap | None, float, int]],
    moments: list[tuple[int, tuple[float, ...] | None, list[tuple[bool, float]], float | None]],
) -> None:
    silence = [(3600, None, [(True, 1.0)] * 4, None), (40, None, [(True, 1.0)] * 4, None)]
    history = run_on_station_loop(play(evses, [*moments, *silence], Policy.FAIR))
    _, decisions, _ = history[-1]
    assert {decision.current_a for decision in decisions.values()} == {0.0}

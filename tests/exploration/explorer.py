"""All states that an EVSE can get into, breadth first until there is no new one, and the rules at every step.

Two states that differ only in how long ago something was, or in an id, are the same: times are counted from now, those
that decide nothing are left out, and every transaction has the same id. So the space is finite.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Final

from msgspec.structs import replace

from foundation.frozen import Frozen
from station.charging.evse_state import NO_LOAD_A, WIND_DOWN_S, EvseState, offers_energy, outputs
from station.charging.vehicle_state import NO_VEHICLE_LINK
from station.core.hardware.board import NO_OBSERVATION
from station.core.model import ChargingState
from tests.exploration.invariants import INVARIANTS, Memory, Transition, remember
from tests.exploration.machine import STEPS, TRANSACTION, EvseMachine, EvseSetup, first_state

_RELEASE_STEPS: Final = (
    "restart", "read", "recorded", "signed", "reset-done", "in-service", "wake", "energy", "three-phases", "apply",
    "ground-", "estop-", "monitor-", "diode-", "board-", "silent-", "storage-", "meter-", "lock-",
    "unplug", "bay", "time", "reset",
)  # fmt: skip
"""steps to a free EVSE: the first possible one is done, again and again; none of them stops a charge"""

_LONGEST_TOGGLE_S: Final = 4.0
"""a vehicle that shows state C for longer has not woken the station; how much longer decides nothing"""
_CHARGE: Final = "bay plug authorize recorded signed apply recorded signed session deliver C apply recorded"
"""the steps of an ordinary charge; impossible ones are left out"""


class Node(Frozen):
    """A normalised state, and what the rules remember of the steps before it."""

    state: EvseState
    memory: Memory


class RuleBrokenError(AssertionError):
    """A rule does not hold: `rule` is its name, the text has the settings and the shortest way there too."""

    def __init__(self, rule: str, trace: str, setup: EvseSetup) -> None:
        super().__init__(f"{rule}: {trace}\n{setup}")
        self.rule = rule
        self._arguments = (rule, trace, setup)

    def __reduce__(self) -> tuple[type[RuleBrokenError], tuple[str, str, EvseSetup]]:
        return RuleBrokenError, self._arguments  # as it comes from another process


class Explored(Frozen):
    """How much was explored."""

    states: int
    transitions: int


def normalised(state: EvseState, now_s: float, timeout_s: float) -> EvseState:
    """The state with times relative to now, and without fields that do not influence behaviour."""
    transaction, authorization = state.transaction, state.authorization
    if transaction is not None:
        transaction = replace(transaction, id=TRANSACTION)
    lost_s = state.connection_lost_s
    if authorization is not None:
        waits = state.observation.pilot.value not in "BCD" and lost_s is None
        authorization = replace(authorization, since_s=max(authorization.since_s - now_s, -timeout_s) if waits else 0.0)
    offer_ended_at_s, draw_a = state.offer_ended_at_s, state.draw_a
    vehicle = state.vehicle
    if vehicle is not NO_VEHICLE_LINK:
        until_s, toggled_at_s = vehicle.until_s, vehicle.toggled_at_s
        vehicle = replace(
            vehicle,
            until_s=None if until_s is None else max(until_s - now_s, 0.0),
            toggled_at_s=None if toggled_at_s is None else max(toggled_at_s - now_s, -_LONGEST_TOGGLE_S),
        )
    return replace(
        state,
        transaction=transaction,
        authorization=authorization,
        vehicle=vehicle if vehicle != NO_VEHICLE_LINK else NO_VEHICLE_LINK,
        signed_transaction_id=TRANSACTION if state.signed_transaction_id is not None else None,
        connection_lost_s=None if lost_s is None else max(lost_s - now_s, -timeout_s),
        grace_until_s=max(0.0, state.grace_until_s - now_s) if offers_energy(state) else 0.0,
        offer_ended_at_s=None if offer_ended_at_s is None else max(offer_ended_at_s - now_s, -WIND_DOWN_S),
        draw_a=None if draw_a is None or offer_ended_at_s is None else 0.0 if draw_a < NO_LOAD_A else 16.0,
    )


class Explorer:
    """Explores one setup with some of the steps."""

    def __init__(self, setup: EvseSetup, steps: Sequence[str], *, metered: bool = True) -> None:
        self._machine = EvseMachine(setup)
        self._steps = tuple(steps)
        self._nodes: dict[Node, int] = {}
        self._order: list[Node] = []
        self._predecessors: list[tuple[int, str]] = []
        self._back: list[int] = []
        """the index of the next state on the path to a free EVSE; −1: it is free"""
        self._transitions = 0
        self._add(Node(normalised(first_state(setup, metered=metered), 0.0, 0.0), Memory()), -1, "")

    def run(self, most_states: int | None = None) -> Explored:
        """Explore until there is no new state.

        Raises:
            RuleBrokenError: at the first step that breaks a rule, or when a state has no way back.
        """
        level = logging.root.manager.disable
        logging.disable(logging.CRITICAL)
        try:
            at = 0
            while at < len(self._order):
                if most_states is not None and len(self._order) > most_states:
                    raise RuleBrokenError("the_space_is_finite", self.trace(at), self._machine.setup)
                self._expand(at)
                at += 1
        finally:
            logging.disable(level)
        self._check_release_steps()
        return Explored(len(self._order), self._transitions)

    def trace(self, at: int) -> str:
        """The shortest way to a state."""
        names = list[str]()
        while at > 0:
            at, name = self._predecessors[at]
            names.append(name)
        return " ".join(reversed(names))

    def _add(self, node: Node, predecessor: int, step: str) -> int:
        index = self._nodes.setdefault(node, len(self._order))
        if index == len(self._order):
            self._order.append(node)
            self._predecessors.append((predecessor, step))
        return index

    def _expand(self, at: int) -> None:
        node = self._order[at]
        release_step = None if _is_free(node.state) else next(self._release_steps(node), "nothing")
        self._back.append(-1)
        for step in self._steps:
            to = self._do(at, node, step)
            if step == release_step and to is not None:
                self._back[at] = to
        if release_step is not None and release_step not in self._steps:
            to = self._do(at, node, release_step)
            assert to is not None
            self._back[at] = to

    def _release_steps(self, node: Node) -> Iterator[str]:
        self._machine.resume(node.state)
        for step in _RELEASE_STEPS:
            if step == "bay" and not node.state.observation.bay_occupied:
                continue
            if STEPS[step].possible(self._machine):
                yield step

    def _do(self, at: int, node: Node, step: str) -> int | None:
        machine, before = self._machine, node.state
        machine.resume(before)
        if not machine.try_step(step):
            return None
        self._transitions += 1
        after, orders, events = machine.state, machine.orders, tuple(machine.events)
        elapsed_s, setup = machine.clock.now_s, machine.setup
        memory = remember(setup, step, before, node.memory, after, orders, events, elapsed_s)
        transition = Transition(
            setup, step, before, outputs(before, 0.0), after, orders, events, elapsed_s, node.memory, memory
        )
        for holds in INVARIANTS:
            if not holds(transition):
                raise RuleBrokenError(holds.__name__, f"{self.trace(at)} {step}".strip(), setup)
        return self._add(Node(normalised(after, elapsed_s, machine.evse.connection_timeout_s), memory), at, step)

    def _check_release_steps(self) -> None:
        """No state is dead: after leaving, repairing and waiting the EVSE is free, and a free EVSE charges."""
        releasable = {at for at, node in enumerate(self._order) if _is_free(node.state)}
        for start in range(len(self._order)):
            path, at = list[int](), start
            visited = set[int]()
            while at not in releasable:
                if at in visited:
                    raise RuleBrokenError("no_state_is_dead", self.trace(start), self._machine.setup)
                visited.add(at)
                path.append(at)
                at = self._back[at]
            releasable.update(path)
        for at in (at for at, node in enumerate(self._order) if _is_free(node.state)):
            if not self._charges(self._order[at].state):
                raise RuleBrokenError("no_state_is_dead", f"{self.trace(at)} {_CHARGE}", self._machine.setup)

    def _charges(self, state: EvseState) -> bool:
        """Whether an ordinary driver gets energy from this state on."""
        self._machine.resume(state)
        for step in _CHARGE.split():
            self._machine.try_step(step)
        return self._machine.orders.contactor and self._machine.state.charging_state is ChargingState.CHARGING


def _is_free(state: EvseState) -> bool:
    return (
        state.transaction is None
        and state.authorization is None
        and replace(state.observation, phases=None) == NO_OBSERVATION
        and state.observation.phases == state.phases
        and not state.faults
        and state.operative
        and state.metered
        and not state.halting
        and state.offered_a > 0.0
    )

"""What must hold after every step of an EVSE: one function for each rule, with the requirement that it comes from.

The rules are written from the requirements. They call neither `offers_energy` nor `react`, which they judge.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from foundation.constants import MINIMUM_CURRENT_A
from foundation.frozen import Frozen
from station.charging.evse_state import HALT_S, WIND_DOWN_S, EvseState
from station.charging.transaction import TxPoint
from station.core.hardware.board import Outputs
from station.core.model import ChargingState, EventType, Fault, PilotState, TransactionEvent, TriggerReason
from tests.exploration.machine import CONTRACT, EvseSetup

_CONNECTED: Final = frozenset({PilotState.B, PilotState.C, PilotState.D})
_TAKING: Final = frozenset({PilotState.C, PilotState.D})
_HARMLESS: Final = frozenset({Fault.READER, Fault.LOCK})
_PATIENT: Final = frozenset({Fault.METER, Fault.STORAGE, Fault.TAMPER, Fault.OVER_TEMPERATURE})
"""faults that leave the vehicle its time to stop drawing"""
_BLIND: Final = frozenset({Fault.CONTACTOR_WELDED, Fault.BOARD, Fault.BOARD_SILENT})
"""faults that hide when the energy stops"""
_BY_STEP: Final = {
    "authorize": TriggerReason.AUTHORIZED,
    "contract": TriggerReason.AUTHORIZED,
    "remote-start": TriggerReason.REMOTE_START,
    "stop": TriggerReason.STOP_AUTHORIZED,
    "remote-stop": TriggerReason.REMOTE_STOP,
    "invalid": TriggerReason.DEAUTHORIZED,
    "end-for-reset": TriggerReason.RESET_COMMAND,
}
_AUTHORIZING: Final = frozenset({"authorize", "remote-start", "contract"})
_TREATED_AS_NEW_ARRIVAL: Final = frozenset({"reset", "reset-evse", "restart"})
"""after these a vehicle that is there counts as one that has just come (B11.FR.08)"""
_DEAUTHORIZING: Final = frozenset({"stop", "remote-stop", "invalid"})
_SESSION_ENDING: Final = frozenset(
    {"link-lost", "session-end", "session-pause", "session-fail", "reset", "reset-evse", "restart"}
)
_ALWAYS_ENDING: Final = frozenset({"weld+", "ground+", "estop+", "draw+", "end-for-reset", "halt"})
_WHERE_DEAUTHORIZATION_ENDS: Final = frozenset({TxPoint.AUTHORIZED, TxPoint.POWER_PATH_CLOSED, TxPoint.ENERGY_TRANSFER})


class Memory(Frozen):
    """What the rules remember of the steps so far."""

    reported_state: ChargingState | None = None
    """the charging state that the last event of the open transaction had"""
    winding_down_s: float | None = None
    """how long the contactor has been ordered closed for a charge that is not allowed any more"""
    unstarted: frozenset[TxPoint] = frozenset()
    """start points that were reached and have not started a transaction"""
    unreported: frozenset[TriggerReason] = frozenset()
    """triggers of the open transaction that none of its events has reported"""
    session_open: bool = False
    """the vehicle has begun a session that has not ended"""
    energy_requested: bool = False
    """in this session it has requested energy, and not ended that"""
    contract_refused: bool = False
    """in this session its contract was refused"""


class Transition(Frozen):
    """One step of an EVSE."""

    setup: EvseSetup
    step: str
    before: EvseState
    orders_before: Outputs
    after: EvseState
    orders: Outputs
    events: tuple[TransactionEvent, ...]
    elapsed_s: float
    """how much time has passed with it"""
    memory_before: Memory
    memory: Memory

    @property
    def starts(self) -> bool:
        """Whether a transaction starts."""
        return any(event.event_type is EventType.STARTED for event in self.events)

    @property
    def ends(self) -> bool:
        """Whether a transaction ends."""
        return any(event.event_type is EventType.ENDED for event in self.events)


def connected(state: EvseState) -> bool:
    """Whether a vehicle is connected."""
    return state.observation.pilot in _CONNECTED


def energy_flows(state: EvseState) -> bool:
    """Whether the vehicle takes energy through a closed contactor."""
    return state.observation.contactor_closed and state.observation.pilot in _TAKING


def blocking(state: EvseState) -> frozenset[Fault]:
    """The faults that forbid energy."""
    return (state.observation.faults | state.faults) - _HARMLESS


def waits_for_energy(state: EvseState) -> bool:
    """Whether energy still flows, and the station can detect when it stops."""
    return energy_flows(state) and not (state.observation.faults | state.faults) & _BLIND


def held(state: EvseState) -> frozenset[TxPoint]:
    """The start and stop points that hold (part 2, 2.6.6)."""
    authorized = state.authorization is not None
    return frozenset(
        point
        for point, holds in (
            (TxPoint.PARKING_BAY_OCCUPANCY, state.observation.bay_occupied),
            (TxPoint.EV_CONNECTED, connected(state)),
            (TxPoint.AUTHORIZED, authorized),
            (TxPoint.POWER_PATH_CLOSED, authorized and connected(state)),
            (TxPoint.DATA_SIGNED, state.signs and state.signed_transaction_id is not None),
            (TxPoint.ENERGY_TRANSFER, energy_flows(state)),
        )
        if holds
    )


def allowed(setup: EvseSetup, state: EvseState) -> bool:
    """Whether a charge that runs may go on."""
    transaction = state.transaction
    if transaction is None:
        recorded = TxPoint.ENERGY_TRANSFER in setup.rules.start  # it starts with the energy
    else:
        recorded = transaction.recorded or TxPoint.ENERGY_TRANSFER in setup.rules.start
    return (
        recorded
        and state.authorization is not None
        and state.metered
        and state.operative
        and not state.halting
        and state.phases == state.observation.phases
        and connected(state)
        and not blocking(state)
        and _limit_a(state) >= MINIMUM_CURRENT_A
        and (transaction is None or (transaction.ending is None and not transaction.energy_refused))
    )


def wind_down_s(state: EvseState) -> float:
    """How long the contactor may wait for the vehicle to stop drawing."""
    if state.open_at_once:
        return 0.0
    return HALT_S if state.halting else WIND_DOWN_S


def _limit_a(state: EvseState) -> float:
    cable_a = state.observation.cable_max_a
    return state.offered_a if cable_a is None else min(cable_a, state.offered_a)


def remember(
    setup: EvseSetup,
    step: str,
    before: EvseState,
    memory: Memory,
    after: EvseState,
    orders: Outputs,
    events: tuple[TransactionEvent, ...],
    elapsed_s: float,
) -> Memory:
    """What the rules remember after a step."""
    is_open = after.transaction is not None
    reported = events[-1].charging_state if events else memory.reported_state
    winding_down_s = None
    if orders.contactor and not allowed(setup, after):
        winding_down_s = 0.0 if memory.winding_down_s is None else memory.winding_down_s + elapsed_s
    starts = any(event.event_type is EventType.STARTED for event in events)
    unstarted = frozenset[TxPoint]()
    if not is_open and not starts:
        unstarted = (memory.unstarted | reached(step, before, after)) & held(after) & setup.rules.start
    unreported = frozenset[TriggerReason]()
    if before.transaction is not None:
        reported_triggers = {event.trigger for event in events}
        happened = occurred(step, before, after) if before.transaction.ending is None else set[TriggerReason]()
        unreported = (memory.unreported | happened) - reported_triggers
    session = _session_after(step, memory, connected=connected(after))
    return Memory(reported if is_open else None, winding_down_s, unstarted, unreported, *session)


def _session_after(step: str, memory: Memory, *, connected: bool) -> tuple[bool, bool, bool]:
    """Whether a session is open, energy is requested in it, and its contract was refused, by the steps alone."""
    if step in _SESSION_ENDING or not connected:
        return False, False, False
    if step == "session":
        return True, False, False
    requested = step == "deliver" or (memory.energy_requested and step != "deliver-stop")
    return memory.session_open, requested, memory.contract_refused or step == "contract-refused"


def reached(step: str, before: EvseState, after: EvseState) -> frozenset[TxPoint]:
    """The points that are reached where there was no transaction; some steps make everything new."""
    if before.transaction is not None:
        return frozenset()
    new = held(after) if step in _TREATED_AS_NEW_ARRIVAL else held(after) - held(before)
    # A contact that closes without an order while the EVSE is out of service is a fault of the contactor, not a charge.
    return new if after.operative else new - {TxPoint.ENERGY_TRANSFER}


def occurred(step: str, before: EvseState, after: EvseState) -> set[TriggerReason]:
    """The trigger reasons of a step."""
    bay_before, bay = before.observation.bay_occupied, after.observation.bay_occupied
    timed_out = step == "time" and before.authorization is not None and after.authorization is None
    return {
        trigger
        for trigger, happens in (
            (TriggerReason.CABLE_PLUGGED_IN, connected(after) and not connected(before)),
            (TriggerReason.EV_COMMUNICATION_LOST, connected(before) and not connected(after)),
            (TriggerReason.EV_DETECTED, bay and not bay_before),
            (TriggerReason.EV_DEPARTED, bay_before and not bay),
            (TriggerReason.ABNORMAL_CONDITION, bool(blocking(after) - blocking(before))),
            (TriggerReason.EV_CONNECT_TIMEOUT, timed_out),
        )
        if happens
    } | _requested(step, before)


def _requested(step: str, before: EvseState) -> set[TriggerReason]:
    """The trigger reason that the one has who does this step."""
    if step == "session-end":  # E15.FR.04, E15.FR.05
        return {TriggerReason.STOP_AUTHORIZED} if before.authorization is not None else set()
    return {_BY_STEP[step]} if step in _BY_STEP else set()


def deauthorizes(transition: Transition) -> bool:
    """Whether somebody ends the authorization; a vehicle that ends its session ends only one that there is (E15)."""
    if transition.step == "session-end":
        return transition.before.authorization is not None
    return transition.step in _DEAUTHORIZING


# The rules


def contactor_closes_only_for_an_allowed_charge(transition: Transition) -> bool:
    """C01.FR.02, E09.FR.01, G05.FR.01: authorized, recorded, metered, pilot C or D, at least 6 A, the cable held."""
    if not transition.orders.contactor or transition.orders_before.contactor:
        return True
    state = transition.after
    return (
        allowed(transition.setup, state)
        and state.observation.pilot in _TAKING
        and (state.transaction is None or state.transaction.recorded or transition.starts)  # it.starts: with the energy
        and (not state.signs or state.signed_transaction_id is not None)
        and (state.attached_cable or state.observation.locked)
    )


def contactor_opens_within_the_time_of_the_vehicle(transition: Transition) -> bool:
    """IEC 61851-1 table A.6: a charge that is no longer allowed ends within some seconds, or at once with a fault."""
    wound_down_s = transition.memory_before.winding_down_s
    if wound_down_s is not None and wound_down_s + transition.elapsed_s > wind_down_s(transition.before):
        return False  # it was ordered closed until now
    if transition.memory.winding_down_s is None:
        return True
    return (
        energy_flows(transition.after)
        and not blocking(transition.after) - _PATIENT
        and transition.memory.winding_down_s < wind_down_s(transition.after)
    )


def pilot_offers_only_an_allowed_current(transition: Transition) -> bool:
    """IEC 61851-1 table A.7: at least 6 A, at most the limit, and only to an allowed charge."""
    pilot_a = transition.orders.pilot_a
    return pilot_a is None or (
        allowed(transition.setup, transition.after) and MINIMUM_CURRENT_A <= pilot_a <= _limit_a(transition.after)
    )


def phases_are_switched_without_load(transition: Transition) -> bool:
    """Relays of phases move while the contactor is open, and it closes on phases that are connected."""
    observation, orders = transition.after.observation, transition.orders
    return orders.phases == observation.phases or not (observation.contactor_closed or orders.contactor)


def transaction_starts_once(transition: Transition) -> bool:
    """E01.FR.08, E01.FR.14: with an event Started of its own, and not before the one before it has ended."""
    before, after = _open_id(transition.before), _open_id(transition.after)
    started = [event.transaction_id for event in transition.events if event.event_type is EventType.STARTED]
    if after not in (None, before):
        return before is None and started == [after]
    return not started


def transaction_ends_once(transition: Transition) -> bool:
    """E06: with one event Ended."""
    before, after = _open_id(transition.before), _open_id(transition.after)
    ended = [event.transaction_id for event in transition.events if event.event_type is EventType.ENDED]
    return ended == ([before] if before not in (None, after) else [])


def nothing_follows_the_end(transition: Transition) -> bool:
    """E06: every event names the open transaction, and none comes after Ended."""
    named = _open_id(transition.before) or _open_id(transition.after)
    ends = [event.event_type is EventType.ENDED for event in transition.events]
    return all(event.transaction_id == named for event in transition.events) and not any(ends[:-1])


def _open_id(state: EvseState) -> str | None:
    return state.transaction.id if state.transaction is not None else None


def reported_state_is_the_charging_state(transition: Transition) -> bool:
    """E01.FR.18, E02.FR.13"""
    return transition.after.transaction is None or transition.memory.reported_state is transition.after.charging_state


def cable_is_locked_while_it_is_used(transition: Transition) -> bool:
    """E05.FR.11, E09.FR.02, E09.FR.03: locked while somebody charges or has to fetch it, and for nobody else."""
    state = transition.after
    in_socket = state.observation.cable_plugged and not state.attached_cable
    used = state.authorization is not None or state.lock_held_for is not None or state.observation.contactor_closed
    return transition.orders.lock is (in_socket and used)


def start_point_starts_a_transaction(transition: Transition) -> bool:
    """E01.FR.01 to E01.FR.06"""
    return not transition.memory.unstarted or not transition.after.operative


def transaction_starts_only_at_a_start_point(transition: Transition) -> bool:
    """E01.FR.01 to E01.FR.06"""
    if not transition.starts:
        return True
    newly_reached = (
        held(transition.after)
        if transition.step in _AUTHORIZING
        else reached(transition.step, transition.before, transition.after)
    )
    return transition.after.operative and bool(
        (newly_reached | transition.memory_before.unstarted) & transition.setup.rules.start
    )


def stop_point_ends_the_transaction(transition: Transition) -> bool:
    """E06.FR.01 to E06.FR.07"""
    before, after = transition.before.transaction, transition.after.transaction
    if before is None or before.ending is not None or transition.ends:
        return True
    lost = held(transition.before) - held(transition.after)
    deauthorized = deauthorizes(transition) and transition.setup.rules.stop & _WHERE_DEAUTHORIZATION_ENDS  # E05.FR.10
    if lost & transition.setup.rules.stop_events or deauthorized or transition.step in _ALWAYS_ENDING:
        return after is not None and after.ending is not None
    return True


def transaction_ends_only_for_a_reason(transition: Transition) -> bool:
    """E06: a stop point, a fault that ends it (E06.FR.16), a reset, a timeout; or nothing is left that could end it."""
    before, after = transition.before.transaction, transition.after.transaction
    if before is None or before.ending is not None:
        return True
    if not transition.ends and (after is None or after.ending is None):
        return True
    stop = transition.setup.rules.stop_events
    disconnected = connected(transition.before) and not connected(transition.after)
    timed_out = TriggerReason.EV_CONNECT_TIMEOUT in occurred(transition.step, transition.before, transition.after)
    deauthorized = (
        deauthorizes(transition)
        or timed_out
        or (disconnected and transition.setup.stops_on_disconnection and transition.before.authorization is not None)
    )
    empty = not connected(transition.after) and not transition.after.observation.bay_occupied
    return (
        transition.step in _ALWAYS_ENDING
        or (transition.step == "meter+" and transition.setup.meter_failure_ends)
        or (deauthorized and bool(stop & _WHERE_DEAUTHORIZATION_ENDS))
        or (timed_out and TxPoint.PARKING_BAY_OCCUPANCY not in stop)
        or (disconnected and TxPoint.EV_CONNECTED in stop)
        or (
            transition.before.observation.bay_occupied
            and not transition.after.observation.bay_occupied
            and TxPoint.PARKING_BAY_OCCUPANCY in stop
        )
        or (energy_flows(transition.before) and not energy_flows(transition.after) and TxPoint.ENERGY_TRANSFER in stop)
        or (empty and (transition.before.authorization is None or deauthorized))
    )


def energy_stops_before_the_transaction_ends(transition: Transition) -> bool:
    """Part 2, 2.6.6.2: the end of the authorization first stops the energy."""
    return not transition.ends or not waits_for_energy(transition.after)


def end_waits_for_nothing_but_the_energy(transition: Transition) -> bool:
    """E06.FR.16: not for a contactor that is welded, nor for a board that shows nothing."""
    transaction = transition.after.transaction
    return transaction is None or transaction.ending is None or waits_for_energy(transition.after)


def what_happens_is_reported(transition: Transition) -> bool:
    """E02.FR.17: at once, or with the charging state that follows while energy is stopped."""
    if not transition.memory.unreported:
        return True
    transaction = transition.after.transaction
    return transaction is not None and waits_for_energy(transition.after) and transition.orders.pilot_a is None


def deauthorization_is_reported_with_the_state_that_follows(transition: Transition) -> bool:
    """C15.FR.03, E05.FR.09: unless somebody is authorized again, or nobody knows when the energy stops."""
    deauthorizations = [event for event in transition.events if event.trigger is TriggerReason.DEAUTHORIZED]
    if all(event.charging_state is not ChargingState.CHARGING for event in deauthorizations):
        return True
    return transition.step in _AUTHORIZING or not waits_for_energy(transition.after)


def refused_contract_never_charges(transition: Transition) -> bool:
    """C07.FR.07: nothing closes the contactor for a contract that was refused in this session."""
    authorization = transition.after.authorization
    by_contract = authorization is not None and authorization.id_token.same_as(CONTRACT)
    closes = transition.orders.contactor and not transition.orders_before.contactor
    return not (closes and transition.memory.contract_refused and by_contract)


def lost_link_ends_no_charge(transition: Transition) -> bool:
    """A link to the vehicle that is lost changes how the current is signalled, and nothing else."""
    if transition.step != "link-lost":
        return True
    before, after = transition.before, transition.after
    goes_on = not transition.orders_before.contactor or transition.orders.contactor
    return goes_on and (before.authorization, _open_id(before)) == (after.authorization, _open_id(after))


def contactor_closes_in_a_session_when_the_vehicle_asks(transition: Transition) -> bool:
    """ISO 15118-2: after PowerDeliveryReq(Start), and not while the pilot asks for communication in vain."""
    if not transition.orders.contactor or transition.orders_before.contactor:
        return True
    memory = transition.memory
    return memory.energy_requested if memory.session_open else not transition.orders.pilot_digital


def pilot_asks_for_communication_only_with_a_link(transition: Transition) -> bool:
    """ISO 15118-3: a duty cycle of 5 % where nothing answers would keep the vehicle waiting."""
    return not transition.orders.pilot_digital or (transition.after.vehicle.linked and connected(transition.after))


INVARIANTS: Final[tuple[Callable[[Transition], bool], ...]] = (
    contactor_closes_only_for_an_allowed_charge,
    contactor_opens_within_the_time_of_the_vehicle,
    pilot_offers_only_an_allowed_current,
    phases_are_switched_without_load,
    transaction_starts_once,
    transaction_ends_once,
    nothing_follows_the_end,
    reported_state_is_the_charging_state,
    cable_is_locked_while_it_is_used,
    start_point_starts_a_transaction,
    transaction_starts_only_at_a_start_point,
    stop_point_ends_the_transaction,
    transaction_ends_only_for_a_reason,
    energy_stops_before_the_transaction_ends,
    end_waits_for_nothing_but_the_energy,
    what_happens_is_reported,
    deauthorization_is_reported_with_the_state_that_follows,
    refused_contract_never_charges,
    lost_link_ends_no_charge,
    contactor_closes_in_a_session_when_the_vehicle_asks,
    pilot_asks_for_communication_only_with_a_link,
)
"""that no state is dead is a rule of the whole space, see `explorer`"""

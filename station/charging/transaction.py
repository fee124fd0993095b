"""Start and end of transactions, and their events (OCPP 2.0.1 block E). Pure.

Input is a change of an EVSE's state with its cause; output is the state with an updated transaction, and the events
to record. Sequence numbers and meter values are added when an event is recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from enum import StrEnum

from msgspec.structs import replace

from foundation.frozen import Frozen
from station.charging.evse_state import (
    ChangeCause,
    EvseState,
    OpenTransaction,
    all_faults,
    arrivals,
    blocking_faults,
    energy_flows,
    ev_connected,
    offers_energy,
)
from station.core.model import ChargingState, EventType, EvseRef, Fault, StoppedReason, TransactionEvent, TriggerReason


class TxPoint(StrEnum):
    """A condition that can start or end a transaction: the values of TxStartPoint and TxStopPoint (part 2, 2.6.6)."""

    PARKING_BAY_OCCUPANCY = "ParkingBayOccupancy"
    EV_CONNECTED = "EVConnected"
    AUTHORIZED = "Authorized"
    DATA_SIGNED = "DataSigned"
    """a start point only: the signed begin starts the transaction, if none has started yet (E01.FR.04)"""
    POWER_PATH_CLOSED = "PowerPathClosed"
    ENERGY_TRANSFER = "EnergyTransfer"


_DEAUTHORIZATION_ENDS = frozenset({TxPoint.AUTHORIZED, TxPoint.POWER_PATH_CLOSED, TxPoint.ENERGY_TRANSFER})
"""stop points with which the end of the authorization ends the transaction (E05.FR.10)"""
_AUTHORIZATION_TRIGGERS = frozenset({TriggerReason.AUTHORIZED, TriggerReason.REMOTE_START})
_STOPPING = frozenset({TriggerReason.DEAUTHORIZED, TriggerReason.ABNORMAL_CONDITION})
"""triggers that stop energy, and are reported together with the resulting charging state"""
_ARRIVALS = {
    TriggerReason.CABLE_PLUGGED_IN: frozenset({TxPoint.EV_CONNECTED, TxPoint.POWER_PATH_CLOSED}),
    TriggerReason.EV_DETECTED: frozenset({TxPoint.PARKING_BAY_OCCUPANCY}),
}
"""the start points that an arrival may reach"""
_UNOBSERVABLE_END = frozenset({Fault.CONTACTOR_WELDED, Fault.BOARD, Fault.BOARD_SILENT})
"""faults with which the end of energy cannot be observed, so the transaction ends without waiting for it"""


class TransactionRules(Frozen):
    """The rules for the transaction of an EVSE: the start and stop points of the settings.

    Also the numbers of EVSE and connector, for events.
    """

    evse_id: int
    connector_id: int
    start: frozenset[TxPoint]
    """each of these, when reached, starts a transaction"""
    stop: frozenset[TxPoint]
    """each of these, when no longer reached, ends it"""

    @property
    def stop_events(self) -> frozenset[TxPoint]:
        """The points whose loss ends a transaction: `stop`, with EVConnected and Authorized added for PowerPathClosed.

        Part 2, 2.6.6.2.
        """
        if TxPoint.POWER_PATH_CLOSED in self.stop:
            return self.stop | {TxPoint.EV_CONNECTED, TxPoint.AUTHORIZED}
        return self.stop


def start_points(names: Iterable[str], *, signs: bool) -> frozenset[TxPoint]:
    """Parse the setting TxStartPoint; if readings are not signed (`signs`), PowerPathClosed replaces DataSigned."""
    points = frozenset(TxPoint(name) for name in names)
    if TxPoint.DATA_SIGNED in points and not signs:
        return points - {TxPoint.DATA_SIGNED} | {TxPoint.POWER_PATH_CLOSED}
    return points


def active_points(state: EvseState) -> frozenset[TxPoint]:
    """Return the start and stop points whose conditions hold in this state of an EVSE."""
    conditions = {
        TxPoint.PARKING_BAY_OCCUPANCY: state.observation.bay_occupied,
        TxPoint.EV_CONNECTED: ev_connected(state),
        TxPoint.AUTHORIZED: state.authorization is not None,
        TxPoint.DATA_SIGNED: state.signs and state.signed_transaction_id is not None,
        TxPoint.POWER_PATH_CLOSED: ev_connected(state) and state.authorization is not None,
        TxPoint.ENERGY_TRANSFER: state.charging_state is ChargingState.CHARGING,
    }
    return frozenset(point for point, holds in conditions.items() if holds)


class TransactionChange(Frozen):
    """The result of a state change: the state with its transaction updated, and the events to record, in order."""

    state: EvseState
    events: tuple[TransactionEvent, ...] = ()


def update_transaction(
    before: EvseState,
    after: EvseState,
    cause: ChangeCause | None,
    rules: TransactionRules,
    now: datetime,
    new_id: Callable[[], str],
) -> TransactionChange:
    """Start, update or end the transaction for a state change from `before` to `after`; returns state and events.

    Stores nothing. `cause` None: the change has no external cause; `new_id` generates transaction ids.
    """
    cause = cause or _own_cause(before, after)
    transaction = after.transaction
    if transaction is None:
        return _apply_without_transaction(before, after, cause, rules, now, new_id)
    stopping = transaction.stopping
    if stopping is not None and (not _still_flows(after) or offers_energy(after) or _reported_after_stopping(cause)):
        after = replace(after, transaction=replace(transaction, stopping=None))
        if transaction.ending is None and _is_consequence(cause, stopping):
            return _apply_to_transaction(before, after, stopping, rules, now)  # C15.FR.03: one event for both
        reported = _create_updated_event(after, stopping, rules, now)
        remaining = update_transaction(before, reported.state, cause, rules, now, new_id)
        return TransactionChange(remaining.state, reported.events + remaining.events)
    if transaction.ending is not None:
        return (
            TransactionChange(after) if _still_flows(after) else _end_transaction(after, transaction.ending, rules, now)
        )
    return _apply_to_transaction(before, after, cause, rules, now) if cause is not None else TransactionChange(after)


def _apply_without_transaction(
    before: EvseState,
    after: EvseState,
    cause: ChangeCause | None,
    rules: TransactionRules,
    now: datetime,
    new_id: Callable[[], str],
) -> TransactionChange:
    """Apply a change while there is no transaction: it may start one."""
    missed = after.missed_arrivals & arrivals(after)
    if not after.operative:
        new_arrivals = arrivals(after) - arrivals(before)
        return TransactionChange(replace(_note_unreported(after, cause), missed_arrivals=missed | new_arrivals))
    if missed and cause is None:
        cause = ChangeCause(max(sorted(missed), key=lambda trigger: bool(_ARRIVALS[trigger] & rules.start)))
    # An authorization also starts a transaction if a start point was reached before: no energy without a transaction.
    newly_active = (
        active_points(after)
        if cause is not None and cause.trigger in _AUTHORIZATION_TRIGGERS
        else active_points(after) - active_points(before)
    )
    reached = newly_active.union(*(_ARRIVALS[trigger] & active_points(after) for trigger in missed))
    after = replace(after, missed_arrivals=frozenset())
    if cause is not None and reached & rules.start:
        return _start_transaction(after, cause, rules, now, new_id)
    return TransactionChange(_note_unreported(after, cause))


def _apply_to_transaction(
    before: EvseState, after: EvseState, cause: ChangeCause, rules: TransactionRules, now: datetime
) -> TransactionChange:
    """Apply a change with a cause to a transaction that is not ending yet."""
    lost_points = active_points(before) - active_points(after)
    transaction = after.transaction
    if transaction is None:
        raise ValueError("there is no transaction")
    transaction = _note_stop_cause(transaction, cause)
    after = replace(after, transaction=transaction)
    if lost_points & rules.stop_events or _must_end(cause, after, rules):
        cause = replace(
            cause, stopped_reason=_stopped_reason(transaction, cause) or _reason_of_loss(lost_points, after)
        )
        if _still_flows(after):
            # The end of authorization first stops the energy, then ends the transaction (2.6.6.2).
            return TransactionChange(replace(after, transaction=replace(transaction, ending=cause)))
        return _end_transaction(after, cause, rules, now)
    stops_energy = cause.trigger in _STOPPING and _still_flows(after) and not offers_energy(after)
    if stops_energy and transaction.stopping is None:
        return TransactionChange(replace(after, transaction=replace(transaction, stopping=cause)))
    return _create_updated_event(after, cause, rules, now)


def _own_cause(before: EvseState, after: EvseState) -> ChangeCause | None:
    """The cause of a change that nobody requested; None if there is nothing to report to the CSMS (E02.FR.17)."""
    if blocking_faults(after) - blocking_faults(before):
        return ChangeCause(TriggerReason.ABNORMAL_CONDITION)
    return ChangeCause(_own_trigger(after)) if after.charging_state is not before.charging_state else None


def _reported_after_stopping(cause: ChangeCause | None) -> bool:
    """Return whether `stopping` must be reported before this cause, or the CSMS would take it for a later event."""
    return cause is not None and cause.trigger in _AUTHORIZATION_TRIGGERS | {TriggerReason.DEAUTHORIZED}


def _is_consequence(cause: ChangeCause | None, stopping: ChangeCause) -> bool:
    """Return whether a cause only reports that energy stopped because of `stopping`."""
    if cause is None or cause.trigger is TriggerReason.CHARGING_STATE_CHANGED:
        return True
    return cause.trigger is stopping.trigger and not cause.ends_transaction


def _own_trigger(state: EvseState) -> TriggerReason:
    """The trigger for a change of the charging state without external cause; a fault is more specific (E02.FR.17)."""
    if blocking_faults(state) and state.charging_state is not ChargingState.CHARGING:
        return TriggerReason.ABNORMAL_CONDITION
    return TriggerReason.CHARGING_STATE_CHANGED


def _must_end(cause: ChangeCause, state: EvseState, rules: TransactionRules) -> bool:
    """Return whether a transaction ends by its cause, or because no stop point can be reached any more."""
    return (
        cause.ends_transaction
        or (cause.deauthorizes and bool(rules.stop & _DEAUTHORIZATION_ENDS))
        or not active_points(state) - {TxPoint.DATA_SIGNED}  # no vehicle, no authorization, empty bay
    )


def _still_flows(state: EvseState) -> bool:
    """Return whether energy still flows and its end can be observed."""
    return energy_flows(state) and not all_faults(state) & _UNOBSERVABLE_END


def with_resulting_charging_state(
    events: tuple[TransactionEvent, ...], state: EvseState
) -> tuple[TransactionEvent, ...]:
    """Return the events, with the charging state of `state` in a Started event.

    It may differ from that at the event's creation, since energy is withheld until the event is stored.
    """
    return tuple(
        replace(event, charging_state=state.charging_state) if event.event_type is EventType.STARTED else event
        for event in events
    )


def _start_transaction(
    state: EvseState, cause: ChangeCause, rules: TransactionRules, now: datetime, new_id: Callable[[], str]
) -> TransactionChange:
    transaction = OpenTransaction(state.signed_transaction_id or new_id(), now)
    return _create_event(replace(state, transaction=transaction), EventType.STARTED, cause, rules, now)


def _create_updated_event(
    state: EvseState, cause: ChangeCause, rules: TransactionRules, now: datetime
) -> TransactionChange:
    return _create_event(state, EventType.UPDATED, cause, rules, now)


def _end_transaction(state: EvseState, cause: ChangeCause, rules: TransactionRules, now: datetime) -> TransactionChange:
    outcome = _create_event(state, EventType.ENDED, cause, rules, now)
    holder = state.lock_held_for
    if cause.trigger is TriggerReason.EV_COMMUNICATION_LOST and state.authorization is not None:
        holder = state.authorization.id_token  # E10.FR.01: the token unlocks the cable
    ended = replace(
        outcome.state,
        transaction=None,
        authorization=None,
        unreported_cause=None,
        signed_transaction_id=None,
        lock_held_for=holder,
    )
    return TransactionChange(ended, outcome.events)


def _create_event(
    state: EvseState, kind: EventType, cause: ChangeCause, rules: TransactionRules, now: datetime
) -> TransactionChange:
    """Create an event, including the connector and authorization not reported before."""
    transaction = state.transaction
    if transaction is None:
        raise ValueError("an event needs a transaction")
    unreported = state.unreported_cause
    report_connector = ev_connected(state) and not transaction.connector_reported
    evse = None
    if report_connector:
        evse = EvseRef(rules.evse_id, rules.connector_id)
    elif kind is EventType.STARTED:
        evse = EvseRef(rules.evse_id)
    remote_start_id, reservation_id = cause.remote_start_id, cause.reservation_id
    trigger, id_token = cause.trigger, cause.id_token
    if unreported is not None:
        id_token = id_token or unreported.id_token
        remote_start_id = remote_start_id if remote_start_id is not None else unreported.remote_start_id
        reservation_id = reservation_id if reservation_id is not None else unreported.reservation_id
        if unreported.trigger is TriggerReason.REMOTE_START:
            trigger = TriggerReason.REMOTE_START  # F01.FR.19, F01.FR.25: reported by the next event
    event = TransactionEvent(
        transaction_id=transaction.id,
        evse_id=rules.evse_id,
        event_type=kind,
        trigger=trigger,
        occurred_at=now,
        charging_state=state.charging_state,
        stopped_reason=cause.stopped_reason if kind is EventType.ENDED else None,
        id_token=id_token,
        evse=evse,
        remote_start_id=remote_start_id,
        reservation_id=reservation_id,  # E01.FR.13, E02.FR.03, E03.FR.03, F02.FR.06, H01.FR.15
        cable_max_a=state.observation.cable_max_a if report_connector else None,
        test_session=state.authorization is not None and state.authorization.tests,
    )
    updated = replace(
        transaction,
        connector_reported=ev_connected(state),  # E01.FR.16: reported again after a reconnect
        holder=transaction.holder or id_token,  # C01.FR.23: the first reported token starts the transaction
    )
    return TransactionChange(replace(state, transaction=updated, unreported_cause=None), (event,))


def _note_unreported(state: EvseState, cause: ChangeCause | None) -> EvseState:
    """Remember an authorization without a transaction, for the first event of the next one (E01.FR.10)."""
    if state.authorization is None:
        return replace(state, unreported_cause=None)
    if cause is not None and cause.trigger in _AUTHORIZATION_TRIGGERS:
        return replace(state, unreported_cause=cause)
    return state


def _note_stop_cause(transaction: OpenTransaction, cause: ChangeCause) -> OpenTransaction:
    """Set the stopped reason to the first one that led to the end, even if the end comes later (TransactionType)."""
    if cause.deauthorizes and transaction.stop_cause is None:
        return replace(transaction, stop_cause=cause.stopped_reason)
    if cause.trigger in _AUTHORIZATION_TRIGGERS:
        return replace(transaction, stop_cause=None)
    return transaction


def _stopped_reason(transaction: OpenTransaction, cause: ChangeCause) -> StoppedReason | None:
    """The stopped reason given by a cause, if any."""
    if cause.trigger is TriggerReason.RESET_COMMAND:
        return cause.stopped_reason  # B12.FR.04, B12.FR.08: takes precedence
    return transaction.stop_cause or cause.stopped_reason


def _reason_of_loss(lost_points: frozenset[TxPoint], state: EvseState) -> StoppedReason:
    """The stopped reason derived from lost stop points, if the cause gives none."""
    if state.transaction is not None and state.transaction.energy_refused:
        return StoppedReason.DE_AUTHORIZED  # E05.FR.02 with EnergyTransfer as a stop point
    if TxPoint.EV_CONNECTED in lost_points:
        return StoppedReason.EV_DISCONNECTED
    if TxPoint.PARKING_BAY_OCCUPANCY in lost_points:
        return StoppedReason.LOCAL
    if state.charging_state is ChargingState.SUSPENDED_EV:
        return StoppedReason.STOPPED_BY_EV
    return StoppedReason.OTHER

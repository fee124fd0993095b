"""One EVSE: the only place where its state is changed, and the resulting transaction events.

`evse_changes` computes the state after an event; `board_driver` drives the board.
"""

from __future__ import annotations

import logging
import uuid
from typing import TYPE_CHECKING

from msgspec.structs import replace

from foundation.change_signal import ChangeSignal
from foundation.constants import MINIMUM_CURRENT_A
from foundation.events import Event
from foundation.frozen import Frozen
from station.charging import evse_changes
from station.charging.contactor_count import ContactorCount
from station.charging.evse_state import (
    NO_LOAD_A,
    UNTIL_UNPLUGGED,
    Authorization,
    ChangeCause,
    EvseState,
    WithholdReason,
    allowed_a,
    blocking_faults,
    connection_deadline_s,
    connector_status,
    ev_connected,
    offered_by_phase,
    offers_energy,
    open_transaction_id,
    pilot_without_minus_12_v,
    with_derived_values,
)
from station.charging.pilot_compliance import PilotComplianceMonitor
from station.charging.pilot_permission import PilotPermission
from station.charging.transaction import (
    TransactionRules,
    TxPoint,
    start_points,
    update_transaction,
    with_resulting_charging_state,
)
from station.charging.transaction_settings import TransactionSettings
from station.charging.vehicle_details import VehicleDetailsHolder
from station.core.charging_time import ChargingTime
from station.core.evse_layout import EvseLayout
from station.core.hardware.board import Observation
from station.core.model import (
    ChargingState,
    ConnectorStatus,
    EventType,
    EvseRef,
    Fault,
    IdToken,
    StoppedReason,
    TransactionEvent,
    TriggerReason,
)

if TYPE_CHECKING:
    from datetime import datetime

    from energy.demand import Decision
    from energy.limit import Limit
    from foundation.clock import Clock
    from metering.reading import Phases, Reading
    from metering.time_quality import TimeStatus
    from station.charging.meter_polling import MeterPoller
    from station.charging.recording import Recording
    from station.charging.unrecorded_events import UnrecordedEvents
    from station.charging.vehicle_state import VehicleSignal
    from station.core.sampling import MeterValue

_log = logging.getLogger(__name__)

_UNLOCK_TIMEOUT_S = 5.0
"""time limit for a lock to open"""

_UNOBSERVED = frozenset({Fault.BOARD, Fault.BOARD_SILENT})
"""faults with which no observation comes; each of them ends the wait for the first observation"""


class EvseBehaviour(Frozen):
    """How an EVSE behaves when something fails."""

    stop_on_storage_failure: bool = True
    """whether charging is paused while events cannot be stored on disk"""
    stop_on_meter_failure: bool = False
    """whether a transaction ends when its meter fails; otherwise charging is paused until the meter recovers"""


class Evse:
    """One EVSE: its state, and the methods of all others to change it; creates its transaction events.

    State changes are synchronous, hence atomic. The tasks of its `EvseAssembly` execute their consequences: they
    command the board, read the meter, sign, sample, and store the events.
    """

    def __init__(
        self,
        layout: EvseLayout,
        meter: MeterPoller,
        queue: UnrecordedEvents,
        recording: Recording,
        settings: TransactionSettings,
        clock: Clock,
        behaviour: EvseBehaviour,
    ) -> None:
        """`queue`: gets its transaction events."""
        self.layout = layout
        self.meter = meter
        self.state = EvseState(attached_cable=layout.attached_cable, ventilation=layout.ventilation, metered=False)
        self.limits: tuple[Limit, ...] = ()
        """the limits of the last load management decision"""
        self.vehicle_details = VehicleDetailsHolder()
        """what the vehicle has said of itself"""
        self.observed = False
        """whether the board has sent an observation or failed; before that the status is unknown"""
        self.changed = ChangeSignal()
        """fires after each change of the state, and when the end of a transaction is stored"""
        self.state_changed: Event[None] = Event()
        """published after each change of the state, and at the first observation"""
        self.pilot = PilotPermission()
        """the highest current that its pilot may signal beside those of the other EVSEs"""
        self.contactor = ContactorCount()
        """operations of its contactor in its lifetime"""
        self.outputs_repeated: Event[None] = Event()
        """published when the board must be commanded again, even if its outputs are unchanged"""
        self._queue = queue
        self._recording = recording
        self._settings = settings
        self._behaviour = behaviour
        self._clock = clock
        self._charging_time = ChargingTime(clock)
        self._pilot_compliance = PilotComplianceMonitor(clock)
        self._unlock_until_s = -_UNLOCK_TIMEOUT_S
        self._tx_points_changed = True
        """whether TxStartPoint or TxStopPoint has changed since the state was last judged by them"""
        for points in (TransactionSettings.tx_start_points, TransactionSettings.tx_stop_points):
            self._settings.changed(points).subscribe(self._note_changed_tx_points)
        meter.reading_taken.subscribe(self._metered)
        meter.failed.subscribe(self._apply_meter_failure)

    # Properties

    @property
    def soc(self) -> float | None:
        """State of charge last reported by the vehicle (ISO 15118), 0 to 1; None: it has reported none."""
        return self.vehicle_details.current.soc

    @property
    def id(self) -> int:
        """The number of the EVSE, from 1."""
        return self.layout.id

    @property
    def lasted_s(self) -> float:
        """Seconds since the begin of its current or last transaction."""
        return self._charging_time.duration_s

    @property
    def connection_timeout_s(self) -> float:
        """Seconds that an authorization waits for a vehicle (EVConnectionTimeOut)."""
        return float(self._settings.ev_connection_timeout_s)

    @property
    def transaction_id(self) -> str | None:
        """The id of the open transaction; None: there is none, or it is ending."""
        transaction = self.state.transaction
        return transaction.id if transaction is not None and transaction.ending is None else None

    @property
    def end_pending(self) -> bool:
        """Whether the Ended event of a transaction is not on disk yet, for example because it waits for the meter."""
        return self._queue.end_pending

    @property
    def offered_a(self) -> float:
        """The current that the pilot offers to the vehicle now, in A per phase; the highest of all phases, 0: none."""
        return allowed_a(self.state) if offers_energy(self.state) else 0.0

    @property
    def offered(self) -> Phases[float]:
        """The current that the pilot offers now on each phase, in A; 0: nothing offered, or phase disconnected."""
        return offered_by_phase(self.state, self.layout.phases)

    @property
    def time_status(self) -> TimeStatus:
        """Reliability of the station's clock now."""
        return self._recording.time.status

    @property
    def selectable_phases(self) -> frozenset[int]:
        """The phases, 1 to 3, on which its board can charge alone; empty if the board cannot switch phases."""
        observation = self.state.observation
        if observation.phases is None:
            return frozenset()
        return frozenset({1, 2, 3}) if observation.phase is not None else frozenset({1})

    @property
    def connector_status(self) -> ConnectorStatus:
        """The status of its connector."""
        return connector_status(self.state)

    @property
    def authorized_token(self) -> IdToken | None:
        """The id token that is authorized to charge now; None: none."""
        return self.state.authorization.id_token if self.state.authorization is not None else None

    # Events

    def observe(self, observation: Observation) -> None:
        """Update the state with an observation of the board; creates the transaction events that follow from it."""
        self._note_observed()
        before = self.state.observation
        observation = replace(observation, pilot=pilot_without_minus_12_v(observation, before.pilot))
        if observation == before and self.state.retained_for is None:
            return
        self.contactor = self.contactor.after_observation(
            before.contactor_closed, observation.contactor_closed, load=self._under_load
        )
        self._set_state(*evse_changes.apply_observation(self.state, observation, self._end_conditions))
        if not ev_connected(self.state) and self.state.faults & UNTIL_UNPLUGGED:
            self._set_state(replace(self.state, faults=self.state.faults - UNTIL_UNPLUGGED), None)

    def authorize(self, authorization: Authorization, trigger: TriggerReason) -> None:
        """Set the authorization, from now on; may start a transaction (E02.FR.20, F01.FR.19).

        Does not check the token: the caller has. `trigger` is reported to the CSMS.
        """
        cause = ChangeCause(
            trigger,
            id_token=authorization.id_token,
            remote_start_id=authorization.remote_start_id,
            reservation_id=authorization.reservation_id,
        )
        authorization = replace(authorization, since_s=self._clock.monotonic())
        self._set_state(evse_changes.apply_authorization(self.state, authorization), cause)

    def end_authorization(
        self,
        trigger: TriggerReason,
        reason: StoppedReason,
        *,
        id_token: IdToken | None = None,
        ends_transaction: bool = False,
        keep_locked: bool = False,
    ) -> None:
        """Remove the authorization, which stops energy; the transaction ends by TxStopPoint or `ends_transaction`.

        `trigger` and `reason` are reported to the CSMS; `id_token`: the token that caused it.
        `keep_locked`: keep the cable locked until its holder returns.
        """
        ended = self.state.authorization
        held_for = ended.id_token if keep_locked and ended is not None else None
        cause = ChangeCause(trigger, reason, id_token, deauthorizes=True, ends_transaction=ends_transaction)
        self._set_state(replace(self.state, authorization=None, lock_held_for=held_for), cause)

    def set_group(self, group_id: IdToken | None) -> None:
        """Set the group whose tokens may also stop the charge, as sent by the CSMS (E07.FR.01 b); None: unchanged."""
        if self.state.authorization is not None and group_id is not None:
            authorization = replace(self.state.authorization, group_id=group_id)
            self._set_state(replace(self.state, authorization=authorization), None)

    def set_languages(self, languages: tuple[str, ...]) -> None:
        """Set the languages that the driver prefers, as sent by the CSMS (language1, language2); empty: unchanged."""
        authorization = self.state.authorization
        if authorization is not None and languages and languages != authorization.languages:
            self._set_state(replace(self.state, authorization=replace(authorization, languages=languages)), None)

    def retain_cable(self, holder: IdToken) -> None:
        """Keep the cable locked for the holder from before the power cut, if it is still there; call before `run`."""
        self._set_state(replace(self.state, retained_for=holder), None)

    def release_lock(self) -> None:
        """Stop retaining the cable for its holder, which unlocks it unless a charge runs."""
        self._set_state(replace(self.state, lock_held_for=None), None)

    async def unlock(self) -> bool:
        """Unlock the cable, even if retained for a holder; returns whether the lock opened (F05.FR.04, F05.FR.06).

        The command is sent even if the lock appears open, with or without a cable. A repeated request shares the
        deadline of the first, so that many requests do not block the messages of the CSMS.
        """
        cause = ChangeCause(TriggerReason.UNLOCK_COMMAND) if self.state.transaction is not None else None  # E02.FR.17
        self._set_state(replace(self.state, lock_held_for=None), cause)
        self.outputs_repeated.publish(None)
        if (now_s := self._clock.monotonic()) >= self._unlock_until_s + _UNLOCK_TIMEOUT_S:
            self._unlock_until_s = now_s + _UNLOCK_TIMEOUT_S
        count_before = self.changed.count
        while self.state.observation.locked and (left_s := self._unlock_until_s - self._clock.monotonic()) > 0:
            await self.changed.wait_for(count_before, self._clock, left_s)
            count_before = self.changed.count
        return not self.state.observation.locked and Fault.LOCK not in self.state.observation.faults

    def begin_self_test(self) -> bool:
        """Hold energy back for a self-test of its board; False, and nothing has changed: the EVSE is in use."""
        state = self.state
        if state.testing or state.authorization is not None or state.transaction is not None:
            return False
        self._set_state(replace(state, testing=True), None)
        return True

    def end_self_test(self) -> None:
        """Let energy flow again after a self-test."""
        self._set_state(replace(self.state, testing=False), None)

    def refuse_energy(self, *, beyond_wh: float) -> None:
        """Stop energy because the CSMS rejected the token, without ending transaction or authorization.

        E05.FR.02, E05.FR.03.
        `beyond_wh`: energy in Wh that may still be delivered; 0 stops at once.
        """
        if self.state.transaction is None:
            return
        register_wh = self.meter.latest.energy_import_wh if self.meter.latest is not None else None
        self._set_state(evse_changes.apply_energy_refusal(self.state, register_wh, beyond_wh=beyond_wh), None)

    def apply_vehicle_signal(self, signal: VehicleSignal) -> None:
        """Update the state with a signal of the link to the vehicle; one that does not fit changes nothing.

        A vehicle that terminates its session ends its authorization (E15).
        """
        self._set_state(*evse_changes.apply_vehicle_signal(self.state, signal, self._clock.monotonic()))

    def apply_decision(self, decision: Decision) -> None:
        """Set the current and the phases that load management allows this EVSE; its board follows.

        Below 6 A charging pauses; the vehicle has time to stop, unless the contactor must open at once.
        """
        self.limits = decision.limits
        offered_a = min(decision.current_a, self.layout.max_current_a)
        open_at_once = decision.open_now or (self.state.open_at_once and offered_a < MINIMUM_CURRENT_A)
        after = replace(
            self.state, offered_a=offered_a, open_at_once=open_at_once, phases=decision.phases, phase=decision.phase
        )
        if after != self.state:
            self._set_state(after, None)

    def report_fault(self, fault: Fault, present: bool) -> None:
        """Add a fault to the state (`present`) or remove it, and log the change; some faults end the transaction."""
        if present is (fault in self.state.faults):
            return
        if fault in _UNOBSERVED:
            self._note_observed()
        level, change = (logging.WARNING, "occurred") if present else (logging.INFO, "cleared")
        _log.log(level, "EVSE %d: fault %s %s", self.id, fault, change)
        self._set_state(*evse_changes.apply_fault(self.state, fault, present, self._end_conditions))

    def set_in_service(self, in_service: bool) -> None:
        """Set the EVSE in or out of service (G03), in memory only; a running transaction may finish first.

        An authorization without a transaction ends.
        """
        if in_service is not self.state.in_service:
            _log.info("EVSE %d: %s", self.id, "in service" if in_service else "out of service")
        after = replace(self.state, in_service=in_service)
        if not after.operative:
            after = replace(after, authorization=None)
        self._set_state(after, None)

    def set_reserved(self, until: datetime | None) -> None:
        """Set until when (UTC) only holders of reservations may use the EVSE; None: it is not reserved."""
        if until != self.state.reserved_until:
            self._set_state(replace(self.state, reserved_until=until), None)

    def set_withheld(self, why: WithholdReason, withheld: bool) -> None:
        """Add or remove one reason why the EVSE must not be used (status Unavailable); ends no transaction."""
        reasons = self.state.withheld | {why} if withheld else self.state.withheld - {why}
        self._set_state(replace(self.state, withheld=reasons), None)

    def set_installer_only(self, installer_only: bool) -> None:
        """Allow only installer's tests to start (`installer_only`), or public use; a running transaction may finish."""
        self._set_state(replace(self.state, installer_only=installer_only), None)

    def reset(self) -> None:
        """Reset the EVSE as after power-up (B11.FR.08); the caller has ended its transaction.

        Clears contactor and vehicle faults and the authorization, unlocks the cable, and applies the outputs again.
        """
        self._set_state(evse_changes.reset_state(self.state), None)
        self.outputs_repeated.publish(None)

    def record_sample(self, trigger: TriggerReason, value: MeterValue | None) -> None:
        """Queue an Updated event with a sample (None: without values), if a transaction is open (J02.FR.11).

        With `trigger` TRIGGER the event names the EVSE (F06.FR.11).
        """
        if (transaction := self.state.transaction) is not None:
            connector_id = self.layout.connector_id if transaction.connector_reported else None
            event = TransactionEvent(
                transaction.id,
                self.id,
                EventType.UPDATED,
                trigger,
                self._clock.now(),
                charging_state=self.state.charging_state,
                evse=EvseRef(self.id, connector_id) if trigger is TriggerReason.TRIGGER else None,
                meter_values=(value,) if value is not None else (),
            )
            self.record(event)

    def confirm_signed_begin(self, transaction_id: str, *, report: bool) -> None:
        """Let energy flow in this transaction, open or about to start: its begin is signed, or need not be.

        An event reports this to the CSMS if `report` is true, or if there is no transaction yet, which it may start.
        """
        starts = self.state.transaction is None
        cause = ChangeCause(TriggerReason.SIGNED_DATA_RECEIVED) if report or starts else None
        self._set_state(replace(self.state, signed_transaction_id=transaction_id), cause)

    async def halt(self) -> None:
        """Stop offering energy because the program stops, end the transaction, and wait until its end is on disk."""
        self._set_state(replace(self.state, halting=True), None)
        await self.end_transaction(TriggerReason.ABNORMAL_CONDITION, StoppedReason.REBOOT)

    async def end_transaction(self, trigger: TriggerReason, reason: StoppedReason) -> None:
        """End the open transaction, if there is one, and wait until its Ended event is on disk.

        Does not wait for a meter that does not answer: then it is enough that the stop reason is on disk.
        """
        if self.state.transaction is not None:
            self.end_authorization(trigger, reason, ends_transaction=True)
        count_before = self.changed.count
        while self.state.transaction is not None:
            count_before = await self.changed.wait(count_before)
        await self._queue.wait_recorded()

    # Consequences

    def _note_observed(self) -> None:
        if not self.observed:
            self.observed = True
            self.changed.notify()
            self.state_changed.publish(None)

    def _set_state(self, after: EvseState, cause: ChangeCause | None) -> None:
        """Set the state; the only place that does. Record the resulting events and notify listeners."""
        before, now_s = self.state, self._clock.monotonic()
        tx_start_points, tx_stop_points = self._settings.tx_start_points, self._settings.tx_stop_points
        self._tx_points_changed = False
        energy_starts = TxPoint.ENERGY_TRANSFER.value in tx_start_points
        signs = self.layout.signs
        after = with_derived_values(before, replace(after, energy_starts_transaction=energy_starts, signs=signs), now_s)
        rules = TransactionRules(
            self.id,
            self.layout.connector_id,
            start_points(tx_start_points, signs=signs),
            frozenset(TxPoint(point) for point in tx_stop_points),
        )
        outcome = update_transaction(before, after, cause, rules, self._clock.now(), lambda: str(uuid.uuid4()))
        self.state = with_derived_values(after, outcome.state, now_s)
        charging = self.state.charging_state is ChargingState.CHARGING
        self._charging_time.update(open_transaction_id(self.state), charging=charging)
        for event in with_resulting_charging_state(outcome.events, self.state):
            self.record(event)
        if self.state != before:
            self._log_changes(before)
            self.changed.notify()
            self.state_changed.publish(None)

    def count_unrecorded(self, transaction_id: str | None) -> int:
        """Return the number of its events that are not on disk yet, of one transaction or (None) of all."""
        return self._queue.count(transaction_id)

    def record(self, event: TransactionEvent) -> None:
        """Queue an event of this EVSE to be stored, completed with offline flag and durations."""
        charging_s = None if event.event_type is EventType.STARTED else int(self._charging_time.charging_s)
        lasted_s = round(self._charging_time.duration_s, 3)
        offline = not self._recording.csms.online
        self._queue.put(replace(event, offline=offline, time_spent_charging_s=charging_s, lasted_s=lasted_s))

    def event_recorded(self, event: TransactionEvent) -> None:
        """Update the state after an event was stored on disk: once the start of a transaction is, energy may flow."""
        transaction = self.state.transaction
        if transaction is not None and transaction.id == event.transaction_id and not transaction.recorded:
            self._set_state(replace(self.state, transaction=replace(transaction, recorded=True)), None)
        elif event.event_type is EventType.ENDED:
            self.changed.notify()  # others may wait for the end of the transaction to be stored

    def _note_changed_tx_points(self, _: tuple[str, ...]) -> None:
        self._tx_points_changed = True

    @property
    def _end_conditions(self) -> evse_changes.EndConditions:
        disconnection = self._settings.stop_tx_on_ev_side_disconnect
        unlocks = self._settings.unlock_on_ev_side_disconnect
        # A stuck register moves only when energy flows, so a pause would never end.
        ends_on_meter_failure = self._behaviour.stop_on_meter_failure or self.meter.register_stuck
        return evse_changes.EndConditions(ends_on_meter_failure, disconnection, unlocks)

    @property
    def _under_load(self) -> bool:
        """Whether the last reading shows load current."""
        latest = self.meter.latest
        return latest is not None and any((current_a or 0.0) >= NO_LOAD_A for current_a in latest.currents_a)

    def _metered(self, reading: Reading) -> None:
        after = evse_changes.apply_reading(self.state, reading)
        draw_a = after.draw_a
        if after is not self.state or self._tx_points_changed:  # elapsed time: see process_timeouts
            self._set_state(after, None)
        if self._pilot_compliance.exceeds(draw_a, self.offered_a):
            _log.error("EVSE %d: the vehicle draws %.1f A where %.1f A are offered", self.id, draw_a, self.offered_a)
            self.report_fault(Fault.OVER_CURRENT, True)

    def _apply_meter_failure(self, failing: bool) -> None:
        self.report_fault(Fault.METER, failing)
        if failing and self.meter.register_stuck and self.transaction_id is not None:
            # The fault was already present, which only paused charging.
            self.end_authorization(TriggerReason.ABNORMAL_CONDITION, StoppedReason.OTHER, ends_transaction=True)

    def note_storage_failure(self, failing: bool) -> None:
        """Pause charging while events cannot be stored (`failing`), if the station is configured so."""
        if self._behaviour.stop_on_storage_failure:
            self.report_fault(Fault.STORAGE, failing)

    def _log_changes(self, before: EvseState) -> None:
        if self.state.charging_state is not before.charging_state:
            _log.info("EVSE %d: charging state %s", self.id, self.state.charging_state)
        if blocking_faults(self.state) != blocking_faults(before):
            _log.warning(
                "EVSE %d: faults that prevent charging: %s",
                self.id,
                ", ".join(sorted(blocking_faults(self.state))) or "none",
            )

    async def wait_for_observation(self) -> None:
        """Wait until the board has sent an observation or failed."""
        count_before = self.changed.count
        while not self.observed:
            count_before = await self.changed.wait(count_before)

    def process_timeouts(self) -> None:
        """Update the state with the changes that are due by elapsed time, such as EVConnectionTimeOut.

        Called by the board driver at each change, and when `next_change_s` is reached.
        """
        now_s = self._clock.monotonic()
        deadline_s = connection_deadline_s(self.state, self.connection_timeout_s)
        if deadline_s is not None and now_s >= deadline_s:
            # E03.FR.05, E03.FR.15: with the parking bay as stop point only the authorization ends.
            ends = TxPoint.PARKING_BAY_OCCUPANCY.value not in self._settings.tx_stop_points
            self.end_authorization(TriggerReason.EV_CONNECT_TIMEOUT, StoppedReason.TIMEOUT, ends_transaction=ends)
        self._set_state(self.state, None)

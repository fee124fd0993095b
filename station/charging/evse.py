"""One EVSE at work: the one place where its state changes, and what follows for the record.

What an event makes of the state, `evse_changes` says; the board has a driver of its own.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

from foundation.change_signal import ChangeSignal
from foundation.constants import MINIMUM_CURRENT_A
from station.charging import evse_changes
from station.charging.board_driver import BoardDriver
from station.charging.contactor_count import ContactorCount
from station.charging.evse_state import (
    NO_LOAD_A,
    UNTIL_UNPLUGGED,
    Authorization,
    ChangeCause,
    EvseState,
    WithholdReason,
    blocking_faults,
    connection_deadline_s,
    connector_status,
    ev_connected,
    offers,
    pilot_behind,
    settled,
)
from station.charging.pilot_compliance import PilotComplianceMonitor
from station.charging.recorder import EventRecorder
from station.charging.sampler import Sampler
from station.charging.signing.meter_value_signing import MeterValueSigning
from station.charging.transaction import TransactionRules, TxPoint, as_settled, react, start_points
from station.core.charging_time import ChargingTime
from station.core.evse_layout import EvseLayout
from station.core.hardware.board import Board, Observation, SelfTest
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
    from energy.demand import Decision
    from energy.limit import Limit
    from foundation.clock import Clock
    from foundation.monitored_task import MonitoredTask
    from metering.reading import Phases, Reading
    from metering.time_quality import TimeStatus
    from station.charging.meter_polling import MeterPoller
    from station.charging.recording import Recording
    from station.charging.signing.meter_value_signing import SigningSetup
    from station.core.sampling import MeterValue
    from station.core.settings import Settings

_log = logging.getLogger(__name__)

_UNLOCK_S = 5.0
"""how long a lock may take to open"""

_BLIND = frozenset({Fault.BOARD, Fault.BOARD_SILENT})
"""faults that are all that is known of an EVSE"""


class Evse:
    """One EVSE. Everything that changes it is synchronous, hence atomic; tasks carry out what follows."""

    def __init__(
        self,
        layout: EvseLayout,
        board: Board,
        meter: MeterPoller,
        recording: Recording,
        settings: Settings,
        clock: Clock,
        signing: SigningSetup | None = None,
    ) -> None:
        """`signing` is None where nothing is signed."""
        self.layout = layout
        self.sensors = board.sensors
        """what it sees besides its connector"""
        self.meter = meter
        self.state = EvseState(attached_cable=layout.attached_cable, ventilation=layout.ventilation, metered=False)
        self.limits: tuple[Limit, ...] = ()
        self.looked_at = False
        """whether its board has told anything, or failed: before that nobody knows its status"""
        self.changed = ChangeSignal()
        """fires after each change of the state, and when an end is on record"""
        self.contactor = ContactorCount()
        """what its contactor has done so far"""
        self.signing = (
            MeterValueSigning(self, signing, recording.outbox, settings, clock) if signing is not None else None
        )
        """None: nothing is signed here"""
        self.sampler = Sampler(self, meter, recording, self.signing, settings, clock)
        self.stop_on_storage_failure = True
        self.stop_on_meter_failure = False
        """whether a transaction ends when its meter fails; else it waits for the meter without energy"""
        self._driver = BoardDriver(self, board, clock)
        self._recorder = EventRecorder(self, meter, recording, self.signing, settings, clock)
        self._recording = recording
        self._settings = settings
        self._clock = clock
        self._charging_time = ChargingTime(clock)
        self._draw = PilotComplianceMonitor(clock)
        self._unlock_until_s = -_UNLOCK_S
        self._recorder.recorded.subscribe(self.event_recorded)
        self._recorder.disk_failed.subscribe(self._storage_failed)
        meter.reading_taken.subscribe(self._metered)
        meter.failed.subscribe(self._meter_failed)

    # What others may know

    @property
    def id(self) -> int:
        """The number of the EVSE, from 1."""
        return self.layout.id

    @property
    def lasted_s(self) -> float:
        """How long its transaction has lasted, or the last one did until now."""
        return self._charging_time.lasted_s

    @property
    def connection_timeout_s(self) -> float:
        """How long an authorization waits for a vehicle (EVConnectionTimeOut)."""
        return float(self._settings.ev_connection_timeout_s)

    @property
    def transaction_id(self) -> str | None:
        """The open transaction, unless it is about to end."""
        transaction = self.state.transaction
        return transaction.id if transaction is not None and transaction.ending is None else None

    @property
    def end_pending(self) -> bool:
        """Whether the end of a transaction is not on record yet: it may wait for what the meter shows."""
        return self._recorder.end_pending

    @property
    def offered_a(self) -> float:
        """What the pilot offers now, amperes per phase."""
        return max(self.offered)

    @property
    def offered(self) -> Phases[float]:
        """The same on each phase: none on those that the board has taken away."""
        return offers(self.state, self.layout.phases)

    @property
    def time_status(self) -> TimeStatus:
        """How good the time is now."""
        return self._recording.time.status

    @property
    def selectable_phases(self) -> frozenset[int]:
        """The phases, 1 to 3, that its board can leave when it takes the other two away."""
        seen = self.state.seen
        if seen.phases is None:
            return frozenset()
        return frozenset({1, 2, 3}) if seen.phase is not None else frozenset({1})

    @property
    def monitored_tasks(self) -> tuple[MonitoredTask, ...]:
        """What goes on here and has to come to an end."""
        return *self._driver.monitored_tasks, self._recorder.writing

    @property
    def connector_status(self) -> ConnectorStatus:
        """The status of its connector."""
        return connector_status(self.state)

    @property
    def authorized_token(self) -> IdToken | None:
        """Who may charge here now."""
        return self.state.authorization.id_token if self.state.authorization is not None else None

    # What may happen to it

    def observe(self, seen: Observation) -> None:
        """The board sees something else than before."""
        self._note_look()
        before = self.state.seen
        seen = replace(seen, pilot=pilot_behind(seen, before.pilot))
        if seen == before and self.state.retained_for is None:
            return
        self.contactor = self.contactor.after(before.contactor_closed, seen.contactor_closed, load=self._loaded)
        self._become(*evse_changes.apply_observation(self.state, seen, self._endings))
        if not ev_connected(self.state) and self.state.faults & UNTIL_UNPLUGGED:
            self._become(replace(self.state, faults=self.state.faults - UNTIL_UNPLUGGED), None)

    def authorize(self, authorization: Authorization, trigger: TriggerReason) -> None:
        """Somebody may charge here from now on (E02.FR.20, F01.FR.19)."""
        cause = ChangeCause(trigger, id_token=authorization.id_token, remote_start_id=authorization.remote_start_id)
        authorization = replace(authorization, since_s=self._clock.monotonic())
        self._become(evse_changes.apply_authorization(self.state, authorization), cause)

    def end_authorization(
        self,
        trigger: TriggerReason,
        reason: StoppedReason,
        *,
        id_token: IdToken | None = None,
        ends_transaction: bool = False,
        keep_locked: bool = False,
    ) -> None:
        """Nobody may charge here any more; whether that ends the transaction, the stop points say."""
        ended = self.state.authorization
        held_for = ended.id_token if keep_locked and ended is not None else None
        cause = ChangeCause(trigger, reason, id_token, deauthorizes=True, ends_transaction=ends_transaction)
        self._become(replace(self.state, authorization=None, lock_held_for=held_for), cause)

    def set_group(self, group_id: IdToken | None) -> None:
        """The CSMS says whose group may also end this charge (E07.FR.01 b)."""
        if self.state.authorization is not None and group_id is not None:
            authorization = replace(self.state.authorization, group_id=group_id)
            self._become(replace(self.state, authorization=authorization), None)

    def retain_cable(self, holder: IdToken) -> None:
        """Its cable was kept for this holder when the power went; before `run`."""
        self._become(replace(self.state, retained_for=holder), None)

    def release_lock(self) -> None:
        """The holder has come for the cable."""
        self._become(replace(self.state, lock_held_for=None), None)

    async def unlock(self) -> bool:
        """Let the cable go, whoever it was kept for; returns whether the lock opened (F05.FR.04, F05.FR.06).

        The order goes out again even where the lock seems to be open, with or without a cable. Whoever asks again
        soon waits no longer than who asked first: a flood of these would keep the CSMS from being heard.
        """
        cause = ChangeCause(TriggerReason.UNLOCK_COMMAND) if self.state.transaction is not None else None  # E02.FR.17
        self._become(replace(self.state, lock_held_for=None), cause)
        self._driver.reapply_outputs()
        if (now_s := self._clock.monotonic()) >= self._unlock_until_s + _UNLOCK_S:
            self._unlock_until_s = now_s + _UNLOCK_S
        seen = self.changed.count
        while self.state.seen.locked and (left_s := self._unlock_until_s - self._clock.monotonic()) > 0:
            await self.changed.wait_for(seen, self._clock, left_s)
            seen = self.changed.count
        return not self.state.seen.locked and Fault.LOCK not in self.state.seen.faults

    async def test_residual_monitor(self) -> SelfTest | None:
        """Let the residual-current monitor test itself, without energy meanwhile; None: somebody uses this EVSE.

        Raises:
            BoardError: the board is gone.
        """
        state = self.state
        if state.testing or state.authorization is not None or state.transaction is not None:
            return None
        self._become(replace(self.state, testing=True), None)
        try:
            return await self._driver.test_residual_monitor()
        finally:
            self._become(replace(self.state, testing=False), None)

    def refuse_energy(self, *, beyond_wh: float) -> None:
        """The CSMS does not accept the id but lets the transaction run (E05.FR.02, E05.FR.03).

        `beyond_wh` is how much energy it may still have; 0 stops it at once.
        """
        if self.state.transaction is None:
            return
        register_wh = self.meter.latest.energy_import_wh if self.meter.latest is not None else None
        self._become(evse_changes.apply_energy_refusal(self.state, register_wh, beyond_wh=beyond_wh), None)

    def apply_decision(self, decision: Decision) -> None:
        """The limits now allow this current, on so many phases where the board can switch them.

        Below 6 A it is a pause, which waits for the vehicle unless its contactor has to open at once.
        """
        self.limits = decision.limits
        offered_a = min(decision.current_a, self.layout.max_current_a)
        cut = decision.open_now or (self.state.open_at_once and offered_a < MINIMUM_CURRENT_A)
        after = replace(self.state, offered_a=offered_a, open_at_once=cut, phases=decision.phases, phase=decision.phase)
        if after != self.state:
            self._become(after, None)

    def report_fault(self, fault: Fault, present: bool) -> None:
        """The station found a fault, or that it is gone."""
        if present is (fault in self.state.faults):
            return
        if fault in _BLIND:
            self._note_look()
        level, what = (logging.WARNING, "found") if present else (logging.INFO, "gone")
        _log.log(level, "EVSE %d: %s %s", self.id, fault, what)
        self._become(*evse_changes.apply_fault(self.state, fault, present, self._endings))

    def set_in_service(self, in_service: bool) -> None:
        """Take the EVSE into or out of service (G03); a transaction that runs is let finish first.

        Who was authorized and has not begun a transaction has to come again.
        """
        after = replace(self.state, in_service=in_service)
        if not after.operative:
            after = replace(after, authorization=None)
        self._become(after, None)

    def set_withheld(self, why: WithholdReason, withheld: bool) -> None:
        """Keep everybody from it for a reason, or no longer for this one; a transaction is to have ended before."""
        reasons = self.state.withheld | {why} if withheld else self.state.withheld - {why}
        self._become(replace(self.state, withheld=reasons), None)

    def set_dormant(self, dormant: bool) -> None:
        """Serve nobody but the installer, or the public; a transaction that runs is let finish."""
        self._become(replace(self.state, dormant=dormant), None)

    def reset(self) -> None:
        """Begin anew, as after power-up (B11.FR.08): latched faults are looked for again, the cable is let go."""
        self._become(evse_changes.reset_state(self.state), None)
        self._driver.reapply_outputs()

    def record_sample(self, trigger: TriggerReason, value: MeterValue | None) -> None:
        """Make a transaction event of a sample (J02.FR.11); one that was asked for names its EVSE (F06.FR.11)."""
        if (transaction := self.state.transaction) is not None:
            connector_id = self.layout.connector_id if transaction.connector_told else None
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

    def confirm_signed_begin(self, transaction_id: str, *, tell: bool) -> None:
        """The begin of this transaction is signed, or it has to do without; before that there was no energy.

        The CSMS is told of it with an event of its own where `tell` says so, or where it starts the transaction.
        """
        starts = self.state.transaction is None
        cause = ChangeCause(TriggerReason.SIGNED_DATA_RECEIVED) if tell or starts else None
        self._become(replace(self.state, signed_transaction_id=transaction_id), cause)

    async def halt(self) -> None:
        """Stop charging because the program stops: the transaction ends and its end is on disk."""
        self._become(replace(self.state, halting=True), None)
        await self.end_transaction(TriggerReason.ABNORMAL_CONDITION, StoppedReason.REBOOT)

    async def end_transaction(self, trigger: TriggerReason, reason: StoppedReason) -> None:
        """End the transaction, if there is one, and wait until its end is on disk."""
        if self.state.transaction is not None:
            self.end_authorization(trigger, reason, ends_transaction=True)
        seen = self.changed.count
        while self.state.transaction is not None:
            seen = await self.changed.wait(seen)
        await self._recorder.wait_recorded()

    # What follows

    def _note_look(self) -> None:
        if not self.looked_at:
            self.looked_at = True
            self.changed.notify()

    def _become(self, after: EvseState, cause: ChangeCause | None) -> None:
        """The one place where the state changes."""
        before, now_s = self.state, self._clock.monotonic()
        energy_starts = TxPoint.ENERGY_TRANSFER.value in self._settings.tx_start_points
        signs = self.signing is not None
        after = settled(before, replace(after, energy_starts_transaction=energy_starts, signs=signs), now_s)
        rules = TransactionRules(
            self.id,
            self.layout.connector_id,
            start_points(self._settings.tx_start_points, signs=signs),
            frozenset(TxPoint(point) for point in self._settings.tx_stop_points),
        )
        outcome = react(before, after, cause, rules, self._clock.now(), lambda: str(uuid.uuid4()))
        self.state = settled(after, outcome.state, now_s)
        charging = self.state.charging_state is ChargingState.CHARGING
        self._charging_time.update(_transaction_of(self.state), charging=charging)
        for event in as_settled(outcome.events, self.state):
            self.record(event)
        if self.state != before:
            self._say(before)
            self.changed.notify()
            if (running := _transaction_of(self.state)) != _transaction_of(before):
                self._recording.transactions.update(self.id, running=running is not None)
                self.sampler.reschedule()

    def unrecorded(self, transaction_id: str | None) -> int:
        """How many events are not on disk yet, of one transaction or of all."""
        return self._recorder.count_waiting(transaction_id)

    def record_recovered_end(self, end: TransactionEvent, shown: Reading | None, *, key_told: bool) -> None:
        """Record the end of a transaction that a power cut left behind as soon as the meter answers; before `run`.

        `shown` is what the meter showed last, as far as that is on record.
        """
        self._recorder.record_end(end, shown, key_told=key_told)

    def record(self, event: TransactionEvent) -> None:
        """Bring an event of this EVSE to the record, after those before it."""
        spent_s = None if event.event_type is EventType.STARTED else int(self._charging_time.seconds)
        lasted_s = round(self._charging_time.lasted_s, 3)
        offline = not self._recording.csms.online
        self._recorder.record(replace(event, offline=offline, time_spent_charging_s=spent_s, lasted_s=lasted_s))

    def event_recorded(self, event: TransactionEvent) -> None:
        """An event of this EVSE is on disk: what had to wait for that may begin."""
        transaction = self.state.transaction
        if transaction is not None and transaction.id == event.transaction_id and not transaction.recorded:
            self._become(replace(self.state, transaction=replace(transaction, recorded=True)), None)
        elif event.event_type is EventType.ENDED:
            self.changed.notify()  # it may have waited for its meter, and others for it

    @property
    def _endings(self) -> evse_changes.EndConditions:
        disconnection = self._settings.stop_tx_on_ev_side_disconnect
        unlocks = self._settings.unlock_on_ev_side_disconnect
        # A stuck register moves only when energy flows, so a pause would never end.
        meter_ends = self.stop_on_meter_failure or self.meter.register_stuck
        return evse_changes.EndConditions(meter_ends, disconnection, unlocks)

    @property
    def _loaded(self) -> bool:
        """Whether the meter last showed a load."""
        latest = self.meter.latest
        return latest is not None and any((current_a or 0.0) >= NO_LOAD_A for current_a in latest.currents_a)

    def _metered(self, reading: Reading) -> None:
        after = evse_changes.apply_reading(self.state, reading)
        draw_a = after.draw_a
        self._become(after, None)
        if self._draw.exceeds(draw_a, self.offered_a):
            _log.error("EVSE %d: the vehicle draws %.1f A where %.1f A are offered", self.id, draw_a, self.offered_a)
            self.report_fault(Fault.OVER_CURRENT, True)

    def _meter_failed(self, failing: bool) -> None:
        self.report_fault(Fault.METER, failing)
        if failing and self.meter.register_stuck and self.transaction_id is not None:
            # It had failed before, which only paused the charge.
            self.end_authorization(TriggerReason.ABNORMAL_CONDITION, StoppedReason.OTHER, ends_transaction=True)

    def _storage_failed(self, failing: bool) -> None:
        if self.stop_on_storage_failure:
            self.report_fault(Fault.STORAGE, failing)

    def _say(self, before: EvseState) -> None:
        if self.state.charging_state is not before.charging_state:
            _log.info("EVSE %d: %s", self.id, self.state.charging_state)
        if blocking_faults(self.state) != blocking_faults(before):
            _log.warning("EVSE %d: faults: %s", self.id, ", ".join(sorted(blocking_faults(self.state))) or "none")

    # Tasks

    async def make_safe(self) -> None:
        """Before anything else: the contactor is open, whatever the board was told in another life."""
        await self._driver.make_safe()

    async def wait_for_observation(self) -> None:
        """Wait until its board has told anything, or failed."""
        seen = self.changed.count
        while not self.looked_at:
            seen = await self.changed.wait(seen)

    async def run(self) -> None:
        """Work until cancelled; whatever ends this leaves the contactor open."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._driver.run(), name=f"evse-{self.id}-driver")
            group.create_task(self._recorder.run(), name=f"evse-{self.id}-recorder")
            group.create_task(self.meter.run(), name=f"evse-{self.id}-meter")
            group.create_task(self.sampler.run(), name=f"evse-{self.id}-sampler")
            if self.signing is not None:
                group.create_task(self.signing.run(), name=f"evse-{self.id}-signing")

    def process_timeouts(self) -> None:
        """Do what time alone brings."""
        now_s = self._clock.monotonic()
        deadline_s = connection_deadline_s(self.state, self.connection_timeout_s)
        if deadline_s is not None and now_s >= deadline_s:
            # E03.FR.05, E03.FR.15: with the parking bay as stop point only the authorization ends.
            ends = TxPoint.PARKING_BAY_OCCUPANCY.value not in self._settings.tx_stop_points
            self.end_authorization(TriggerReason.EV_CONNECT_TIMEOUT, StoppedReason.TIMEOUT, ends_transaction=ends)
        self._become(self.state, None)


def _transaction_of(state: EvseState) -> str | None:
    return state.transaction.id if state.transaction is not None else None

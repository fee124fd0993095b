"""The real `Evse` without its tasks: steps go in, its state and its transaction events come out, time is a number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import aiosqlite

from energy.demand import Decision
from metering.clock import Clock, TimerHandle
from metering.frozen import frozen
from metering.signed import Signatory
from station.evse import Evse
from station.evse_layout import EvseLayout
from station.evse_state import Authorization, EvseState, Withheld, next_change_s, outputs, signature_due
from station.hardware.board import NOTHING_SEEN, Observation, Outputs
from station.metrology.meter_watch import MeterWatch
from station.metrology.signatures import Means, Signatures
from station.metrology.signed_records import SignedRecords
from station.metrology.signing import Signing
from station.metrology.signing_key import SigningKey
from station.model import Fault, PilotState, StoppedReason, TransactionEvent, TriggerReason
from station.records.database import Database
from station.records.fact_store import FactStore
from station.records.outbox import Outbox
from station.records.recorder import Recorder
from station.settings import Settings
from station.tokens.admission import may_hold, usable
from station.transaction import Rules, TxPoint, start_points
from tests import fakes

OFFER_A: Final = 16.0
TRANSACTION: Final = "transaction"
"""the id of the open transaction in a normalised state"""


@frozen
class EvseSetup:
    """The settings of one exploration."""

    start: tuple[str, ...] = ("EVConnected", "Authorized")
    stop: tuple[str, ...] = ("EVConnected", "Authorized")
    attached_cable: bool = False
    signs: bool = False
    stops_on_disconnection: bool = True
    """StopTxOnEVSideDisconnect"""
    unlocks_on_disconnection: bool = True
    """UnlockOnEVSideDisconnect"""
    meter_failure_ends: bool = False
    most_faults: int = 1
    """how many faults may be present at the same time"""

    @property
    def rules(self) -> Rules:
        """The start and stop points as the machine reads them."""
        stop = frozenset(TxPoint(point) for point in self.stop)
        return Rules(1, 1, start_points(self.start, signs=self.signs), stop)


class _FixedClock(Clock):
    """Elapsed time that is assigned; the wall time stands still, so that equal states stay equal."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def now(self) -> datetime:
        return fakes.NOON

    def monotonic(self) -> float:
        return self.now_s

    def call_later(self, delay_s: float, callback: Callable[[], object]) -> TimerHandle:
        raise NotImplementedError("nothing waits here")

    def adjust(self, correction: timedelta) -> None:
        raise NotImplementedError("nobody sets this clock")


class _KeepingRecorder(Recorder):
    """Keeps the events instead of writing them."""

    kept: list[TransactionEvent]

    def put(self, event: TransactionEvent) -> None:
        self.kept.append(event)


class EvseMachine:
    """One EVSE whose state can be read, replaced, and changed by steps."""

    def __init__(self, setup: EvseSetup) -> None:
        self.setup = setup
        self.clock = _FixedClock()
        settings = Settings()
        settings.override(Settings.tx_start_points, setup.start)
        settings.override(Settings.tx_stop_points, setup.stop)
        settings.override(Settings.stop_tx_on_ev_side_disconnect, setup.stops_on_disconnection)
        settings.override(Settings.unlock_on_ev_side_disconnect, setup.unlocks_on_disconnection)
        database = Database(aiosqlite.connect(":memory:"), self.clock)  # never opened
        outbox = Outbox(database, self.clock)
        self.meter = MeterWatch("meter", fakes.FakeMeter(), self.clock)
        self.recorder = _KeepingRecorder(outbox, self.meter, settings, self.clock)
        self.recorder.kept = []
        layout = EvseLayout(1, attached_cable=setup.attached_cable)
        self.evse = Evse(layout, fakes.FakeBoard(), self.meter, self.recorder, settings, self.clock)
        self.evse.stop_on_meter_failure = setup.meter_failure_ends
        if setup.signs:
            self.evse.sign_with(_signing(self.evse, database, outbox, settings, self.clock))

    @property
    def state(self) -> EvseState:
        """The state now."""
        return self.evse.state

    @property
    def orders(self) -> Outputs:
        """What the board is ordered to do now."""
        return outputs(self.state, self.clock.now_s)

    @property
    def events(self) -> list[TransactionEvent]:
        """The events that have been recorded so far."""
        return self.recorder.kept

    def resume(self, state: EvseState) -> None:
        """Continue from a normalised state, at time 0."""
        self.evse.state = state
        self.clock.now_s = 0.0
        self.recorder.kept = []

    def does(self, name: str) -> bool:
        """Do a step if it is possible now; returns whether it was."""
        step = STEPS[name]
        if not step.possible(self):
            return False
        step.act(self)
        return True

    def run(self, names: str) -> list[TransactionEvent]:
        """Do these steps, separated by blanks, all of which must be possible; returns the events of the last one."""
        last = 0
        for name in names.split():
            last = len(self.events)
            assert self.does(name), f"{name} is not possible"
        return self.events[last:]

    def see(self, **changed: object) -> None:
        """The board observes a change."""
        self.evse.observe(replace(self.state.seen, **changed))


def _signing(evse: Evse, database: Database, outbox: Outbox, settings: Settings, clock: Clock) -> Signing:
    where = Signatory("borne", "1-1", "0", "fake", "4711", "0", "STATION 1")
    records = SignedRecords(database, clock)
    means = Means(SigningKey(Path("never-read.pem")), None, records, FactStore(database, "signing-key"), lambda: where)
    return Signing(evse, Signatures(1, means, clock), outbox, settings, clock)


@frozen
class EvseStep:
    """Something that may happen to an EVSE."""

    possible: Callable[[EvseMachine], bool]
    act: Callable[[EvseMachine], None]


def _connected(machine: EvseMachine) -> bool:
    return machine.state.seen.pilot in {PilotState.B, PilotState.C, PilotState.D}


def _pilot(pilot: PilotState) -> EvseStep:
    """The vehicle, or a fault of the line, shows another pilot state."""

    def act(machine: EvseMachine) -> None:
        machine.see(pilot=pilot, cable_plugged=True)

    return EvseStep(lambda it: it.state.seen.cable_plugged and it.state.seen.pilot is not pilot, act)


def _leave(*, with_cable: bool) -> EvseStep:
    """The vehicle is disconnected; its cable stays in the socket or leaves too."""

    def possible(machine: EvseMachine) -> bool:
        seen = machine.state.seen
        return seen.cable_plugged and (with_cable or (_connected(machine) and not machine.setup.attached_cable))

    def act(machine: EvseMachine) -> None:
        cable_max_a = None if with_cable else machine.state.seen.cable_max_a
        machine.see(pilot=PilotState.A, cable_plugged=not with_cable, cable_max_a=cable_max_a)

    return EvseStep(possible, act)


def _faults(machine: EvseMachine) -> int:
    return len(machine.state.faults) + len(machine.state.seen.faults - machine.state.faults)


def _board_fault(fault: Fault, *, present: bool) -> EvseStep:
    """The board observes a fault, or its end."""

    def possible(machine: EvseMachine) -> bool:
        seen = machine.state.seen.faults
        return present is not (fault in seen) and (not present or _faults(machine) < machine.setup.most_faults)

    def act(machine: EvseMachine) -> None:
        seen = machine.state.seen.faults
        machine.see(faults=seen | {fault} if present else seen - {fault})

    return EvseStep(possible, act)


def _own_fault(fault: Fault, *, present: bool) -> EvseStep:
    """The station finds a fault, or its end."""

    def possible(machine: EvseMachine) -> bool:
        known = machine.state.faults
        return present is not (fault in known) and (not present or _faults(machine) < machine.setup.most_faults)

    return EvseStep(possible, lambda it: it.evse.report_fault(fault, present))


def _offer(current_a: float) -> EvseStep:
    return EvseStep(lambda it: it.state.offered_a != current_a, lambda it: it.evse.offer(Decision(current_a, ())))


def _authorize(trigger: TriggerReason, remote_start_id: int | None) -> EvseStep:
    def possible(machine: EvseMachine) -> bool:
        free = machine.state.authorization is None
        return free and usable(machine.evse) and may_hold(machine.evse, fakes.CARD)

    def act(machine: EvseMachine) -> None:
        machine.evse.authorize(Authorization(fakes.CARD, remote_start_id=remote_start_id), trigger)

    return EvseStep(possible, act)


def _is_answered(machine: EvseMachine) -> bool:
    """Whether the CSMS may have answered an event that carried the token of whoever is authorized."""
    transaction = machine.state.transaction
    return (
        machine.evse.transaction_id is not None
        and machine.state.authorization is not None
        and transaction is not None
        and transaction.recorded
        and transaction.holder is not None
    )


def _end(trigger: TriggerReason, reason: StoppedReason, *, by_reset: bool = False) -> Callable[[EvseMachine], None]:
    keeps_cable = trigger is TriggerReason.DEAUTHORIZED
    token = fakes.CARD if trigger is TriggerReason.STOP_AUTHORIZED else None

    def act(machine: EvseMachine) -> None:
        machine.evse.end_authorization(
            trigger, reason, id_token=token, ends_transaction=by_reset, keep_locked=keeps_cable
        )

    return act


def _record(machine: EvseMachine) -> None:
    started = next((event for event in machine.events if event.transaction_id == _id(machine)), None)
    on_recorded = machine.recorder.on_recorded
    assert on_recorded is not None
    on_recorded(started or fakes.event(_id(machine)))


def _id(machine: EvseMachine) -> str:
    transaction = machine.state.transaction
    return transaction.id if transaction is not None else ""


def _unrecorded(machine: EvseMachine) -> bool:
    transaction = machine.state.transaction
    return transaction is not None and not transaction.recorded


def _obey(machine: EvseMachine) -> None:
    orders = machine.orders
    machine.see(contactor_closed=orders.contactor, locked=orders.lock)


def _obeys_not_yet(machine: EvseMachine) -> bool:
    seen, orders = machine.state.seen, machine.orders
    return (seen.contactor_closed, seen.locked) != (orders.contactor, orders.lock)


def _next_s(machine: EvseMachine) -> float | None:
    return next_change_s(machine.state, machine.clock.now_s, machine.evse.connection_timeout_s)


def _let_time_pass(machine: EvseMachine) -> None:
    machine.clock.now_s = _next_s(machine) or machine.clock.now_s
    machine.evse.let_time_pass()


def _read_meter(current_a: float) -> Callable[[EvseMachine], None]:
    def act(machine: EvseMachine) -> None:
        assert machine.meter.on_reading is not None
        machine.meter.on_reading(fakes.reading(1000.0, current_a))

    return act


def _begin_reset(machine: EvseMachine) -> None:
    machine.evse.withhold(Withheld.RESET, True)
    machine.evse.forget()


def _sign(machine: EvseMachine) -> None:
    machine.evse.begin_signed(_id(machine) or TRANSACTION, tell=False)


def _after(previous: Observation) -> Observation:
    """A vehicle is plugged in, ready or not, with its cable."""
    return replace(previous, pilot=PilotState.B, cable_plugged=True, cable_max_a=32.0)


def _always(machine: EvseMachine) -> bool:
    del machine
    return True


STEPS: Final[dict[str, EvseStep]] = {
    "nothing": EvseStep(_always, lambda it: it.evse.let_time_pass()),
    "time": EvseStep(lambda it: _next_s(it) is not None, _let_time_pass),
    # The vehicle, its cable and its place
    "plug": EvseStep(lambda it: not it.state.seen.cable_plugged, lambda it: it.evse.observe(_after(it.state.seen))),
    "B": _pilot(PilotState.B),
    "C": _pilot(PilotState.C),
    "D": _pilot(PilotState.D),
    "E": _pilot(PilotState.E),
    "F": _pilot(PilotState.F),
    "ev-gone": _leave(with_cable=False),
    "unplug": _leave(with_cable=True),
    "bay": EvseStep(_always, lambda it: it.see(bay_occupied=not it.state.seen.bay_occupied)),
    # The driver and the CSMS
    "authorize": _authorize(TriggerReason.AUTHORIZED, None),
    "remote-start": _authorize(TriggerReason.REMOTE_START, 7),
    "stop": EvseStep(
        lambda it: it.state.authorization is not None, _end(TriggerReason.STOP_AUTHORIZED, StoppedReason.LOCAL)
    ),
    "remote-stop": EvseStep(
        lambda it: it.evse.transaction_id is not None, _end(TriggerReason.REMOTE_STOP, StoppedReason.REMOTE)
    ),
    "invalid": EvseStep(_is_answered, _end(TriggerReason.DEAUTHORIZED, StoppedReason.DE_AUTHORIZED)),
    "refuse": EvseStep(_is_answered, lambda it: it.evse.refuse_energy(beyond_wh=0.0)),
    "release": EvseStep(lambda it: it.state.lock_held_for is not None, lambda it: it.evse.release_lock()),
    # What the station itself does
    "recorded": EvseStep(_unrecorded, _record),
    "signed": EvseStep(lambda it: signature_due(it.state), _sign),
    "pause": _offer(0.0),
    "energy": _offer(OFFER_A),
    "read": EvseStep(lambda it: not it.state.metered, _read_meter(OFFER_A)),
    "no-load": EvseStep(lambda it: it.state.seen.contactor_closed and it.state.metered, _read_meter(0.0)),
    "load": EvseStep(lambda it: it.state.draw_a == 0.0, _read_meter(3.0)),
    "out-of-service": EvseStep(lambda it: it.state.in_service, lambda it: it.evse.set_in_service(False)),
    "in-service": EvseStep(lambda it: not it.state.in_service, lambda it: it.evse.set_in_service(True)),
    "end-for-reset": EvseStep(
        lambda it: it.evse.transaction_id is not None,
        _end(TriggerReason.RESET_COMMAND, StoppedReason.IMMEDIATE_RESET, by_reset=True),
    ),
    "reset": EvseStep(lambda it: it.state.transaction is None and not it.state.withheld, _begin_reset),
    "reset-done": EvseStep(lambda it: bool(it.state.withheld), lambda it: it.evse.withhold(Withheld.RESET, False)),
    # The board, and what breaks
    "obey": EvseStep(_obeys_not_yet, _obey),
    "fb-flip": EvseStep(_always, lambda it: it.see(contactor_closed=not it.state.seen.contactor_closed)),
    "lock-flip": EvseStep(_always, lambda it: it.see(locked=not it.state.seen.locked)),
    "ground+": _board_fault(Fault.GROUND_FAULT, present=True),
    "ground-": _board_fault(Fault.GROUND_FAULT, present=False),
    "estop+": _board_fault(Fault.EMERGENCY_STOP, present=True),
    "estop-": _board_fault(Fault.EMERGENCY_STOP, present=False),
    "monitor+": _board_fault(Fault.RESIDUAL_MONITOR, present=True),
    "monitor-": _board_fault(Fault.RESIDUAL_MONITOR, present=False),
    "diode+": _board_fault(Fault.DIODE, present=True),
    "diode-": _board_fault(Fault.DIODE, present=False),
    "weld+": _own_fault(Fault.CONTACTOR_WELDED, present=True),
    "board+": _own_fault(Fault.BOARD, present=True),
    "board-": _own_fault(Fault.BOARD, present=False),
    "meter+": _own_fault(Fault.METER, present=True),
    "meter-": _own_fault(Fault.METER, present=False),
    "lock+": _own_fault(Fault.LOCK, present=True),
    "lock-": _own_fault(Fault.LOCK, present=False),
}
"""everything that may happen, by name"""


def first_state(setup: EvseSetup, *, metered: bool = True) -> EvseState:
    """An EVSE that nobody uses, with a limit that allows energy; `metered`: its meter has been read already."""
    return EvseState(seen=NOTHING_SEEN, attached_cable=setup.attached_cable, metered=metered, offered_a=OFFER_A)

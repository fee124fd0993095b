"""The real `Evse` without its tasks: steps go in, its state and its transaction events come out, time is a number."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from energy.demand import Decision
from foundation.clock import Clock, TimerHandle
from foundation.frozen import Frozen
from station.charging.evse import Evse, EvseBehaviour
from station.charging.evse_state import Authorization, EvseState, WithholdReason, next_change_s, outputs, signature_due
from station.charging.meter_polling import MeterPoller
from station.charging.starts.start_rules import can_authorize, matches_holder, may_present_contract
from station.charging.transaction import TransactionRules, TxPoint, start_points
from station.charging.transaction_settings import TransactionSettings
from station.charging.unrecorded_events import UnrecordedEvents
from station.charging.vehicle_state import NO_VEHICLE_LINK, Communication, Delivery, VehicleSignal, VehicleState
from station.core.evse_layout import EvseLayout
from station.core.hardware.board import NO_OBSERVATION, Observation, Outputs, Sensor
from station.core.model import Fault, IdToken, PilotState, StoppedReason, TransactionEvent, TriggerReason
from station.storage.database import Database, DatabaseConnection
from station.storage.database_thread import DatabaseThread
from station.storage.outbox import Outbox
from station.storage.read_connections import ReadConnections
from tests import fakes

OFFER_A: Final = 16.0
CONTRACT: Final = IdToken("FRBRNC12345678X", "eMAID")
"""the contract of the vehicle"""
_GRANTED_WH: Final = 500.0
"""what a refused token may still have (MaxEnergyOnInvalidId)"""
_REGISTER_WH: Final = 1_000.0
TRANSACTION: Final = "transaction"
"""the id of the open transaction in a normalised state"""


class EvseSetup(Frozen):
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
    switches_phases: bool = False
    """the board can connect one phase or three"""
    linked: bool = False
    """something speaks ISO 15118 with its vehicles"""
    most_faults: int = 1
    """how many faults may be present at the same time"""

    @property
    def rules(self) -> TransactionRules:
        """The start and stop points as the machine reads them."""
        stop = frozenset(TxPoint(point) for point in self.stop)
        return TransactionRules(1, 1, start_points(self.start, signs=self.signs), stop)


class _FixedClock(Clock):
    """A clock whose elapsed time is assigned; its wall time is constant, so that equal states stay equal."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def now(self) -> datetime:
        return fakes.NOON

    def monotonic(self) -> float:
        return self.now_s

    def call_later(self, delay_s: float, callback: Callable[[], object]) -> TimerHandle:
        raise NotImplementedError("nothing waits here")

    def _move_wall_time(self, correction: timedelta) -> None:
        raise NotImplementedError("nobody sets this clock")


class _KeepingEvse(Evse):
    """Collects its events instead of recording them."""

    recorded_events: list[TransactionEvent]

    def record(self, event: TransactionEvent) -> None:
        self.recorded_events.append(event)


class EvseMachine:
    """One EVSE whose state can be read, replaced, and changed by steps."""

    def __init__(self, setup: EvseSetup) -> None:
        self.setup = setup
        self.clock = _FixedClock()
        settings = fakes.evse_settings()
        settings.transactions.override(TransactionSettings.tx_start_points, setup.start)
        settings.transactions.override(TransactionSettings.tx_stop_points, setup.stop)
        settings.transactions.override(TransactionSettings.stop_tx_on_ev_side_disconnect, setup.stops_on_disconnection)
        settings.transactions.override(TransactionSettings.unlock_on_ev_side_disconnect, setup.unlocks_on_disconnection)
        connection = DatabaseConnection(Path(), DatabaseThread())  # never opened
        database = Database(connection, self.clock, ReadConnections(self.clock))
        outbox = Outbox(database, self.clock)
        self.meter = MeterPoller("meter", fakes.FakeMeter(), self.clock)
        self.meter.latest = fakes.reading(_REGISTER_WH)
        layout = EvseLayout(1, attached_cable=setup.attached_cable, sensors=frozenset(Sensor), signs=setup.signs)
        behaviour = EvseBehaviour(stop_on_meter_failure=setup.meter_failure_ends)
        self.evse = _KeepingEvse(
            layout,
            self.meter,
            UnrecordedEvents(),
            fakes.recording(outbox),
            settings.transactions,
            self.clock,
            behaviour,
        )
        self.evse.recorded_events = []

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
        return self.evse.recorded_events

    def resume(self, state: EvseState) -> None:
        """Continue from a normalised state, at time 0."""
        self.evse.state = state
        self.clock.now_s = 0.0
        self.evse.recorded_events = []

    def try_step(self, name: str) -> bool:
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
            assert self.try_step(name), f"{name} is not possible"
        return self.events[last:]

    def observe_change(self, **changed: object) -> None:
        """Let the board observe a change."""
        self.evse.observe(replace(self.state.observation, **changed))


class EvseStep(Frozen):
    """Something that may happen to an EVSE."""

    possible: Callable[[EvseMachine], bool]
    act: Callable[[EvseMachine], None]


def _connected(machine: EvseMachine) -> bool:
    return machine.state.observation.pilot in {PilotState.B, PilotState.C, PilotState.D}


def _pilot(pilot: PilotState) -> EvseStep:
    """The vehicle, or a fault of the line, shows another pilot state."""

    def act(machine: EvseMachine) -> None:
        machine.observe_change(pilot=pilot, cable_plugged=True)

    return EvseStep(
        lambda machine: machine.state.observation.cable_plugged and machine.state.observation.pilot is not pilot, act
    )


def _disconnect(*, with_cable: bool) -> EvseStep:
    """The vehicle is disconnected; its cable stays in the socket or leaves too."""

    def possible(machine: EvseMachine) -> bool:
        observation = machine.state.observation
        return observation.cable_plugged and (with_cable or (_connected(machine) and not machine.setup.attached_cable))

    def act(machine: EvseMachine) -> None:
        cable_max_a = None if with_cable else machine.state.observation.cable_max_a
        machine.observe_change(pilot=PilotState.A, cable_plugged=not with_cable, cable_max_a=cable_max_a)

    return EvseStep(possible, act)


def _faults(machine: EvseMachine) -> int:
    return len(machine.state.faults) + len(machine.state.observation.faults - machine.state.faults)


def _board_fault(fault: Fault, *, present: bool) -> EvseStep:
    """The board observes a fault, or its end."""

    def possible(machine: EvseMachine) -> bool:
        faults = machine.state.observation.faults
        return present is not (fault in faults) and (not present or _faults(machine) < machine.setup.most_faults)

    def act(machine: EvseMachine) -> None:
        faults = machine.state.observation.faults
        machine.observe_change(faults=faults | {fault} if present else faults - {fault})

    return EvseStep(possible, act)


def _own_fault(fault: Fault, *, present: bool) -> EvseStep:
    """The station finds a fault, or its end."""

    def possible(machine: EvseMachine) -> bool:
        known = machine.state.faults
        return present is not (fault in known) and (not present or _faults(machine) < machine.setup.most_faults)

    return EvseStep(possible, lambda machine: machine.evse.report_fault(fault, present))


def _offer(current_a: float, *, open_now: bool = False) -> EvseStep:
    """The limits allow this current now; `open_now`: the connection is about to trip."""

    def possible(machine: EvseMachine) -> bool:
        return machine.state.offered_a != current_a or (open_now and not machine.state.open_at_once)

    def act(machine: EvseMachine) -> None:
        machine.evse.apply_decision(Decision(current_a, (), open_now=open_now, phases=machine.state.phases))

    return EvseStep(possible, act)


def _connect(phases: int) -> EvseStep:
    """The limits want the vehicle to charge on one phase, or on three."""

    def possible(machine: EvseMachine) -> bool:
        return machine.setup.switches_phases and machine.state.phases != phases

    def act(machine: EvseMachine) -> None:
        machine.evse.apply_decision(Decision(machine.state.offered_a, (), phases=phases))

    return EvseStep(possible, act)


def _authorize(trigger: TriggerReason, remote_start_id: int | None) -> EvseStep:
    def possible(machine: EvseMachine) -> bool:
        free = machine.state.authorization is None
        return free and can_authorize(machine.state) and matches_holder(machine.state, fakes.CARD)

    def act(machine: EvseMachine) -> None:
        machine.evse.authorize(Authorization(fakes.CARD, remote_start_id=remote_start_id), trigger)

    return EvseStep(possible, act)


def _authorize_contract() -> EvseStep:
    def possible(machine: EvseMachine) -> bool:
        state = machine.state
        if state.vehicle.communication is not Communication.SESSION or not may_present_contract(state):
            return False
        return state.authorization is None and can_authorize(state) and matches_holder(state, CONTRACT)

    return EvseStep(possible, lambda machine: machine.evse.authorize(Authorization(CONTRACT), TriggerReason.AUTHORIZED))


def _vehicle_signal(signal: VehicleSignal, possible: Callable[[VehicleState], bool]) -> EvseStep:
    """Something happens to the communication with the vehicle."""
    return EvseStep(
        lambda machine: possible(machine.state.vehicle), lambda machine: machine.evse.apply_vehicle_signal(signal)
    )


def _in_session(vehicle: VehicleState) -> bool:
    return vehicle.communication is Communication.SESSION


def _may_begin_session(machine: EvseMachine) -> bool:
    state = machine.state
    basic = state.vehicle.communication is Communication.BASIC and state.observation.contactor_closed
    return state.vehicle.linked and _connected(machine) and not basic


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
    keep_locked = trigger is TriggerReason.DEAUTHORIZED
    token = fakes.CARD if trigger is TriggerReason.STOP_AUTHORIZED else None

    def act(machine: EvseMachine) -> None:
        machine.evse.end_authorization(
            trigger, reason, id_token=token, ends_transaction=by_reset, keep_locked=keep_locked
        )

    return act


def _record(machine: EvseMachine) -> None:
    started = next((event for event in machine.events if event.transaction_id == _id(machine)), None)
    machine.evse.event_recorded(started or fakes.event(_id(machine)))


def _id(machine: EvseMachine) -> str:
    transaction = machine.state.transaction
    return transaction.id if transaction is not None else ""


def _unrecorded(machine: EvseMachine) -> bool:
    transaction = machine.state.transaction
    return transaction is not None and not transaction.recorded


def _apply_outputs(machine: EvseMachine) -> None:
    orders = machine.orders
    machine.observe_change(contactor_closed=orders.contactor, locked=orders.lock, phases=orders.phases)


def _has_outputs_to_apply(machine: EvseMachine) -> bool:
    observation, orders = machine.state.observation, machine.orders
    return (observation.contactor_closed, observation.locked, observation.phases) != (
        orders.contactor,
        orders.lock,
        orders.phases,
    )


def _next_s(machine: EvseMachine) -> float | None:
    return next_change_s(machine.state, machine.clock.now_s, machine.evse.connection_timeout_s)


def _advance_to_next_timeout(machine: EvseMachine) -> None:
    machine.clock.now_s = _next_s(machine) or machine.clock.now_s
    machine.evse.process_timeouts()


def _read_meter(current_a: float, register_wh: float = _REGISTER_WH) -> Callable[[EvseMachine], None]:
    def act(machine: EvseMachine) -> None:
        machine.meter.reading_taken.publish(fakes.reading(register_wh, current_a))

    return act


def _begin_reset(machine: EvseMachine) -> None:
    machine.evse.set_withheld(WithholdReason.RESET, True)
    machine.evse.reset()


def _is_idle(machine: EvseMachine) -> bool:
    return machine.state.transaction is None and machine.state.authorization is None


def _withhold(machine: EvseMachine) -> None:
    """The station restarts, or installs firmware, once nobody uses it."""
    machine.evse.set_withheld(WithholdReason.RESTART, True)


def _stop_withholding(machine: EvseMachine) -> None:
    for reason in machine.state.withheld:
        machine.evse.set_withheld(reason, False)


def _halt(machine: EvseMachine) -> None:
    """The program stops: all that happens at once; what it waits for are steps of their own."""

    async def begin() -> None:
        halting = asyncio.ensure_future(machine.evse.halt())
        await asyncio.sleep(0)
        halting.cancel()
        await asyncio.wait([halting])

    asyncio.run(begin())


def _has_halted(machine: EvseMachine) -> bool:
    state = machine.state
    return state.halting and state.transaction is None and not state.observation.contactor_closed


def _restart(machine: EvseMachine) -> None:
    """The program starts again: only what is on disk and what the board sees is known."""
    before = machine.state
    first = first_state(machine.setup, metered=False)
    observation = (
        replace(before.observation, pilot=PilotState.B)
        if before.observation.pilot is PilotState.F
        else before.observation
    )
    machine.evse.state = replace(first, in_service=before.in_service, retained_for=before.lock_held_for)
    machine.evse.observe(observation)


def _uses_up(machine: EvseMachine) -> bool:
    transaction = machine.state.transaction
    return transaction is not None and transaction.energy_limit_wh is not None


def _sign(machine: EvseMachine) -> None:
    machine.evse.confirm_signed_begin(_id(machine) or TRANSACTION, report=False)


def _after(previous: Observation) -> Observation:
    """A vehicle is plugged in, ready or not, with its cable."""
    return replace(previous, pilot=PilotState.B, cable_plugged=True, cable_max_a=32.0)


def _always(machine: EvseMachine) -> bool:
    del machine
    return True


STEPS: Final[dict[str, EvseStep]] = {
    "nothing": EvseStep(_always, lambda machine: machine.evse.process_timeouts()),
    "time": EvseStep(lambda machine: _next_s(machine) is not None, _advance_to_next_timeout),
    # The vehicle, its cable and its place
    "plug": EvseStep(
        lambda machine: not machine.state.observation.cable_plugged,
        lambda machine: machine.evse.observe(_after(machine.state.observation)),
    ),
    "B": _pilot(PilotState.B),
    "C": _pilot(PilotState.C),
    "D": _pilot(PilotState.D),
    "E": _pilot(PilotState.E),
    "F": _pilot(PilotState.F),
    "ev-gone": _disconnect(with_cable=False),
    "unplug": _disconnect(with_cable=True),
    "bay": EvseStep(
        _always, lambda machine: machine.observe_change(bay_occupied=not machine.state.observation.bay_occupied)
    ),
    # The driver and the CSMS
    "authorize": _authorize(TriggerReason.AUTHORIZED, None),
    "remote-start": _authorize(TriggerReason.REMOTE_START, 7),
    "stop": EvseStep(
        lambda machine: machine.state.authorization is not None,
        _end(TriggerReason.STOP_AUTHORIZED, StoppedReason.LOCAL),
    ),
    "remote-stop": EvseStep(
        lambda machine: machine.evse.transaction_id is not None, _end(TriggerReason.REMOTE_STOP, StoppedReason.REMOTE)
    ),
    "invalid": EvseStep(_is_answered, _end(TriggerReason.DEAUTHORIZED, StoppedReason.DE_AUTHORIZED)),
    "refuse": EvseStep(_is_answered, lambda machine: machine.evse.refuse_energy(beyond_wh=0.0)),
    "refuse-later": EvseStep(
        lambda machine: _is_answered(machine) and not _uses_up(machine),
        lambda machine: machine.evse.refuse_energy(beyond_wh=_GRANTED_WH),
    ),
    "used-up": EvseStep(_uses_up, _read_meter(OFFER_A, _REGISTER_WH + _GRANTED_WH)),
    "release": EvseStep(
        lambda machine: machine.state.lock_held_for is not None, lambda machine: machine.evse.release_lock()
    ),
    # The link to the vehicle
    "linked": _vehicle_signal(VehicleSignal.LINKED, lambda vehicle: not vehicle.linked),
    "link-lost": _vehicle_signal(VehicleSignal.LINK_LOST, lambda vehicle: vehicle.linked),
    "session": EvseStep(
        _may_begin_session, lambda machine: machine.evse.apply_vehicle_signal(VehicleSignal.SESSION_STARTED)
    ),
    "contract": _authorize_contract(),
    "contract-refused": EvseStep(
        lambda machine: _in_session(machine.state.vehicle) and machine.state.authorization is None,
        lambda machine: machine.evse.apply_vehicle_signal(VehicleSignal.CONTRACT_REFUSED),
    ),
    "deliver": _vehicle_signal(
        VehicleSignal.DELIVERY_STARTED,
        lambda vehicle: _in_session(vehicle) and vehicle.delivery is not Delivery.STARTED,
    ),
    "deliver-stop": _vehicle_signal(
        VehicleSignal.DELIVERY_STOPPED, lambda vehicle: vehicle.delivery is Delivery.STARTED
    ),
    "session-end": _vehicle_signal(VehicleSignal.SESSION_TERMINATED, _in_session),
    "session-pause": _vehicle_signal(VehicleSignal.SESSION_PAUSED, _in_session),
    "session-fail": _vehicle_signal(VehicleSignal.SESSION_FAILED, _in_session),
    # What the station itself does
    "recorded": EvseStep(_unrecorded, _record),
    "signed": EvseStep(lambda machine: signature_due(machine.state), _sign),
    "pause": _offer(0.0),
    "energy": _offer(OFFER_A),
    "cut": _offer(0.0, open_now=True),
    "one-phase": _connect(1),
    "three-phases": _connect(3),
    "read": EvseStep(lambda machine: not machine.state.metered, _read_meter(OFFER_A)),
    "no-load": EvseStep(
        lambda machine: machine.state.observation.contactor_closed and machine.state.metered, _read_meter(0.0)
    ),
    "load": EvseStep(lambda machine: machine.state.draw_a == 0.0, _read_meter(3.0)),
    "out-of-service": EvseStep(
        lambda machine: machine.state.in_service, lambda machine: machine.evse.set_in_service(False)
    ),
    "in-service": EvseStep(
        lambda machine: not machine.state.in_service, lambda machine: machine.evse.set_in_service(True)
    ),
    "end-for-reset": EvseStep(
        lambda machine: machine.evse.transaction_id is not None,
        _end(TriggerReason.RESET_COMMAND, StoppedReason.IMMEDIATE_RESET, by_reset=True),
    ),
    "reset": EvseStep(lambda machine: machine.state.transaction is None and not machine.state.withheld, _begin_reset),
    "reset-done": EvseStep(lambda machine: bool(machine.state.withheld), _stop_withholding),
    "withhold": EvseStep(lambda machine: _is_idle(machine) and not machine.state.withheld, _withhold),
    "reset-evse": EvseStep(_is_idle, lambda machine: machine.evse.reset()),
    "sleep": EvseStep(
        lambda machine: not machine.state.installer_only, lambda machine: machine.evse.set_installer_only(True)
    ),
    "wake": EvseStep(
        lambda machine: machine.state.installer_only, lambda machine: machine.evse.set_installer_only(False)
    ),
    "halt": EvseStep(lambda machine: not machine.state.halting, _halt),
    "restart": EvseStep(_has_halted, _restart),
    # The board, and what breaks
    "apply": EvseStep(_has_outputs_to_apply, _apply_outputs),
    "fb-flip": EvseStep(
        _always, lambda machine: machine.observe_change(contactor_closed=not machine.state.observation.contactor_closed)
    ),
    "lock-flip": EvseStep(_always, lambda machine: machine.observe_change(locked=not machine.state.observation.locked)),
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
    "silent+": _own_fault(Fault.BOARD_SILENT, present=True),
    "silent-": _own_fault(Fault.BOARD_SILENT, present=False),
    "storage+": _own_fault(Fault.STORAGE, present=True),
    "storage-": _own_fault(Fault.STORAGE, present=False),
    "draw+": _own_fault(Fault.OVER_CURRENT, present=True),
    "meter+": _own_fault(Fault.METER, present=True),
    "meter-": _own_fault(Fault.METER, present=False),
    "lock+": _own_fault(Fault.LOCK, present=True),
    "lock-": _own_fault(Fault.LOCK, present=False),
}
"""everything that may happen, by name"""


def first_state(setup: EvseSetup, *, metered: bool = True) -> EvseState:
    """An EVSE that nobody uses, with a limit that allows energy; `metered`: its meter has been read already."""
    phases = 3 if setup.switches_phases else None
    return EvseState(
        observation=replace(NO_OBSERVATION, phases=phases),
        attached_cable=setup.attached_cable,
        metered=metered,
        offered_a=OFFER_A,
        phases=phases,
        vehicle=VehicleState(linked=True) if setup.linked else NO_VEHICLE_LINK,
    )

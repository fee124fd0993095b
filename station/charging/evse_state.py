"""The state of one EVSE, and pure functions that derive board outputs and statuses from it.

Only facts are stored in the state, statuses are derived. Time is passed in seconds (`now_s`, Clock.monotonic).
"""

from __future__ import annotations

from datetime import datetime
from enum import Enum, auto

from msgspec.structs import replace

from foundation.constants import MINIMUM_CURRENT_A
from foundation.frozen import Frozen
from metering.reading import Phases
from station.charging.vehicle_state import (
    NO_VEHICLE_LINK,
    PlugState,
    VehicleState,
    asks_for_communication,
    awaits_vehicle,
    permits_energy,
    restarts_vehicle,
    update_vehicle,
)
from station.core.hardware.board import NO_OBSERVATION, Observation, Outputs
from station.core.model import (
    ChargingState,
    ConnectorStatus,
    Fault,
    IdToken,
    MessageContent,
    PilotState,
    StoppedReason,
    TriggerReason,
)

WIND_DOWN_S = 6.0
"""wait for the vehicle to stop drawing (it has 5 s to follow the pilot); then the contactor opens under load"""
HALT_S = 2.0
"""the same wait when the program is stopping"""
NO_LOAD_A = 1.0
"""below this current the contactor may open without waiting"""
READY_GRACE_S = 5.0
"""time for a vehicle to accept offered energy before the state becomes SuspendedEV"""

_CONNECTED = frozenset({PilotState.B, PilotState.C, PilotState.D})
_READY = frozenset({PilotState.C, PilotState.D})
"""the vehicle is ready to take energy"""
_NON_BLOCKING = frozenset({Fault.READER, Fault.LOCK})
"""faults that do not block energy"""
UNTIL_UNPLUGGED = frozenset({Fault.OVER_CURRENT, Fault.DIODE})
"""vehicle faults, which stay until it is disconnected"""
_CLEARED_BY_PILOT = UNTIL_UNPLUGGED | {Fault.PILOT}
"""faults whose end is detected by the pilot: it stays steady meanwhile, since −12 V would hide the vehicle"""
_GRACEFUL = frozenset({Fault.METER, Fault.STORAGE, Fault.TAMPER, Fault.OVER_TEMPERATURE})
"""faults that give the vehicle time to stop drawing; for all others the contactor opens at once, under load"""


class WithholdReason(Enum):
    """Why an EVSE is temporarily withheld from use; each reason is set and removed by its own component."""

    RESET = auto()
    """the EVSE is being reset (B11.FR.08)"""
    RESTART = auto()
    """the station restarts once it is idle (B12, scenario 3a)"""
    FIRMWARE = auto()
    """firmware is about to be installed (L01.FR.07)"""


class Authorization(Frozen):
    """The present authorization of an EVSE: the authorized id token, with what the CSMS sent for it."""

    id_token: IdToken
    group_id: IdToken | None = None
    """the group whose tokens may also stop the charge"""
    since_s: float = 0.0
    """when it was given (Clock.monotonic)"""
    remote_start_id: int | None = None
    reservation_id: int | None = None
    """the reservation that it used"""
    personal_message: MessageContent | None = None
    """a message for the holder, such as the tariff (I01)"""
    charging_priority: int = 0
    """chargingPriority from the CSMS, −9 to 9; a higher priority is served first"""
    tests: bool = False
    """whether this is an installer's test"""
    languages: tuple[str, ...] = ()
    """the languages that the holder prefers, the first one most (RFC 5646)"""


class ChangeCause(Frozen):
    """The cause of a change of an EVSE's state, for the transaction event that reports it to the CSMS."""

    trigger: TriggerReason
    stopped_reason: StoppedReason | None = None
    """the stop reason if this ends the transaction"""
    id_token: IdToken | None = None
    """the token to report"""
    remote_start_id: int | None = None
    reservation_id: int | None = None
    """the reservation that is used, to report (E01.FR.13)"""
    deauthorizes: bool = False
    """the authorization ends"""
    ends_transaction: bool = False
    """end the transaction regardless of the stop points"""


class OpenTransaction(Frozen):
    """The transaction of an EVSE that has started and not ended."""

    id: str
    started_at: datetime
    recorded: bool = False
    """the start is stored; no energy before that"""
    connector_reported: bool = False
    """an event has named the connector since the vehicle was connected"""
    stop_cause: StoppedReason | None = None
    """the first reason that led to the end of the transaction"""
    ending: ChangeCause | None = None
    """set while the transaction is ending; it ends once energy has stopped"""
    stopping: ChangeCause | None = None
    """a rejected token or a fault that stops energy without ending the transaction; reported with the next charging
    state (C15.FR.03, E05.FR.09, E02.FR.17)"""
    energy_limit_wh: float | None = None
    """import register at which energy stops, for a token rejected by the CSMS (MaxEnergyOnInvalidId)"""
    energy_refused: bool = False
    """no energy, because the CSMS rejected the token (E05.FR.02)"""
    holder: IdToken | None = None
    """the first token authorized for the transaction (C01.FR.23)"""


class EvseState(Frozen):
    """The complete state of one EVSE at a moment; each change replaces it by a new value."""

    observation: Observation = NO_OBSERVATION
    """the last observation of the board, with the pilot as `pilot_without_minus_12_v`"""
    faults: frozenset[Fault] = frozenset()
    """faults detected by the station; those reported by the board are in `observation`"""
    in_service: bool = True
    """availability as set (G03); a running transaction may finish first, see `operative`"""
    attached_cable: bool = False
    ventilation: bool = False
    """the location is ventilated"""
    unventilated: bool = False
    """the vehicle requires ventilation (state D) and there is none; latched until it is disconnected, because it shows
    state D only while current is offered"""
    authorization: Authorization | None = None
    transaction: OpenTransaction | None = None
    offered_a: float = 0.0
    """the current per phase allowed by load management; below 6 A charging is paused"""
    testing: bool = False
    """the residual-current monitor is being tested: no energy meanwhile"""
    metered: bool = True
    """the meter has been read since the start; without that no energy is delivered"""
    energy_starts_transaction: bool = True
    """EnergyTransfer is a start point, so energy may flow before the transaction starts"""
    draw_a: float | None = None
    """the highest phase current in the last reading; None: unknown"""
    charging_state: ChargingState = ChargingState.IDLE
    supplying: bool = False
    """energy is commanded and flows. False for a contactor that is still closed after an earlier charge, or that closed
    without command"""
    offer_ended_at_s: float | None = None
    """when energy was last offered (Clock.monotonic), while the contactor waits for the vehicle to stop; else None"""
    grace_until_s: float = 0.0
    """until when a vehicle may take up offered energy before the state is SuspendedEV (Clock.monotonic)"""
    lock_held_for: IdToken | None = None
    """the cable stays locked until this holder returns (E05.FR.11, E09.FR.03)"""
    retained_for: IdToken | None = None
    """the holder of the cable locked before a power cut, until the first observation shows whether it is still there"""
    unreported_cause: ChangeCause | None = None
    """an authorization not reported in any event yet, because there was no transaction"""
    halting: bool = False
    """the program is stopping"""
    phases: int | None = None
    """the number of phases to charge on; None: unchanged"""
    phase: int = 1
    """the phase for single-phase charging, if the board can choose it"""
    open_at_once: bool = False
    """the breaker of the connection is about to trip: the contactor opens under load, since the pilot is too slow"""
    withheld: frozenset[WithholdReason] = frozenset()
    """the EVSE must not be used while there is any reason"""
    installer_only: bool = False
    """not activated yet: only an installer's test may start"""
    signs: bool = False
    """the begin of a transaction is signed, and energy waits for the signature"""
    signed_transaction_id: str | None = None
    """the transaction, started or about to start, whose begin is signed or need not be"""
    connection_lost_s: float | None = None
    """when the vehicle of an authorization was disconnected (Clock.monotonic)"""
    reserved_until: datetime | None = None
    """only the holders of reservations may use the EVSE, and until when (UTC); None: everybody may"""
    vehicle: VehicleState = NO_VEHICLE_LINK
    """what is known by a link to the vehicle (ISO 15118); `NO_VEHICLE_LINK`, always: there is no link"""
    missed_arrivals: frozenset[TriggerReason] = frozenset()
    """arrivals while out of service or before a reset, which may start a transaction later (E01.FR.01, E01.FR.02)"""

    @property
    def operative(self) -> bool:
        """Whether the EVSE may be used; setting it inoperative waits for the transaction (G03.FR.05, G04.FR.06).

        Not operative before the station is activated: the status is Unavailable and plug-in starts no transaction,
        except for an authorized installer's test.
        """
        public = not self.installer_only or self.authorization is not None
        return (self.in_service and not self.withheld and public) or self.transaction is not None


def pilot_without_minus_12_v(observation: Observation, before: PilotState) -> PilotState:
    """Return the pilot state of an observation, replaced at −12 V (state F), which hides the vehicle.

    At −12 V the vehicle is taken as still connected while the cable is plugged, but not ready to charge: A without a
    cable, else `before`, the last state returned, with B in place of C and D.
    """
    if observation.pilot is not PilotState.F:
        return observation.pilot
    if not observation.cable_plugged:
        return PilotState.A
    return PilotState.B if before in _READY else before


def ev_connected(state: EvseState) -> bool:
    """Return whether a vehicle is connected, by the pilot (states B, C, D)."""
    return state.observation.pilot in _CONNECTED


def arrivals(state: EvseState) -> frozenset[TriggerReason]:
    """Return CablePluggedIn if a vehicle is connected now, and EVDetected if the parking bay is occupied."""
    connected = {TriggerReason.CABLE_PLUGGED_IN} if ev_connected(state) else set[TriggerReason]()
    return frozenset(connected | {TriggerReason.EV_DETECTED} if state.observation.bay_occupied else connected)


def open_transaction_id(state: EvseState) -> str | None:
    """Return the id of the open transaction, also while it is ending; None: there is none."""
    return state.transaction.id if state.transaction is not None else None


def all_faults(state: EvseState) -> frozenset[Fault]:
    """All present faults of an EVSE: those reported by the board, and those detected by the station."""
    return state.observation.faults | state.faults


def blocking_faults(state: EvseState) -> frozenset[Fault]:
    """The present faults of an EVSE that prevent charging: all but those of reader and lock."""
    return all_faults(state) - _NON_BLOCKING


def allowed_a(state: EvseState) -> float:
    """The current per phase, in A, that limits and plugged cable allow; it need not be offered now."""
    cable_a = state.observation.cable_max_a
    return state.offered_a if cable_a is None else min(state.offered_a, cable_a)


def offered_by_phase(state: EvseState, wired: int) -> Phases[float]:
    """The current that the pilot offers now on each phase, in A; `wired`: number of phases connected to the board."""
    current_a = allowed_a(state) if offers_energy(state) else 0.0
    if (state.observation.phases or wired) > 1:
        return Phases(current_a, current_a, current_a)
    single_phase = state.observation.phase or 1
    return Phases(*(current_a if phase == single_phase else 0.0 for phase in (1, 2, 3)))


def lacks_ventilation(state: EvseState) -> bool:
    """Return whether energy is blocked because the vehicle requires ventilation (IEC 61851-1 table A.4)."""
    return state.unventilated or (state.observation.pilot is PilotState.D and not state.ventilation)


def cable_connected(state: EvseState) -> bool:
    """Return whether there is a cable, attached or plugged into the socket, regardless of a vehicle."""
    return state.attached_cable or state.observation.cable_plugged


def cable_held(state: EvseState) -> bool:
    """Return whether the cable cannot be pulled out of the station: it is attached, or locked in its socket."""
    return state.attached_cable or state.observation.locked


def switches_phases(state: EvseState) -> bool:
    """Return whether the board has not yet switched to the commanded phases; no energy until it has."""
    if None in {state.phases, state.observation.phases}:
        return False
    return state.phases != state.observation.phases or (
        state.phases == 1 and _phase_to_command(state) != state.observation.phase
    )


def _phase_to_command(state: EvseState) -> int | None:
    """The phase to command for single-phase charging; None: the board cannot choose."""
    return state.phase if state.observation.phase is not None else None


def offers_energy(state: EvseState) -> bool:
    """Return whether all conditions to offer energy to the vehicle hold; it need not take any."""
    transaction = state.transaction
    return (
        ev_connected(state)
        and cable_connected(state)
        and state.authorization is not None
        and (cable_held(state) or commanded_energy_flows(state))  # G05.FR.01: no start with a cable that is not locked
        and not blocking_faults(state)
        and state.operative
        and not state.halting
        and not lacks_ventilation(state)
        and state.metered
        and not state.testing
        and (state.signed_transaction_id is not None or not state.signs)
        and allowed_a(state) >= MINIMUM_CURRENT_A
        and not switches_phases(state)
        and not awaits_vehicle(state.vehicle)
        and (
            (transaction is None and state.energy_starts_transaction)
            or (
                transaction is not None
                and (
                    transaction.recorded or commanded_energy_flows(state)
                )  # EnergyTransfer as start point: energy flows already
                and transaction.ending is None
                and not transaction.energy_refused
            )
        )
    )


def may_supply(state: EvseState) -> bool:
    """Return whether energy is offered and, in a V2G session, requested: the contactor may close."""
    return permits_energy(state.vehicle) and offers_energy(state)


def is_blocked(state: EvseState) -> bool:
    """Whether energy is blocked by something other than limits, so that load management need not reserve current."""
    refused = state.transaction is not None and state.transaction.energy_refused
    unlocked = Fault.LOCK in all_faults(state) and not cable_held(state) and not commanded_energy_flows(state)
    return bool(blocking_faults(state)) or refused or unlocked


def signature_due(state: EvseState) -> bool:
    """Return whether the begin of a transaction must be signed now: after authorization, before energy flows."""
    transaction = state.transaction
    return (
        state.signs
        and state.signed_transaction_id is None
        and ev_connected(state)
        and state.authorization is not None
        and state.operative
        and (transaction is None or (transaction.recorded and transaction.ending is None))
    )


def outputs(state: EvseState, now_s: float) -> Outputs:
    """Return the outputs that the board must be commanded in this state; `now_s`: Clock.monotonic."""
    offers, faults = offers_energy(state), blocking_faults(state)
    supplied = (offers and permits_energy(state.vehicle)) or _still_under_load(state, now_s)
    closed = state.observation.pilot in _READY and supplied and not faults - _GRACEFUL
    at_minus_12_v = bool(faults - _CLEARED_BY_PILOT) or (restarts_vehicle(state.vehicle) and _may_communicate(state))
    return Outputs(
        pilot_a=allowed_a(state) if offers else None,
        pilot_digital=_may_communicate(state) and asks_for_communication(state.vehicle, offers_energy=offers),
        pilot_fault=at_minus_12_v and state.observation.cable_plugged and not closed,
        contactor=closed,
        lock=_lock(state),
        phases=state.phases if not state.observation.contactor_closed else state.observation.phases,
        phase=_phase_to_command(state) if not state.observation.contactor_closed else state.observation.phase,
    )


def _may_communicate(state: EvseState) -> bool:
    """Whether the pilot may ask the vehicle to communicate: not at an EVSE that cannot be used."""
    return not blocking_faults(state) and state.operative and not state.halting


def _still_under_load(state: EvseState, now_s: float) -> bool:
    """Return whether the contactor waits for the vehicle to stop drawing, to avoid opening under load."""
    return (
        state.observation.contactor_closed
        and cable_connected(state)
        and not state.open_at_once
        and state.offer_ended_at_s is not None
        and now_s < state.offer_ended_at_s + (HALT_S if state.halting else WIND_DOWN_S)
        and (state.draw_a is None or state.draw_a >= NO_LOAD_A)
    )


def _lock(state: EvseState) -> bool:
    """Return whether to lock the cable in the socket: during a charge, or until its holder returns."""
    return (state.retained_for is not None and not state.attached_cable) or (
        state.observation.cable_plugged
        and not state.attached_cable
        and (state.authorization is not None or state.lock_held_for is not None or state.observation.contactor_closed)
    )


def energy_flows(state: EvseState) -> bool:
    """Return whether the contactor is closed and the vehicle ready to charge (pilot C or D); no current is measured."""
    return state.observation.contactor_closed and state.observation.pilot in _READY


def commanded_energy_flows(state: EvseState) -> bool:
    """Return whether energy flows that was commanded, so not through a welded contactor: such a charge may go on."""
    return state.supplying and energy_flows(state)


def plug_state(state: EvseState) -> PlugState:
    """Return what the communication with the vehicle depends on."""
    return PlugState(
        ev_connected(state), state.observation.pilot in _READY, energy_flows(state), state.authorization is not None
    )


def connector_status(state: EvseState) -> ConnectorStatus:
    """Return the connector's status; the first that applies of Faulted, Unavailable, Reserved, Occupied, Available.

    A connected vehicle leaves it Reserved until a holder of the reservation is authorized (G01.FR.09, G03.FR.09).
    """
    if blocking_faults(state):
        return ConnectorStatus.FAULTED
    if not state.operative:
        return ConnectorStatus.UNAVAILABLE
    if state.reserved_until is not None:
        return ConnectorStatus.RESERVED
    if state.observation.cable_plugged or ev_connected(state):
        return ConnectorStatus.OCCUPIED
    return ConnectorStatus.AVAILABLE


def _charging_state(state: EvseState, now_s: float) -> ChargingState:
    if not ev_connected(state):
        return ChargingState.IDLE
    if energy_flows(state):
        return ChargingState.CHARGING
    if state.authorization is None:
        return ChargingState.EV_CONNECTED
    if offers_energy(state):
        if now_s >= state.grace_until_s:
            return ChargingState.SUSPENDED_EV
        undecided = {ChargingState.EV_CONNECTED, ChargingState.SUSPENDED_EVSE}
        return state.charging_state if state.charging_state in undecided else ChargingState.EV_CONNECTED
    return ChargingState.EV_CONNECTED if _about_to_offer(state) else ChargingState.SUSPENDED_EVSE


def _about_to_offer(state: EvseState) -> bool:
    """Return whether only storing the start, its signature, locking the cable or the vehicle's request is missing."""
    completed = replace(state, signs=False, vehicle=NO_VEHICLE_LINK)
    if state.transaction is None or not state.transaction.recorded:
        completed = replace(completed, transaction=None, energy_starts_transaction=True)
    if Fault.LOCK not in all_faults(state):
        completed = replace(completed, observation=replace(completed.observation, locked=True))
    return offers_energy(completed)


def with_derived_values(before: EvseState, after: EvseState, now_s: float) -> EvseState:
    """Return `after` with all derived fields updated for the change from `before`: charging state, deadlines, latches.

    `now_s`: Clock.monotonic.
    """
    after = replace(
        after,
        unventilated=ev_connected(after) and lacks_ventilation(after),
        supplying=before.supplying and energy_flows(after),
        vehicle=update_vehicle(after.vehicle, plug_state(before), plug_state(after), now_s)
        if after.vehicle is not NO_VEHICLE_LINK
        else NO_VEHICLE_LINK,
    )
    offers_now, supplied_before, supplies_now = offers_energy(after), may_supply(before), may_supply(after)
    after = replace(after, supplying=supplies_now and energy_flows(after))
    if offers_now and not offers_energy(before):
        after = replace(after, grace_until_s=now_s + READY_GRACE_S)
    if supplies_now and not supplied_before:
        after = replace(after, offer_ended_at_s=None)
    elif supplied_before and not supplies_now:
        # The last reading does not show the load from now on.
        after = replace(after, offer_ended_at_s=now_s, draw_a=None)
    if energy_flows(after) and not energy_flows(before):
        after = replace(after, grace_until_s=now_s)
    if after.authorization is None or ev_connected(after):
        after = replace(after, connection_lost_s=None)
    elif ev_connected(before) and not ev_connected(after):
        after = replace(after, connection_lost_s=now_s)
    if after.transaction is None and (after.authorization is None or not ev_connected(after)):
        after = replace(after, signed_transaction_id=None)
    if not after.observation.cable_plugged:
        after = replace(after, lock_held_for=None)
    if after.offer_ended_at_s is not None and not outputs(after, now_s).contactor:
        # E09.FR.01: once the contactor was commanded open, it is not closed again within the wait for the vehicle.
        after = replace(after, offer_ended_at_s=None)
    return replace(after, charging_state=_charging_state(after, now_s))


def connection_deadline_s(state: EvseState, timeout_s: float) -> float | None:
    """When an authorization without a vehicle ends (Clock.monotonic); None: never. C01.FR.26, E03.FR.05, E10.FR.02."""
    if state.authorization is None or ev_connected(state):
        return None
    if state.connection_lost_s is not None and state.observation.cable_plugged and not state.attached_cable:
        return None  # E10.FR.01: a cable in the socket waits for its holder
    since_s = state.authorization.since_s if state.connection_lost_s is None else state.connection_lost_s
    return since_s + timeout_s


def next_change_s(state: EvseState, now_s: float, connection_timeout_s: float) -> float | None:
    """When elapsed time alone next changes state or outputs, by Clock.monotonic; None: never."""
    deadlines_s = [
        connection_deadline_s(state, connection_timeout_s),
        state.grace_until_s if offers_energy(state) else None,
        state.offer_ended_at_s + HALT_S if state.offer_ended_at_s is not None and state.halting else None,
        state.offer_ended_at_s + WIND_DOWN_S if state.offer_ended_at_s is not None else None,
        state.vehicle.until_s,
    ]
    return min(
        (deadline_s for deadline_s in deadlines_s if deadline_s is not None and deadline_s > now_s), default=None
    )

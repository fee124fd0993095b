"""The state of one EVSE, and what follows from it. Pure: facts in, outputs and statuses out.

Facts are kept, statuses are derived. Time enters as a number of seconds (`now_s`, Clock.monotonic).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from enum import Enum, auto

from foundation.constants import MINIMUM_CURRENT_A
from foundation.frozen import frozen
from metering.reading import Phases
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
"""a vehicle has 5 s to follow the pilot; then the contactor opens under load rather than never"""
HALT_S = 2.0
"""the same when the program stops and has little time"""
NO_LOAD_A = 1.0
"""below this a contactor may open"""
READY_GRACE_S = 5.0
"""how long a vehicle may take to want the energy offered before it is called SuspendedEV"""

_CONNECTED = frozenset({PilotState.B, PilotState.C, PilotState.D})
_TAKING = frozenset({PilotState.C, PilotState.D})
_HARMLESS = frozenset({Fault.READER, Fault.LOCK})
"""faults that forbid no energy"""
UNTIL_UNPLUGGED = frozenset({Fault.OVER_CURRENT, Fault.DIODE})
"""faults of a vehicle, which stay until it is gone"""
_SEEN_IN_THE_PILOT = UNTIL_UNPLUGGED | {Fault.PILOT}
"""faults that end with what the pilot shows: it is steady meanwhile, −12 V would hide that"""
_PATIENT = frozenset({Fault.METER, Fault.STORAGE, Fault.TAMPER, Fault.OVER_TEMPERATURE})
"""faults that leave the vehicle its time to stop drawing; all others are emergencies: the contactor opens under load"""


class WithholdReason(Enum):
    """Why an EVSE is kept from everybody for now; whoever gives a reason takes that one back and no other."""

    RESET = auto()
    """it is being reset (B11.FR.08)"""
    RESTART = auto()
    """the station restarts once nobody uses it (B12, scenario 3a)"""
    FIRMWARE = auto()
    """firmware is about to be installed (L01.FR.07)"""


@frozen
class Authorization:
    """Somebody may charge here."""

    id_token: IdToken
    group_id: IdToken | None = None
    since_s: float = 0.0
    remote_start_id: int | None = None
    personal_message: MessageContent | None = None
    """what its holder is to be told, such as the tariff (I01)"""
    charging_priority: int = 0
    """what the CSMS has told of its token: −9 to 9, the higher is served first"""
    tests: bool = False
    """whether it is the installer's, who tries the station"""


@frozen
class ChangeCause:
    """Why a state changes, as the CSMS is told."""

    trigger: TriggerReason
    stopped_reason: StoppedReason | None = None
    """why the transaction ends, if this ends it"""
    id_token: IdToken | None = None
    remote_start_id: int | None = None
    deauthorizes: bool = False
    ends_transaction: bool = False
    """whatever the stop points are"""


@frozen
class OpenTransaction:
    """A transaction that has started and not ended."""

    id: str
    started_at: datetime
    recorded: bool = False
    """its start is on disk: no energy before that"""
    connector_told: bool = False
    stop_cause: StoppedReason | None = None
    """what first began to end it"""
    ending: ChangeCause | None = None
    """it ends as soon as the energy has stopped"""
    stopping: ChangeCause | None = None
    """a refused token or a fault that stops the energy without ending the transaction; reported with the charging state
    that follows (C15.FR.03, E05.FR.09, E02.FR.17)"""
    energy_limit_wh: float | None = None
    """with an id that the CSMS refused: the register may not pass this (MaxEnergyOnInvalidId)"""
    energy_refused: bool = False
    """with an id that the CSMS refused: no energy (E05.FR.02)"""
    holder: IdToken | None = None
    """who was authorized for it first (C01.FR.23)"""


@frozen
class EvseState:
    """Everything that decides what an EVSE does."""

    seen: Observation = NO_OBSERVATION
    faults: frozenset[Fault] = frozenset()
    """faults that the station found itself; the board's own are in `seen`"""
    in_service: bool = True
    """what is ordered (G03); a transaction that runs is let finish first, see `operative`"""
    attached_cable: bool = False
    ventilation: bool = False
    """the place has it"""
    unventilated: bool = False
    """the vehicle has asked for ventilation that there is not; without an offer it does not ask, and yet needs it"""
    authorization: Authorization | None = None
    transaction: OpenTransaction | None = None
    offered_a: float = 0.0
    """what the limits allow; below the minimum it is a pause"""
    testing: bool = False
    """the residual-current monitor is being tested: no energy meanwhile"""
    metered: bool = True
    """the meter has been read since the start: no energy that nobody counts"""
    energy_starts_transaction: bool = True
    """EnergyTransfer is a start point: only then energy may come before the transaction"""
    draw_a: float | None = None
    """the highest phase current that the meter last showed"""
    charging_state: ChargingState = ChargingState.IDLE
    supplying: bool = False
    """energy is wanted and flows: this charge goes on. False for a contact that is still seen closed after an earlier
    charge, or that closed without an order"""
    wanted_until_s: float | None = None
    """when energy stopped being wanted; None once the contactor no longer waits for the vehicle"""
    grace_until_s: float = 0.0
    lock_held_for: IdToken | None = None
    """the cable stays locked until this holder comes (E05.FR.11, E09.FR.03)"""
    retained_for: IdToken | None = None
    """whom the cable was kept for when the power went, until the board tells whether it is still there"""
    unreported_cause: ChangeCause | None = None
    """an authorization that no event has told yet: there was no transaction"""
    halting: bool = False
    """the program stops"""
    phases: int | None = None
    """on how many phases it is to charge; None: as the board has it"""
    phase: int = 1
    """on which, where that is one of three and the board can choose"""
    open_at_once: bool = False
    """the connection is about to trip: the contactor opens under load, the pilot is too slow"""
    withheld: frozenset[WithholdReason] = frozenset()
    """while there is any reason nobody may use it"""
    dormant: bool = False
    """not activated yet: only an installer's test begins anything"""
    signs: bool = False
    """the begin of a transaction is signed, and energy waits for that"""
    signed_transaction_id: str | None = None
    """the transaction, begun or about to begin, whose begin is signed, or that has to do without"""
    connection_lost_s: float | None = None
    """when the vehicle of an authorization was disconnected"""
    missed_arrivals: frozenset[TriggerReason] = frozenset()
    """arrivals while out of service, or before a reset: they start a transaction later (E01.FR.01, E01.FR.02)"""

    @property
    def operative(self) -> bool:
        """Whether it may be used: an order to go out of service waits for the transaction (G03.FR.05, G04.FR.06).

        Before the station is activated it may not: the CSMS sees Unavailable, and plugging in begins no transaction. An
        installer who tries it is authorized, and is the exception.
        """
        public = not self.dormant or self.authorization is not None
        return (self.in_service and not self.withheld and public) or self.transaction is not None


def pilot_behind(seen: Observation, before: PilotState) -> PilotState:
    """The pilot as it would be without −12 V, which hides the vehicle.

    It is there as long as its cable is, but takes nothing.
    """
    if seen.pilot is not PilotState.F:
        return seen.pilot
    if not seen.cable_plugged:
        return PilotState.A
    return PilotState.B if before in _TAKING else before


def ev_connected(state: EvseState) -> bool:
    """Whether a vehicle is at the other end of the cable."""
    return state.seen.pilot in _CONNECTED


def arrivals(state: EvseState) -> frozenset[TriggerReason]:
    """The trigger reasons of a vehicle that is connected and of an occupied parking bay."""
    connected = {TriggerReason.CABLE_PLUGGED_IN} if ev_connected(state) else set[TriggerReason]()
    return frozenset(connected | {TriggerReason.EV_DETECTED} if state.seen.bay_occupied else connected)


def all_faults(state: EvseState) -> frozenset[Fault]:
    """What the board and the station found."""
    return state.seen.faults | state.faults


def blocking_faults(state: EvseState) -> frozenset[Fault]:
    """The faults that forbid energy."""
    return all_faults(state) - _HARMLESS


def offer_a(state: EvseState) -> float:
    """What may be offered: what the limits allow, and never more than the cable that is plugged in now."""
    cable_a = state.seen.cable_max_a
    return state.offered_a if cable_a is None else min(state.offered_a, cable_a)


def offers(state: EvseState, wired: int) -> Phases[float]:
    """What the pilot offers now on each phase, amperes; `wired` is how many phases the board has."""
    current_a = offer_a(state) if wants_energy(state) else 0.0
    if (state.seen.phases or wired) > 1:
        return Phases[float].all(current_a)
    only = state.seen.phase or 1
    return Phases(*(current_a if phase == only else 0.0 for phase in (1, 2, 3)))


def lacks_ventilation(state: EvseState) -> bool:
    """Whether the vehicle gets nothing, until it is gone, because it asks for ventilation (IEC 61851-1 table A.4)."""
    return state.unventilated or (state.seen.pilot is PilotState.D and not state.ventilation)


def cable_there(state: EvseState) -> bool:
    """Whether there is a cable: a socket with its proximity contact open has none, whatever the pilot shows."""
    return state.attached_cable or state.seen.cable_plugged


def cable_held(state: EvseState) -> bool:
    """Whether nobody can pull the cable out of the station: it is attached, or locked in its socket."""
    return state.attached_cable or state.seen.locked


def switches_phases(state: EvseState) -> bool:
    """Whether the board has yet to connect other phases: no energy until it has."""
    if None in {state.phases, state.seen.phases}:
        return False
    return state.phases != state.seen.phases or (state.phases == 1 and _phase(state) != state.seen.phase)


def _phase(state: EvseState) -> int | None:
    """Which phase the board is to choose; None: it cannot."""
    return state.phase if state.seen.phase is not None else None


def wants_energy(state: EvseState) -> bool:
    """Whether energy is offered to the vehicle now."""
    transaction = state.transaction
    return (
        ev_connected(state)
        and cable_there(state)
        and state.authorization is not None
        and (cable_held(state) or keeps_flowing(state))  # G05.FR.01: no start with a cable that is not locked
        and not blocking_faults(state)
        and state.operative
        and not state.halting
        and not lacks_ventilation(state)
        and state.metered
        and not state.testing
        and (state.signed_transaction_id is not None or not state.signs)
        and offer_a(state) >= MINIMUM_CURRENT_A
        and not switches_phases(state)
        and (
            (transaction is None and state.energy_starts_transaction)
            or (
                transaction is not None
                and (transaction.recorded or keeps_flowing(state))  # EnergyTransfer as start point: it flows already
                and transaction.ending is None
                and not transaction.energy_refused
            )
        )
    )


def is_blocked(state: EvseState) -> bool:
    """Whether energy waits for something else than a limit, and for more than a moment: no share is kept for it."""
    refused = state.transaction is not None and state.transaction.energy_refused
    unlocked = Fault.LOCK in all_faults(state) and not cable_held(state) and not keeps_flowing(state)
    return bool(blocking_faults(state)) or refused or unlocked


def signature_due(state: EvseState) -> bool:
    """Whether the begin of a transaction is to be signed now: after the authorization, before energy flows."""
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
    """What the board must do."""
    wanted, faults = wants_energy(state), blocking_faults(state)
    closed = state.seen.pilot in _TAKING and (wanted or _still_under_load(state, now_s)) and not faults - _PATIENT
    return Outputs(
        pilot_a=offer_a(state) if wanted else None,
        pilot_fault=bool(faults - _SEEN_IN_THE_PILOT) and state.seen.cable_plugged and not closed,
        contactor=closed,
        lock=_lock(state),
        phases=state.phases if not state.seen.contactor_closed else state.seen.phases,
        phase=_phase(state) if not state.seen.contactor_closed else state.seen.phase,
    )


def _still_under_load(state: EvseState, now_s: float) -> bool:
    """The pilot has asked the vehicle to stop; a contactor lives longer when it waits for that."""
    return (
        state.seen.contactor_closed
        and cable_there(state)
        and not state.open_at_once
        and state.wanted_until_s is not None
        and now_s < state.wanted_until_s + (HALT_S if state.halting else WIND_DOWN_S)
        and (state.draw_a is None or state.draw_a >= NO_LOAD_A)
    )


def _lock(state: EvseState) -> bool:
    """A cable in a socket is locked while somebody charges with it or has yet to come and fetch it."""
    return (state.retained_for is not None and not state.attached_cable) or (
        state.seen.cable_plugged
        and not state.attached_cable
        and (state.authorization is not None or state.lock_held_for is not None or state.seen.contactor_closed)
    )


def energy_flows(state: EvseState) -> bool:
    """Whether the power path to a vehicle that takes energy is closed."""
    return state.seen.contactor_closed and state.seen.pilot in _TAKING


def keeps_flowing(state: EvseState) -> bool:
    """Whether a charge that was allowed to begin still flows through a contactor that is seen closed."""
    return state.supplying and energy_flows(state)


def connector_status(state: EvseState, *, reserved: bool = False) -> ConnectorStatus:
    """Faulted > Unavailable > Reserved > Occupied > Available; only here."""
    if blocking_faults(state):
        return ConnectorStatus.FAULTED
    if not state.operative:
        return ConnectorStatus.UNAVAILABLE
    if reserved:
        return ConnectorStatus.RESERVED
    if state.seen.cable_plugged or ev_connected(state):
        return ConnectorStatus.OCCUPIED
    return ConnectorStatus.AVAILABLE


def _charging_state(state: EvseState, now_s: float) -> ChargingState:
    if not ev_connected(state):
        return ChargingState.IDLE
    if energy_flows(state):
        return ChargingState.CHARGING
    if state.authorization is None:
        return ChargingState.EV_CONNECTED
    if wants_energy(state):
        if now_s >= state.grace_until_s:
            return ChargingState.SUSPENDED_EV
        undecided = {ChargingState.EV_CONNECTED, ChargingState.SUSPENDED_EVSE}
        return state.charging_state if state.charging_state in undecided else ChargingState.EV_CONNECTED
    return ChargingState.EV_CONNECTED if _about_to_offer(state) else ChargingState.SUSPENDED_EVSE


def _about_to_offer(state: EvseState) -> bool:
    """Whether nothing is missing but that the start gets to the disk, its signature, or that the lock closes."""
    soon = replace(state, signs=False)
    if state.transaction is None or not state.transaction.recorded:
        soon = replace(soon, transaction=None, energy_starts_transaction=True)
    if Fault.LOCK not in all_faults(state):
        soon = replace(soon, seen=replace(soon.seen, locked=True))
    return wants_energy(soon)


def settled(before: EvseState, after: EvseState, now_s: float) -> EvseState:
    """`after` with everything in it that follows from the change: the charging state and what time decides."""
    after = replace(
        after,
        unventilated=ev_connected(after) and lacks_ventilation(after),
        supplying=before.supplying and energy_flows(after),
    )
    wanted, wants = wants_energy(before), wants_energy(after)
    after = replace(after, supplying=wants and energy_flows(after))
    if wants and not wanted:
        after = replace(after, grace_until_s=now_s + READY_GRACE_S, wanted_until_s=None)
    elif wanted and not wants:
        # What the meter showed before says nothing of the load from now on.
        after = replace(after, wanted_until_s=now_s, draw_a=None)
    if energy_flows(after) and not energy_flows(before):
        after = replace(after, grace_until_s=now_s)
    if after.authorization is None or ev_connected(after):
        after = replace(after, connection_lost_s=None)
    elif ev_connected(before) and not ev_connected(after):
        after = replace(after, connection_lost_s=now_s)
    if after.transaction is None and (after.authorization is None or not ev_connected(after)):
        after = replace(after, signed_transaction_id=None)
    if not after.seen.cable_plugged:
        after = replace(after, lock_held_for=None)
    if after.wanted_until_s is not None and not outputs(after, now_s).contactor:
        # E09.FR.01: a contactor that was ordered to open is not closed again for the rest of the vehicle's time.
        after = replace(after, wanted_until_s=None)
    return replace(after, charging_state=_charging_state(after, now_s))


def connection_deadline_s(state: EvseState, timeout_s: float) -> float | None:
    """When an authorization without a vehicle ends (C01.FR.26, E03.FR.05, E10.FR.02); None: never."""
    if state.authorization is None or ev_connected(state):
        return None
    if state.connection_lost_s is not None and state.seen.cable_plugged and not state.attached_cable:
        return None  # E10.FR.01: a cable in the socket waits for its holder
    since_s = state.authorization.since_s if state.connection_lost_s is None else state.connection_lost_s
    return since_s + timeout_s


def next_change_s(state: EvseState, now_s: float, connection_timeout_s: float) -> float | None:
    """The next moment at which time alone changes something; None when it changes nothing."""
    moments = [
        connection_deadline_s(state, connection_timeout_s),
        state.grace_until_s if wants_energy(state) else None,
        state.wanted_until_s + HALT_S if state.wanted_until_s is not None and state.halting else None,
        state.wanted_until_s + WIND_DOWN_S if state.wanted_until_s is not None else None,
    ]
    return min((moment for moment in moments if moment is not None and moment > now_s), default=None)

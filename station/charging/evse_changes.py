"""State transitions of an EVSE: one pure function per event, before derived values are updated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from foundation.frozen import Frozen
from station.charging.evse_state import (
    UNTIL_UNPLUGGED,
    Authorization,
    ChangeCause,
    EvseState,
    arrivals,
    ev_connected,
    plug_state,
)
from station.charging.vehicle_state import Communication, VehicleSignal, apply_signal
from station.core.model import Fault, StoppedReason, TriggerReason

if TYPE_CHECKING:
    from metering.reading import Reading
    from station.core.hardware.board import Observation

_LATCHED = frozenset({Fault.DC_RESIDUAL_CURRENT, Fault.DIODE})
"""faults that stay after the board clears them: until service, or (diode) until the vehicle is disconnected"""
_ENDING_FAULTS = {
    Fault.GROUND_FAULT: StoppedReason.GROUND_FAULT,
    Fault.DC_RESIDUAL_CURRENT: StoppedReason.GROUND_FAULT,
    Fault.OVER_CURRENT: StoppedReason.OVERCURRENT_FAULT,
    Fault.EMERGENCY_STOP: StoppedReason.EMERGENCY_STOP,
    Fault.CONTACTOR_WELDED: StoppedReason.OTHER,
    Fault.CONTACTOR_STUCK_OPEN: StoppedReason.OTHER,
    Fault.POWER_SWITCH: StoppedReason.OTHER,
}
"""faults that end a transaction (E06.FR.16), with the stop reason; other faults only suspend it"""


class EndConditions(Frozen):
    """Whether meter failure and disconnection end a transaction, by the settings; argument of the functions below."""

    on_meter_failure: bool
    """a failing meter ends the transaction; else it only stops energy"""
    on_disconnection: bool
    """the disconnection of the vehicle ends the authorization (StopTxOnEVSideDisconnect)"""
    unlock_on_disconnection: bool
    """whether the cable is then unlocked (UnlockOnEVSideDisconnect)"""


def apply_observation(
    before: EvseState, observation: Observation, conditions: EndConditions
) -> tuple[EvseState, ChangeCause | None]:
    """Return the state after an observation of the board, and the cause to report; None: no event by itself."""
    holder = before.lock_held_for or before.retained_for
    faults = before.faults | (observation.faults & _LATCHED)
    after = replace(before, observation=observation, faults=faults, lock_held_for=holder, retained_for=None)
    if end_cause := _cause_of_faults(
        observation.faults - before.observation.faults, ends_on_meter_failure=conditions.on_meter_failure
    ):
        return replace(after, authorization=None), end_cause
    if ev_connected(after) and not ev_connected(before):
        return after, ChangeCause(TriggerReason.CABLE_PLUGGED_IN)
    if ev_connected(before) and not ev_connected(after):
        return _apply_disconnection(
            after, stops=conditions.on_disconnection, unlocks=conditions.unlock_on_disconnection
        )
    if observation.bay_occupied is not before.observation.bay_occupied:
        return after, ChangeCause(TriggerReason.EV_DETECTED if observation.bay_occupied else TriggerReason.EV_DEPARTED)
    return after, None


def apply_fault(
    before: EvseState, fault: Fault, present: bool, conditions: EndConditions
) -> tuple[EvseState, ChangeCause | None]:
    """Return the state after the station detected a fault or its end; the cause is given if that ends a transaction."""
    faults = before.faults | {fault} if present else before.faults - {fault}
    after = replace(before, faults=faults)
    if present and (
        end_cause := _cause_of_faults(frozenset({fault}), ends_on_meter_failure=conditions.on_meter_failure)
    ):
        return replace(after, authorization=None), end_cause
    return after, None


def apply_authorization(before: EvseState, authorization: Authorization) -> EvseState:
    """Return the state with this authorization; the energy refusal and retained cable of an earlier one are removed."""
    transaction = before.transaction
    if transaction is not None:
        transaction = replace(transaction, energy_refused=False, energy_limit_wh=None)
    return replace(before, authorization=authorization, lock_held_for=None, transaction=transaction)


def apply_energy_refusal(before: EvseState, register_wh: float | None, *, beyond_wh: float) -> EvseState:
    """Return the state after the CSMS rejected the token without ending the transaction (E05.FR.02, E05.FR.03).

    `beyond_wh`: energy that may still be delivered from `register_wh` on; none if 0 or the register is unknown.
    """
    if (transaction := before.transaction) is None:
        return before
    if beyond_wh > 0.0 and register_wh is not None:
        return replace(before, transaction=replace(transaction, energy_limit_wh=register_wh + beyond_wh))
    return replace(before, transaction=replace(transaction, energy_refused=True))


def apply_reading(before: EvseState, reading: Reading) -> EvseState:
    """Return the state after a meter reading: current drawn, and end of energy at MaxEnergyOnInvalidId (E05.FR.03)."""
    draw_a = max([abs(current_a) for current_a in reading.currents_a if current_a is not None], default=None)
    unchanged = draw_a == before.draw_a and before.metered  # as of most readings
    after = before if unchanged else replace(before, draw_a=draw_a, metered=True)
    transaction, register_wh = before.transaction, reading.energy_import_wh
    if transaction is None or transaction.energy_limit_wh is None or register_wh is None:
        return after
    if register_wh < transaction.energy_limit_wh:
        return after
    return replace(after, transaction=replace(transaction, energy_refused=True, energy_limit_wh=None))


def apply_vehicle_signal(
    before: EvseState, signal: VehicleSignal, now_s: float
) -> tuple[EvseState, ChangeCause | None]:
    """Return the state after a signal of the link to the vehicle, and the cause to report; None: no event by itself.

    A vehicle that terminates its session ends its authorization (E15.FR.04, E15.FR.05). Nothing else here does: least
    of all a link that is lost.
    """
    after = replace(before, vehicle=apply_signal(before.vehicle, signal, plug_state(before), now_s))
    terminated = signal is VehicleSignal.SESSION_TERMINATED and before.vehicle.communication is Communication.SESSION
    if not terminated or before.authorization is None:
        return after, None
    cause = ChangeCause(TriggerReason.STOP_AUTHORIZED, StoppedReason.STOPPED_BY_EV, deauthorizes=True)
    return replace(after, authorization=None), cause


def reset_state(before: EvseState) -> EvseState:
    """Return the state after a reset, as after power-up (B11.FR.08).

    Contactor and vehicle faults are cleared, the authorization is removed, the cable unlocked.
    A connected vehicle counts as newly connected.
    """
    latched = {*UNTIL_UNPLUGGED, Fault.CONTACTOR_WELDED, Fault.CONTACTOR_STUCK_OPEN}
    return replace(
        before,
        faults=before.faults - latched,
        authorization=None,
        lock_held_for=None,
        unreported_cause=None,
        missed_arrivals=arrivals(before),
        vehicle=apply_signal(before.vehicle, VehicleSignal.RESET, plug_state(before), 0.0),
    )


def _cause_of_faults(new_faults: frozenset[Fault], *, ends_on_meter_failure: bool) -> ChangeCause | None:
    """The cause if one of these faults ends the transaction, else None."""
    reason = next((reason for fault, reason in _ENDING_FAULTS.items() if fault in new_faults), None)
    if reason is None and ends_on_meter_failure and Fault.METER in new_faults:
        reason = StoppedReason.OTHER
    if reason is None:
        return None
    return ChangeCause(TriggerReason.ABNORMAL_CONDITION, reason, deauthorizes=True, ends_transaction=True)


def _apply_disconnection(after: EvseState, *, stops: bool, unlocks: bool) -> tuple[EvseState, ChangeCause]:
    """Return the state after the vehicle was disconnected, with or without the cable (E09, E10).

    `stops` is StopTxOnEVSideDisconnect, `unlocks` UnlockOnEVSideDisconnect.
    """
    if after.authorization is None or not stops:
        return after, ChangeCause(TriggerReason.EV_COMMUNICATION_LOST)
    holder = after.authorization.id_token
    stays_locked = after.observation.cable_plugged and not unlocks  # E09.FR.03
    after = replace(after, authorization=None, lock_held_for=holder if stays_locked else None)
    return after, ChangeCause(TriggerReason.EV_COMMUNICATION_LOST, StoppedReason.EV_DISCONNECTED, deauthorizes=True)

"""What ends a charge besides whoever may end it: faults, and a vehicle that is gone. Pure."""

from __future__ import annotations

from dataclasses import replace

from station.evse_state import Cause, EvseState
from station.model import Fault, StoppedReason, TriggerReason

_ENDING_FAULTS = {
    Fault.GROUND_FAULT: StoppedReason.GROUND_FAULT,
    Fault.DC_RESIDUAL_CURRENT: StoppedReason.GROUND_FAULT,
    Fault.OVER_CURRENT: StoppedReason.OVERCURRENT_FAULT,
    Fault.EMERGENCY_STOP: StoppedReason.EMERGENCY_STOP,
    Fault.CONTACTOR_WELDED: StoppedReason.OTHER,
    Fault.CONTACTOR_STUCK_OPEN: StoppedReason.OTHER,
    Fault.POWER_SWITCH: StoppedReason.OTHER,
}
"""faults that end a transaction (E06.FR.16), and as what; the others only suspend it"""


def cause_of_faults(appeared: frozenset[Fault], *, meter_ends: bool) -> Cause | None:
    """As what these faults end a transaction; None: they suspend it at the most."""
    reason = next((reason for fault, reason in _ENDING_FAULTS.items() if fault in appeared), None)
    if reason is None and meter_ends and Fault.METER in appeared:
        reason = StoppedReason.OTHER
    if reason is None:
        return None
    return Cause(TriggerReason.ABNORMAL_CONDITION, reason, deauthorizes=True, ends_transaction=True)


def disconnected(after: EvseState, *, stops: bool, unlocks: bool) -> tuple[EvseState, Cause]:
    """The vehicle is gone, with or without the cable (E09, E10).

    `stops` is StopTxOnEVSideDisconnect, `unlocks` UnlockOnEVSideDisconnect.
    """
    if after.authorization is None or not stops:
        return after, Cause(TriggerReason.EV_COMMUNICATION_LOST)
    holder = after.authorization.id_token
    keep = after.seen.cable_plugged and not unlocks  # E09.FR.03
    after = replace(after, authorization=None, lock_held_for=holder if keep else None)
    return after, Cause(TriggerReason.EV_COMMUNICATION_LOST, StoppedReason.EV_DISCONNECTED, deauthorizes=True)

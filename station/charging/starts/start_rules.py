"""The rules of starting a charge: what an EVSE lacks, which EVSE is chosen, and its authorization. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from foundation.frozen import Frozen
from station.charging.evse_state import Authorization, EvseState, blocking_faults, connector_status, ev_connected
from station.charging.starts.start_request import StartRefusal, StartSource
from station.core.model import NO_TOKEN, IdToken

if TYPE_CHECKING:
    from station.charging.reservations.allocation import Claim
    from station.charging.starts.start_request import StartDecision, StartRequest


class StartableEvse(Frozen):
    """One EVSE as the rules of a start see it, for one token and its group."""

    evse_id: int
    state: EvseState
    claim: Claim
    """whether the reservations leave it to the token, or might once its group is known; and which one it would use"""
    group_may_decide: bool = False
    """whether it is kept for a group to which the token may turn out to belong (H03.FR.08)"""
    observed: bool = True
    """whether its board has been read since the start; before that, a transaction open at a power cut may not have been
    ended (E01.FR.14)"""
    vehicle_served: bool = False
    """whether its vehicle has been authorized since it was connected"""
    vehicle_stopped: bool = False
    """whether the charge of its vehicle was stopped, and not by the vehicle"""
    remote_start_pending: bool = False
    """whether a remote start is accepted for it and not executed yet"""


class Obstacle(Frozen):
    """What prevents a start at one EVSE."""

    refusal: StartRefusal
    reason: str
    """the reason as a sentence in English without its final period"""


class EvseChoice(Frozen):
    """The EVSE where a charge can start, or what prevents it."""

    evse_id: int | None
    """with an obstacle: the EVSE that it is about; None: none in particular"""
    obstacle: Obstacle | None = None
    """None: the charge can start at `evse_id`"""
    expected: bool = False
    """whether the EVSE waits for this token: its vehicle has not been served yet, or it is reserved for the token"""


_BY_VEHICLE: Final = frozenset({StartSource.CONTRACT, StartSource.VEHICLE})
"""starts that a vehicle requests"""


def choose_evse(request: StartRequest, evses: Sequence[StartableEvse], *, allowed: Sequence[int] = ()) -> EvseChoice:
    """Choose the EVSE for a charge: one with the token's reservation, one with a vehicle, the first free (C01.FR.21).

    `evses`: those of the station; one that the request names is the only candidate. `allowed`: the EVSEs that the token
    may use; empty: all (C01.FR.19).
    """
    candidates = [evse for evse in evses if request.evse_id in {None, evse.evse_id}]
    obstacles = {evse.evse_id: obstacle(request, evse, allowed) for evse in candidates}
    free = sorted((evse for evse in candidates if obstacles[evse.evse_id] is None), key=_preference)
    if free:
        return EvseChoice(free[0].evse_id, expected=_expects(free[0], request.id_token))
    if len(candidates) == 1:
        return EvseChoice(candidates[0].evse_id, obstacles[candidates[0].evse_id])
    blocking = {evse_id: found_obstacle for evse_id, found_obstacle in obstacles.items() if found_obstacle is not None}
    reason = "; ".join(found_obstacle.reason for found_obstacle in blocking.values()) or "the EVSE does not exist"
    for evse_id, found_obstacle in blocking.items():
        if found_obstacle.refusal is not StartRefusal.NO_EVSE:  # the first EVSE that is in use
            return EvseChoice(evse_id, Obstacle(found_obstacle.refusal, reason))
    return EvseChoice(None, Obstacle(StartRefusal.NO_EVSE, reason))


def group_charge(request: StartRequest, evses: Sequence[StartableEvse], group_id: IdToken | None) -> EvseChoice | None:
    """Return the EVSE that charges for the group of the token; None: none does, or the token has no group."""
    for evse in evses:
        if request.evse_id in {None, evse.evse_id} and is_of_group(evse.state.authorization, group_id):
            reason = f"EVSE {evse.evse_id} charges for the group of the token"
            return EvseChoice(evse.evse_id, Obstacle(StartRefusal.IN_USE_BY_GROUP, reason))
    return None


def authorization_of(request: StartRequest, decision: StartDecision) -> Authorization:
    """Return the authorization of the EVSE where a charge starts, from the request and the decision that starts it."""
    info = decision.token.info if decision.token is not None else None
    return Authorization(
        request.id_token,
        decision.group_id,
        remote_start_id=request.remote_start_id,
        reservation_id=decision.reservation_id,
        personal_message=info.personal_message if info is not None else None,
        charging_priority=info.charging_priority if info is not None else 0,
        languages=info.languages if info is not None else (),
        tests=request.source is StartSource.INSTALLER,
    )


def _preference(evse: StartableEvse) -> tuple[bool, bool, bool, bool]:
    """The order of preference of EVSEs where a charge can start; the smallest first (C01.FR.21, F01.FR.20).

    An EVSE that may turn out to be kept for another group comes last.
    """
    connected = ev_connected(evse.state)
    return evse.group_may_decide, evse.claim.reservation is None, not connected, connected and evse.vehicle_served


def _expects(evse: StartableEvse, id_token: IdToken) -> bool:
    """Whether an EVSE waits for this token: with a newly connected vehicle or its reservation (H03.FR.01–H03.FR.03)."""
    reservation = evse.claim.reservation
    waiting = ev_connected(evse.state) and not evse.vehicle_served
    return waiting or (reservation is not None and reservation.id_token.same_as(id_token))


def obstacle(request: StartRequest, evse: StartableEvse, allowed: Sequence[int] = ()) -> Obstacle | None:
    """Return what prevents this start at an EVSE; None: nothing. `allowed`: as of `choose_evse`."""
    state, evse_name = evse.state, f"EVSE {evse.evse_id}"
    if request.source is StartSource.REMOTE and (found := _obstacle_to_remote_start(evse)) is not None:
        return found
    if request.source is StartSource.CONTRACT and not may_present_contract(state):
        return Obstacle(StartRefusal.TOKEN_REJECTED, f"the contract of the vehicle at {evse_name} was refused")
    if request.source is StartSource.PLUG_IN and evse.vehicle_served:
        return Obstacle(StartRefusal.VEHICLE_SERVED, f"the vehicle at {evse_name} has been served already")
    if request.source in _BY_VEHICLE and evse.vehicle_stopped:
        return Obstacle(StartRefusal.VEHICLE_SERVED, f"the charge of the vehicle at {evse_name} was stopped")
    usable = _in_service(state) if request.source is StartSource.INSTALLER else state.operative
    if not usable or not can_charge(state):  # F01.FR.21–F01.FR.23, F02.FR.23–F02.FR.25
        return Obstacle(StartRefusal.NO_EVSE, f"{evse_name} is {connector_status(state)}")
    if state.authorization is not None:
        return Obstacle(StartRefusal.IN_USE, f"{evse_name} {_user_of(state, request)}")
    if not matches_holder(state, request.id_token):
        return Obstacle(StartRefusal.HELD, f"the cable or transaction of {evse_name} belongs to another token")
    if not evse.claim.admitted:
        return Obstacle(StartRefusal.NO_EVSE, f"{evse_name} is reserved for another token")
    if allowed and evse.evse_id not in allowed:
        return Obstacle(StartRefusal.NO_EVSE, f"the token is not accepted at {evse_name}")
    return None


def _user_of(state: EvseState, request: StartRequest) -> str:
    """Who uses an EVSE that is authorized, as the end of a sentence."""
    is_same_token = state.authorization is not None and request.id_token.same_as(state.authorization.id_token)
    return "is authorized already" if is_same_token else "is in use by another token"


def _obstacle_to_remote_start(evse: StartableEvse) -> Obstacle | None:
    """What prevents only remote starts at an EVSE; None: nothing."""
    transaction, evse_name = evse.state.transaction, f"EVSE {evse.evse_id}"
    if evse.remote_start_pending:
        return Obstacle(StartRefusal.NO_EVSE, f"another remote start is in progress at {evse_name}")
    if not evse.observed:
        return Obstacle(StartRefusal.NO_EVSE, f"the connector of {evse_name} has not been observed yet")
    authorized_before = transaction is not None and transaction.holder is not None
    if can_authorize(evse.state) and (evse.state.authorization is not None or authorized_before):
        return Obstacle(StartRefusal.IN_USE, f"{evse_name} is already authorized")  # F01.FR.24, F02.FR.26
    return None


def can_authorize(state: EvseState) -> bool:
    """Return whether some token may be authorized at an EVSE now: it is operative and `can_charge`."""
    return state.operative and can_charge(state)


def can_charge(state: EvseState) -> bool:
    """Whether an EVSE can charge, regardless of availability: no blocking fault, not halting, no ending transaction."""
    ending = state.transaction is not None and state.transaction.ending is not None
    return not blocking_faults(state) and not state.halting and not ending


def _in_service(state: EvseState) -> bool:
    """Whether an EVSE is not ordered out of service, whether or not the station is activated."""
    return state.in_service and not state.withheld


def is_anonymous(id_token: IdToken | None) -> bool:
    """Return whether this is the token of a charge without authorization (type NoAuthorization); None: False."""
    return id_token is not None and id_token.type == NO_TOKEN.type


def may_present_contract(state: EvseState) -> bool:
    """Whether the vehicle may be authorized by its contract: not after a refusal, until its next session."""
    return not state.vehicle.contract_refused


def matches_holder(state: EvseState, id_token: IdToken) -> bool:
    """Whether a token may be authorized: it must match the holder of transaction and retained cable, if there is one.

    C01.FR.23, E05.FR.11, E09.FR.03.
    """
    return all(id_token.same_as(holder) for holder in _holders(state))


def is_open_to_all(state: EvseState) -> bool:
    """Whether any token may be authorized at an EVSE: none is now, and its transaction and cable have no holder."""
    return can_authorize(state) and state.authorization is None and not _holders(state)


def is_of_group(authorization: Authorization | None, group_id: IdToken | None) -> bool:
    """Whether the charge that is authorized belongs to a group; False without an authorization or a group."""
    return authorization is not None and group_id is not None and group_id.same_as(authorization.group_id)


def _holders(state: EvseState) -> list[IdToken]:
    """The holders of the open transaction and of the retained cable of an EVSE, if there are any."""
    holder = state.transaction.holder if state.transaction is not None else None
    cable_holder = None if state.attached_cable or is_anonymous(state.lock_held_for) else state.lock_held_for
    return [token for token in (holder, cable_holder) if token is not None]

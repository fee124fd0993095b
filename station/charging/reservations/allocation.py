"""The rules of reservations: which EVSEs are kept for them, whether another is possible, and who may use an EVSE. Pure.

A reservation of one EVSE keeps that EVSE. Reservations of a connector type, or of any EVSE, keep no EVSE in particular
as long as more EVSEs are free than they need: the last free ones are Reserved (H01.FR.20, H01.FR.24).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum, auto

from foundation.frozen import Frozen
from station.charging.evse_state import EvseState, WithholdReason, blocking_faults, ev_connected
from station.charging.reservations.reservation import Reservation
from station.core.model import IdToken

_TEMPORARY = frozenset({WithholdReason.RESET, WithholdReason.RESTART})
"""reasons for being Unavailable that a reservation outlasts (B01.FR.13, B11.FR.05)"""


class EvseUse(Enum):
    """The present use of an EVSE, as the rules of reservations distinguish it."""

    FREE = auto()
    WAITING = auto()
    """a cable or vehicle is there, and nobody is authorized: it may be that of a holder of a reservation"""
    IN_USE = auto()
    UNAVAILABLE = auto()
    FAULTED = auto()


class ReservableEvse(Frozen):
    """One EVSE as the rules of reservations see it."""

    evse_id: int
    connector_type: str
    use: EvseUse
    reserved: bool = False
    """whether its connector status is Reserved already"""
    operative: bool = True
    """whether it may be used; false also during a reset, which the reservations of it outlast"""


class Allocation(Frozen):
    """The EVSEs that are kept for reservations, and the reservations that cannot be kept."""

    reserved: frozenset[int]
    """EVSEs that nobody but the holders of reservations may use"""
    unmet: tuple[Reservation, ...] = ()
    """the newest ones of those that need more EVSEs than there are"""


class Refusal(Enum):
    """Why no EVSE can be reserved: the status of the EVSEs that it would cover (H01.FR.11, H01.FR.12, H01.FR.14)."""

    OCCUPIED = auto()
    FAULTED = auto()
    UNAVAILABLE = auto()


def evse_use(state: EvseState) -> EvseUse:
    """Derive from the state of an EVSE what it is used for; a reset or restart does not make it unavailable."""
    if blocking_faults(state):
        return EvseUse.FAULTED
    transaction = state.transaction
    if state.authorization is not None or state.lock_held_for is not None:
        return EvseUse.IN_USE
    if transaction is not None:
        return EvseUse.WAITING if transaction.holder is None and transaction.ending is None else EvseUse.IN_USE
    if not state.in_service or state.withheld - _TEMPORARY or state.installer_only:
        return EvseUse.UNAVAILABLE
    return EvseUse.WAITING if state.observation.cable_plugged or ev_connected(state) else EvseUse.FREE


def allocate(reservations: Sequence[Reservation], evses: Iterable[ReservableEvse]) -> Allocation:
    """Decide which EVSEs are kept for these reservations, given in the order of acceptance.

    Free EVSEs are counted first. A waiting vehicle keeps its EVSE Reserved only where the free ones do not suffice, and
    first where it is Reserved already (G01.FR.09), since nobody knows whether its driver is a holder.
    """
    allocator = _Allocator(evses)
    for reservation in (reservation for reservation in reservations if reservation.evse_id is not None):
        allocator.keep_evse(reservation)
    with_type = [
        reservation
        for reservation in reservations
        if reservation.evse_id is None and reservation.connector_type is not None
    ]
    for connector_type in dict.fromkeys(reservation.connector_type for reservation in with_type):
        allocator.keep_of_type(
            [reservation for reservation in with_type if reservation.connector_type == connector_type], connector_type
        )
    allocator.keep_of_type(
        [
            reservation
            for reservation in reservations
            if reservation.evse_id is None and reservation.connector_type is None
        ],
        None,
    )
    return Allocation(frozenset(allocator.reserved), tuple(allocator.unmet))


class _Allocator:
    """The EVSEs that are left while reservations are allocated, from the most specific to the least."""

    def __init__(self, evses: Iterable[ReservableEvse]) -> None:
        usable = [evse for evse in evses if evse.use in {EvseUse.FREE, EvseUse.WAITING}]
        self._unassigned = sorted(
            usable, key=lambda evse: (evse.use is EvseUse.WAITING, not evse.reserved, evse.evse_id)
        )
        self._claimed_by_type = 0
        """free EVSEs that reservations of a connector type need, out of several"""
        self.reserved: set[int] = set()
        self.unmet: list[Reservation] = []

    def keep_evse(self, reservation: Reservation) -> None:
        """Keep the EVSE of this reservation."""
        if any(evse.evse_id == reservation.evse_id for evse in self._unassigned):
            self._assign([evse for evse in self._unassigned if evse.evse_id == reservation.evse_id])
        else:
            self.unmet.append(reservation)

    def keep_of_type(self, reservations: Sequence[Reservation], connector_type: str | None) -> None:
        """Keep as many EVSEs of a connector type (None: of any) as there are reservations."""
        if not reservations:
            return
        matching = [evse for evse in self._unassigned if connector_type in {None, evse.connector_type}]
        free = [evse for evse in matching if evse.use is EvseUse.FREE]
        waiting = [evse for evse in matching if evse.use is EvseUse.WAITING]
        capacity = len(free) - (self._claimed_by_type if connector_type is None else 0)
        missing = len(reservations) - capacity
        if missing < 0:
            self._claimed_by_type += len(reservations)
            return
        self._assign([*free, *waiting[:missing]])
        self.unmet += reservations[capacity + len(waiting) :]

    def _assign(self, evses: Sequence[ReservableEvse]) -> None:
        self.reserved |= {evse.evse_id for evse in evses}
        self._unassigned = [evse for evse in self._unassigned if evse not in evses]


def refusal(requested: Reservation, existing: Sequence[Reservation], evses: Sequence[ReservableEvse]) -> Refusal | None:
    """Why no EVSE can be reserved for `requested`; None: it can (H01.FR.03, H01.FR.04, H01.FR.06).

    `existing`: the reservations in force; one with the id of `requested` is replaced (H01.FR.02). Only free EVSEs can
    be reserved, and those that are kept already; none while it is being reset.
    """
    other_reservations = [
        reservation for reservation in existing if reservation.reservation_id != requested.reservation_id
    ]
    reserved = allocate(existing, evses).reserved
    usable = [evse for evse in evses if evse.use is EvseUse.FREE or evse.evse_id in reserved]
    covered = [evse for evse in evses if requested.covers(evse.evse_id, evse.connector_type)]
    open_now = any(evse.operative for evse in covered if evse in usable)
    if open_now and len(allocate([*other_reservations, requested], usable).unmet) <= len(
        allocate(other_reservations, usable).unmet
    ):
        return None
    states = {_reported_use(evse) for evse in covered}
    if states & {EvseUse.FREE, EvseUse.WAITING, EvseUse.IN_USE}:
        return Refusal.OCCUPIED
    return Refusal.UNAVAILABLE if EvseUse.UNAVAILABLE in states else Refusal.FAULTED


def _reported_use(evse: ReservableEvse) -> EvseUse:
    """The use of an EVSE as its connector status shows it: one that is free but being reset is Unavailable."""
    return evse.use if evse.operative or evse.use is EvseUse.FAULTED else EvseUse.UNAVAILABLE


class Claim(Frozen):
    """Whether a token may use an EVSE, and the reservation that it uses by that."""

    admitted: bool
    reservation: Reservation | None = None


def claim(
    evse_id: int,
    id_token: IdToken,
    group_id: IdToken | None,
    reservations: Sequence[Reservation],
    evses: Sequence[ReservableEvse],
) -> Claim:
    """Decide whether a token may use an EVSE, and with which reservation: its most specific one (H03.FR.01–FR.06).

    A holder may not use an EVSE that another reservation needs.
    """
    candidate = next(evse for evse in evses if evse.evse_id == evse_id)
    matching = [
        reservation
        for reservation in reservations
        if reservation.matches(id_token, group_id) and reservation.covers(evse_id, candidate.connector_type)
    ]
    matching.sort(key=lambda reservation: (reservation.evse_id is None, reservation.connector_type is None))
    remaining = [evse for evse in evses if evse is not candidate]
    current = allocate(reservations, evses)
    for own in matching:
        if len(
            allocate([reservation for reservation in reservations if reservation is not own], remaining).unmet
        ) <= len(current.unmet):
            return Claim(True, own)
    return Claim(evse_id not in current.reserved)

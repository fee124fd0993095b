"""The reservations of a station: accepted, cancelled, used, expired or removed, and what follows for its EVSEs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from foundation.change_signal import ChangeSignal
from foundation.frozen import Frozen
from foundation.supervision import run_together
from station.charging.reservations.allocation import (
    Claim,
    EvseUse,
    Refusal,
    ReservableEvse,
    allocate,
    claim,
    evse_use,
    refusal,
)
from station.charging.reservations.reservation import Reservation, ReservationEnd
from station.storage.database import StorageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from foundation.clock import Clock
    from station.charging.evse import Evse
    from station.charging.reservations.reservation_settings import ReservationSettings
    from station.charging.reservations.reservation_store import EndedReservation, ReservationStore
    from station.core.model import IdToken, TransactionEvent

_log = logging.getLogger(__name__)

_MAX_WAIT_S: Final = 30.0
"""longest wait for an expiry, which is a wall time: the clock may be set meanwhile"""
_RETRY_S: Final = 10.0
_STARTUP_GRACE_S: Final = 60.0
"""time after a start in which a fault does not end a reservation: meters and boards start slower than this program"""


class ReserveStatus(StrEnum):
    """The answer to a request for a reservation (ReserveNowStatusEnumType)."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    OCCUPIED = "Occupied"
    FAULTED = "Faulted"
    UNAVAILABLE = "Unavailable"


class ReserveResult(Frozen):
    """Whether an EVSE was reserved, and if not, why."""

    status: ReserveStatus
    reason: str | None = None
    """why not, in English; None: accepted"""
    replaced: bool = False
    """whether it is in place of an earlier one with its id (H01.FR.02)"""
    code: str = "Unspecified"
    """a reasonCode of the standard's appendix, if it is not accepted"""

    @property
    def accepted(self) -> bool:
        """Whether the reservation is stored and in force."""
        return self.status is ReserveStatus.ACCEPTED


_REFUSED: Final = {
    Refusal.OCCUPIED: (ReserveStatus.OCCUPIED, "is occupied or reserved"),
    Refusal.FAULTED: (ReserveStatus.FAULTED, "is out of order"),
    Refusal.UNAVAILABLE: (ReserveStatus.UNAVAILABLE, "is out of service"),
}


class Reservations:
    """The reservations in force. Decides who may use an EVSE, and sets which EVSEs are Reserved.

    What is accepted or cancelled is on disk before the result is returned. A used reservation stays on disk until a
    transaction event that names it is: after a power cut before that, it is in force again.
    """

    def __init__(
        self,
        evses: Mapping[int, Evse],
        store: ReservationStore,
        settings: ReservationSettings,
        clock: Clock,
        *,
        reports_ends: bool,
    ) -> None:
        """`reports_ends`: ends are stored and reported to a CSMS; otherwise they are deleted."""
        self._reports_ends = reports_ends
        self._evses = evses
        self._store = store
        self._settings = settings
        self._clock = clock
        self._pending: dict[int, Reservation] = {}
        """reservations that wait for their holder, by id, in the order of acceptance"""
        self._used: dict[int, Reservation] = {}
        """reservations whose use no stored event has reported yet, by EVSE"""
        self._ends: list[tuple[Reservation, ReservationEnd]] = []
        """ends that are not stored yet"""
        self._published: Sequence[Reservation] = ()
        """the reservations in force when `changed` was last fired"""
        self._last_id = 0
        """the id that `unused_id` gave last"""
        self._ignore_faults_until_s = 0.0
        """until when faults may be those of a start (Clock.monotonic)"""
        self._decision_lock = asyncio.Lock()
        """one request is decided and stored at a time"""
        self._store_lock = asyncio.Lock()
        self._update_due = ChangeSignal()
        self.starting: set[int] = set()
        """EVSEs for which a remote start is accepted and not executed yet"""
        self.changed = ChangeSignal()
        """fires when a reservation begins, ends, or is replaced"""
        self.ended = ChangeSignal()
        """fires when the end of a reservation is stored, to be reported (`oldest_unreported`)"""

    async def load(self) -> None:
        """Load the stored reservations at startup, and set which EVSEs are Reserved (B01.FR.13, B11.FR.05).

        Without a CSMS, those of no EVSE in particular end: an earlier CSMS made them, and the owner cannot cancel them.

        Raises:
            StorageError: the disk cannot be read.
        """
        self._pending = {reservation.reservation_id: reservation for reservation in await self._store.load()}
        for reservation in self.pending:
            if reservation.evse_id is None and not self._reports_ends:
                self._end(reservation, ReservationEnd.REMOVED)
        if self._pending:
            self._ignore_faults_until_s = self._clock.monotonic() + _STARTUP_GRACE_S
        self.update_evses()

    @property
    def pending(self) -> Sequence[Reservation]:
        """The reservations that wait for their holder, in the order of acceptance."""
        return tuple(self._pending.values())

    def unused_id(self) -> int:
        """An id that no reservation has and that was not given before, for one that no CSMS makes."""
        known = (*self._pending.values(), *self._used.values(), *(reservation for reservation, _ in self._ends))
        self._last_id = max([self._last_id, *(reservation.reservation_id for reservation in known)]) + 1
        return self._last_id

    # Requests

    async def reserve(self, reservation: Reservation) -> ReserveResult:
        """Accept and store a reservation, in place of the one with its id, if there is one; or say why not (H01).

        The caller calls `update_evses` after its response: the connector statuses change, and the expiry is awaited.

        Raises:
            StorageError: the reservation is not accepted; an earlier one with its id stays.
        """
        async with self._decision_lock:
            if (rejection := self._rejection_reason(reservation)) is not None:
                code, reason = rejection
                return ReserveResult(ReserveStatus.REJECTED, reason, code=code)
            if (refused := refusal(reservation, self.pending, self._reservable(with_starts=True))) is not None:
                status, reason = _REFUSED[refused]
                subject = f"EVSE {reservation.evse_id}" if reservation.evse_id is not None else "every EVSE that fits"
                return ReserveResult(status, f"{subject} {reason}")
            identity = reservation.reservation_id
            replaced = self._pending.pop(identity, None)
            self._pending[identity] = reservation  # from now on nobody else is admitted
            try:
                await self._store.put(reservation)
            except StorageError:
                self._pending.pop(identity, None)
                if replaced is not None:
                    self._pending[identity] = replaced
                raise
        until = reservation.expires_at.isoformat(" ", "seconds")
        _log.info("%s accepted for token %s until %s", _subject(reservation), reservation.id_token.loggable, until)
        return ReserveResult(ReserveStatus.ACCEPTED, replaced=replaced is not None)

    async def cancel(self, reservation_id: int) -> bool:
        """Cancel a reservation; returns False if there is none with this id, or it was used already (H02).

        The caller then calls `update_evses`, as after `reserve`.

        Raises:
            StorageError: the reservation stays in force.
        """
        async with self._decision_lock:
            if reservation_id not in self._pending:
                return False
            await self._store.remove(reservation_id)
            cancelled = self._pending.pop(reservation_id, None)
        if cancelled is not None:
            _log.info("%s cancelled", _subject(cancelled))
        return True

    async def clear(self) -> None:
        """End all reservations, for a factory reset; reported to the CSMS as removed.

        Raises:
            StorageError: not all ends are stored.
        """
        for reservation in self.pending:
            self._end(reservation, ReservationEnd.REMOVED)
        self.update_evses()
        await self._store_ends()

    async def forget(self, id_token: IdToken) -> None:
        """End all reservations for a token, whose holder's data is erased (N10.FR.03); reported to the CSMS.

        Raises:
            StorageError: not all ends are stored.
        """
        for reservation in self.pending:
            if reservation.id_token.same_as(id_token):
                self._end(reservation, ReservationEnd.REMOVED)
        self.update_evses()
        await self._store_ends()

    def of_evse(self, evse_id: int) -> Reservation | None:
        """The waiting reservation of this very EVSE; None: there is none."""
        return next((reservation for reservation in self._pending.values() if reservation.evse_id == evse_id), None)

    async def oldest_unreported(self) -> EndedReservation | None:
        """Read the oldest end of a reservation that is not reported to the CSMS yet; None if there is none.

        Raises:
            StorageError: the disk cannot be read.
        """
        return await self._store.oldest_ended()

    async def mark_reported(self, ended: EndedReservation) -> None:
        """Store that an end has been reported to the CSMS.

        Raises:
            StorageError: it is reported again.
        """
        await self._store.delete_reported(ended)

    # Use

    def claim(self, evse_id: int, id_token: IdToken, group_id: IdToken | None = None) -> Claim:
        """Return whether a token may use an EVSE now, and with which reservation; changes nothing."""
        return claim(evse_id, id_token, group_id, self.pending, self._reservable())

    def might_admit(self, evse_id: int, id_token: IdToken) -> bool:
        """Return whether a token whose group is unknown might use an EVSE: as itself, or by its group (H03.FR.08)."""
        if self.claim(evse_id, id_token).admitted:
            return True
        groups = [reservation.group_id for reservation in self._pending.values() if reservation.group_id is not None]
        return any(self.claim(evse_id, id_token, group).admitted for group in groups)

    def is_reserved_for(self, evse_id: int, id_token: IdToken, group_id: IdToken | None) -> bool:
        """Return whether the token or its group would use a reservation by charging at this EVSE."""
        return self.claim(evse_id, id_token, group_id).reservation is not None

    def use(self, evse_id: int, id_token: IdToken, group_id: IdToken | None) -> int | None:
        """Use the reservation with which this token is admitted to an EVSE; returns its id, None if it has none.

        The caller authorizes the EVSE at once, and reports the id with its next transaction event (H03.FR.09).
        """
        reservation = self.claim(evse_id, id_token, group_id).reservation
        if reservation is None:
            return None
        self._pending.pop(reservation.reservation_id, None)
        self._used[evse_id] = reservation
        _log.info("EVSE %d: reservation %d is used", evse_id, reservation.reservation_id)
        self._evses[evse_id].set_reserved(None)  # H03.FR.10
        self._update_due.notify()
        return reservation.reservation_id

    def remove(self, reservation: Reservation) -> None:
        """End a reservation whose token was presented and rejected; reported to the CSMS as removed."""
        self._end(reservation, ReservationEnd.REMOVED)
        self._update_due.notify()

    def note_event(self, event: TransactionEvent) -> None:
        """Note that a transaction event is stored: the reservation that it names is used for good."""
        if event.reservation_id is not None:
            self._used = {
                evse_id: reservation
                for evse_id, reservation in self._used.items()
                if reservation.reservation_id != event.reservation_id
            }

    # Consequences

    async def run(self) -> None:
        """Task until cancelled: end expired reservations and those that cannot be kept, and update the EVSEs."""
        watching = {f"reservations-{evse.id}": self._watch_evse(evse) for evse in self._evses.values()}
        await run_together({**watching, "reservations": self._run_updates()})

    async def _watch_evse(self, evse: Evse) -> None:
        count_before = evse.changed.count
        while True:
            if self._pending or self._used:
                self._update_due.notify()
            count_before = await evse.changed.wait(count_before)

    async def _run_updates(self) -> None:
        while True:
            count_before = self._update_due.count
            self._end_unused()
            self.update_evses()
            try:
                await self._store_ends()
            except StorageError as error:
                _log.error("the end of a reservation cannot be stored: %s; trying again", error)
                await self._clock.sleep(_RETRY_S)
                continue
            wait_s = self._next_expiry_s()
            if wait_s is None:
                await self._update_due.wait(count_before)
            else:
                await self._update_due.wait_for(count_before, self._clock, wait_s)

    def update_evses(self) -> None:
        """End the reservations that have expired or cannot be kept; set which EVSEs are Reserved, and until when."""
        now = self._clock.now()
        for expired in [expired for expired in self._pending.values() if expired.expires_at <= now]:
            self._end(expired, ReservationEnd.EXPIRED)
        evses = self._reservable()
        if self._clock.monotonic() < self._ignore_faults_until_s:  # B01.FR.13
            evses = [replace(evse, use=EvseUse.WAITING) if evse.use is EvseUse.FAULTED else evse for evse in evses]
        for unmet in allocate(self.pending, evses).unmet:
            self._end(unmet, ReservationEnd.REMOVED)  # H01.FR.16, H01.FR.17
        reserved = allocate(self.pending, evses).reserved
        for evse in self._evses.values():
            covering = [
                reservation
                for reservation in self._pending.values()
                if reservation.covers(evse.id, evse.layout.connector_type)
            ]
            specific = [reservation for reservation in covering if reservation.evse_id is not None] or covering
            evse.set_reserved(min(reservation.expires_at for reservation in specific) if evse.id in reserved else None)
        if self.pending != self._published:
            self._published = self.pending
            self._update_due.notify()  # another reservation may be the next to expire
            self.changed.notify()

    def _end(self, reservation: Reservation, end: ReservationEnd) -> None:
        if self._pending.get(reservation.reservation_id) != reservation:  # ended, or replaced by another (H01.FR.02)
            return
        del self._pending[reservation.reservation_id]
        _log.info("%s %s", _subject(reservation), end.value.lower())
        self._ends.append((reservation, end))
        self._update_due.notify()

    def _end_unused(self) -> None:
        """End the used reservations whose authorization ended without a transaction, so that no event reports them."""
        for evse_id, reservation in list(self._used.items()):
            evse = self._evses[evse_id]
            authorization = evse.state.authorization
            still_authorized = authorization is not None and authorization.reservation_id == reservation.reservation_id
            if not still_authorized and evse.state.transaction is None and not evse.count_unrecorded(None):
                del self._used[evse_id]
                self._ends.append((reservation, ReservationEnd.REMOVED))

    async def _store_ends(self) -> None:
        """Store the ends in their order; only stored ends are reported to the CSMS.

        Raises:
            StorageError: the remaining ones are not stored.
        """
        async with self._store_lock:
            while self._ends:
                reservation, end = self._ends[0]
                if self._reports_ends:
                    await self._store.end(reservation.reservation_id, end)
                else:
                    await self._store.remove(reservation.reservation_id)
                self._ends.pop(0)
                self.ended.notify()

    def _next_expiry_s(self) -> float | None:
        if not self._pending:
            return None
        remaining = min(reservation.expires_at for reservation in self._pending.values()) - self._clock.now()
        return min(max(remaining.total_seconds(), 0.0), _MAX_WAIT_S)

    def _rejection_reason(self, reservation: Reservation) -> tuple[str, str] | None:
        """Reason to reject a reservation whatever the EVSEs are doing, as reasonCode and sentence; None: none."""
        if not self._settings.reservation_enabled:  # H01.FR.01
            return "NotEnabled", "the station is configured not to accept reservations"
        if reservation.expires_at <= self._clock.now():
            return "InvalidValue", "the expiry time has passed already"
        if reservation.evse_id is not None and reservation.evse_id not in self._evses:
            return "UnknownEvse", f"EVSE {reservation.evse_id} does not exist"
        if reservation.evse_id is None and not self._settings.reservation_non_evse_specific:  # H01.FR.19
            return "UnsupportedParam", "the station only accepts reservations of a given EVSE"
        evses = [evse for evse in self._evses.values() if reservation.evse_id in {None, evse.id}]
        types = {evse.layout.connector_type for evse in evses}
        if reservation.connector_type is not None and reservation.connector_type not in types:
            return "UnknownConnectorType", f"no such EVSE has a connector of type {reservation.connector_type}"
        unusable = (*self._used.values(), *(ended for ended, _ in self._ends))
        if any(other.reservation_id == reservation.reservation_id for other in unusable):
            return "InvalidValue", f"reservation {reservation.reservation_id} is being used or has just ended"
        return None

    def _reservable(self, *, with_starts: bool = False) -> list[ReservableEvse]:
        """The EVSEs as the rules see them; `with_starts`: those with an accepted remote start are in use."""
        return [
            ReservableEvse(
                evse.id,
                evse.layout.connector_type,
                EvseUse.IN_USE if with_starts and evse.id in self.starting else evse_use(evse.state),
                reserved=evse.state.reserved_until is not None,
                operative=evse.state.operative,
            )
            for evse in self._evses.values()
        ]


def _subject(reservation: Reservation) -> str:
    """The EVSE that a reservation is for, and its number; for the log."""
    subject = f"EVSE {reservation.evse_id}" if reservation.evse_id is not None else "any EVSE"
    return f"{subject}: reservation {reservation.reservation_id}"

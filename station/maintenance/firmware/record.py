"""The record of firmware updates, which is also the queue of statuses not yet reported to the CSMS."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from foundation.change_signal import ChangeSignal
from foundation.events import Event
from foundation.frozen import Frozen
from foundation.waiting import Flag
from station.maintenance.firmware.state import END_STATUSES, FirmwareStatus, FirmwareUpdate, UpdateOrder
from station.security.file_transfer.location import FileLocation
from station.storage.database import StorageError
from station.storage.stored_format import StoredFormat, names
from station.storage.unreadable_rows import RowAddress, select_unreadable

if TYPE_CHECKING:
    from station.storage.database import Database
    from station.storage.sql import Row

_log = logging.getLogger(__name__)

MAX_UNREPORTED = 200
"""limit of unreported statuses of earlier updates, for a CSMS that orders updates but takes no statuses"""
_NOT_FOR_THE_CSMS = 2
"""value of the column `told`: not to be reported (0: pending, 1: reported)"""
_END_STATUS_SQL = ", ".join(f"'{status}'" for status in sorted(END_STATUSES))


ORDERS: Final = StoredFormat(
    UpdateOrder,
    {
        UpdateOrder: names(
            "request_id",
            "location",
            "retrieve_at",
            "install_at",
            "signing_certificate",
            "signature",
            "retries",
            "retry_interval_s",
        ),
    },
)


class EnteredStatus(Frozen):
    """A stored status that an update has reached, to be reported to the CSMS."""

    id: int
    """of its row"""
    request_id: int
    """of the CSMS's order"""
    status: FirmwareStatus


class FirmwareRecord:
    """The newest firmware update on disk, and the queue of its statuses that are not reported to the CSMS yet."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._status_stored = Flag()
        self._status_reported = ChangeSignal()
        self.update: FirmwareUpdate | None = None
        """the newest update, finished or not"""
        self.update_changed: Event[None] = Event()
        """published when an update is ordered, and when it reaches another status"""
        self.last_sent: EnteredStatus | None = None
        """the status last sent to the CSMS (L01.FR.25, L01.FR.26)"""

    async def load(self) -> None:
        """Load the newest update and the status last reported; an unreadable update is logged and ignored.

        Raises:
            StorageError: the disk cannot be read.
        """
        rows = await self._database.rows("SELECT id, payload FROM firmware_updates ORDER BY id DESC LIMIT 1")
        if not rows:
            return
        identity, payload = int(str(rows[0][0])), str(rows[0][1])
        statuses = await self._database.rows(
            "SELECT id, status FROM firmware_statuses WHERE update_id = ? ORDER BY id DESC LIMIT 1", (identity,)
        )
        last_reported = await self._database.rows(
            "SELECT id, request_id, status FROM firmware_statuses WHERE told = 1 ORDER BY id DESC LIMIT 1"
        )
        unreadable = self._database.unreadable
        order = unreadable.read(ORDERS.from_text, payload, RowAddress("firmware_updates", str(identity)))
        address = RowAddress("firmware_statuses", str(statuses[0][0]) if statuses else "")
        status = unreadable.read(FirmwareStatus, str(statuses[0][1]), address) if statuses else None
        if order is None or (statuses and status is None):
            _log.error("the stored firmware update cannot be read and is ignored")
            return
        if last_reported:
            self.last_sent = self._parse_status(last_reported[0])
        self.update = FirmwareUpdate(identity, order, status)
        with contextlib.suppress(StorageError):  # a full disk must not prevent the start
            await self._delete_older_updates(identity)

    async def begin(self, order: UpdateOrder) -> FirmwareUpdate:
        """Store a new update, which replaces the last one, and return it; a cancelled one reports no more statuses.

        Starts nothing.

        Raises:
            StorageError: not stored, the last update stays.
        """
        identity = await self._database.write(
            "INSERT INTO firmware_updates (payload) VALUES (?)", (ORDERS.to_text(order),)
        )
        self.update = FirmwareUpdate(identity, order)
        self.update_changed.publish(None)
        await self._delete_older_updates(identity)
        return self.update

    async def store_status(self, update: FirmwareUpdate, status: FirmwareStatus) -> FirmwareUpdate:
        """Store a new status of an update, queue it for the CSMS, and return the update with it (L01.FR.01, L02.FR.01).

        No effect if the status is unchanged. Statuses of a local update are not reported.

        Raises:
            StorageError: not stored, the status is unchanged.
        """
        if update.status is status:
            return update
        await self._database.write(
            "INSERT INTO firmware_statuses (update_id, request_id, status, told) VALUES (?, ?, ?, ?)",
            _status_row(update, status),
        )
        _log.info("firmware update %d: %s", update.id, status)
        entered = replace(update, status=status)
        if status.final:
            await self._delete_credentials(entered)
        if self.update is not None and self.update.id == update.id:
            self.update = entered
            self.update_changed.publish(None)
        self._status_stored.set()
        return entered

    async def oldest_unreported(self) -> EnteredStatus | None:
        """The oldest status that is not reported; None if all are. It stays queued until `mark_reported`.

        Raises:
            StorageError: the disk cannot be read.
        """
        self._status_stored.clear()
        rows = await self._database.rows(
            "SELECT id, request_id, status FROM firmware_statuses WHERE told = 0 ORDER BY id"
        )
        return next((entered for row in rows if (entered := self._parse_status(row)) is not None), None)

    def _parse_status(self, row: Row) -> EnteredStatus | None:
        """Parse a row; None if it is unreadable, so that it does not block others."""
        return self._database.unreadable.read(_status_from_row, row, RowAddress("firmware_statuses", str(row[0])))

    async def wait(self) -> None:
        """Wait until a status is stored, or return at once if one was since the last call of `oldest_unreported`."""
        await self._status_stored.wait()

    async def mark_reported(self, entered: EnteredStatus) -> None:
        """Remove a status from the queue: the CSMS has answered, or sending was given up.

        Raises:
            StorageError: not stored; the status will be reported again.
        """
        await self._database.write("UPDATE firmware_statuses SET told = 1 WHERE id = ?", (entered.id,))
        self._status_reported.notify()

    async def all_reported(self) -> bool:
        """Return whether the CSMS has received all statuses.

        Raises:
            StorageError: the disk cannot be read.
        """
        return await self.oldest_unreported() is None

    async def wait_all_reported(self) -> None:
        """Wait until all statuses are reported; the caller sets a timeout.

        Raises:
            StorageError: the disk cannot be read.
        """
        change_count = self._status_reported.count
        while not await self.all_reported():
            change_count = await self._status_reported.wait(change_count)

    async def _delete_credentials(self, update: FirmwareUpdate) -> None:
        """Remove the credentials from the stored location, since the image is not downloaded again."""
        if update.order.location is None:
            return
        order = replace(update.order, location=FileLocation.parse(update.order.location).url)
        with contextlib.suppress(StorageError):
            await self._database.write(
                "UPDATE firmware_updates SET payload = ? WHERE id = ?", (ORDERS.to_text(order), update.id)
            )

    async def _delete_older_updates(self, identity: int) -> None:
        """Delete earlier updates, except statuses still to be reported, and the last one reported."""
        await self._database.unreadable.save()
        await self._database.write(
            "DELETE FROM firmware_statuses WHERE update_id < ?"
            f" AND id NOT IN ({select_unreadable('firmware_statuses')})"
            " AND id <> (SELECT COALESCE(MAX(id), 0) FROM firmware_statuses WHERE told = 1)"
            " AND (told <> 0 OR update_id NOT IN"
            f" (SELECT update_id FROM firmware_statuses WHERE status IN ({_END_STATUS_SQL}))"
            " OR id <= (SELECT MAX(id) FROM firmware_statuses) - ?)",
            (identity, MAX_UNREPORTED),
        )
        await self._database.write(
            f"DELETE FROM firmware_updates WHERE id < ? AND id NOT IN ({select_unreadable('firmware_updates')})",
            (identity,),
        )


def _status_row(update: FirmwareUpdate, status: FirmwareStatus) -> tuple[int, int, str, int]:
    """The values of a new row of `firmware_statuses`: update_id, request_id, status, told.

    `told` says whether the CSMS knows the status: 0 not yet. An update that the CSMS has not ordered has no request id
    (0 is stored), and its statuses are never reported (`_NOT_FOR_THE_CSMS`).
    """
    request_id = update.order.request_id
    if request_id is None:
        return update.id, 0, status.value, _NOT_FOR_THE_CSMS
    return update.id, request_id, status.value, 0


def _status_from_row(row: Row) -> EnteredStatus:
    identity, request_id, status = row
    return EnteredStatus(int(str(identity)), int(str(request_id)), FirmwareStatus(str(status)))

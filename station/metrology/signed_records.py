"""The signed records of the station on its disk, in the order of their pages, and the keys that made them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from metering.frozen import frozen
from station.records.payloads import read

if TYPE_CHECKING:
    from metering.clock import Clock
    from station.records.database import Database, Row, Value

_COLUMNS = "number, evse_id, fingerprint, context, page, transaction_id, reason, taken_at, energy_wh, record"


@frozen
class SignedRecord:
    """One record, as it was signed."""

    evse_id: int
    fingerprint: str
    """of the key"""
    context: str
    """T: of a transaction; F: of the meter alone"""
    page: int
    transaction_id: str | None
    reason: str
    """TX of its last reading; empty: none"""
    taken_at: datetime
    energy_wh: float | None
    text: str
    """the record itself"""
    number: int | None = None
    """None until it is on disk"""


@frozen
class KnownKey:
    """A public key that records of the station are signed with."""

    fingerprint: str
    evse_id: int
    signer: str
    """station or meter"""
    spki: bytes
    since: datetime | None
    """None: flash memory has spoilt it, which keeps no key from being used"""


class SignedRecords:
    """Keeps records and keys, and never changes them."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def keep(self, record: SignedRecord) -> None:
        """Put a record on disk, before anybody is told of it.

        Raises:
            StorageError: it is not there; its page is free.
        """
        values: tuple[Value, ...] = (
            record.evse_id,
            record.fingerprint,
            record.context,
            record.page,
            record.transaction_id,
            record.reason,
            record.taken_at.isoformat(),
            record.energy_wh,
            record.text,
        )
        await self._database.write(
            "INSERT INTO signed_records (evse_id, fingerprint, context, page, transaction_id, reason, taken_at,"
            " energy_wh, record) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            values,
        )

    async def next_page(self, fingerprint: str, context: str) -> int:
        """The page after the last one of a key.

        Raises:
            StorageError: the disk cannot be read.
        """
        rows = await self._database.rows(
            "SELECT COALESCE(MAX(page), 0) + 1 FROM signed_records WHERE fingerprint = ? AND context = ?",
            (fingerprint, context),
        )
        return int(str(rows[0][0]))

    async def of(self, transaction_id: str) -> list[SignedRecord]:
        """The records of a transaction, in order.

        Raises:
            StorageError: the disk cannot be read.
        """
        rows = await self._database.rows(
            f"SELECT {_COLUMNS} FROM signed_records WHERE transaction_id = ? ORDER BY number", (transaction_id,)
        )
        return _readable(rows)

    async def after(self, number: int, most: int) -> list[SignedRecord]:
        """The records that were kept after the one of a number.

        Raises:
            StorageError: the disk cannot be read.
        """
        rows = await self._database.rows(
            f"SELECT {_COLUMNS} FROM signed_records WHERE number > ? ORDER BY number LIMIT ?", (number, most)
        )
        return _readable(rows)

    async def keys(self) -> list[KnownKey]:
        """Every key that there ever was, the oldest first.

        Raises:
            StorageError: the disk cannot be read.
        """
        rows = await self._database.rows(
            "SELECT fingerprint, evse_id, signer, spki, since FROM signing_keys ORDER BY rowid"
        )
        return [
            KnownKey(str(name), int(str(evse_id)), str(signer), _bytes(spki), read(datetime.fromisoformat, str(since)))
            for name, evse_id, signer, spki, since in rows
        ]

    async def learn(self, key: KnownKey) -> None:
        """Keep a public key; one that is known already stays as it is.

        Raises:
            StorageError: it is not on disk.
        """
        await self._database.write(
            "INSERT OR IGNORE INTO signing_keys (fingerprint, evse_id, signer, spki, since) VALUES (?, ?, ?, ?, ?)",
            (key.fingerprint, key.evse_id, key.signer, key.spki, (key.since or self._clock.now()).isoformat()),
        )


def _readable(rows: Iterable[Row]) -> list[SignedRecord]:
    return [record for row in rows if (record := read(_record, row)) is not None]


def _record(row: Row) -> SignedRecord:
    number, evse_id, fingerprint, context, page, transaction_id, reason, taken_at, energy_wh, text = row
    return SignedRecord(
        int(str(evse_id)),
        str(fingerprint),
        str(context),
        int(str(page)),
        str(transaction_id) if transaction_id is not None else None,
        str(reason),
        datetime.fromisoformat(str(taken_at)),
        float(str(energy_wh)) if energy_wh is not None else None,
        str(text),
        int(str(number)),
    )


def _bytes(value: Value) -> bytes:
    return value if isinstance(value, bytes) else b""

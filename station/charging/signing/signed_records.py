"""Storage of signed records, in the order of their pages, and of the public keys that signed them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Final, TypeVar

from foundation.frozen import Frozen
from metering.ocmf_keys import fingerprint
from station.storage.unreadable_rows import RowAddress

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.storage.database import Database
    from station.storage.sql import Row, Value

T = TypeVar("T")
COLUMNS: Final = "number, evse_id, fingerprint, context, page, transaction_id, reason, taken_at, energy_wh, record"


class SignedRecord(Frozen):
    """A row of table `signed_records`: a signed record (OCMF) and what it is searched by."""

    evse_id: int
    fingerprint: str
    """fingerprint of the public key"""
    context: str
    """OCMF pagination context: T: transaction; F: reading outside a transaction"""
    page: int
    transaction_id: str | None
    """None: a reading outside a transaction"""
    reason: str
    """TX (OCMF) of its last reading; empty: none"""
    taken_at: datetime
    """time of its last reading"""
    energy_wh: float | None
    """import register of its last reading; None: it has none"""
    text: str
    """the record itself"""
    number: int | None = None
    """row number; None until stored"""


class SigningPublicKey(Frozen):
    """A row of table `signing_keys`: a public key with which readings of an EVSE were signed."""

    fingerprint: str
    evse_id: int
    signer: str
    """station or meter"""
    spki: bytes
    """SubjectPublicKeyInfo, DER"""
    since: datetime | None
    """when it was first used; None: unreadable on disk, the key is used nevertheless"""


class SignedRecords:
    """The signed records of all EVSEs and the public keys that signed them, on disk; they are never changed."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def store(self, record: SignedRecord) -> None:
        """Write a signed record to disk; call before the record is used anywhere.

        Raises:
            StorageError: the record is not stored; its page number is still free.
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

    async def next_page(self, key: str, context: str) -> int:
        """Return the page number after the last stored one of a key (by fingerprint) in a context; reserves nothing.

        Raises:
            StorageError: the disk cannot be read.
        """
        rows = await self._database.rows(
            "SELECT COALESCE(MAX(page), 0) + 1 FROM signed_records WHERE fingerprint = ? AND context = ?",
            (key, context),
        )
        return int(str(rows[0][0]))

    async def of(self, transaction_id: str) -> list[SignedRecord]:
        """Read the readable records of a transaction, in the order in which they were stored.

        Raises:
            StorageError: the disk cannot be read.
        """
        rows = await self._database.rows(
            f"SELECT {COLUMNS} FROM signed_records WHERE transaction_id = ? ORDER BY number", (transaction_id,)
        )
        return self._parse_readable(rows)

    async def find_signed(self, transaction_ids: Collection[str]) -> set[str]:
        """Return those of these transactions of which signed records are stored, readable or not.

        Raises:
            StorageError: the disk cannot be read.
        """
        ids = ", ".join("?" for _ in transaction_ids)
        rows = await self._database.long_query(
            f"SELECT DISTINCT transaction_id FROM signed_records WHERE transaction_id IN ({ids})", (*transaction_ids,)
        )
        return {str(row[0]) for row in rows}

    async def stored_after(self, number: int, most: int) -> list[SignedRecord]:
        """Read the first `most` records of all EVSEs stored after row `number`, without unreadable ones.

        Raises:
            StorageError: the disk cannot be read.
        """
        rows = await self._database.rows(
            f"SELECT {COLUMNS} FROM signed_records WHERE number > ? ORDER BY number LIMIT ?", (number, most)
        )
        return self._parse_readable(rows)

    async def keys(self) -> list[SigningPublicKey]:
        """Read all readable public keys of all EVSEs, oldest first.

        A corrupted key does not match its fingerprint and is left out.

        Raises:
            StorageError: the disk cannot be read.
        """
        rows = await self._database.rows(
            "SELECT fingerprint, evse_id, signer, spki, since FROM signing_keys ORDER BY rowid"
        )
        unreadable = self._database.unreadable

        def key_of(row: Row) -> SigningPublicKey:
            known_since = unreadable.read(_time_of, row[4], RowAddress("signing_keys.since", str(row[0])))
            return known_key_of(row, known_since)

        keys = (unreadable.read(key_of, row, RowAddress("signing_keys", str(row[0]))) for row in rows)
        return [key for key in keys if key is not None]

    def reading_of(self, record: SignedRecord, parse: Callable[[bytes], T]) -> T | None:
        """Return `parse(text of the record)`; if it fails, list the record as unreadable and return None."""
        address = RowAddress("signed_records.record", str(record.number), record.transaction_id)
        return self._database.unreadable.read(parse, record.text.encode(), address)

    def _parse_readable(self, rows: Iterable[Row]) -> list[SignedRecord]:
        read = self._database.unreadable.read
        found = (read(record_of, row, RowAddress("signed_records", str(row[0]), _transaction_id(row))) for row in rows)
        return [record for record in found if record is not None]

    async def store_key(self, key: SigningPublicKey) -> None:
        """Write a public key to disk; if its fingerprint is known, only a corrupted key value is repaired.

        Raises:
            StorageError: the key is not stored.
        """
        await self._database.write(
            "INSERT INTO signing_keys (fingerprint, evse_id, signer, spki, since) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (fingerprint) DO UPDATE SET spki = excluded.spki WHERE spki IS NOT excluded.spki",
            (key.fingerprint, key.evse_id, key.signer, key.spki, (key.since or self._clock.now()).isoformat()),
        )


def record_of(row: Row) -> SignedRecord:
    """Parse a row of table `signed_records`, with `COLUMNS`.

    Raises:
        ValueError: the row cannot be read.
    """
    number, evse_id, key_fingerprint, context, page, _, reason, taken_at, energy_wh, text = row
    return SignedRecord(
        int(str(evse_id)),
        str(key_fingerprint),
        str(context),
        int(str(page)),
        _transaction_id(row),
        str(reason),
        datetime.fromisoformat(str(taken_at)),
        float(str(energy_wh)) if energy_wh is not None else None,
        str(text),
        int(str(number)),
    )


def _transaction_id(row: Row) -> str | None:
    return str(row[5]) if row[5] is not None else None


def _time_of(text: Value) -> datetime:
    return datetime.fromisoformat(str(text))


def known_key_of(row: Row, known_since: datetime | None) -> SigningPublicKey:
    """Create a public key from a row of table `signing_keys`: fingerprint, evse_id, signer, spki, since.

    The stored fingerprint is not compared: the key gets the fingerprint of its `spki`. `known_since`: the `since` of
    the row, which the caller has parsed; None: it is unreadable, or not needed.

    Raises:
        ValueError: evse_id or spki is invalid.
    """
    _, evse_id, signer, spki, _ = row
    if not isinstance(spki, bytes):
        raise ValueError("the public key is not a blob")
    return SigningPublicKey(fingerprint(spki), int(str(evse_id)), str(signer), spki, known_since)

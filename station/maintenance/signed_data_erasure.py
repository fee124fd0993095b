"""Finds and erases a customer's token in signed texts: signed records, and their copies in events and samples.

The records are not changed, which would void their signature (docs/adr/0010). A copy is needed only until the CSMS has
received its event; then it is removed, and the register in it stays.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from msgspec.structs import replace

from station.charging.signing.meter_value_signing import assign_user
from station.core.model import IdToken
from station.maintenance.found_rows import find_keys
from station.storage import payloads
from station.storage.unreadable_rows import RowAddress

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from station.charging.authorization.authorization_cache import Key
    from station.storage.database import Database
    from station.storage.sql import Value

NEEDED = "(settled_at IS NULL OR transaction_id NOT IN (SELECT transaction_id FROM events WHERE event_type = 'Ended'))"
"""an event not yet received by the CSMS, or of a running transaction; reads all events once: for a long query"""
EVENT_NOT_NEEDED = (
    "(settled_at IS NOT NULL AND (SELECT TRUE FROM events AS ended WHERE ended.transaction_id = events.transaction_id"
    " AND ended.event_type = 'Ended' ORDER BY ended.seq_no DESC LIMIT 1) IS NOT NULL)"
)
"""the opposite of `NEEDED`; reads the end of one transaction for each event: for events that are found by their key"""
_NAMES = "instr(lower({}), ?) AND instr(lower({}), ?)"
_COPIES = _NAMES.format("payload", "payload")
_RECORDS = _NAMES.format("record", "record")
_BY_KEYS = "id IN (SELECT value FROM json_each(?))"
_NEEDED_SAMPLE = f"transaction_id IN (SELECT transaction_id FROM events WHERE {NEEDED})"
_SAMPLE_NOT_NEEDED = (
    "NOT EXISTS (SELECT 1 FROM events WHERE events.transaction_id = ended_samples.transaction_id"
    f" AND NOT {EVENT_NOT_NEEDED})"
)
"""the opposite of `_NEEDED_SAMPLE`; reads the events of one transaction for each sample"""


async def count_signed_records(database: Database, key: Key) -> int:
    """Count the signed records that contain this id token.

    Raises:
        StorageError: the disk cannot be read.
    """
    rows = await database.long_query(f"SELECT COUNT(*) FROM signed_records WHERE {_RECORDS}", _token_texts(key))
    return int(str(rows[0][0]))


async def erase_copies(database: Database, key: Key, requested_at: str) -> int:
    """Remove signed texts with this id token from events and samples; returns how many events still need theirs.

    `requested_at`: ISO 8601; later events are left alone. Signed records are not changed.

    Raises:
        StorageError: not all of them are removed.
    """
    token_texts = tuple(json.dumps(mark)[1:-1] for mark in _token_texts(key))
    values, copies = (*token_texts, requested_at), f"{_COPIES} AND occurred_at <= ?"
    needed = await _count_needed(database, copies, values)  # before: what is delivered meanwhile may not be found below
    async for keys in find_keys(database, "ended_samples", f"{_COPIES} AND NOT {_NEEDED_SAMPLE}", token_texts):
        selected = f"{_BY_KEYS} AND {_COPIES} AND {_SAMPLE_NOT_NEEDED}"
        await _remove_signatures(database, "ended_samples", selected, (json.dumps(keys), *token_texts), _unsigned_value)
    async for keys in find_keys(database, "events", f"{copies} AND NOT {NEEDED}", values):
        selected = f"{_BY_KEYS} AND {copies} AND {EVENT_NOT_NEEDED}"
        await _remove_signatures(database, "events", selected, (json.dumps(keys), *values), _unsigned_event)
    return max(needed, await _count_needed(database, copies, values))


async def _count_needed(database: Database, copies: str, values: Sequence[Value]) -> int:
    rows = await database.long_query(f"SELECT COUNT(*) FROM events WHERE {copies} AND {NEEDED}", values)
    return int(str(rows[0][0]))


async def _remove_signatures(
    database: Database, table: str, where: str, values: Sequence[Value], unsigned: Callable[[object], str]
) -> None:
    """Remove the signed texts from the readable rows of a table that fulfil a condition, found by their key.

    A payload that another task changes between reading and writing is not overwritten, but read again.
    """
    seq_no_column = "seq_no" if table == "events" else "NULL"
    while True:
        # The bytes identify the payload that was read: in its text, invalid bytes are replaced.
        rows = await database.rows(
            f"SELECT payload, CAST(payload AS BLOB), id, transaction_id, {seq_no_column} FROM {table} WHERE {where}",
            values,
        )
        changes: list[Sequence[Value]] = []
        for payload, stored, number, of, seq_no in rows:
            address = RowAddress(table, str(number), str(of), seq_no if isinstance(seq_no, int) else None)
            text = database.unreadable.read(unsigned, payload, address)
            if text is not None and text != payload:
                changes.append((text, number, stored))
        if not changes:
            return
        await database.write_many(f"UPDATE {table} SET payload = ? WHERE id = ? AND CAST(payload AS BLOB) = ?", changes)


def _unsigned_value(stored: object) -> str:
    return payloads.value_to_text(payloads.value_from_text(stored).with_signature(None))


def _unsigned_event(stored: object) -> str:
    event = payloads.event_from_text(stored)
    return payloads.event_to_text(
        replace(event, meter_values=tuple(value.with_signature(None) for value in event.meter_values))
    )


def _token_texts(key: Key) -> tuple[str, str]:
    """The form of a token in OCMF, in lower case: its type (IT) and value (ID)."""
    return f'"it":"{assign_user(IdToken(*key)).id_type}"'.lower(), f'"id":{json.dumps(key[0])}'.lower()

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
from station.storage import payloads
from station.storage.unreadable_rows import RowAddress, event_address

if TYPE_CHECKING:
    from station.charging.authorization.authorization_cache import Key
    from station.storage.database import Database

NEEDED = "(settled_at IS NULL OR transaction_id NOT IN (SELECT transaction_id FROM events WHERE event_type = 'Ended'))"
"""an event not yet received by the CSMS, or of a running transaction"""
_NAMES = "instr(lower({}), ?) AND instr(lower({}), ?)"
_COPIES = _NAMES.format("payload", "payload")
_RECORDS = _NAMES.format("record", "record")
_NEEDED_SAMPLE = f"transaction_id IN (SELECT transaction_id FROM events WHERE {NEEDED})"


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
    # On the connection that writes: a payload that was read beside the commits could undo a change made meanwhile.
    samples = await database.rows(
        f"SELECT payload, id, transaction_id FROM ended_samples WHERE {_COPIES} AND NOT {_NEEDED_SAMPLE}", token_texts
    )
    read = database.unreadable.read
    values = [
        (read(payloads.value_from_text, text, RowAddress("ended_samples", str(number), str(of))), number)
        for text, number, of in samples
    ]
    events = await database.rows(
        f"SELECT payload, id, transaction_id, seq_no FROM events WHERE {_COPIES} AND occurred_at <= ? AND NOT {NEEDED}",
        (*token_texts, requested_at),
    )
    signed = [
        (read(payloads.event_from_text, text, event_address(number, of, seq_no)), number)
        for text, number, of, seq_no in events
    ]
    unsigned = [
        (replace(event, meter_values=tuple(value.with_signature(None) for value in event.meter_values)), number)
        for event, number in signed
        if event is not None
    ]
    await database.write_together(
        (
            "UPDATE ended_samples SET payload = ? WHERE id = ?",
            [
                (payloads.value_to_text(value.with_signature(None)), number)
                for value, number in values
                if value is not None
            ],
        ),
        (
            "UPDATE events SET payload = ? WHERE id = ?",
            [(payloads.event_to_text(event), number) for event, number in unsigned],
        ),
    )
    still_needed = await database.long_query(
        f"SELECT COUNT(*) FROM events WHERE {_COPIES} AND occurred_at <= ? AND {NEEDED}", (*token_texts, requested_at)
    )
    return int(str(still_needed[0][0]))


def _token_texts(key: Key) -> tuple[str, str]:
    """The form of a token in OCMF, in lower case: its type (IT) and value (ID)."""
    return f'"it":"{assign_user(IdToken(*key)).id_type}"'.lower(), f'"id":{json.dumps(key[0])}'.lower()

"""The signed records of a transaction as one file, as transparency software opens it (XML)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from metering.ocmf_payload import ReadingReason
from metering.record_files import EnclosedRecord, write_container

if TYPE_CHECKING:
    from station.charging.signing.signed_records import SignedRecord, SigningPublicKey

_CONTEXTS: Final = {
    ReadingReason.BEGIN.value: "Transaction.Begin",
    ReadingReason.DURING.value: "Sample.Periodic",
    ReadingReason.TARIFF.value: "Other",
}


def signed_container(records: Sequence[SignedRecord], keys: Mapping[str, SigningPublicKey]) -> str:
    """At least one record, in order, with the keys that made them, by fingerprint.

    Where flash memory has spoilt a key, or which it was, the record stands alone: who checks it may have the key.
    Transactions have numbers there: that of the first record is one of a kind.
    """
    transaction = str(records[0].number)
    return write_container(
        [
            EnclosedRecord(
                one.text.encode(),
                keys[one.fingerprint].spki.hex() if one.fingerprint in keys else "",
                _CONTEXTS.get(one.reason, "Transaction.End"),
                transaction,
            )
            for one in records
        ]
    )

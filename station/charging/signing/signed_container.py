"""The signed records of a transaction as an XML file for transparency software."""

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
    """Format the signed records of a transaction as an XML file, with their public keys, for transparency software.

    At least one record, in order; `keys`: by fingerprint. If the key of a record is unreadable, the record
    is written without it. The format needs a transaction number: the row number of the first record, which is unique.
    """
    transaction = str(records[0].number)
    return write_container(
        [
            EnclosedRecord(
                record.text.encode(),
                keys[record.fingerprint].spki.hex() if record.fingerprint in keys else "",
                _CONTEXTS.get(record.reason, "Transaction.End"),
                transaction,
            )
            for record in records
        ]
    )

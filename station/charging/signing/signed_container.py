"""The signed records of a transaction as one file, as transparency software opens it (XML)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from metering.signed import Reason
from metering.transparency import Enclosed, container

if TYPE_CHECKING:
    from station.charging.signing.signed_records import KnownKey, SignedRecord

_CONTEXTS: Final = {
    Reason.BEGIN.value: "Transaction.Begin",
    Reason.DURING.value: "Sample.Periodic",
    Reason.TARIFF.value: "Other",
}


def signed_container(records: Sequence[SignedRecord], keys: Mapping[str, KnownKey]) -> str:
    """At least one record, in order, with the keys that made them, by fingerprint.

    Where flash memory has spoilt a key, or which it was, the record stands alone: who checks it may have the key.
    Transactions have numbers there: that of the first record is one of a kind.
    """
    transaction = str(records[0].number)
    return container(
        [
            Enclosed(
                one.text.encode(),
                keys[one.fingerprint].spki.hex() if one.fingerprint in keys else "",
                _CONTEXTS.get(one.reason, "Transaction.End"),
                transaction,
            )
            for one in records
        ]
    )

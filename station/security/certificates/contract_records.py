"""Records of the contract certificates that vehicles have presented: hash data and eMAID, to find a customer (N09).

The certificate itself is not kept.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec

from foundation.frozen import Frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from foundation.clock import Clock
    from station.security.certificates.certificate_checks import CertificateHash
    from station.storage.fact_store import FactStore

_MOST: Final = 500
"""records kept, the newest"""


class ContractRecord(Frozen):
    """A contract certificate that was accepted."""

    emaid: str
    hashes: tuple[tuple[str, str, str], ...]
    """hash algorithm, hash of the issuer's name, hash of the issuer's key; one for each algorithm"""
    seen_at: datetime


class ContractRecords:
    """Records of accepted contract certificates on disk, by serial number."""

    def __init__(self, facts: FactStore, clock: Clock) -> None:
        self._facts = facts
        self._clock = clock

    async def add(self, identities: Sequence[CertificateHash], emaid: str) -> None:
        """Record a contract certificate, by its hash data of each algorithm; the oldest record makes room.

        Raises:
            StorageError: it is not stored.
        """
        if not identities:
            return
        hashes = tuple((each.algorithm, each.issuer_name_hash, each.issuer_key_hash) for each in identities)
        record = ContractRecord(emaid, hashes, self._clock.now())
        records = await self._load()
        records.pop(identities[0].serial_number, None)
        for serial_number in sorted(records, key=lambda number: records[number].seen_at)[: len(records) + 1 - _MOST]:
            await self._facts.remove(serial_number)
        await self._facts.save(identities[0].serial_number, msgspec.json.encode(record).decode())

    async def emaid_of(self, named: CertificateHash) -> str | None:
        """The eMAID of a certificate; None: it is not recorded.

        Raises:
            StorageError: the records cannot be read.
        """
        record = (await self._load()).get(named.serial_number)
        wanted = (named.algorithm, named.issuer_name_hash, named.issuer_key_hash)
        return record.emaid if record is not None and wanted in record.hashes else None

    async def serial_numbers_of(self, emaid: str) -> list[str]:
        """The serial numbers of the certificates of an eMAID, hexadecimal; upper and lower case are equal.

        Raises:
            StorageError: the records cannot be read.
        """
        records = await self._load()
        return [number for number, record in records.items() if record.emaid.casefold() == emaid.casefold()]

    async def forget(self, emaid: str) -> None:
        """Delete the records of an eMAID.

        Raises:
            StorageError: not all are deleted.
        """
        for serial_number in await self.serial_numbers_of(emaid):
            await self._facts.remove(serial_number)

    async def _load(self) -> dict[str, ContractRecord]:
        found: dict[str, ContractRecord] = {}
        for serial_number, text in (await self._facts.load()).items():
            record = self._facts.read(serial_number, lambda text: msgspec.json.decode(text, type=ContractRecord), text)
            if record is not None:
                found[serial_number] = record
        return found

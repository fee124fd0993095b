"""Records of the contract certificates of vehicles that were decided on: hash data and eMAID, to find a customer (N09).

The certificate itself is not kept.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from msgspec import Meta

from foundation.frozen import Frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from foundation.clock import Clock
    from station.security.certificates.certificate_checks import CertificateHash
    from station.storage.fact_store import FactStore

_MOST: Final = 500
"""records kept, the newest"""


class ContractRecord(Frozen):
    """A contract certificate that was accepted or refused."""

    emaid: str
    hashes: tuple[tuple[str, str, str], ...]
    """hash algorithm, hash of the issuer's name, hash of the issuer's key; one for each algorithm"""
    recorded_at: Annotated[datetime, Meta(tz=True)]


class ContractRecords:
    """Records of contract certificates on disk, by `CertificateHash.key`."""

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
        records, key = await self._load(), identities[0].key
        records.pop(key, None)
        oldest_first = sorted(records, key=lambda key: records[key].recorded_at)
        for oldest in oldest_first[: max(0, len(records) + 1 - _MOST)]:
            await self._facts.remove(oldest)
        await self._facts.save(key, msgspec.json.encode(record).decode())

    async def emaid_of(self, named: CertificateHash) -> str | None:
        """The eMAID of a certificate; None: it is not recorded.

        Raises:
            StorageError: the records cannot be read.
        """
        wanted = (named.algorithm, named.issuer_name_hash, named.issuer_key_hash)
        for key, record in (await self._load()).items():
            if _serial_number(key) == named.serial_number and wanted in record.hashes:
                return record.emaid
        return None

    async def serial_numbers_of(self, emaid: str) -> list[str]:
        """The serial numbers of the certificates of an eMAID, hexadecimal; separators and case make no difference.

        Raises:
            StorageError: the records cannot be read.
        """
        return [_serial_number(key) for key in await self._keys_of(emaid)]

    async def forget(self, emaid: str) -> None:
        """Delete the records of an eMAID.

        Raises:
            StorageError: not all are deleted.
        """
        for key in await self._keys_of(emaid):
            await self._facts.remove(key)

    async def _keys_of(self, emaid: str) -> list[str]:
        wanted = comparable_emaid(emaid)
        return [key for key, record in (await self._load()).items() if comparable_emaid(record.emaid) == wanted]

    async def _load(self) -> dict[str, ContractRecord]:
        found: dict[str, ContractRecord] = {}
        for key, text in (await self._facts.load()).items():
            record = self._facts.read(key, _decode, text)
            if record is not None:
                found[key] = record
        return found


def _decode(text: str) -> ContractRecord:
    # the first stations of 0.5.0 wrote the time by another name
    return msgspec.json.decode(text.replace('"seen_at":', '"recorded_at":'), type=ContractRecord)


def _serial_number(key: str) -> str:
    return key.rpartition("-")[2]


def comparable_emaid(emaid: str) -> str:
    """An eMAID without the separators that it may be written with, in one case."""
    return emaid.replace("-", "").replace("*", "").casefold()

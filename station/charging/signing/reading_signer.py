"""Creates the signed records of one EVSE, by its meter or by the station, and stores them before they are used.

A record is created only once: a repeated request for the begin or end of a transaction, after a power cut, returns the
stored one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, TypeVar

from msgspec.structs import replace

from foundation.events import Event
from foundation.expected_error import ExpectedError
from foundation.frozen import Frozen
from metering import ocmf
from metering.journal_entry import JournalEvent
from metering.meter import MeterError
from metering.ocmf import OcmfFormatError
from metering.ocmf_keys import fingerprint
from metering.ocmf_payload import (
    TRANSACTION_ID_MARK,
    MeterState,
    ReadingReason,
    Signatory,
    SignedReading,
    SignedTransaction,
    UserAssignment,
    reading_payload,
)
from metering.reading import exact_wh
from station.charging.journal_notice import JournalNotice
from station.charging.signing.signed_records import SignedRecord, SigningPublicKey
from station.charging.signing.signing_key import SigningKeyError
from station.storage.database import StorageError

if TYPE_CHECKING:
    from foundation.clock import Clock
    from metering.journal_entry import Details
    from metering.meter import SigningMeter
    from metering.reading import Reading
    from metering.time_quality import TimeStatus
    from station.charging.signing.signed_records import SignedRecords
    from station.charging.signing.signing_key import SigningKey
    from station.core.station_time import TimeStatusSource
    from station.storage.fact_store import FactStore

_Response = TypeVar("_Response")
_log = logging.getLogger(__name__)

METER_SIGNS_WITHIN_S: Final = 30.0
"""time limit for a meter to sign (OCA note on signed meter values, 2.3.1)"""


_NEGLIGIBLE_CORRECTION: Final = timedelta(milliseconds=1)
"""clock corrections below this are ignored: less than the time resolution of a record"""


class SigningError(ExpectedError):
    """A reading could not be signed, or its records not be read; the message says why. `transient`: retry may help."""

    def __init__(self, message: str, *, transient: bool = True) -> None:
        super().__init__(message)
        self.transient = transient


class SignatureSource(Frozen):
    """The collaborators of `ReadingSigner` of an EVSE: key or signing meter, store of the records, and signatory."""

    key: SigningKey
    """the station's key for this EVSE; unused if the meter signs"""
    meter: SigningMeter | None
    """the meter, if it signs itself"""
    records: SignedRecords
    signatory: Callable[[], Signatory]
    """returns the identity of station and meter written into each record"""


class _TimeBase(Frozen):
    """The time base of a transaction's records: setting the clock meanwhile must not change its duration."""

    transaction_id: str
    offset: timedelta
    """wall time minus monotonic time, at the begin"""
    status: TimeStatus


class ReadingSigner:
    """Creates signed records (OCMF) of the readings of one EVSE, by its meter or with the station's key.

    Each record is on disk before it is returned; one call at a time. Whether to sign is not decided here.
    """

    def __init__(
        self, evse_id: int, source: SignatureSource, facts: FactStore, time: TimeStatusSource, clock: Clock
    ) -> None:
        """`facts` stores the fingerprint of the last key of each EVSE."""
        self._evse_id = evse_id
        self._source = source
        self._facts = facts
        self._time = time
        self._clock = clock
        self._lock = asyncio.Lock()
        self._prepared = False
        self.key_changed: Event[JournalNotice] = Event()
        """published when the key is new or differs from the previous one, for the register journal"""
        self.key: SigningPublicKey | None = None
        """the public key; None until it is first needed"""
        self._time_base: _TimeBase | None = None

    @property
    def by_meter(self) -> bool:
        """Whether the meter itself signs, with begin and end in one record; else the station signs."""
        return self._source.meter is not None

    def public_key_now(self) -> bytes | None:
        """Return the public key as SubjectPublicKeyInfo; None: no key, or not yet read from the meter.

        Waits for no meter, but blocks for the key file at the first call; generates the station's key if there is none.
        """
        if self.key is not None or self.by_meter:
            return self.key.spki if self.key is not None else None
        try:
            return self._source.key.public_key()  # generated at the first call
        except SigningKeyError:
            return None

    async def load(self) -> None:
        """Load the public key used last from disk, at startup; `key` stays None if there was none.

        Raises:
            StorageError: the disk cannot be read.
        """
        current = (await self._facts.load()).get(str(self._evse_id))
        self.key = next((key for key in await self._source.records.keys() if key.fingerprint == current), None)

    async def prepare(self) -> SigningPublicKey:
        """Read the public key from meter or file, and store and publish it if it has changed.

        The station's key is generated if missing; later calls return the key in memory.

        Raises:
            SigningError: there is no key.
        """
        async with self._lock:
            return await self._prepare()

    async def check(self) -> None:
        """Read the public key as `prepare`, so that a change is recorded; does nothing if the station's key is missing.

        Raises:
            SigningError: the key cannot be read.
        """
        if self.by_meter or await asyncio.to_thread(self._source.key.exists):
            await self.prepare()

    async def sign_begin(self, subject: SignedTransaction, reading: Reading) -> SignedRecord | None:
        """Sign the begin of a transaction; returns its stored record, or None if the meter signs.

        A meter that signs puts begin and end in one record. If the station has signed the begin already, that record
        is returned.

        Raises:
            SigningError: the begin is not signed.
        """
        async with self._lock:
            await self._prepare()
            meter = self._source.meter
            if meter is not None:
                await self._await_meter(meter.begin(subject, self._source.signatory().charge_point, self._time.status))
                return None
            record = _begin_of(await self._read_records(subject.transaction_id))
            if record is None:
                record = await self._sign(subject, self._signed_reading(reading, ReadingReason.BEGIN))
                self._time_base = _TimeBase(subject.transaction_id, self._clock_offset(), self._time.status)
            return record

    async def sign_intermediate(
        self, transaction_id: str, reading: Reading, reason: ReadingReason
    ) -> SignedRecord | None:
        """Sign a reading within a transaction and store the record; None if the meter signs or the begin is not signed.

        Meters sign begin and end only (the EM580 accepts B, E and A), and a record with the station's key among the
        meter's would mix two signers: tariff boundaries are then unsigned readings, and the receipt says so.

        Raises:
            SigningError: the reading is not signed.
        """
        if self.by_meter:
            return None
        async with self._lock:
            await self._prepare()
            begin = _begin_of(await self._read_records(transaction_id))
            if begin is None:
                return None
            signed = self._in_time_base(transaction_id, self._signed_reading(reading, reason))
            return await self._sign(_transaction_of(begin, transaction_id), signed)

    async def sign_standalone(self, reading: Reading) -> SignedRecord | None:
        """Sign a reading outside a transaction and store the record; None if the meter signs.

        Raises:
            SigningError: the reading is not signed.
        """
        if self.by_meter:
            return None
        async with self._lock:
            await self._prepare()
            return await self._sign(None, self._signed_reading(reading, None))

    async def sign_end(
        self, transaction_id: str, reading: Reading, reason: ReadingReason, state: MeterState = MeterState.GOOD
    ) -> list[SignedRecord]:
        """Sign the end of a transaction, unless it is signed; returns the records needed for billing in order.

        These are begin, tariff changes and end; the meter's one record contains begin and end.

        `state` other than GOOD: `reading` is the last known one, and the record is marked so. The station signs no end
        without a signed begin.

        Raises:
            SigningError: the end is not signed.
        """
        async with self._lock:
            await self._prepare()
            records = await self._read_records(transaction_id)
            begin = _begin_of(records)
            if not any(_is_end(record) for record in records):
                if self._source.meter is not None:
                    aborted = reason in (ReadingReason.ABORT, ReadingReason.POWER_FAILURE)
                    records.append(await self._end_by_meter(self._source.meter, transaction_id, aborted=aborted))
                elif begin is not None:
                    signed = self._in_time_base(transaction_id, self._signed_reading(reading, reason, state))
                    records.append(await self._sign(_transaction_of(begin, transaction_id), signed))
            return [record for record in records if record.reason != ReadingReason.DURING]

    async def records_of(self, transaction_id: str) -> list[SignedRecord]:
        """Read the stored records of a transaction, in order.

        Raises:
            SigningError: the disk cannot be read.
        """
        return await self._read_records(transaction_id)

    # Implementation

    async def _prepare(self) -> SigningPublicKey:
        if self.key is not None and self._prepared:
            return self.key
        meter = self._source.meter
        spki = await (self._await_meter(meter.public_key()) if meter is not None else self._station_public_key())
        current = self.key
        if current is None or current.spki != spki:
            signer = "meter" if meter is not None else "station"
            new = SigningPublicKey(fingerprint(spki), self._evse_id, signer, spki, self._clock.now())
            try:
                await self._source.records.store_key(new)
                await self._facts.save(str(self._evse_id), new.fingerprint)
            except StorageError as error:
                raise SigningError(f"the public key cannot be stored: {error}") from error
            self.key = new
            self._publish_key_change(new, current)
            current = new
        self._prepared = True
        return current

    def _publish_key_change(self, new: SigningPublicKey, old: SigningPublicKey | None) -> None:
        details: Details = {
            "fingerprint": new.fingerprint,
            "before": old.fingerprint if old is not None else None,
            "signer": new.signer,
        }
        if old is not None:
            _log.warning("EVSE %d: the signing key has changed", self._evse_id)
        self.key_changed.publish(JournalNotice(JournalEvent.SIGNING_KEY, details, self._evse_id))

    async def _station_public_key(self) -> bytes:
        try:
            with self._clock.outside_wait():
                return await asyncio.to_thread(self._source.key.public_key)
        except SigningKeyError as error:
            raise SigningError(str(error)) from error

    def _signed_reading(
        self, reading: Reading, reason: ReadingReason | None, state: MeterState = MeterState.GOOD
    ) -> SignedReading:
        energy_wh = exact_wh(reading.energy_import_wh)
        if energy_wh is None:
            raise SigningError("the energy register is unknown")
        return SignedReading(energy_wh, reading.taken_at, self._time.status, reason, state)

    def _clock_offset(self) -> timedelta:
        return self._clock.now() - datetime.fromtimestamp(0, UTC) - timedelta(seconds=self._clock.monotonic())

    def _in_time_base(self, transaction_id: str, reading: SignedReading) -> SignedReading:
        """Convert the time of a reading to the time base of its transaction; after a restart it is unchanged."""
        if self._time_base is None or self._time_base.transaction_id != transaction_id:
            return reading
        correction = self._clock_offset() - self._time_base.offset
        if abs(correction) < _NEGLIGIBLE_CORRECTION:
            return reading
        return replace(reading, taken_at=reading.taken_at - correction, time=self._time_base.status)

    async def _sign(self, subject: SignedTransaction | None, reading: SignedReading) -> SignedRecord:
        """Create a record with the next page number and store it; the page is used only once stored."""
        key, context = await self._prepare(), "F" if subject is None else "T"
        try:
            page = await self._next_page(key.fingerprint, context)
            signed = reading_payload(self._source.signatory(), f"{context}{page}", subject, reading)
            record = SignedRecord(
                self._evse_id,
                key.fingerprint,
                context,
                page,
                subject.transaction_id if subject is not None else None,
                reading.reason.value if reading.reason is not None else "",
                reading.taken_at,
                float(reading.energy_wh),
                self._source.key.signer().sign_record(signed).decode(),
            )
            await self._source.records.store(record)
        except (StorageError, SigningKeyError) as error:
            raise SigningError(str(error)) from error
        with self._clock.outside_wait():
            await asyncio.to_thread(self._source.key.pages.store_page, key.fingerprint, context, page)
        return record

    async def _next_page(self, fingerprint: str, context: str) -> int:
        """The next page number of a key, by page counter and database, in case the database was replaced."""
        with self._clock.outside_wait():
            last_page = await asyncio.to_thread(self._source.key.pages.last_page, fingerprint, context)
        return max(last_page + 1, await self._source.records.next_page(fingerprint, context))

    async def _end_by_meter(self, meter: SigningMeter, transaction_id: str, *, aborted: bool) -> SignedRecord:
        key = await self._prepare()
        data = await self._await_meter(meter.end(aborted=aborted))
        try:
            record = _parse_meter_record(data, self._evse_id, key.fingerprint, transaction_id, self._clock.now())
            await self._source.records.store(record)
        except (OcmfFormatError, ValueError) as error:
            raise SigningError(f"the meter returned an invalid record: {error}") from error
        except StorageError as error:
            raise SigningError(str(error)) from error
        try:
            await self._await_meter(meter.confirm())
        except SigningError as error:  # the next begin discards it
            _log.warning("EVSE %d: the meter does not discard its stored record: %s", self._evse_id, error)
        if record.transaction_id != transaction_id:  # stored for that one; the meter did not begin this one
            raise SigningError(f"the meter signed another transaction, {record.transaction_id}", transient=False)
        return record

    async def _read_records(self, transaction_id: str) -> list[SignedRecord]:
        try:
            return await self._source.records.of(transaction_id)
        except StorageError as error:
            raise SigningError(str(error)) from error

    async def _await_meter(self, request: Awaitable[_Response]) -> _Response:
        try:
            with self._clock.outside_wait(METER_SIGNS_WITHIN_S + 1.0):
                async with asyncio.timeout(METER_SIGNS_WITHIN_S):  # real time: hardware I/O
                    return await request
        except MeterError as error:
            raise SigningError(str(error), transient=error.transient) from error
        except TimeoutError as error:
            raise SigningError(f"the meter did not sign within {METER_SIGNS_WITHIN_S:g} s") from error


def _begin_of(records: list[SignedRecord]) -> SignedRecord | None:
    return next((record for record in records if record.reason == ReadingReason.BEGIN), None)


def _is_end(record: SignedRecord) -> bool:
    return record.reason in ocmf.END_REASONS


def _transaction_of(begin: SignedRecord, transaction_id: str) -> SignedTransaction:
    """Transaction and user of a signed begin, for signing the following records.

    Raises:
        SigningError: the stored begin is corrupted.
    """
    try:
        record = ocmf.parse_record(begin.text.encode())
    except OcmfFormatError as error:
        raise SigningError(f"the stored record of the begin {error}", transient=False) from error
    flags = record.fields.get("IF")
    holder = UserAssignment(
        record.text("IT") or "NONE",
        record.text("ID") or "",
        record.text("IL"),
        tuple(str(flag) for flag in flags) if isinstance(flags, list) else (),
    )
    return SignedTransaction(transaction_id, holder, record.text("TT") or "")


def _parse_meter_record(data: bytes, evse_id: int, key: str, transaction_id: str, now: datetime) -> SignedRecord:
    """Parse a record of the meter; it belongs to the transaction named in it, else to `transaction_id`."""
    record = ocmf.parse_record(data)
    _, mark, recorded_id = (record.text("TT") or "").rpartition(TRANSACTION_ID_MARK)
    page = record.text("PG") or ""
    last_reading = record.readings[-1] if record.readings else None
    read_at = last_reading.time.moment if last_reading is not None and last_reading.time is not None else None
    energy_wh = last_reading.energy_wh if last_reading is not None else None
    return SignedRecord(
        evse_id,
        key,
        page[:1],
        int(page[1:]),
        recorded_id if mark else transaction_id,
        (last_reading.reason if last_reading is not None else None) or "",
        read_at or now,
        float(energy_wh) if energy_wh is not None else None,
        data.strip().decode(),
    )

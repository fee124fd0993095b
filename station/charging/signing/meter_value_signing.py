"""Signing of the meter values of one EVSE, as configured (J01.FR.21, J02.FR.21; OCA note on signed meter values)."""

from __future__ import annotations

import base64
import logging
import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, Protocol

from msgspec.structs import replace

from foundation.events import Event
from foundation.frozen import Frozen
from metering.journal_entry import JournalEvent
from metering.ocmf_payload import MeterState, ReadingReason, SignedTransaction, UserAssignment
from metering.reading import Reading
from station.charging.evse_state import signature_due
from station.charging.journal_notice import JournalNotice
from station.charging.signing.reading_signer import SigningError
from station.core.model import NO_TOKEN, IdToken, MessageContent, StoppedReason, TransactionEvent
from station.core.sampling import Measurand, MeterValue, ReadingContext, SampledValue, SignedValue
from station.storage.database import StorageError

if TYPE_CHECKING:
    from foundation.change_signal import ChangeSignal
    from foundation.clock import Clock
    from station.charging.evse_state import Authorization, EvseState
    from station.charging.meter_polling import MeterPoller
    from station.charging.sampling_settings import SamplingSettings
    from station.charging.signing.reading_signer import ReadingSigner
    from station.charging.signing.signed_records import SignedRecord
    from station.charging.transaction_settings import TransactionSettings
    from station.storage.outbox import Outbox

_log = logging.getLogger(__name__)

_RETRY_S = 2.0
_REGISTER: Final = Measurand.ENERGY_IMPORT_REGISTER
_PLAIN_TEXT_FORMATS: Final = frozenset({"ASCII", "UTF8"})
"""message formats that are plain text (MessageFormatEnumType)"""
_USER_TYPES: Final = {
    "ISO14443": ("ISO14443", "HEARSAY", ("RFID_PLAIN",)),
    "ISO15693": ("ISO15693", "HEARSAY", ("RFID_PLAIN",)),
    "eMAID": ("EMAID", "TRUSTED", ()),
    "MacAddress": ("EVCCID", "HEARSAY", ()),
    "Local": ("LOCAL", "HEARSAY", ()),
    "Central": ("CENTRAL", "TRUSTED", ()),
    "KeyCode": ("KEY_CODE", "HEARSAY", ()),
}
"""id token type → IT, IL and IF of OCMF"""
_END_REASONS: Final = {
    StoppedReason.LOCAL: ReadingReason.END_LOCAL,
    StoppedReason.MASTER_PASS: ReadingReason.END_LOCAL,
    StoppedReason.REMOTE: ReadingReason.END_REMOTE,
    StoppedReason.POWER_LOSS: ReadingReason.POWER_FAILURE,
    StoppedReason.DE_AUTHORIZED: ReadingReason.ABORT,
    StoppedReason.EMERGENCY_STOP: ReadingReason.ABORT,
    StoppedReason.GROUND_FAULT: ReadingReason.ABORT,
    StoppedReason.OVERCURRENT_FAULT: ReadingReason.ABORT,
}


def assign_user(id_token: IdToken | None) -> UserAssignment:
    """Build the user assignment of OCMF (IS, IT, ID, IL, IF) from the id token of a transaction.

    None or NoAuthorization: no user. A key code is secret and left out.
    """
    if id_token is None or id_token.type == NO_TOKEN.type:
        return UserAssignment()
    kind, level, flags = _USER_TYPES.get(id_token.type, ("UNDEFINED", None, ()))
    return UserAssignment(kind, "" if id_token.type == "KeyCode" else id_token.value, level, flags)


def end_reason(reason: StoppedReason | None) -> ReadingReason:
    """Return the value of TX (OCMF) for the reading at the end of a transaction with this stop reason."""
    return _END_REASONS.get(reason, ReadingReason.END) if reason is not None else ReadingReason.END


def format_public_key(spki: bytes, form: str) -> str:
    """Format a public key (SubjectPublicKeyInfo) for SignedMeterValueType and FiscalMetering.PublicKey.

    `form`: "hex", "base64", or "oca": Base64 of `oca:base16:asn1:` and the key in hex (OCA note, 3.2.2).
    """
    if form == "hex":
        return spki.hex()
    if form == "base64":
        return base64.b64encode(spki).decode()
    return base64.b64encode(f"oca:base16:asn1:{spki.hex()}".encode()).decode()


class SignedEvse(Protocol):
    """The members of `Evse` that `MeterValueSigning` needs."""

    @property
    def id(self) -> int:
        """The number of the EVSE, from 1."""
        ...

    @property
    def meter(self) -> MeterPoller:
        """The poller of its billing meter."""
        ...

    @property
    def state(self) -> EvseState:
        """The current state."""
        ...

    @property
    def changed(self) -> ChangeSignal:
        """Fires after each change of the state, and when the end of a transaction is on disk."""
        ...

    @property
    def end_pending(self) -> bool:
        """Whether the Ended event of a transaction is not on disk yet."""
        ...

    def confirm_signed_begin(self, transaction_id: str, *, report: bool) -> None:
        """Let energy flow in this transaction, current or about to start: its begin is signed, or need not be.

        `report`: also record an event for the CSMS (SignedDataReceived).
        """
        ...


class TariffSource(Protocol):
    """Provides the tariff text that a driver is shown, to be included in the signed begin."""

    def tariff_of(self, authorization: Authorization, /) -> MessageContent | None:
        """Return the tariff text for the holder of an authorization; None: there is none."""
        ...


class SigningSetup(Frozen):
    """The collaborators of `MeterValueSigning`: the signer of its readings, and the source of the tariff text."""

    signatures: ReadingSigner
    tariff: TariffSource
    """the tariff text included in a signed begin"""


class MeterValueSigning:
    """Decides by the settings which readings of one EVSE are signed, and puts the signatures into meter values.

    `ReadingSigner` creates the signed records; the begin is signed by `run`, the rest when sampler and recorder ask.
    """

    def __init__(
        self,
        evse: SignedEvse,
        setup: SigningSetup,
        outbox: Outbox,
        settings: SamplingSettings,
        transactions: TransactionSettings,
        clock: Clock,
    ) -> None:
        self.signatures = setup.signatures
        self._tariff_source = setup.tariff
        self._evse = evse
        self._outbox = outbox
        self._settings = settings
        self._transaction_settings = transactions
        self._clock = clock
        self.unsigned: Event[JournalNotice] = Event()
        """published at the first of consecutive failures to sign a reading, for the register journal"""
        self._begin: tuple[str, Reading] | None = None
        self._failing = False
        self.may_end_later = False
        """whether the last `sign_end` failed because the meter did not sign, and a retry may help"""

    @property
    def required(self) -> bool:
        """Whether energy must not flow without a signed begin: the meter signs, or a setting requires signatures.

        If False, a begin that cannot be signed does not prevent charging.
        """
        settings = self._settings
        return (
            self.signatures.by_meter
            or settings.sampled_sign_readings
            or settings.aligned_sign_readings
            or "DataSigned" in self._transaction_settings.tx_start_points
        )

    async def run(self) -> None:
        """Task until cancelled: sign the begin of each transaction before energy flows; if `required`, retry it."""
        changed = self._evse.changed
        while True:
            count_before = changed.count
            if not signature_due(self._evse.state):
                await changed.wait(count_before)
            elif not await self._sign_begin():
                # `changed.count` is read again, so that changes caused by this attempt do not trigger the next one.
                await changed.wait_for(changed.count, self._clock, _RETRY_S)

    async def _sign_begin(self) -> bool:
        """Sign the begin of the running or coming transaction; returns false if it must be retried."""
        if self._evse.end_pending:  # a signing meter would discard the record of the previous transaction
            return False
        authorization, assignment = self._evse.state.authorization, self._assignment()
        if authorization is None or assignment is None:
            return True
        transaction_id, holder = assignment
        identity = transaction_id or str(uuid.uuid4())
        reading = await self._evse.meter.read_now()
        try:
            if reading is None:
                raise SigningError("the meter does not answer")
            subject = SignedTransaction(identity, assign_user(holder), self._tariff(authorization))
            record = await self.signatures.sign_begin(subject, reading)
        except SigningError as error:
            self._note_failure(error)
            if self.required:
                return False
        else:
            self._failing = False
            self._begin = (identity, reading)
            await self._store(identity, record, ReadingContext.TRANSACTION_BEGIN, reading)
        # Signing may have taken seconds: vehicle and authorization may have changed meanwhile.
        if signature_due(self._evse.state) and self._assignment() == assignment:
            self._evse.confirm_signed_begin(identity, report=self._sends_signed_begin and self._begin is not None)
        return True

    def _assignment(self) -> tuple[str | None, IdToken] | None:
        """The open transaction id, if any, and its (future) holder; None: no authorization."""
        transaction, authorization = self._evse.state.transaction, self._evse.state.authorization
        if authorization is None:
            return None
        if transaction is None:
            return None, authorization.id_token
        return transaction.id, transaction.holder or authorization.id_token

    def _tariff(self, authorization: Authorization) -> str:
        """TT (OCMF): the tariff text, empty if it is not plain text."""
        text = self._tariff_source.tariff_of(authorization)
        return text.content if text is not None and text.format in _PLAIN_TEXT_FORMATS else ""

    @property
    def _sends_signed_begin(self) -> bool:
        """Whether the settings send the signed begin to the CSMS; never if the meter itself signs.

        It is sent with the Started event, or later as SignedDataReceived.
        """
        settings = self._settings
        return (
            settings.sampled_data_enabled
            and settings.sampled_sign_readings
            and settings.sampled_sign_started_readings
            and not self.signatures.by_meter
            and _REGISTER in settings.sampled_tx_started_measurands
        )

    def _note_failure(self, error: SigningError) -> None:
        if not self._failing:
            _log.error("EVSE %d: a reading could not be signed: %s", self._evse.id, error)
            details = {"reason": str(error)}
            self.unsigned.publish(JournalNotice(JournalEvent.UNSIGNED, details, self._evse.id))
        self._failing = True

    # Values for records and the CSMS

    def public_key_text(self) -> str:
        """Return the public key in the configured format, for the CSMS; empty while there is none."""
        spki = self.signatures.public_key_now()
        return format_public_key(spki, self._settings.public_key_format) if spki is not None else ""

    async def begin_value(self, transaction_id: str) -> SignedValue | None:
        """Read the signed begin of a transaction, if the settings send it at the start of the transaction; else None.

        Signs nothing; None also if it cannot be read.
        """
        if not self._sends_signed_begin:
            return None
        try:
            records = await self.signatures.records_of(transaction_id)
        except SigningError as error:
            self._note_failure(error)
            return None
        return next((SignedValue(record.text) for record in records if record.reason == ReadingReason.BEGIN), None)

    def begin_reading(self, transaction_id: str) -> Reading | None:
        """The reading that was signed as the begin of this transaction since the program started, else None."""
        return self._begin[1] if self._begin is not None and self._begin[0] == transaction_id else None

    async def sign_sample(self, value: MeterValue, reading: Reading, transaction_id: str | None) -> MeterValue:
        """Sign the energy register of a sample, and return the sample with the signature.

        `reading`: the one sampled; `transaction_id` None: outside a transaction. Returned unchanged if signing fails.
        """
        try:
            if transaction_id is None:
                record = await self.signatures.sign_standalone(reading)
            else:
                record = await self.signatures.sign_intermediate(transaction_id, reading, ReadingReason.DURING)
        except SigningError as error:
            self._note_failure(error)
            return value
        return value.with_signature(SignedValue(record.text)) if record is not None else value

    async def sign_tariff_change(self, transaction_id: str, reading: Reading) -> None:
        """Sign the energy register at a tariff period boundary, and store the record on disk for the Ended event.

        A failure is logged.
        """
        try:
            record = await self.signatures.sign_intermediate(transaction_id, reading, ReadingReason.TARIFF)
        except SigningError as error:
            self._note_failure(error)
        else:
            await self._store(transaction_id, record, ReadingContext.OTHER, reading)

    async def _store(
        self, transaction_id: str, record: SignedRecord | None, context: ReadingContext, reading: Reading
    ) -> None:
        """Store a signed value for the Ended event, with the time of the reading by the station's clock."""
        if record is None or not self._ends_signed:
            return
        try:
            await self._outbox.end_data.store_sample(
                transaction_id, replace(_value(record, context), taken_at=reading.taken_at)
            )
        except StorageError as error:
            _log.error(
                "transaction %s: a signed reading cannot be stored for the Ended event: %s", transaction_id, error
            )

    @property
    def _state_without_reading(self) -> MeterState:
        """The OCMF meter state without a plausible reading: no response, or meter exchanged."""
        return MeterState.TIMEOUT if self._evse.meter.foreign is None else MeterState.EXCHANGED

    @property
    def _ends_signed(self) -> bool:
        """Whether Ended contains the signed begin and end, for sampled or aligned data (OCA note, 4.1.2).

        False if SampledDataTxEndedMeasurands does not contain the register (TC_J_04_CS).
        """
        settings = self._settings
        return (
            settings.sampled_data_enabled
            and (settings.sampled_sign_readings or settings.aligned_sign_readings)
            and _REGISTER in settings.sampled_tx_ended_measurands
        )

    async def sign_end(
        self, event: TransactionEvent, end_reading: Reading | None, last_reading: Reading | None
    ) -> list[SignedRecord]:
        """Sign the reading at the end of a transaction; returns its records needed for billing, empty on failure.

        `end_reading`: the reading at the end; None: the meter does not answer, and `last_reading` is signed with that
        state. Sets `may_end_later`.
        """
        reading = end_reading or last_reading
        self.may_end_later = False
        if reading is None:
            return []
        try:
            state = MeterState.GOOD if end_reading is not None else self._state_without_reading
            records = await self.signatures.sign_end(
                event.transaction_id, reading, end_reason(event.stopped_reason), state
            )
        except SigningError as error:
            self.may_end_later = self.signatures.by_meter and error.transient
            self._note_failure(error)
            return []
        return records

    def end_values(
        self, records: Iterable[SignedRecord], stored: list[MeterValue], values_at_end: list[MeterValue]
    ) -> list[MeterValue]:
        """Compose the meter values of an Ended event: signed begin, stored samples, last values with the signed end.

        `records`: as `sign_end` returned them; `stored`: samples on disk; `values_at_end`: of the last reading.
        """
        signed_records = list(records) if self._ends_signed else []
        stored_begins = [value for value in stored if value.samples[0].context is ReadingContext.TRANSACTION_BEGIN]
        begin_values = [
            value for value in stored_begins if any(sample.signed is not None for sample in value.samples)
        ] or [
            _value(record, ReadingContext.TRANSACTION_BEGIN)
            for record in signed_records
            if record.reason == ReadingReason.BEGIN
        ]
        end_record = next(
            (record for record in signed_records if record.reason not in (ReadingReason.BEGIN, ReadingReason.TARIFF)),
            None,
        )
        signed = SignedValue(end_record.text) if end_record is not None else None
        if begin_values:  # replaces the unsigned begin
            stored = [value for value in stored if value not in stored_begins]
        return [*begin_values, *stored, *(value.with_signature(signed) for value in values_at_end)]

    def with_public_keys(self, values: tuple[MeterValue, ...], *, sent: bool) -> tuple[tuple[MeterValue, ...], bool]:
        """Return the values with the public key in their signatures, as PublicKeyWithSignedMeterValue requires.

        `sent`: an earlier event of this transaction carries the key. Also returns whether one does now.
        """
        mode, key = self._settings.public_key_with_signed_meter_value, self.signatures.key
        if mode == "Never" or key is None:
            return values, sent
        text = format_public_key(key.spki, self._settings.public_key_format)
        with_keys: list[MeterValue] = []
        for value in values:
            samples: list[SampledValue] = []
            for sample in value.samples:
                signed = sample.signed
                if signed is not None and (mode == "EveryMeterValue" or not sent):
                    sample, sent = replace(sample, signed=replace(signed, public_key=text)), True
                samples.append(sample)
            with_keys.append(replace(value, samples=tuple(samples)))
        return tuple(with_keys), sent


def was_key_sent(events: Iterable[TransactionEvent]) -> bool:
    """Return whether any of these events carries the public key in a signed meter value."""
    samples = (sample for event in events for value in event.meter_values for sample in value.samples)
    return any(sample.signed is not None and sample.signed.public_key for sample in samples)


def _value(record: SignedRecord, context: ReadingContext) -> MeterValue:
    sample = SampledValue(record.energy_wh or 0.0, _REGISTER, context, "Wh", signed=SignedValue(record.text))
    return MeterValue(record.taken_at, (sample,))

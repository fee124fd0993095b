"""When readings of one EVSE are signed, and how the CSMS is told (J01.FR.21, J02.FR.21; OCA note on signed values)."""

from __future__ import annotations

import base64
import logging
import uuid
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from foundation.events import Event
from foundation.frozen import frozen
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
    from station.charging.signing.reading_signer import ReadingSigner
    from station.charging.signing.signed_records import SignedRecord
    from station.core.settings import Settings
    from station.storage.outbox import Outbox

_log = logging.getLogger(__name__)

_RETRY_S = 2.0
_REGISTER: Final = Measurand.ENERGY_IMPORT_REGISTER
_PLAIN: Final = frozenset({"ASCII", "UTF8"})
"""formats of messages (MessageFormatEnumType)"""
_KINDS: Final = {
    "ISO14443": ("ISO14443", "HEARSAY", ("RFID_PLAIN",)),
    "ISO15693": ("ISO15693", "HEARSAY", ("RFID_PLAIN",)),
    "eMAID": ("EMAID", "TRUSTED", ()),
    "MacAddress": ("EVCCID", "HEARSAY", ()),
    "Local": ("LOCAL", "HEARSAY", ()),
    "Central": ("CENTRAL", "TRUSTED", ()),
    "KeyCode": ("KEY_CODE", "HEARSAY", ()),
}
"""types of id tokens: IT, IL and IF of OCMF"""
_ENDS: Final = {
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
    """Who a transaction is assigned to. A key code is a secret, and no record's."""
    if id_token is None or id_token.type == NO_TOKEN.type:
        return UserAssignment()
    kind, level, flags = _KINDS.get(id_token.type, ("UNDEFINED", None, ()))
    return UserAssignment(kind, "" if id_token.type == "KeyCode" else id_token.value, level, flags)


def end_reason(reason: StoppedReason | None) -> ReadingReason:
    """TX of the end of a transaction that stopped for a reason."""
    return _ENDS.get(reason, ReadingReason.END) if reason is not None else ReadingReason.END


def format_public_key(spki: bytes, form: str) -> str:
    """A public key as SignedMeterValueType and FiscalMetering.PublicKey tell it (OCA note, 3.2.2; or bare)."""
    if form == "hex":
        return spki.hex()
    if form == "base64":
        return base64.b64encode(spki).decode()
    return base64.b64encode(f"oca:base16:asn1:{spki.hex()}".encode()).decode()


class SignedEvse(Protocol):
    """The EVSE, as far as signing its readings needs it."""

    @property
    def id(self) -> int:
        """The number of the EVSE, from 1."""
        ...

    @property
    def meter(self) -> MeterPoller:
        """The billing meter."""
        ...

    @property
    def state(self) -> EvseState:
        """The present state."""
        ...

    @property
    def changed(self) -> ChangeSignal:
        """Fires after each change of the state, and when the end of a transaction is on record."""
        ...

    @property
    def end_pending(self) -> bool:
        """Whether the end of a transaction is not on record yet."""
        ...

    def confirm_signed_begin(self, transaction_id: str, *, tell: bool) -> None:
        """Let energy flow in this transaction: its begin is signed, or need not be.

        `tell`: report it to the CSMS in an event of its own.
        """
        ...


class TariffSource(Protocol):
    """Knows what drivers are told of the price."""

    def tariff_of(self, authorization: Authorization, /) -> MessageContent | None:
        """The message about the price for somebody who may charge; None: there is none."""
        ...


@frozen
class SigningSetup:
    """What the readings of an EVSE are signed with."""

    signatures: ReadingSigner
    tariff: TariffSource
    """the tariff that stands in a signed begin"""


class MeterValueSigning:
    """Has the readings of one EVSE signed when they are to be."""

    def __init__(self, evse: SignedEvse, setup: SigningSetup, outbox: Outbox, settings: Settings, clock: Clock) -> None:
        self.signatures = setup.signatures
        self._prices = setup.tariff
        self._evse = evse
        self._outbox = outbox
        self._settings = settings
        self._clock = clock
        self.unsigned = Event[JournalNotice]()
        """a reading that was to be signed is not, for the first time since one was"""
        self._begin: tuple[str, Reading] | None = None
        self._failing = False
        self.may_end_later = False
        """whether the end that was asked for last is not signed because its meter did not, and may still be"""

    @property
    def required(self) -> bool:
        """Whether no energy may flow without a signed begin."""
        settings = self._settings
        return (
            self.signatures.by_meter
            or settings.sampled_sign_readings
            or settings.aligned_sign_readings
            or "DataSigned" in settings.tx_start_points
        )

    async def run(self) -> None:
        """Sign the begin of each transaction until cancelled."""
        changed = self._evse.changed
        while True:
            seen = changed.count
            if not signature_due(self._evse.state):
                await changed.wait(seen)
            elif not await self._sign_begin():
                # Counted anew: the changes that this attempt itself has caused must not start the next one at once.
                await changed.wait_for(changed.count, self._clock, _RETRY_S)

    async def _sign_begin(self) -> bool:
        """Sign the begin of the transaction that runs or is about to; returns whether that is settled."""
        if self._evse.end_pending:  # a meter that signs would give up the record of the transaction before
            return False
        authorization, assigned = self._evse.state.authorization, self._assigned()
        if authorization is None or assigned is None:
            return True
        transaction_id, holder = assigned
        identity = transaction_id or str(uuid.uuid4())
        reading = await self._evse.meter.read_now()
        try:
            if reading is None:
                raise SigningError("the meter is silent")
            subject = SignedTransaction(identity, assign_user(holder), self._tariff(authorization))
            record = await self.signatures.sign_begin(subject, reading)
        except SigningError as error:
            self._failed(error)
            if self.required:
                return False
        else:
            self._failing = False
            self._begin = (identity, reading)
            await self._keep(identity, record, ReadingContext.TRANSACTION_BEGIN, reading)
        # It may have taken seconds: the vehicle may be another one, for which somebody else is authorized.
        if signature_due(self._evse.state) and self._assigned() == assigned:
            self._evse.confirm_signed_begin(identity, tell=self._tells_begin and self._begin is not None)
        return True

    def _assigned(self) -> tuple[str | None, IdToken] | None:
        """The open transaction, if there is one, and who is its holder or will be; None: nobody is authorized."""
        transaction, authorization = self._evse.state.transaction, self._evse.state.authorization
        if authorization is None:
            return None
        if transaction is None:
            return None, authorization.id_token
        return transaction.id, transaction.holder or authorization.id_token

    def _tariff(self, authorization: Authorization) -> str:
        """TT, as far as it is a plain text."""
        told = self._prices.tariff_of(authorization)
        return told.content if told is not None and told.format in _PLAIN else ""

    @property
    def _tells_begin(self) -> bool:
        settings = self._settings
        return (
            settings.sampled_data_enabled
            and settings.sampled_sign_readings
            and settings.sampled_sign_started_readings
            and not self.signatures.by_meter
            and _REGISTER in settings.sampled_tx_started_measurands
        )

    def _failed(self, error: SigningError) -> None:
        if not self._failing:
            _log.error("EVSE %d: a reading is not signed: %s", self._evse.id, error)
            details = {"reason": str(error)}
            self.unsigned.publish(JournalNotice(JournalEvent.UNSIGNED, details, self._evse.id))
        self._failing = True

    # What the record and the CSMS get

    def public_key_text(self) -> str:
        """The public key as the CSMS is told it; empty while there is none."""
        spki = self.signatures.public_key_now()
        return format_public_key(spki, self._settings.public_key_format) if spki is not None else ""

    async def begin_value(self, transaction_id: str) -> SignedValue | None:
        """The signed begin of a transaction, where the CSMS is to have it with the begin."""
        if not self._tells_begin:
            return None
        try:
            records = await self.signatures.records_of(transaction_id)
        except SigningError as error:
            self._failed(error)
            return None
        return next((SignedValue(one.text) for one in records if one.reason == ReadingReason.BEGIN), None)

    def begin_reading(self, transaction_id: str) -> Reading | None:
        """The reading that the begin of a transaction was signed with."""
        return self._begin[1] if self._begin is not None and self._begin[0] == transaction_id else None

    async def sign_sample(self, value: MeterValue, reading: Reading, transaction_id: str | None) -> MeterValue:
        """A sample with its register signed, within a transaction or without one."""
        try:
            if transaction_id is None:
                record = await self.signatures.sign_standalone(reading)
            else:
                record = await self.signatures.sign_intermediate(transaction_id, reading, ReadingReason.DURING)
        except SigningError as error:
            self._failed(error)
            return value
        return value.with_signature(SignedValue(record.text)) if record is not None else value

    async def sign_tariff_change(self, transaction_id: str, reading: Reading) -> None:
        """Sign the register where a tariff period of a transaction ends and the next begins."""
        try:
            record = await self.signatures.sign_intermediate(transaction_id, reading, ReadingReason.TARIFF)
        except SigningError as error:
            self._failed(error)
        else:
            await self._keep(transaction_id, record, ReadingContext.OTHER, reading)

    async def _keep(
        self, transaction_id: str, record: SignedRecord | None, context: ReadingContext, reading: Reading
    ) -> None:
        """Keep a signed reading for the end, at the time of the station's clock: that of the record is never set."""
        if record is None or not self._ends_signed:
            return
        try:
            await self._outbox.end_data.store_sample(
                transaction_id, replace(_value(record, context), taken_at=reading.taken_at)
            )
        except StorageError as error:
            _log.error("the signed register of transaction %s is not kept for its end: %s", transaction_id, error)

    @property
    def _state_of_silence(self) -> MeterState:
        """Why there is no reading that could be believed: the meter is silent, or another one than at the begin."""
        return MeterState.TIMEOUT if self._evse.meter.foreign is None else MeterState.EXCHANGED

    @property
    def _ends_signed(self) -> bool:
        """Whether Ended carries the signed begin and end: with sampled or with aligned data (OCA note, 4.1.2).

        Not where the end is told without its register: what is aligned stands alone then (TC_J_04_CS).
        """
        settings = self._settings
        return (
            settings.sampled_data_enabled
            and (settings.sampled_sign_readings or settings.aligned_sign_readings)
            and _REGISTER in settings.sampled_tx_ended_measurands
        )

    async def sign_end(
        self, event: TransactionEvent, fresh: Reading | None, last: Reading | None
    ) -> list[SignedRecord]:
        """Sign the end of a transaction; the records that its bill needs. Empty: it is not signed."""
        reading = fresh or last
        self.may_end_later = False
        if reading is None:
            return []
        try:
            state = MeterState.GOOD if fresh is not None else self._state_of_silence
            records = await self.signatures.sign_end(
                event.transaction_id, reading, end_reason(event.stopped_reason), state
            )
        except SigningError as error:
            self.may_end_later = self.signatures.by_meter and error.transient
            self._failed(error)
            return []
        return records

    def end_values(
        self, records: Iterable[SignedRecord], kept: list[MeterValue], last: list[MeterValue]
    ) -> list[MeterValue]:
        """The values of an Ended event: the signed begin before what was sampled, the signed end with the last."""
        wanted = list(records) if self._ends_signed else []
        begins = [one for one in kept if one.samples[0].context is ReadingContext.TRANSACTION_BEGIN]
        begin = [one for one in begins if any(sample.signed is not None for sample in one.samples)] or [
            _value(one, ReadingContext.TRANSACTION_BEGIN) for one in wanted if one.reason == ReadingReason.BEGIN
        ]
        end = next((one for one in wanted if one.reason not in (ReadingReason.BEGIN, ReadingReason.TARIFF)), None)
        signed = SignedValue(end.text) if end is not None else None
        if begin:  # in place of the same without a signature
            kept = [one for one in kept if one not in begins]
        return [*begin, *kept, *(value.with_signature(signed) for value in last)]

    def with_public_keys(self, values: tuple[MeterValue, ...], *, told: bool) -> tuple[tuple[MeterValue, ...], bool]:
        """Values with the public key where it is wanted; `told` says that this transaction's values had it already.

        Returns them, and whether it has been told now.
        """
        mode, key = self._settings.public_key_with_signed_meter_value, self.signatures.key
        if mode == "Never" or key is None:
            return values, told
        text = format_public_key(key.spki, self._settings.public_key_format)
        keyed: list[MeterValue] = []
        for value in values:
            samples: list[SampledValue] = []
            for sample in value.samples:
                signed = sample.signed
                if signed is not None and (mode == "EveryMeterValue" or not told):
                    sample, told = replace(sample, signed=replace(signed, public_key=text)), True
                samples.append(sample)
            keyed.append(replace(value, samples=tuple(samples)))
        return tuple(keyed), told


def was_key_sent(events: Iterable[TransactionEvent]) -> bool:
    """Whether any of these events carries the public key."""
    samples = (sample for event in events for value in event.meter_values for sample in value.samples)
    return any(sample.signed is not None and sample.signed.public_key for sample in samples)


def _value(record: SignedRecord, context: ReadingContext) -> MeterValue:
    sample = SampledValue(record.energy_wh or 0.0, _REGISTER, context, "Wh", signed=SignedValue(record.text))
    return MeterValue(record.taken_at, (sample,))

"""`borne verify`: checks the signatures of the signed records in a file, and shows their contents and bill."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final

from foundation.frozen import Frozen
from metering.ocmf import END_REASONS, Json, OcmfFormatError, OcmfReading, OcmfRecord, parse_record
from metering.ocmf_bill import check_bill, register_deltas, time_objection
from metering.ocmf_keys import KeyForm, KeyFormError, PublicKey, read_key
from metering.ocmf_signature import SignatureCheck, check_signature, curve_of
from metering.record_files import read_records

if TYPE_CHECKING:
    from metering.record_files import EnclosedRecord

RecordJson = dict[str, object]
"""one signed record, or one of its readings, in the JSON output of `borne verify`"""

_MAX_KEY_BYTES: Final = 64 * 1024
"""bytes read from a key file"""


class RecordsUnreadableError(Exception):
    """The file of signed records, or the key given to `borne verify`, cannot be read; the message says why."""


class CheckedRecord(Frozen):
    """A signed record of the file, with the key used and the result of its signature check."""

    record: OcmfRecord
    key: PublicKey | None
    """the public key that the signature was checked with; None: none was found, or it cannot be used"""
    signature_check: SignatureCheck
    key_file: str | None
    """name of the file that the key came from; None: given as text, or from the container"""
    context: str | None
    """reading context that the container states, such as Transaction.Begin; None: it states none"""
    transaction: str | None
    """identifies the transaction that the container states; None: it states none"""


class _Keys(Frozen):
    """The given public keys: one for all records, or one for each."""

    texts: tuple[str, ...]
    file: str | None

    def of(self, index: int) -> str | None:
        if len(self.texts) == 1:
            return self.texts[0]
        return self.texts[index] if index < len(self.texts) else None


def check_records(file: Path, key: str | None) -> list[CheckedRecord]:
    """Check the signature of every OCMF record in a file, which may be an XML container.

    The key of a record is `key` (a file, or the key itself), else the one in its XML container, else the file of the
    same name that ends with .pub. A missing key is no error: the result says that the signature cannot be verified.

    Raises:
        RecordsUnreadableError: the file or the key cannot be read.
    """
    try:
        enclosed = read_records(file.read_bytes())
        records = [parse_record(enclosed_record.data) for enclosed_record in enclosed]
    except OSError as error:
        raise RecordsUnreadableError(f"{file}: {error.strerror}") from error
    except OcmfFormatError as error:
        raise RecordsUnreadableError(f"{file}: {error}") from error
    given_keys = _keys_from_option(key, len(records)) if key is not None else None
    keys_beside = _keys_beside(file, len(records))
    return [
        _check_record(enclosed_record, record, given_keys, keys_beside, index)
        for index, (enclosed_record, record) in enumerate(zip(enclosed, records, strict=True))
    ]


def _check_record(
    enclosed: EnclosedRecord, record: OcmfRecord, given_keys: _Keys | None, keys_beside: _Keys | None, index: int
) -> CheckedRecord:
    keys = given_keys or (None if enclosed.key is not None else keys_beside)
    text = keys.of(index) if keys is not None else enclosed.key
    objection: str | None = None
    public_key: PublicKey | None = None
    if text is not None:
        try:
            public_key = read_key(text)
        except KeyFormError as error:
            objection = f"the public key cannot be used: {error}"
    verdict = check_signature(record, public_key)
    if objection is not None and verdict.valid is None:
        verdict = SignatureCheck(None, objection, verdict.form)
    file = keys.file if keys is not None else None
    return CheckedRecord(record, public_key, verdict, file, enclosed.context, enclosed.transaction)


def _keys_from_option(key: str, records: int) -> _Keys:
    path = Path(key)
    try:
        if path.is_file():
            return _Keys(_split_keys(_key_file_text(path), records), path.name)
    except OSError as error:
        # raised for a key, which is longer than any file name
        if not _is_key(key):
            raise RecordsUnreadableError(f"--key: {error.strerror}") from error
    if not _is_key(key):
        raise RecordsUnreadableError("--key: must be a file or a public key")
    return _Keys((key,), None)


def _keys_beside(file: Path, records: int) -> _Keys | None:
    path = file.with_suffix(".pub")
    try:
        return _Keys(_split_keys(_key_file_text(path), records), path.name) if path.is_file() else None
    except OSError as error:
        raise RecordsUnreadableError(f"{path}: {error.strerror}") from error


def _key_file_text(path: Path) -> str:
    with path.open("rb") as file:
        data = file.read(_MAX_KEY_BYTES)
    if data[:1] == b"\x30" and not data.isascii():  # binary SPKI; the character 0 is 0x30 too
        return data.hex()
    return data.decode("utf-8-sig", errors="replace").strip()


def _split_keys(text: str, records: int) -> tuple[str, ...]:
    """Split a key file: one key, which may have several lines, or one key per line and record."""
    lines = [line for line in text.splitlines() if line.strip()]
    return tuple(lines) if not _is_key(text) and len(lines) == records > 1 else (text,)


def _is_key(text: str) -> bool:
    try:
        read_key(text)
    except KeyFormError:
        return False
    return True


def record_to_json(checked: CheckedRecord) -> RecordJson:
    """Return a checked record as `borne verify --json` prints it; fields that the record does not have are left out."""
    record, key = checked.record, checked.key
    curve = curve_of(record.algorithm)
    fields: RecordJson = {
        "signature_valid": checked.signature_check.valid,
        "curve": curve.name if curve is not None else None,
        "key_curve": _key_curve(key, curve.name if curve is not None else None),
        "key_form": key.form.value if key is not None else None,
        "signature_form": checked.signature_check.form.value if checked.signature_check.form is not None else None,
        "algorithm_stated": record.algorithm_stated,
        "signature_encoding": record.encoding,
        "payload_sha256": hashlib.sha256(record.payload).hexdigest(),
        "record_has_outer_whitespace": record.outer_whitespace,
        "payload": _plain_json(dict(record.fields)),
        "readings": [_reading_to_json(reading) for reading in record.readings],
    }
    if found := register_deltas(record.readings):
        fields["delta_wh"] = {figure.register: _plain_number(figure.energy_wh) for figure in found}
    fields["context"] = checked.context or _reading_context(record)
    if checked.key_file is not None:
        fields["public_key_file"] = checked.key_file
    if checked.signature_check.reason is not None:
        fields["invalid_reason"] = checked.signature_check.reason
    return fields


def _reading_context(record: OcmfRecord) -> str | None:
    """The reading context, if all readings are of the begin or all are of the end; else None.

    A record with both may be sent in either context, which only the enclosing message or container states.
    """
    reasons = {reading.reason for reading in record.readings}
    if reasons == {"B"}:
        return "Transaction.Begin"
    return "Transaction.End" if reasons and reasons <= END_REASONS else None


def _key_curve(key: PublicKey | None, stated: str | None) -> str | None:
    """The curve of a key; a key that does not state one is taken to be on the record's curve."""
    if key is None:
        return None
    return stated if key.form is not KeyForm.SPKI else key.curve


def _reading_to_json(reading: OcmfReading) -> RecordJson:
    values: RecordJson = {
        "time": {"iso": reading.time.iso, "state": reading.time.state} if reading.time is not None else None,
        "reason": reading.reason,
        "register": reading.register,
        "unit": reading.unit,
        "value_text": reading.value_text,
        "current_type": reading.current_type,
        "cumulated_loss": _plain_number(reading.loss),
        "error_flags": reading.error_flags,
        "status": reading.status,
        "value": _plain_number(reading.value),
        "wh": _plain_number(reading.energy_wh),
    }
    return {name: value for name, value in values.items() if value is not None}


def _plain_json(value: Json) -> object:
    """Convert decimals to JSON numbers: integers without a decimal point."""
    if isinstance(value, Decimal):
        return _plain_number(value)
    if isinstance(value, dict):
        return {key: _plain_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain_json(item) for item in value]
    return value


def _plain_number(value: Decimal | None) -> int | float | None:
    if value is None:
        return None
    # Converting 1e999999 to an integer would fill the memory.
    return int(value) if abs(value.adjusted()) <= 40 and value == value.to_integral_value() else float(value)


def records_to_text(checked: Sequence[CheckedRecord]) -> Iterator[str]:
    """Yield the text output of `borne verify`, line by line: all records, then the bill of each transaction."""
    for number, checked_record in enumerate(checked, 1):
        yield from _record_lines(checked_record, f"record {number} of {len(checked)}: " if len(checked) > 1 else "")
    for transaction in _group_by_transaction(checked):
        yield from _bill_lines(transaction)


def _record_lines(checked_record: CheckedRecord, title: str) -> Iterator[str]:
    answers = {True: "signature valid", False: "signature NOT VALID", None: "signature cannot be verified"}
    record, check = checked_record.record, checked_record.signature_check
    yield f"{title}{answers[check.valid]}{f': {check.reason}' if check.reason is not None else ''}"
    yield f"  signed with {record.algorithm}{'' if record.algorithm_stated else ' (the default)'}"
    for key, name in (
        ("PG", "record number"),
        ("GI", "signed by"),
        ("GS", "serial number of the signer"),
        ("MV", "meter manufacturer"),
        ("MM", "meter model"),
        ("MS", "meter serial number"),
        ("CI", "charge point"),
        ("IT", "identified by"),
        ("ID", "identification"),
        ("TT", "tariff"),
    ):
        if record.text(key):
            yield f"  {name}: {_printable(record.text(key) or '')}"
    for reading in record.readings:
        when = f"{reading.time.iso} ({reading.time.state})" if reading.time is not None else "time not stated"
        loss = f", cable loss {reading.loss}" if reading.loss is not None else ""
        yield _printable(
            f"  {reading.reason or '-'}  {when}  {reading.register or 'register not stated'}"
            f"  {reading.value if reading.value is not None else '?'} {reading.unit or ''}{loss}"
        )


def _bill_lines(transaction: Sequence[CheckedRecord]) -> Iterator[str]:
    bill = check_bill([checked_record.record for checked_record in transaction])
    objections = [*_signature_objections(transaction), *bill.objections]
    for figure in bill.register_deltas:
        duration_s = figure.duration_s
        lasted = f" in {duration_s:.0f} s" if duration_s is not None else ""
        yield _printable(
            f"{figure.register}: {_kwh_text(figure.begin.energy_wh)} kWh to {_kwh_text(figure.end.energy_wh)} kWh:"
            f" {_kwh_text(figure.energy_wh)} kWh{lasted}"
        )
    if objections:
        yield "NOT BILLABLE:"
        yield from (f"  {_printable(objection)}" for objection in objections)
    elif bill.register_deltas:
        untimed = time_objection(bill.register_deltas[0])
        yield "billable by energy" + ("" if untimed is None else f", not by time: {untimed}")
    yield from (f"note: {_printable(remark)}" for remark in bill.remarks)


def _signature_objections(transaction: Sequence[CheckedRecord]) -> Iterator[str]:
    """Objections to a bill from the signatures: an invalid one, or records signed with different keys."""
    for checked_record in transaction:
        if not checked_record.signature_check.valid:
            answer = "cannot be verified" if checked_record.signature_check.valid is None else "is not valid"
            yield f"the signature of the record {checked_record.record.text('PG') or 'without a number'} {answer}"
    if len({checked_record.key.identity for checked_record in transaction if checked_record.key is not None}) > 1:
        yield "the records are signed with different keys"


def _group_by_transaction(checked: Sequence[CheckedRecord]) -> list[list[CheckedRecord]]:
    """Group the records by transaction; without a container that states it, all belong to one."""
    found: dict[str | None, list[CheckedRecord]] = {}
    for checked_record in checked:
        found.setdefault(checked_record.transaction, []).append(checked_record)
    return list(found.values())


def _kwh_text(wh: Decimal | None) -> str:
    return "?" if wh is None else format((wh / 1000).normalize(), "f")


def _printable(text: str) -> str:
    """Replace unprintable characters, which a terminal could interpret as control sequences."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)

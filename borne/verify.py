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

_LONGEST_KEY: Final = 64 * 1024
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
        records = [parse_record(one.data) for one in enclosed]
    except OSError as error:
        raise RecordsUnreadableError(f"{file}: {error.strerror}") from error
    except OcmfFormatError as error:
        raise RecordsUnreadableError(f"{file}: {error}") from error
    asked_for = _asked_for(key, len(records)) if key is not None else None
    beside = _beside(file, len(records))
    return [
        _check(one, record, asked_for, beside, index)
        for index, (one, record) in enumerate(zip(enclosed, records, strict=True))
    ]


def _check(
    one: EnclosedRecord, record: OcmfRecord, asked_for: _Keys | None, beside: _Keys | None, index: int
) -> CheckedRecord:
    keys = asked_for or (None if one.key is not None else beside)
    text = keys.of(index) if keys is not None else one.key
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
    return CheckedRecord(record, public_key, verdict, file, one.context, one.transaction)


def _asked_for(key: str, records: int) -> _Keys:
    path = Path(key)
    try:
        if path.is_file():
            return _Keys(_split(_text_of(path), records), path.name)
    except OSError as error:
        # raised for a key, which is longer than any file name
        if not _is_key(key):
            raise RecordsUnreadableError(f"--key: {error.strerror}") from error
    if not _is_key(key):
        raise RecordsUnreadableError("--key: must be a file or a public key")
    return _Keys((key,), None)


def _beside(file: Path, records: int) -> _Keys | None:
    path = file.with_suffix(".pub")
    try:
        return _Keys(_split(_text_of(path), records), path.name) if path.is_file() else None
    except OSError as error:
        raise RecordsUnreadableError(f"{path}: {error.strerror}") from error


def _text_of(path: Path) -> str:
    with path.open("rb") as file:
        data = file.read(_LONGEST_KEY)
    if data[:1] == b"\x30" and not data.isascii():  # binary SPKI; the character 0 is 0x30 too
        return data.hex()
    return data.decode("utf-8-sig", errors="replace").strip()


def _split(text: str, records: int) -> tuple[str, ...]:
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
    shown: RecordJson = {
        "signature_valid": checked.signature_check.valid,
        "curve": curve.name if curve is not None else None,
        "key_curve": _key_curve(key, curve.name if curve is not None else None),
        "key_form": key.form.value if key is not None else None,
        "signature_form": checked.signature_check.form.value if checked.signature_check.form is not None else None,
        "algorithm_stated": record.algorithm_stated,
        "signature_encoding": record.encoding,
        "payload_sha256": hashlib.sha256(record.payload).hexdigest(),
        "record_has_outer_whitespace": record.outer_whitespace,
        "payload": _plain(dict(record.fields)),
        "readings": [_reading(reading) for reading in record.readings],
    }
    if found := register_deltas(record.readings):
        shown["delta_wh"] = {figure.register: _number(figure.energy_wh) for figure in found}
    shown["context"] = checked.context or _context(record)
    if checked.key_file is not None:
        shown["public_key_file"] = checked.key_file
    if checked.signature_check.reason is not None:
        shown["invalid_reason"] = checked.signature_check.reason
    return shown


def _context(record: OcmfRecord) -> str | None:
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


def _reading(reading: OcmfReading) -> RecordJson:
    values: RecordJson = {
        "time": {"iso": reading.time.iso, "state": reading.time.state} if reading.time is not None else None,
        "reason": reading.reason,
        "register": reading.register,
        "unit": reading.unit,
        "value_text": reading.value_text,
        "current_type": reading.current_type,
        "cumulated_loss": _number(reading.loss),
        "error_flags": reading.error_flags,
        "status": reading.status,
        "value": _number(reading.value),
        "wh": _number(reading.energy_wh),
    }
    return {name: value for name, value in values.items() if value is not None}


def _plain(value: Json) -> object:
    """Convert decimals to JSON numbers: integers without a decimal point."""
    if isinstance(value, Decimal):
        return _number(value)
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value


def _number(value: Decimal | None) -> int | float | None:
    if value is None:
        return None
    # Converting 1e999999 to an integer would fill the memory.
    return int(value) if abs(value.adjusted()) <= 40 and value == value.to_integral_value() else float(value)


def records_to_text(checked: Sequence[CheckedRecord]) -> Iterator[str]:
    """Yield the text output of `borne verify`, line by line: all records, then the bill of each transaction."""
    for number, one in enumerate(checked, 1):
        yield from _record(one, f"record {number} of {len(checked)}: " if len(checked) > 1 else "")
    for transaction in _transactions(checked):
        yield from _bill(transaction)


def _record(one: CheckedRecord, title: str) -> Iterator[str]:
    answers = {True: "signature valid", False: "signature NOT VALID", None: "signature cannot be verified"}
    answer = answers[one.signature_check.valid]
    yield f"{title}{answer}{f': {one.signature_check.reason}' if one.signature_check.reason is not None else ''}"
    record = one.record
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


def _bill(transaction: Sequence[CheckedRecord]) -> Iterator[str]:
    made = check_bill([one.record for one in transaction])
    objections = [*_bill_objection(transaction), *made.objections]
    for figure in made.register_deltas:
        duration_s = figure.duration_s
        lasted = f" in {duration_s:.0f} s" if duration_s is not None else ""
        yield _printable(
            f"{figure.register}: {_kwh(figure.begin.energy_wh)} kWh to {_kwh(figure.end.energy_wh)} kWh:"
            f" {_kwh(figure.energy_wh)} kWh{lasted}"
        )
    if objections:
        yield "NOT BILLABLE:"
        yield from (f"  {_printable(objection)}" for objection in objections)
    elif made.register_deltas:
        untimed = time_objection(made.register_deltas[0])
        yield "billable by energy" + ("" if untimed is None else f", not by time: {untimed}")
    yield from (f"note: {_printable(remark)}" for remark in made.remarks)


def _bill_objection(transaction: Sequence[CheckedRecord]) -> Iterator[str]:
    """Objections to a bill from the signatures: an invalid one, or records signed with different keys."""
    for one in transaction:
        if not one.signature_check.valid:
            answer = "cannot be verified" if one.signature_check.valid is None else "is not valid"
            yield f"the signature of the record {one.record.text('PG') or 'without a number'} {answer}"
    if len({one.key.identity for one in transaction if one.key is not None}) > 1:
        yield "the records are signed with different keys"


def _transactions(checked: Sequence[CheckedRecord]) -> list[list[CheckedRecord]]:
    """Group the records by transaction; without a container that states it, all belong to one."""
    found: dict[str | None, list[CheckedRecord]] = {}
    for one in checked:
        found.setdefault(one.transaction, []).append(one)
    return list(found.values())


def _kwh(wh: Decimal | None) -> str:
    return "?" if wh is None else format((wh / 1000).normalize(), "f")


def _printable(text: str) -> str:
    """Replace unprintable characters, which a terminal could interpret as control sequences."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)

"""Parses and writes OCMF records (Open Charge Metering Format 1.4).

A record is `OCMF|payload|signature`. The signature covers the exact bytes of the payload, so these are kept as received
and never rewritten from parsed values.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Final

from foundation.frozen import Frozen

HEADER: Final = b"OCMF|"
DEFAULT_ALGORITHM: Final = "ECDSA-secp256r1-SHA256"
"""default algorithm of a signature (SA)"""
END_REASONS: Final = frozenset("ELRAP")
"""values of TX that end a transaction"""
_INHERITED_KEYS: Final = ("TM", "TX", "RV", "RI", "RU", "RT", "CL", "EF", "ST")
"""fields that a reading may leave out if they are as in the reading before"""
_WH_PER_UNIT: Final[Mapping[str, int]] = {"Wh": 1, "kWh": 1000}
_TIME_FORM: Final = (
    r"(?P<second>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)([,.](?P<fraction>\d{1,6}))?"
    r"(?P<zone>Z|[+-]\d\d:?\d\d)?\s*(?P<state>[A-Za-z])?\s*"
)
_MAX_DIGITS: Final = 30
"""highest number of digits before and after the decimal point; no meter shows more"""

Json = str | int | bool | Decimal | None | list["Json"] | dict[str, "Json"]


class OcmfFormatError(ValueError):
    """A text or file is not an OCMF record; the message says why."""


class OcmfTime(Frozen):
    """The time of a reading, with the meter's own offset."""

    iso: str
    """ISO 8601, with the offset if the record states one"""
    state: str | None
    """U unknown, I informative, S synchronised, R relative; None: not stated"""

    @property
    def moment(self) -> datetime | None:
        """The time as datetime; None if it has no offset."""
        moment = datetime.fromisoformat(self.iso)
        return moment if moment.tzinfo is not None else None


class OcmfReading(Frozen):
    """One reading of a parsed record, with fields inherited from the reading before it; None: missing or invalid."""

    time: OcmfTime | None = None
    reason: str | None = None
    """TX: the reason for the reading"""
    register: str | None = None
    """RI: an OBIS code, as written"""
    unit: str | None = None
    """RU"""
    value: Decimal | None = None
    """RV, in that unit"""
    value_text: str | None = None
    """RV if it is a text instead of a number"""
    current_type: str | None = None
    """RT: AC or DC"""
    loss: Decimal | None = None
    """CL: cumulated loss"""
    error_flags: str | None = None
    """EF: `E` energy not usable, `t` time not usable"""
    status: str | None = None
    """ST: the meter's state; G: in order"""

    @property
    def energy_wh(self) -> Decimal | None:
        """The register's value in watt hours; None if it is no number, or not an energy."""
        factor = _WH_PER_UNIT.get(self.unit or "")
        return self.value * factor if self.value is not None and factor is not None else None


class OcmfRecord(Frozen):
    """A parsed OCMF record, of any maker; its signature is not checked."""

    payload: bytes
    """the signed bytes"""
    fields: Mapping[str, Json]
    """the top level without RD; numbers are Decimal or int"""
    readings: tuple[OcmfReading, ...]
    algorithm_stated: str | None
    """SA; None: the default applies"""
    encoding: str
    """SE, or its default"""
    mime: str | None
    """SM; None: the default applies"""
    signature: str | None
    """SD; None: the record is not signed"""
    outer_whitespace: bool
    """white space surrounds the record"""
    repeated: tuple[str, ...] = ()
    """keys that occur twice in one object, which readers may resolve differently"""

    @property
    def algorithm(self) -> str:
        """The name of the signature algorithm: SA, or its default."""
        return self.algorithm_stated or DEFAULT_ALGORITHM

    def text(self, key: str) -> str | None:
        """The field of the payload with this key, such as PG, as text; None if it is missing."""
        value = self.fields.get(key)
        return None if value is None else str(value)


def parse_record(data: bytes) -> OcmfRecord:
    """Parse one record, `OCMF|payload|signature`; its signature is not checked.

    Raises:
        OcmfFormatError: the data is not a record.
    """
    bare = data.strip()
    if not bare.startswith(HEADER):
        raise OcmfFormatError("does not begin with OCMF|")
    parts = bare.split(b"|")
    if len(parts) != 3:
        raise OcmfFormatError(f"has {len(parts)} parts separated by | instead of 3")
    repeated: list[str] = []
    payload = _parse_object(parts[1], "the payload", repeated)
    signature = _parse_object(parts[2], "the signature", repeated)
    readings = payload.pop("RD", None)
    if not isinstance(readings, list):
        raise OcmfFormatError("RD is not a list of readings")
    return OcmfRecord(
        parts[1],
        payload,
        _parse_readings(readings),
        _text_field(signature, "SA"),
        _text_field(signature, "SE") or "hex",
        _text_field(signature, "SM"),
        _text_field(signature, "SD"),
        outer_whitespace=bare != data,
        repeated=tuple(repeated),
    )


def _parse_object(data: bytes, subject: str, repeated: list[str]) -> dict[str, Json]:
    def pairs(found: list[tuple[str, Json]]) -> dict[str, Json]:
        once = dict(found)
        repeated.extend(key for key in once if sum(key == other_key for other_key, _ in found) > 1)
        return once

    def refuse(name: str) -> Json:
        raise ValueError(f"{name} is not a number")

    try:
        read: Json = json.loads(data.decode(), parse_float=Decimal, parse_constant=refuse, object_pairs_hook=pairs)
    except (ValueError, RecursionError, InvalidOperation) as error:
        raise OcmfFormatError(f"{subject} is not valid JSON: {error}") from error
    if not isinstance(read, dict):
        raise OcmfFormatError(f"{subject} is not a JSON object")
    return read


def _text_field(fields: Mapping[str, Json], key: str) -> str | None:
    value = fields.get(key)
    return value if isinstance(value, str) else None


def _parse_readings(found: list[Json]) -> tuple[OcmfReading, ...]:
    readings: list[OcmfReading] = []
    before: dict[str, Json] = {}
    for item in found:
        if not isinstance(item, dict):
            raise OcmfFormatError("a reading is not a JSON object")
        before = {key: value for key, value in (before | item).items() if key in _INHERITED_KEYS}
        readings.append(_parse_reading(before))
    return tuple(readings)


def _parse_reading(fields: Mapping[str, Json]) -> OcmfReading:
    value = fields.get("RV")
    return OcmfReading(
        read_time(_text_field(fields, "TM") or ""),
        _text_field(fields, "TX"),
        _text_field(fields, "RI"),
        _text_field(fields, "RU"),
        _parse_decimal(value),
        value if isinstance(value, str) else None,
        _text_field(fields, "RT"),
        _parse_decimal(fields.get("CL")),
        _text_field(fields, "EF"),
        _text_field(fields, "ST"),
    )


def _parse_decimal(value: Json) -> Decimal | None:
    """Parse a number, also as text with padding, as some meters send it; None if it is not a number."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return None
    if isinstance(value, str) and re.fullmatch(r"\s*[+-]?\d{1,30}(\.\d{1,30})?\s*", value, re.ASCII) is None:
        return None
    number = Decimal(value.strip() if isinstance(value, str) else value)
    if not -_MAX_DIGITS <= number.adjusted() <= _MAX_DIGITS:
        raise OcmfFormatError("a number is larger than any meter can show")
    return number


def read_time(text: str) -> OcmfTime | None:
    """Parse TM, `2018-07-24T13:22:04,000+0200 S`; None if it is invalid."""
    match = re.fullmatch(_TIME_FORM, text.strip())
    if match is None:
        return None
    zone = match["zone"] or ""
    if zone == "Z":
        zone = "+00:00"
    elif len(zone) == 5:
        zone = f"{zone[:3]}:{zone[3:]}"
    iso = f"{match['second']}.{(match['fraction'] or '').ljust(3, '0')}{zone}"
    try:
        datetime.fromisoformat(iso)
    except ValueError:
        return None
    return OcmfTime(iso, match["state"])


def write_time(moment: datetime, state: str) -> str:
    """Format a time as TM, in its own zone; `state`: U, I, S or R."""
    milliseconds = moment.microsecond // 1000
    return f"{moment:%Y-%m-%dT%H:%M:%S},{milliseconds:03d}{moment:%z} {state}"


def write_payload(fields: Mapping[str, Json], readings: Iterable[Mapping[str, Json]]) -> bytes:
    """Make the payload of a new record as JSON: compact, in the given order, numbers unchanged; not signed yet.

    A `|` would end the payload early; in texts it is replaced by a broken bar.
    """
    return _write_json({**fields, "RD": [dict(reading) for reading in readings]}).encode()


def assemble_record(signed: bytes, signature: bytes, algorithm: str) -> bytes:
    """Make a whole record from its payload (`signed`), the DER signature of those bytes, and its algorithm (SA)."""
    tail = _write_json({"SA": algorithm, "SD": signature.hex()})
    return HEADER + signed + b"|" + tail.encode()


def without_separator(text: str) -> str:
    """Replace the character that separates the parts of a record (`|`); the result may have more bytes."""
    return text.replace("|", "¦")


def _write_json(value: Json) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{_write_json(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_write_json(item) for item in value) + "]"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, str):
        return json.dumps(without_separator(value), ensure_ascii=False)
    return json.dumps(value)

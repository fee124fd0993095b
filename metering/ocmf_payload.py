"""Writes the payload of signed records: reading, signing device, user and place."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from foundation.frozen import Frozen
from metering import ocmf
from metering.time_quality import TimeStatus

if TYPE_CHECKING:
    from metering.ocmf import Json

FORMAT_VERSION: Final = "1.3"
"""newest version that common verifiers accept"""
IMPORT_REGISTER: Final = "1-0:1.8.0"
"""OBIS: active energy import, total"""
TRANSACTION_ID_MARK: Final = "<=>"
"""prefix of the transaction's id in TT, for records of meters that have no other field for it"""
_MAX_ID_CHARACTERS: Final = 40
LONGEST_TARIFF: Final = 250
"""highest number of characters in TT"""
_MAX_FIRMWARE_CHARACTERS: Final = 25
_WATT_HOUR_IN_KWH: Final = Decimal("0.001")
"""1 Wh in kWh"""


class ReadingReason(StrEnum):
    """TX: the reason for a reading that the station signs."""

    BEGIN = "B"
    DURING = "C"
    TARIFF = "T"
    END = "E"
    END_LOCAL = "L"
    END_REMOTE = "R"
    ABORT = "A"
    POWER_FAILURE = "P"

    @property
    def ends(self) -> bool:
        """Whether a reading with this reason ends a transaction."""
        return self.value in ocmf.END_REASONS


class MeterState(StrEnum):
    """ST: the state of the meter at a reading that the station signs."""

    GOOD = "G"
    TIMEOUT = "T"
    EXCHANGED = "X"


class UserAssignment(Frozen):
    """The user that a transaction is assigned to, in OCMF's terms."""

    id_type: str = "NONE"
    """IT"""
    id_data: str = ""
    """ID"""
    level: str | None = None
    """IL"""
    flags: tuple[str, ...] = ()
    """IF"""

    @property
    def assigned(self) -> bool:
        """IS: whether a user is assigned."""
        return self.id_type != "NONE"


class Signatory(Frozen):
    """The fields of a signed record that identify the signing device (the station), the meter and the charge point."""

    gateway: str
    """GI: maker and model of the signing device"""
    gateway_serial: str
    """GS"""
    version: str
    """GV: software version of the signing device"""
    meter_model: str
    """MM"""
    meter_serial: str
    """MS; empty: not known"""
    firmware: str
    """CF: firmware of the charge controller"""
    charge_point: str
    """CI: station and EVSE, separated by a blank"""


class SignedReading(Frozen):
    """A reading of the import register that the station is to sign."""

    energy_wh: Decimal
    taken_at: datetime
    time: TimeStatus
    """quality of `taken_at`"""
    reason: ReadingReason | None
    """None: outside of a transaction"""
    state: MeterState = MeterState.GOOD


class SignedTransaction(Frozen):
    """What signed records say about a transaction: its user and the tariff."""

    transaction_id: str
    """signing meters write it to their records; `reading_payload` does not"""
    user: UserAssignment = UserAssignment()
    tariff: str = ""
    """the price information shown to the customer"""


def reading_payload(
    signatory: Signatory, page: str, transaction: SignedTransaction | None, reading: SignedReading
) -> bytes:
    """Make the payload to be signed: one reading, of a transaction or (None) of the meter alone; `page` is its PG."""
    fields: dict[str, Json] = {
        "FV": FORMAT_VERSION,
        "GI": signatory.gateway,
        "GS": signatory.gateway_serial,
        "GV": signatory.version,
        "PG": page,
        "MM": signatory.meter_model,
        "MS": signatory.meter_serial,
    }
    if transaction is not None:
        fields |= _assignment_fields(transaction)
    fields |= {"CF": signatory.firmware[:_MAX_FIRMWARE_CHARACTERS], "CT": "CBIDC", "CI": signatory.charge_point}
    return ocmf.write_payload(fields, [_reading_fields(reading)])


def _assignment_fields(subject: SignedTransaction) -> Mapping[str, Json]:
    holder = subject.user
    fields: dict[str, Json] = {"IS": holder.assigned}
    if holder.level is not None:
        fields["IL"] = holder.level
    if holder.flags:
        fields["IF"] = list(holder.flags)
    written = ocmf.without_separator(holder.id_data).encode()  # the limit is in bytes
    fields |= {"IT": holder.id_type, "ID": written[:_MAX_ID_CHARACTERS].decode(errors="ignore")}
    if subject.tariff:
        fields["TT"] = subject.tariff[:LONGEST_TARIFF]
    return fields


def _reading_fields(reading: SignedReading) -> Mapping[str, Json]:
    fields: dict[str, Json] = {"TM": ocmf.write_time(reading.taken_at, reading.time.value)}
    if reading.reason is not None:
        fields["TX"] = reading.reason.value
    flags = "E" if reading.state is not MeterState.GOOD else ""
    flags += "t" if reading.time is TimeStatus.UNKNOWN else ""
    return {
        **fields,
        "RV": kwh(reading.energy_wh),
        "RI": IMPORT_REGISTER,
        "RU": "kWh",
        "RT": "AC",
        "EF": flags,
        "ST": reading.state.value,
    }


def kwh(energy_wh: Decimal) -> Decimal:
    """Convert a register to kWh with its own precision, and at least to the watt-hour."""
    exact = (energy_wh / 1000).normalize()
    exponent = exact.as_tuple().exponent
    short = not isinstance(exponent, int) or exponent > -3
    return exact.quantize(_WATT_HOUR_IN_KWH, ROUND_HALF_UP) if short else exact

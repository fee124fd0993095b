"""What a signed record of a transaction says besides the register: who signs, for whom, and where."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from foundation.frozen import frozen
from metering import ocmf
from metering.time_quality import TimeStatus

if TYPE_CHECKING:
    from metering.ocmf import Json

FORMAT_VERSION: Final = "1.3"
"""the newest that the verifiers in use accept"""
IMPORT_REGISTER: Final = "1-0:1.8.0"
"""OBIS: active energy import, total"""
TRANSACTION_ID_MARK: Final = "<=>"
"""what stands in TT before the id of the transaction, in records of meters that have no better place for it"""
_LONGEST_ID: Final = 40
LONGEST_TARIFF: Final = 250
"""characters of TT"""
_LONGEST_FIRMWARE: Final = 25
_WATT_HOUR: Final = Decimal("0.001")
"""in kWh"""


class ReadingReason(StrEnum):
    """TX: why a reading was taken."""

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
        """Whether a transaction ends with it."""
        return self.value in ocmf.END_REASONS


class MeterState(StrEnum):
    """ST: what is to be thought of the meter."""

    GOOD = "G"
    TIMEOUT = "T"
    EXCHANGED = "X"


@frozen
class UserAssignment:
    """Who a transaction is assigned to, in the words of OCMF."""

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
        """IS: whether there is anybody."""
        return self.id_type != "NONE"


@frozen
class Signatory:
    """What signs, of which meter, and where."""

    gateway: str
    """GI: maker and model of what signs"""
    gateway_serial: str
    version: str
    meter_model: str
    meter_serial: str
    """empty: it is not known"""
    firmware: str
    """CF: of the charge controller"""
    charge_point: str
    """CI: station and EVSE, a blank between"""


@frozen
class SignedReading:
    """One reading as it is signed."""

    energy_wh: Decimal
    taken_at: datetime
    time: TimeStatus
    reason: ReadingReason | None
    """None: of the meter alone"""
    state: MeterState = MeterState.GOOD


@frozen
class SignedTransaction:
    """A transaction of which readings are signed."""

    transaction_id: str
    user: UserAssignment = UserAssignment()
    tariff: str = ""
    """what the customer was told of the price"""


def reading_payload(
    signatory: Signatory, page: str, transaction: SignedTransaction | None, reading: SignedReading
) -> bytes:
    """The bytes that are signed: one reading, of a transaction or (without a subject) of the meter alone."""
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
        fields |= _assignment(transaction)
    fields |= {"CF": signatory.firmware[:_LONGEST_FIRMWARE], "CT": "CBIDC", "CI": signatory.charge_point}
    return ocmf.write_payload(fields, [_reading(reading)])


def _assignment(subject: SignedTransaction) -> Mapping[str, Json]:
    holder = subject.user
    fields: dict[str, Json] = {"IS": holder.assigned}
    if holder.level is not None:
        fields["IL"] = holder.level
    if holder.flags:
        fields["IF"] = list(holder.flags)
    written = ocmf.without_separator(holder.id_data).encode()  # the bytes of the record are bounded
    fields |= {"IT": holder.id_type, "ID": written[:_LONGEST_ID].decode(errors="ignore")}
    if subject.tariff:
        fields["TT"] = subject.tariff[:LONGEST_TARIFF]
    return fields


def _reading(reading: SignedReading) -> Mapping[str, Json]:
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
    """A register in kWh with the digits that it has, and at least to the watt-hour."""
    exact = (energy_wh / 1000).normalize()
    exponent = exact.as_tuple().exponent
    short = not isinstance(exponent, int) or exponent > -3
    return exact.quantize(_WATT_HOUR, ROUND_HALF_UP) if short else exact

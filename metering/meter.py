"""Interfaces of billing meters, independent of their wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from foundation.expected_error import ExpectedError
from foundation.frozen import Frozen
from metering.reading import Reading

if TYPE_CHECKING:
    from metering.ocmf_payload import SignedTransaction
    from metering.time_quality import TimeStatus


class MeterError(ExpectedError):
    """A meter gave no plausible reading, or did not do what was requested. `transient`: whether retrying may help."""

    def __init__(self, message: str, *, transient: bool = True) -> None:
        super().__init__(message)
        self.transient = transient


class ImplausibleReadingError(MeterError):
    """The meter answers, but its reading is implausible."""

    def __init__(
        self, message: str, *, transient: bool = True, foreign: bool = False, register_stuck: bool = False
    ) -> None:
        super().__init__(message, transient=transient)
        self.foreign = foreign
        """it is another meter than before, or pretends to be"""
        self.register_stuck = register_stuck
        """its import register does not move while energy flows"""


class MeterIdentity(Frozen):
    """The identity that a meter itself reports, to detect an exchanged meter."""

    serial_number: str


@runtime_checkable
class IdentifiedMeter(Protocol):
    """A meter whose serial number can be read from it."""

    async def identity(self) -> MeterIdentity:
        """Read the serial number from the meter.

        Raises:
            MeterError: silence, or a broken frame.
        """
        ...


@runtime_checkable
class DescribedMeter(Protocol):
    """A meter whose quantities are known before it is read."""

    def example_reading(self) -> Reading:
        """Make a reading with an invented value for each quantity that the meter can report; reads nothing."""
        ...


@runtime_checkable
class DetailedMeter(Protocol):
    """A meter with quantities beyond those that charging needs, which take longer to read."""

    async def read_all(self) -> Reading:
        """Read all quantities that the meter reports.

        Raises:
            MeterError: as `Meter.read`.
        """
        ...


@runtime_checkable
class SigningMeter(Protocol):
    """A meter that signs its own readings: one OCMF record with begin and end, of one transaction at a time.

    For each transaction: `begin`, `end`, store the record on disk, `confirm`.
    """

    async def public_key(self) -> bytes:
        """Read from the meter the public key of its signatures: SubjectPublicKeyInfo, as DER.

        Raises:
            MeterError: silence, or no key.
        """
        ...

    async def begin(self, subject: SignedTransaction, charge_point: str, time: TimeStatus) -> None:
        """Let the meter begin its record of a transaction, before energy flows. An open one is ended as aborted.

        `charge_point`: station and EVSE, for the record. `time`: the quality of the station's time, to which the
        meter's clock is set; one that was never set is not passed on.

        Raises:
            MeterError: silence, or the meter refuses.
        """
        ...

    async def end(self, *, aborted: bool = False) -> bytes:
        """Let the meter end and sign its record, after energy has stopped; returns it as OCMF. May take half a minute.

        `aborted`: the transaction ended abnormally (fault, emergency stop, de-authorization, power failure). Called
        again before `confirm`, it returns the same record.

        Raises:
            MeterError: silence, nothing was begun, or the meter could not sign.
        """
        ...

    async def confirm(self) -> None:
        """Notify the meter that its record is stored on disk, so that it may delete it.

        Raises:
            MeterError: silence.
        """
        ...


class Meter(Protocol):
    """A meter of an EVSE or of the house that can be read, over whatever wire."""

    async def read(self) -> Reading:
        """Read from the meter the quantities that charging needs, or those that were selected when it was made.

        Raises:
            MeterError: silence, a broken frame, an impossible value.
        """
        ...

    async def close(self) -> None:
        """Release the wire; does nothing if it is released already."""
        ...

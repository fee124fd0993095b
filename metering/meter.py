"""Interfaces of billing meters, independent of their wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from foundation.frozen import Frozen
from metering.reading import Reading

if TYPE_CHECKING:
    from metering.ocmf_payload import SignedTransaction
    from metering.time_quality import TimeStatus


class MeterError(Exception):
    """A meter gave no plausible reading. `transient`: whether retrying may help."""

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
    """The identity that a meter reports."""

    serial_number: str


@runtime_checkable
class IdentifiedMeter(Protocol):
    """A meter that reports its identity."""

    async def identity(self) -> MeterIdentity:
        """Read the identity from the meter.

        Raises:
            MeterError: silence, or a broken frame.
        """
        ...


@runtime_checkable
class DescribedMeter(Protocol):
    """A meter whose quantities are known before it is read."""

    def example_reading(self) -> Reading:
        """A reading with some value for each quantity that the meter can report."""
        ...


@runtime_checkable
class DetailedMeter(Protocol):
    """A meter with further quantities, which take longer to read."""

    async def read_all(self) -> Reading:
        """Read all quantities.

        Raises:
            MeterError: as `Meter.read`.
        """
        ...


@runtime_checkable
class SigningMeter(Protocol):
    """A meter that signs its own registers, of one transaction at a time, in one record with begin and end."""

    async def public_key(self) -> bytes:
        """Read the public key of its signatures: SubjectPublicKeyInfo, as DER.

        Raises:
            MeterError: silence, or no key.
        """
        ...

    async def begin(self, subject: SignedTransaction, charge_point: str, time: TimeStatus) -> None:
        """Record the begin of a transaction, before energy flows. An open transaction is ended as aborted.

        `time`: the quality of the station's time; a clock that was never set is not passed on to the meter.

        Raises:
            MeterError: silence, or the meter refuses.
        """
        ...

    async def end(self, *, aborted: bool = False) -> bytes:
        """Record the end, after energy has stopped, and return the record as OCMF. May take half a minute.

        Called again before `confirm`, it returns the same record.

        Raises:
            MeterError: silence, nothing was begun, or the meter could not sign.
        """
        ...

    async def confirm(self) -> None:
        """Allow the meter to delete the record, which is stored on disk.

        Raises:
            MeterError: silence.
        """
        ...


class Meter(Protocol):
    """A meter that can be read."""

    async def read(self) -> Reading:
        """Read the quantities of the meter.

        Raises:
            MeterError: silence, a broken frame, an impossible value.
        """
        ...

    async def close(self) -> None:
        """Release the wire; does nothing if it is released already."""
        ...

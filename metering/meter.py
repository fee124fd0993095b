"""What the station asks of a meter, whatever wire it hangs on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from foundation.frozen import frozen
from metering.reading import Reading

if TYPE_CHECKING:
    from metering.ocmf_payload import SignedTransaction
    from metering.time_quality import TimeStatus


class MeterError(Exception):
    """A meter gave no believable reading. `transient` says whether asking again may help."""

    def __init__(self, message: str, *, transient: bool = True) -> None:
        super().__init__(message)
        self.transient = transient


class ImplausibleReadingError(MeterError):
    """The meter answers, and what it shows is not to be believed."""

    def __init__(
        self, message: str, *, transient: bool = True, foreign: bool = False, register_stuck: bool = False
    ) -> None:
        super().__init__(message, transient=transient)
        self.foreign = foreign
        """it is not the meter that was here before, or pretends to be none"""
        self.register_stuck = register_stuck
        """its import register stands still while energy flows"""


@frozen
class MeterIdentity:
    """Which meter it is, as it says itself."""

    serial_number: str


@runtime_checkable
class IdentifiedMeter(Protocol):
    """A meter that tells which one it is."""

    async def identity(self) -> MeterIdentity:
        """Ask it, now.

        Raises:
            MeterError: silence, or a broken frame.
        """
        ...


@runtime_checkable
class DescribedMeter(Protocol):
    """A meter of which it is known, before it is read, what it can show."""

    def example_reading(self) -> Reading:
        """A reading in which all that it can show has some value."""
        ...


@runtime_checkable
class DetailedMeter(Protocol):
    """A meter that shows more than a charge needs, which takes longer to read."""

    async def read_all(self) -> Reading:
        """Read everything that it gives, now.

        Raises:
            MeterError: as `Meter.read`.
        """
        ...


@runtime_checkable
class SigningMeter(Protocol):
    """A meter that signs its own registers, of one transaction at a time, in one record with begin and end."""

    async def public_key(self) -> bytes:
        """What its signatures are checked with: SubjectPublicKeyInfo, as DER.

        Raises:
            MeterError: silence, or no key.
        """
        ...

    async def begin(self, subject: SignedTransaction, charge_point: str, time: TimeStatus) -> None:
        """Take the begin of a transaction, before energy flows. What was open before is ended as aborted.

        `time` says how good the station's time is: a clock that nobody has set is not handed on to the meter.

        Raises:
            MeterError: silence, or the meter refuses.
        """
        ...

    async def end(self, *, aborted: bool = False) -> bytes:
        """Take the end, after energy has stopped, and give the record as OCMF. May take half a minute.

        Asked again before `confirm`, it gives the same record.

        Raises:
            MeterError: silence, nothing was begun, or the meter could not sign.
        """
        ...

    async def confirm(self) -> None:
        """The record is on disk: the meter may forget it.

        Raises:
            MeterError: silence.
        """
        ...


class Meter(Protocol):
    """A meter that can be read."""

    async def read(self) -> Reading:
        """Read everything that the meter gives, now.

        Raises:
            MeterError: silence, a broken frame, a value that cannot be.
        """
        ...

    async def close(self) -> None:
        """Let go of the wire; harmless when it is already let go."""
        ...

"""Carlo Gavazzi EM580: a meter that signs one OCMF record with begin and end of each transaction.

Registers as in EVerest's driver. Only the registers of transactions and of the clock are written: the rest of the
meter is sealed. Identification levels, types and flags are encoded as indexes in OCMF's lists.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import IntEnum
from typing import Final

from foundation.clock import SystemClock
from metering.drivers.modbus_meter import IdentifiedModbusMeter
from metering.drivers.registers import RegisterBlock
from metering.meter import MeterError
from metering.ocmf_payload import LONGEST_TARIFF, TRANSACTION_ID_MARK, SignedTransaction, UserAssignment
from metering.time_quality import TimeStatus

_log = logging.getLogger(__name__)

_READ_FUNCTION: Final = 3
_MAX_WORDS: Final = 40
"""registers per request; the meter accepts 50"""
_TARIFF_TEXT_RANGE: Final = (0x6900, 126)
_IDENTIFICATION_ADDRESS: Final = 0x7000
_DATA_WORDS: Final = 20
_CHARGE_POINT_ADDRESS: Final = 0x701B
_LOCAL_OFFSET_ADDRESS: Final = 0x7031
_UTC_ADDRESS: Final = 0x7032
_MODALITY_ADDRESS: Final = 0x7036
_COMMAND_ADDRESS: Final = 0x7040
_TIME_SYNCHRONIZED_ADDRESS: Final = 0x7060
_STATE_ADDRESS: Final = 0x7100
_SIZE_ADDRESS: Final = 0x7101
_FILE_ADDRESS: Final = 0x7110
_MAX_FILE_WORDS: Final = 2031
_PUBLIC_KEY_RANGE: Final = (0x2600, 62)
"""SubjectPublicKeyInfo; 92 bytes for 256 bits, 124 for 384"""
_WRITABLE_RANGES: Final = ((0x6900, 0x697E), (0x7000, 0x7037), (0x7040, 0x7041), (0x7060, 0x7061), (0x7100, 0x7101))
"""ranges of writable registers: first, and one after the last"""
_REAL_CLOCK: Final = SystemClock()
_POLL_INTERVAL_S: Final = 0.5
_MAX_POLLS: Final = 50
_IDENTIFICATION_LEVELS: Final = ("NONE", "HEARSAY", "TRUSTED", "VERIFIED", "CERTIFIED", "SECURE")
_IDENTIFICATION_TYPES: Final = (
    *("NONE", "DENIED", "UNDEFINED", "ISO14443", "ISO15693", "EMAID", "EVCCID", "EVCOID", "ISO7812", "CARD_TXN_NR"),
    *("CENTRAL", "CENTRAL_1", "CENTRAL_2", "LOCAL", "LOCAL_1", "LOCAL_2", "PHONE_NUMBER", "KEY_CODE"),
)
_IDENTIFICATION_FLAGS: Final = (
    ("RFID_NONE", "RFID_PLAIN", "RFID_RELATED", "RFID_PSK"),
    (
        "OCPP_NONE",
        "OCPP_RS",
        "OCPP_AUTH",
        "OCPP_RS_TLS",
        "OCPP_AUTH_TLS",
        "OCPP_CACHE",
        "OCPP_WHITELIST",
        "OCPP_CERTIFIED",
    ),
    ("ISO15118_NONE", "ISO15118_PNC"),
    ("PLMN_NONE", "PLMN_RING", "PLMN_SMS"),
)
_BOX_CONNECTOR: Final = 1
"""charge point identification type CBIDC; 0 is EVSEID"""
_MAX_CLOCK_ERROR_S: Final = 2.0
_EARLIEST_TIME_S: Final = datetime(2020, 1, 1, tzinfo=UTC).timestamp()
_LATEST_TIME_S: Final = datetime(2100, 1, 1, tzinfo=UTC).timestamp()


class Em580State(IntEnum):
    """State of the transaction in an EM580, as its register shows it."""

    NOT_READY = 0
    """no transaction"""
    RUNNING = 1
    READY = 2
    """the record is available until it is confirmed"""
    CORRUPTED = 3


class Em580(IdentifiedModbusMeter):
    """Driver of an EM580: read like related models, and a `SigningMeter`: it signs a record for each transaction."""

    async def public_key(self) -> bytes:
        """Read the public key: SubjectPublicKeyInfo, as DER.

        Raises:
            MeterError: silence, or the registers hold no key.
        """
        data = _bytes_of(await self._read_words(*_PUBLIC_KEY_RANGE))
        size = data[1] + 2 if data[:1] == b"\x30" and data[1] < 0x80 else 0
        if not 0 < size <= len(data):
            raise MeterError(f"{self}: the registers of the public key hold no valid key", transient=False)
        return data[:size]

    async def begin(self, subject: SignedTransaction, charge_point: str, time: TimeStatus) -> None:
        """Write the transaction to the meter and start it; an open one is aborted, an unconfirmed record discarded.

        The meter's clock is set first if it is off and the quality of the station's time is known.

        Raises:
            MeterError: silence, or the meter does not begin.
        """
        state = await self._read_state()
        if state is Em580State.RUNNING:
            _log.warning("%s: aborting the transaction that is still open in the meter", self)
            await self._send_command("A")
            state = await self._wait_until_ready()
        if state is not Em580State.NOT_READY:
            _log.warning("%s: discarding a record that was never read (%s)", self, state.name)
            await self.confirm()
        if time is not TimeStatus.UNKNOWN:
            await self._set_clock(synchronized=time is TimeStatus.SYNCHRONIZED)
        identity = f"{TRANSACTION_ID_MARK}{subject.transaction_id}"  # never cut, however long the tariff is
        tariff = subject.tariff[: LONGEST_TARIFF - len(identity)]
        await self._write_words(_TARIFF_TEXT_RANGE[0], _text_words(tariff + identity, _TARIFF_TEXT_RANGE[1]))
        await self._write_words(_IDENTIFICATION_ADDRESS, _identification_words(subject.user))
        await self._write_words(_CHARGE_POINT_ADDRESS, (_BOX_CONNECTOR, *_text_words(charge_point, _DATA_WORDS)))
        await self._write_words(_MODALITY_ADDRESS, (0,))
        await self._send_command("B")
        if await self._read_state() is not Em580State.RUNNING:
            raise MeterError(f"{self}: did not start the transaction")

    async def end(self, *, aborted: bool = False) -> bytes:
        """End the transaction in the meter, wait for its signature and return the OCMF record.

        The record stays in the meter until `confirm`.

        Raises:
            MeterError: silence, nothing was begun, or the meter could not sign.
        """
        state = await self._read_state()
        if state is Em580State.NOT_READY:
            raise MeterError(f"{self}: no transaction was started", transient=False)
        if state is Em580State.RUNNING:
            await self._send_command("A" if aborted else "E")
            state = await self._wait_until_ready()
        if state is not Em580State.READY:
            raise MeterError(f"{self}: the signed record is corrupted", transient=False)
        (size,) = await self._read_words(_SIZE_ADDRESS, 1)
        if not 0 < size <= 2 * _MAX_FILE_WORDS:
            raise MeterError(f"{self}: invalid record size of {size} bytes")
        return _bytes_of(await self._read_words(_FILE_ADDRESS, (size + 1) // 2))[:size]

    async def confirm(self) -> None:
        """Notify the meter that its record is stored elsewhere, so that it may delete it.

        Raises:
            MeterError: silence.
        """
        await self._write_words(_STATE_ADDRESS, (Em580State.NOT_READY,))

    async def _read_state(self) -> Em580State:
        (word,) = await self._read_words(_STATE_ADDRESS, 1)
        try:
            return Em580State(word)
        except ValueError:
            raise MeterError(f"{self}: unknown transaction state ({word})") from None

    async def _wait_until_ready(self) -> Em580State:
        for _ in range(_MAX_POLLS):
            if (state := await self._read_state()) is not Em580State.RUNNING:
                return state
            await _REAL_CLOCK.sleep(_POLL_INTERVAL_S)  # the meter works in real time, whatever the station's clock does
        raise MeterError(f"{self}: record not signed within {_MAX_POLLS * _POLL_INTERVAL_S:g} s")

    async def _send_command(self, letter: str) -> None:
        await self._write_words(_COMMAND_ADDRESS, (ord(letter),))

    async def _set_clock(self, *, synchronized: bool) -> None:
        """Set the meter's clock if it is off: before a transaction, never during one.

        The meter signs the time with status S if it is set as synchronized: only if the station's time is.
        """
        words = await self._read_words(_UTC_ADDRESS, 4)
        low_first, now_s = words[::-1], self._clock.now().timestamp()
        # The word order is detected from the clock's own value if it is set.
        big = (
            _EARLIEST_TIME_S < _number_of(words) < _LATEST_TIME_S
            and not _EARLIEST_TIME_S < _number_of(low_first) < _LATEST_TIME_S
        )
        meter_time_s = _number_of(words if big else low_first)
        if abs(meter_time_s - now_s) < _MAX_CLOCK_ERROR_S:
            return
        target_words = [int(now_s) >> shift & 0xFFFF for shift in (48, 32, 16, 0)]
        await self._write_words(_LOCAL_OFFSET_ADDRESS, (0,))
        await self._write_words(_UTC_ADDRESS, target_words if big else target_words[::-1])
        await self._write_words(_TIME_SYNCHRONIZED_ADDRESS, (int(synchronized),))

    async def _read_words(self, address: int, count: int) -> list[int]:
        words: list[int] = []
        while len(words) < count:
            block = RegisterBlock(_READ_FUNCTION, address + len(words), min(_MAX_WORDS, count - len(words)))
            registers = await self._bus.read(str(self), self._unit, (block,), self._write_timeout_s)
            words += [registers[block.function, block.address + at] for at in range(block.count)]
        return words

    async def _write_words(self, address: int, words: Sequence[int]) -> None:
        if not any(first <= address and address + len(words) <= end for first, end in _WRITABLE_RANGES):
            raise ValueError(f"register {address:#x} of a sealed meter must not be written")
        for at in range(0, len(words), _MAX_WORDS):
            part = words[at : at + _MAX_WORDS]
            await self._bus.write(str(self), self._unit, address + at, part, self._write_timeout_s)


def _identification_words(holder: UserAssignment) -> list[int]:
    level = _IDENTIFICATION_LEVELS.index(holder.level) if holder.level in _IDENTIFICATION_LEVELS else 0
    flags = [next((group.index(flag) for flag in holder.flags if flag in group), 0) for group in _IDENTIFICATION_FLAGS]
    kind = (
        _IDENTIFICATION_TYPES.index(holder.id_type)
        if holder.id_type in _IDENTIFICATION_TYPES
        else _IDENTIFICATION_TYPES.index("UNDEFINED")
    )
    return [int(holder.assigned), level, *flags, kind, *_text_words(holder.id_data, _DATA_WORDS)]


def _text_words(text: str, words: int) -> list[int]:
    """Encode a text in `words` registers, zero-terminated."""
    data = text.encode("ascii", errors="replace").replace(b"|", b"!")[: 2 * words - 1].ljust(2 * words, b"\0")
    return [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)]


def _bytes_of(words: Sequence[int]) -> bytes:
    return b"".join(word.to_bytes(2, "big") for word in words)


def _number_of(words: Sequence[int]) -> int:
    return int.from_bytes(_bytes_of(words), "big", signed=True)

"""Access to a Modbus wire: one request at a time. All requests through pymodbus are made here."""

from __future__ import annotations

import asyncio
import logging
import termios
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from pymodbus import FramerType
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusException

from foundation.byte_tap import ByteTap
from foundation.clock import SystemClock, machine_time
from foundation.frozen import Frozen
from metering.drivers import sunspec
from metering.drivers.decode_errors import catch_decode_errors
from metering.drivers.endpoints import ModbusEndpoint, TcpWire, obstacle
from metering.drivers.registers import MeterModel, RegisterAddress, RegisterBlock, RegisterWords
from metering.meter import MeterError

if TYPE_CHECKING:
    from pymodbus.pdu import ModbusPDU

Client = AsyncModbusTcpClient | AsyncModbusSerialClient

_EXCEPTION_TEXTS: Final[Mapping[int, str]] = MappingProxyType(
    {
        1: "illegal function",
        2: "illegal address",
        3: "illegal value",
        4: "device failure",
        5: "request accepted, still processing",
        6: "busy",
        10: "gateway: no path to the device",
        11: "gateway: no response from the device",
    }
)
_WRONG_TABLE_CODES: Final = (1, 2, 3)
"""exception codes of a device without such registers: retrying does not help"""
_GATEWAY_CODES: Final = (10, 11)
"""exception codes of a gateway, when the device behind it does not answer"""


class RegisterWrite(Frozen):
    """A write of registers with one request: function 16, or function 6 for a single one."""

    address: int
    words: tuple[int, ...]
    single: bool = False


class CoilWrite(Frozen):
    """A write of one coil (function 5)."""

    address: int
    on: bool


class _DisconnectedError(MeterError):
    """The other side has closed the connection."""


class Bus:
    """The Modbus client of one wire, shared by its meters and boards: one request at a time.

    It connects at a request and disconnects after a failure.

    Timeouts run in real time, whatever the station's clock does, and not while a request waits for its turn: silent
    neighbours make a meter slow, but do not let it time out.
    """

    def __init__(self, endpoint: ModbusEndpoint, tap: ByteTap) -> None:
        _silence_pymodbus()
        self.endpoint = endpoint
        self._tap = tap
        self.timeout_s = 0.0
        """seconds to wait for an answer: the longest timeout of all users"""
        self.connections = 0
        """number of connections made so far"""
        self._answered_connection = 0
        """number of the connection of the newest answer"""
        self._answer_timeout: asyncio.Timeout | None = None
        """ends the wait for an answer if the connection is lost"""
        self._decode_error: str | None = None
        """why the answer to the current request cannot be decoded"""
        self._client: Client | None = None
        self._received_before = b""
        self._request_lock = asyncio.Lock()
        self._reader_lock = asyncio.Lock()
        """held by the next reader, so that a write waits for one reading at most"""
        self._real_clock = SystemClock()
        self._users: set[object] = set()

    def join(self, user: object, timeout_s: float) -> None:
        """Register a user (a driver) that waits `timeout_s` seconds for an answer; the longest of all users applies."""
        self._users.add(user)
        self.timeout_s = max(self.timeout_s, timeout_s)

    async def leave(self, user: object) -> None:
        """Unregister a user; disconnect if it was the last. It may still send requests, which connect again."""
        self._users.discard(user)
        if not self._users:
            async with self._request_lock:
                self._disconnect()

    async def connect(self, meter_name: str) -> None:
        """Connect now, if not connected, instead of at the first request; `meter_name` is for errors.

        Raises:
            MeterError: the wire cannot be opened.
        """
        async with self._request_lock:
            await self._connected_client(meter_name)

    async def is_answered(self, meter_name: str, unit: int, block: RegisterBlock, within_s: float) -> bool:
        """Return whether the device `unit` answers a request, if only by refusing; a gateway that finds none does not.

        Raises:
            MeterError: silence, or a broken frame.
        """
        try:
            async with self._reader_lock, self._request_lock, self._real_clock.timeout(within_s):
                answer = await self._exchange(meter_name, unit, block)
        except TimeoutError:
            raise MeterError(f"{meter_name}: no response within {within_s:g} s") from None
        return not answer.isError() or answer.exception_code not in _GATEWAY_CODES

    async def read(self, meter_name: str, unit: int, blocks: Iterable[RegisterBlock], within_s: float) -> RegisterWords:
        """Read blocks of registers of the device `unit`, without requests of others between them.

        `meter_name` is for errors. The time in a queue behind others does not count for `within_s`.

        Raises:
            MeterError: a failure, or not all blocks were read within `within_s`.
        """
        words: dict[RegisterAddress, int] = {}
        try:
            async with self._reader_lock, self._request_lock, self._real_clock.timeout(within_s):
                for block in blocks:
                    answer = await self._read_block(meter_name, unit, block)
                    words.update(((block.function, block.address + at), word) for at, word in enumerate(answer))
        except TimeoutError:
            raise MeterError(f"{meter_name}: reading not complete within {within_s:g} s") from None
        return words

    async def write(
        self, meter_name: str, unit: int, address: int, words: Sequence[int], within_s: float, *, single: bool = False
    ) -> None:
        """Write registers from `address` on in one request: by function 16 or, if `single`, one by function 6.

        The driver of a device must check which registers may be written.

        Raises:
            MeterError: the device did not confirm it within `within_s`.
        """
        await self._send_write(meter_name, unit, RegisterWrite(address, tuple(words), single), within_s)

    async def write_coil(self, meter_name: str, unit: int, address: int, on: bool, within_s: float) -> None:
        """Switch the coil of this address on or off.

        Raises:
            MeterError: the device did not confirm it within `within_s`.
        """
        await self._send_write(meter_name, unit, CoilWrite(address, on), within_s)

    async def _send_write(
        self, meter_name: str, unit: int, request: RegisterWrite | CoilWrite, within_s: float
    ) -> None:
        try:
            async with self._request_lock, self._real_clock.timeout(within_s):
                answer = await self._exchange(meter_name, unit, request)
        except TimeoutError:
            raise MeterError(f"{meter_name}: write not confirmed within {within_s:g} s") from None
        if answer.isError():
            code = answer.exception_code
            reason = _EXCEPTION_TEXTS.get(code, "unknown reason")
            raise MeterError(f"{meter_name}: write of register {request.address} rejected: {reason} ({code})")

    async def search(self, meter_name: str, unit: int, steps: sunspec.Search, within_s: float) -> MeterModel | None:
        """Find the register table of a self-describing meter by the steps of `search_models`; None if it has none.

        Raises:
            MeterError: the meter is silent, or the search takes longer than `within_s`.
        """
        try:
            block, left_s = next(steps), within_s
            while True:  # many steps: other users have turns between them
                async with self._reader_lock, self._request_lock, self._real_clock.timeout(left_s):
                    began_s = self._real_clock.monotonic()
                    words = await self._read_optional(meter_name, unit, block)
                left_s -= self._real_clock.monotonic() - began_s
                block = steps.send(words)
        except StopIteration as found:
            return found.value
        except TimeoutError:
            raise MeterError(
                f"{meter_name}: search for the SunSpec registers not complete within {within_s:g} s"
            ) from None

    async def read_optional(
        self, meter_name: str, unit: int, block: RegisterBlock, within_s: float
    ) -> list[int] | None:
        """Read one block of registers; None if the device refuses, since it lacks them.

        Raises:
            MeterError: the device is silent.
        """
        try:
            async with self._reader_lock, self._request_lock, self._real_clock.timeout(within_s):
                return await self._read_optional(meter_name, unit, block)
        except TimeoutError:
            raise MeterError(f"{meter_name}: no response within {within_s:g} s") from None

    async def _read_optional(self, meter_name: str, unit: int, block: RegisterBlock) -> list[int] | None:
        answer = await self._exchange(meter_name, unit, block)
        return None if answer.isError() else list(answer.registers)

    async def _read_block(self, meter_name: str, unit: int, block: RegisterBlock) -> Iterable[int]:
        answer = await self._exchange(meter_name, unit, block)
        if answer.isError():
            code = answer.exception_code
            raise MeterError(
                f"{meter_name}: read of registers {block.address} to {block.address + block.count - 1} "
                f"with function {block.function} rejected: {_EXCEPTION_TEXTS.get(code, 'unknown reason')} ({code})",
                transient=code not in _WRONG_TABLE_CODES,
            )
        return answer.registers

    async def _exchange(
        self, meter_name: str, unit: int, block: RegisterBlock | RegisterWrite | CoilWrite
    ) -> ModbusPDU:
        """Send a request and return the answer, which may be an exception response.

        Some gateways close the connection after each answer, which may be noticed only after the next request is sent.
        So if a connection that has brought answers closes during a request, the request is repeated once on a new
        connection. A write is not repeated: it may have been carried out.
        """
        try:
            return await self._exchange_once(meter_name, unit, block)
        except _DisconnectedError:
            if not isinstance(block, RegisterBlock) or self._answered_connection != self.connections:
                raise
            return await self._exchange_once(meter_name, unit, block)

    async def _exchange_once(
        self, meter_name: str, unit: int, block: RegisterBlock | RegisterWrite | CoilWrite
    ) -> ModbusPDU:
        answered = False
        try:
            client, self._decode_error = await self._connected_client(meter_name), None
            await self._real_clock.sleep(self.endpoint.silence_s)
            try:
                async with asyncio.timeout(None) as self._answer_timeout:
                    answer = await self._send_request(client, meter_name, unit, block)
            except TimeoutError:
                if self._decode_error is not None:
                    raise MeterError(f"{meter_name}: response cannot be decoded ({self._decode_error})") from None
                raise _DisconnectedError(f"{meter_name}: connection closed before the response") from None
            answered, self._answered_connection = True, self.connections
            return answer
        finally:
            self._answer_timeout = None
            if not answered:  # a late answer must not be taken for that of the next request
                self._disconnect()

    async def _connected_client(self, meter_name: str) -> Client:
        if self._client is not None and not self._client.connected:
            self._disconnect()
        if self._client is None:
            self._client = self._create_client()
            catch_decode_errors(self._client, self._abort_undecodable)
            try:
                reached = await self._client.connect()
            except (ValueError, termios.error) as failure:  # an invalid host name or setting
                raise MeterError(f"{meter_name}: cannot be reached ({failure})", transient=False) from failure
            _raise_lost_cancellation()
            if not reached:
                raise MeterError(f"{meter_name}: cannot be reached{obstacle(self.endpoint.wire)}")
            self.connections += 1
        return self._client

    def _create_client(self) -> Client:
        """Make the unconnected client of the wire."""
        wire = self.endpoint.wire
        if isinstance(wire, TcpWire):
            return AsyncModbusTcpClient(
                wire.host,
                port=wire.port,
                framer=FramerType.RTU if wire.rtu else FramerType.SOCKET,
                timeout=self.timeout_s,
                retries=0,
                reconnect_delay=0,
                trace_packet=self._record_bytes,
                trace_connect=self._connection_changed,
            )
        return AsyncModbusSerialClient(
            wire.device,
            baudrate=wire.line.baud,
            parity=wire.line.parity,
            stopbits=wire.line.stop_bits,
            timeout=self.timeout_s,
            retries=0,
            reconnect_delay=0,
            trace_packet=self._record_bytes,
            trace_connect=self._connection_changed,
        )

    async def _send_request(
        self, client: Client, meter_name: str, unit: int, block: RegisterBlock | RegisterWrite | CoilWrite
    ) -> ModbusPDU:
        try:
            if isinstance(block, CoilWrite):
                answer = await client.write_coil(block.address, block.on, device_id=unit)
            elif isinstance(block, RegisterWrite) and block.single:
                answer = await client.write_register(block.address, block.words[0], device_id=unit)
            elif isinstance(block, RegisterWrite):
                answer = await client.write_registers(block.address, list(block.words), device_id=unit)
            else:
                read_registers = client.read_holding_registers if block.function == 3 else client.read_input_registers
                answer = await read_registers(block.address, count=block.count, device_id=unit)
        except ConnectionException as failure:  # closed before the request was sent
            _raise_lost_cancellation()
            raise _DisconnectedError(f"{meter_name}: connection closed before the response") from failure
        except ModbusException as failure:
            _raise_lost_cancellation()
            raise MeterError(f"{meter_name}: no response within {self.timeout_s:g} s") from failure
        _raise_lost_cancellation()
        if not isinstance(block, RegisterBlock):
            return answer
        received = (answer.function_code, len(answer.registers))
        if not answer.isError() and received != (block.function, block.count):
            raise MeterError(f"{meter_name}: response does not match the request for registers from {block.address} on")
        return answer

    def _connection_changed(self, connected: bool) -> None:
        """End the wait for an answer when the other side closes the connection: pymodbus would wait for the timeout."""
        if not connected:
            self._abort_wait()

    def _abort_undecodable(self, reason: str) -> None:
        """End the wait for an answer after one that cannot be decoded."""
        self._decode_error = reason
        self._abort_wait()

    def _abort_wait(self) -> None:
        if self._answer_timeout is not None:
            self._answer_timeout.reschedule(asyncio.get_running_loop().time())

    def _record_bytes(self, sending: bool, data: bytes) -> bytes:
        """Record bytes in the tap; pymodbus repeats the earlier bytes of an answer with each new piece."""
        new_bytes = data if sending else data.removeprefix(self._received_before)
        self._received_before = b"" if sending else data
        self._tap.record(self.endpoint.address, machine_time(), new_bytes, sent=sending)
        return data

    def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()


def _raise_lost_cancellation() -> None:
    """Raise a lost CancelledError: asyncio.wait_for of Python 3.11, which pymodbus uses, drops a cancellation that
    coincides with the result, and an endless reading task would never stop."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _silence_pymodbus() -> None:
    """Disable pymodbus's own logging, unless its level was set: every failure becomes a MeterError."""
    logger = logging.getLogger("pymodbus")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.CRITICAL)

"""A Modbus wire and who talks on it: one request at a time. All contact with pymodbus is here."""

from __future__ import annotations

import asyncio
import logging
import os
import termios
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from foundation.byte_tap import ByteTap
from foundation.clock import SystemClock, machine_time
from foundation.frozen import frozen
from metering.drivers import sunspec
from metering.drivers.decode_errors import catch_decode_errors
from metering.drivers.registers import Block, MeterModel, RegisterAddress, RegisterWords, SerialLine
from metering.meter import MeterError

if TYPE_CHECKING:
    from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
    from pymodbus.pdu import ModbusPDU

    Client = AsyncModbusTcpClient | AsyncModbusSerialClient

_REFUSALS: Final[Mapping[int, str]] = MappingProxyType(
    {
        1: "illegal function",
        2: "illegal address",
        3: "illegal value",
        4: "device failure",
        5: "still working on it",
        6: "busy",
        10: "the gateway has no path",
        11: "nobody answers the gateway",
    }
)
_WRONG_TABLE: Final = (1, 2, 3)
"""refusals of a device that has no such registers: asking again does not help"""


@frozen
class RegisterWrite:
    """Registers that are written with one request (function 16), or a single one with function 6."""

    address: int
    words: tuple[int, ...]
    single: bool = False


@frozen
class CoilWrite:
    """A coil that is set (function 5)."""

    address: int
    on: bool


class _DisconnectedError(MeterError):
    """The other side has ended the connection."""


ByteTrace = Callable[[bool, bytes], bytes]
"""told of bytes, and whether they are being sent; gives them back"""


@frozen
class ModbusEndpoint:
    """How to reach the meters at one place; nothing is dialled yet."""

    address: str
    """what tells it from another wire: the path of the device, or host and port"""
    settings: str
    silence_s: float
    """seconds to keep silent before a request"""
    create_client: Callable[[float, ByteTrace, Callable[[bool], None]], Client]
    """makes a client, not yet connected, that waits so many seconds for anything, and tells what goes over the wire and
    that the connection is made or ended"""


class Bus:
    """The one client of a wire: one request at a time, connected when needed, hung up after a failure.

    What happens on a wire takes real time, whatever the clock of the station says. Nobody's time runs while others
    have their turns: silent neighbours make a meter slow, and not silent.
    """

    def __init__(self, endpoint: ModbusEndpoint, tap: ByteTap) -> None:
        self.endpoint = endpoint
        self._tap = tap
        self.timeout_s = 0.0
        self.connections = 0
        """how many connections were made so far"""
        self._answered_on = 0
        """the connection that brought the newest answer"""
        self._answer_timeout: asyncio.Timeout | None = None
        """ends the wait for an answer, when nobody is there any more who could give it"""
        self._decode_error: str | None = None
        """why the answer to the present request cannot be decoded"""
        self._client: Client | None = None
        self._heard_before = b""
        self._request_lock = asyncio.Lock()
        self._readers = asyncio.Lock()
        """held by the one whose reading is next; so an order waits for one reading, however many are wanted"""
        self._real = SystemClock()
        self._users: set[object] = set()

    def join(self, user: object, timeout_s: float) -> None:
        """Keep the wire for `user`, which waits `timeout_s` for an answer; the most patient user decides."""
        self._users.add(user)
        self.timeout_s = max(self.timeout_s, timeout_s)

    async def leave(self, user: object) -> None:
        """Hang up when nobody else uses the wire."""
        self._users.discard(user)
        if not self._users:
            async with self._request_lock:
                self._hang_up()

    async def read(self, meter_name: str, unit: int, blocks: Iterable[Block], within_s: float) -> RegisterWords:
        """Read blocks of registers for `who`, in one turn.

        Raises:
            MeterError: not all of them came within `within_s`.
        """
        words: dict[RegisterAddress, int] = {}
        try:
            async with self._readers, self._request_lock, self._real.timeout(within_s):
                for block in blocks:
                    answer = await self._read_block(meter_name, unit, block)
                    words.update(((block.function, block.address + at), word) for at, word in enumerate(answer))
        except TimeoutError:
            raise MeterError(f"{meter_name}: the reading is not complete after {within_s:g} s") from None
        return words

    async def write(
        self, meter_name: str, unit: int, address: int, words: Sequence[int], within_s: float, *, single: bool = False
    ) -> None:
        """Write registers for `who`, in one request; `single`: one register, by the function for one.

        Which may be written, the driver of a device alone knows.

        Raises:
            MeterError: the device has not confirmed it within `within_s`.
        """
        await self._send_write(meter_name, unit, RegisterWrite(address, tuple(words), single), within_s)

    async def write_coil(self, meter_name: str, unit: int, address: int, on: bool, within_s: float) -> None:
        """Set a coil for `who`.

        Raises:
            MeterError: the device has not confirmed it within `within_s`.
        """
        await self._send_write(meter_name, unit, CoilWrite(address, on), within_s)

    async def _send_write(
        self, meter_name: str, unit: int, request: RegisterWrite | CoilWrite, within_s: float
    ) -> None:
        try:
            async with self._request_lock, self._real.timeout(within_s):
                answer = await self._exchange(meter_name, unit, request)
        except TimeoutError:
            raise MeterError(f"{meter_name}: nothing is confirmed after {within_s:g} s") from None
        if answer.isError():
            code = answer.exception_code
            reason = _REFUSALS.get(code, "unknown reason")
            raise MeterError(f"{meter_name}: refuses to have register {request.address} written: {reason} ({code})")

    async def search(self, meter_name: str, unit: int, steps: sunspec.Search, within_s: float) -> MeterModel | None:
        """The table of a meter that tells itself where its registers are; None when it has none.

        Raises:
            MeterError: it is silent, or does not come to an end within `within_s`.
        """
        try:
            block, left_s = next(steps), within_s
            while True:  # many steps: between them others have their turns
                async with self._readers, self._request_lock, self._real.timeout(left_s):
                    began_s = self._real.monotonic()
                    words = await self._read_optional(meter_name, unit, block)
                left_s -= self._real.monotonic() - began_s
                block = steps.send(words)
        except StopIteration as found:
            return found.value
        except TimeoutError:
            raise MeterError(f"{meter_name}: the search is not complete after {within_s:g} s") from None

    async def read_optional(self, meter_name: str, unit: int, block: Block, within_s: float) -> list[int] | None:
        """The words of a block; None where the device refuses to show it.

        Raises:
            MeterError: it is silent.
        """
        try:
            async with self._readers, self._request_lock, self._real.timeout(within_s):
                return await self._read_optional(meter_name, unit, block)
        except TimeoutError:
            raise MeterError(f"{meter_name}: gives no answer within {within_s:g} s") from None

    async def _read_optional(self, meter_name: str, unit: int, block: Block) -> list[int] | None:
        answer = await self._exchange(meter_name, unit, block)
        return None if answer.isError() else list(answer.registers)

    async def _read_block(self, meter_name: str, unit: int, block: Block) -> Iterable[int]:
        answer = await self._exchange(meter_name, unit, block)
        if answer.isError():
            code = answer.exception_code
            raise MeterError(
                f"{meter_name}: refuses registers {block.address} to {block.address + block.count - 1} "
                f"of function {block.function}: {_REFUSALS.get(code, 'unknown reason')} ({code})",
                transient=code not in _WRONG_TABLE,
            )
        return answer.registers

    async def _exchange(self, meter_name: str, unit: int, block: Block | RegisterWrite | CoilWrite) -> ModbusPDU:
        """The answer to one request, which may be a refusal.

        Gateways are about that hang up after each answer, and it may be known only once the next question is on its
        way. So a connection that has brought answers and ends under a question is made anew, once, and the question
        asked again. An order is not given twice: it may have been carried out.
        """
        try:
            return await self._exchange_once(meter_name, unit, block)
        except _DisconnectedError:
            if not isinstance(block, Block) or self._answered_on != self.connections:
                raise
            return await self._exchange_once(meter_name, unit, block)

    async def _exchange_once(self, meter_name: str, unit: int, block: Block | RegisterWrite | CoilWrite) -> ModbusPDU:
        answered = False
        try:
            client, self._decode_error = await self._connected(meter_name), None
            await self._real.sleep(self.endpoint.silence_s)
            try:
                async with asyncio.timeout(None) as self._answer_timeout:
                    answer = await self._send_request(client, meter_name, unit, block)
            except TimeoutError:
                if self._decode_error is not None:
                    raise MeterError(
                        f"{meter_name}: gives an answer that cannot be read ({self._decode_error})"
                    ) from None
                raise _DisconnectedError(f"{meter_name}: hangs up before it answers") from None
            answered, self._answered_on = True, self.connections
            return answer
        finally:
            self._answer_timeout = None
            if not answered:  # what comes late must not be taken for the answer to the next request
                self._hang_up()

    async def _connected(self, meter_name: str) -> Client:
        if self._client is not None and not self._client.connected:
            self._hang_up()
        if self._client is None:
            self._client = self.endpoint.create_client(self.timeout_s, self._record_bytes, self._connection_changed)
            catch_decode_errors(self._client, self._undecodable)
            try:
                reached = await self._client.connect()
            except (ValueError, termios.error) as failure:  # a host name or a setting that cannot be
                raise MeterError(f"{meter_name}: cannot be reached ({failure})", transient=False) from failure
            _raise_lost_cancellation()
            if not reached:
                raise MeterError(f"{meter_name}: cannot be reached")
            self.connections += 1
        return self._client

    async def _send_request(
        self, client: Client, meter_name: str, unit: int, block: Block | RegisterWrite | CoilWrite
    ) -> ModbusPDU:
        from pymodbus.exceptions import ConnectionException, ModbusException

        try:
            if isinstance(block, CoilWrite):
                answer = await client.write_coil(block.address, block.on, device_id=unit)
            elif isinstance(block, RegisterWrite) and block.single:
                answer = await client.write_register(block.address, block.words[0], device_id=unit)
            elif isinstance(block, RegisterWrite):
                answer = await client.write_registers(block.address, list(block.words), device_id=unit)
            else:
                ask = client.read_holding_registers if block.function == 3 else client.read_input_registers
                answer = await ask(block.address, count=block.count, device_id=unit)
        except ConnectionException as failure:  # ended before the question was on its way
            _raise_lost_cancellation()
            raise _DisconnectedError(f"{meter_name}: hangs up before it answers") from failure
        except ModbusException as failure:
            _raise_lost_cancellation()
            raise MeterError(f"{meter_name}: gives no answer within {self.timeout_s:g} s") from failure
        _raise_lost_cancellation()
        if not isinstance(block, Block):
            return answer
        given = (answer.function_code, len(answer.registers))
        if not answer.isError() and given != (block.function, block.count):
            raise MeterError(f"{meter_name}: answered another question than registers from {block.address} on")
        return answer

    def _connection_changed(self, connected: bool) -> None:
        """The connection is made or, by the other side, ended: pymodbus would wait for the answer all the same."""
        if not connected:
            self._give_up()

    def _undecodable(self, reason: str) -> None:
        """End the wait for an answer after one that cannot be decoded."""
        self._decode_error = reason
        self._give_up()

    def _give_up(self) -> None:
        if self._answer_timeout is not None:
            self._answer_timeout.reschedule(asyncio.get_running_loop().time())

    def _record_bytes(self, sending: bool, data: bytes) -> bytes:
        """Let the tap hear it; pymodbus tells of what came with all that came before it of an answer."""
        news = data if sending else data.removeprefix(self._heard_before)
        self._heard_before = b"" if sending else data
        self._tap.record(self.endpoint.address, machine_time(), news, sent=sending)
        return data

    def _hang_up(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()


class BusRegistry:
    """The wires in use: meters on one wire share one client and take turns."""

    def __init__(self) -> None:
        self._buses: dict[str, Bus] = {}
        self.tap = ByteTap()
        """what went over these wires, and over those of meters that only talk"""

    def bus_for(self, endpoint: ModbusEndpoint) -> Bus:
        """The bus of this wire.

        Raises:
            MeterError: a meter on the same wire wants it with other settings.
        """
        bus = self._buses.setdefault(endpoint.address, Bus(endpoint, self.tap))
        if bus.endpoint.settings != endpoint.settings:
            raise MeterError(
                f"{endpoint.address}: one meter wants {bus.endpoint.settings}, another {endpoint.settings}",
                transient=False,
            )
        return bus


def tcp_endpoint(host: str, port: int, *, rtu: bool) -> ModbusEndpoint:
    """Modbus TCP, or RTU frames in a TCP stream."""
    from pymodbus import FramerType
    from pymodbus.client import AsyncModbusTcpClient

    _silence_pymodbus()
    framer = FramerType.RTU if rtu else FramerType.SOCKET

    def dial(timeout_s: float, trace: ByteTrace, told: Callable[[bool], None]) -> Client:
        return AsyncModbusTcpClient(
            host,
            port=port,
            framer=framer,
            timeout=timeout_s,
            retries=0,
            reconnect_delay=0,
            trace_packet=trace,
            trace_connect=told,
        )

    # A serial server has itself waited for silence to know that the answer was over.
    return ModbusEndpoint(f"{host}:{port}", "RTU over TCP" if rtu else "Modbus TCP", 0.0, dial)


def serial_endpoint(device: str, line: SerialLine) -> ModbusEndpoint:
    """A serial line of this machine."""
    from pymodbus.client import AsyncModbusSerialClient

    _silence_pymodbus()

    def dial(timeout_s: float, trace: ByteTrace, told: Callable[[bool], None]) -> Client:
        return AsyncModbusSerialClient(
            device,
            baudrate=line.baud,
            parity=line.parity,
            stopbits=line.stop_bits,
            timeout=timeout_s,
            retries=0,
            reconnect_delay=0,
            trace_packet=trace,
            trace_connect=told,
        )

    # /dev/serial/by-id/… and /dev/ttyUSB0 may be the same wire.
    return ModbusEndpoint(os.path.realpath(device), str(line), line.silence_s, dial)


def _raise_lost_cancellation() -> None:
    """Raise CancelledError where it was lost: asyncio.wait_for of Python 3.11, on which pymodbus waits, drops a
    cancellation that comes together with the result, and a task that reads for ever would never end."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _silence_pymodbus() -> None:
    """Every failure becomes a MeterError: pymodbus need not log it too, unless someone has asked it to."""
    logger = logging.getLogger("pymodbus")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.CRITICAL)

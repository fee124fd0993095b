"""Meters on Modbus in the installation file: on TCP, on a serial line, or on RTU frames through TCP."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from metering.clock import Clock, SystemClock
from metering.drivers import sunspec
from metering.drivers.bus import Buses, Wire, serial_wire, tcp_wire
from metering.drivers.em580 import Em580
from metering.drivers.modbus_meter import IdentifiedModbusMeter, ModbusMeter, Reach, Wanted
from metering.drivers.models import EM580, MODELS, ModelName
from metering.drivers.registers import (
    Block,
    MeterModel,
    NumberType,
    Place,
    Quantity,
    Register,
    Registers,
    SerialLine,
    WordOrder,
    blocks,
    decode,
    inverted,
    mismatch,
    power_inverted,
)
from metering.meter import Meter, MeterError
from metering.reading import Reading
from metering.wiretap import Wiretap

if TYPE_CHECKING:
    from metering.clock import Clock

__all__ = ["Buses", "ModbusRtuMeter", "ModbusRtuOverTcpMeter", "ModbusTcpMeter"]

_COMMON_LINE: Final = SerialLine(9600, "N", 1)
"""the serial settings of a meter without a table here: the most common ones"""


Trace = Callable[[bool, bytes], bytes]
"""told of bytes, and whether they are being sent; gives them back"""


@dataclass(frozen=True, slots=True)
class Wire:
    """How to reach the meters at one place; nothing is dialled yet."""

    place: str
    """what tells it from another wire: the path of the device, or host and port"""
    settings: str
    silence_s: float
    """seconds to keep silent before a request"""
    dial: Callable[[float, Trace], Client]
    """makes a client, not yet connected, that waits so many seconds for anything, and tells what goes over the wire"""


class Bus:
    """The one client of a wire: one request at a time, connected when needed, hung up after a failure.

    What happens on a wire takes real time, whatever the clock of the station says.
    """

    def __init__(self, wire: Wire, tap: Wiretap) -> None:
        self.wire = wire
        self._tap = tap
        self.timeout_s = 0.0
        self.connections = 0
        """how many connections were made so far"""
        self._client: Client | None = None
        self._turn = asyncio.Lock()
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
            async with self._turn:
                self._hang_up()

    async def read(self, who: str, unit: int, wanted: Iterable[Block], within_s: float) -> Registers:
        """Read blocks of registers for `who`.

        Raises:
            MeterError: not all of them came within `within_s`.
        """
        words: dict[Place, int] = {}
        try:
            async with self._real.timeout(within_s):
                for block in wanted:
                    answer = await self._request(who, unit, block)
                    words.update(((block.function, block.address + at), word) for at, word in enumerate(answer))
        except TimeoutError:
            raise MeterError(f"{who}: the reading is not complete after {within_s:g} s") from None
        return words

    async def search(self, who: str, unit: int, steps: sunspec.Search, within_s: float) -> MeterModel | None:
        """The table of a meter that tells itself where its registers are; None when it has none.

        Raises:
            MeterError: it is silent, or does not come to an end within `within_s`.
        """
        try:
            async with self._real.timeout(within_s):
                block = next(steps)
                while True:
                    block = steps.send(await self._look(who, unit, block))
        except StopIteration as found:
            return found.value
        except TimeoutError:
            raise MeterError(f"{who}: the search is not complete after {within_s:g} s") from None

    async def _look(self, who: str, unit: int, block: Block) -> list[int] | None:
        answer = await self._exchange(who, unit, block)
        return None if answer.isError() else list(answer.registers)

    async def _request(self, who: str, unit: int, block: Block) -> Iterable[int]:
        answer = await self._exchange(who, unit, block)
        if answer.isError():
            code = answer.exception_code
            raise MeterError(
                f"{who}: refuses registers {block.address} to {block.address + block.count - 1} "
                f"of function {block.function}: {_REFUSALS.get(code, 'unknown reason')} ({code})",
                transient=code not in _WRONG_TABLE,
            )
        return answer.registers

    async def _exchange(self, who: str, unit: int, block: Block) -> ModbusPDU:
        answered = False
        async with self._turn:
            try:
                client = await self._connected(who)
                await self._real.sleep(self.wire.silence_s)
                answer = await self._ask(client, who, unit, block)
                answered = True
                return answer
            finally:
                if not answered:  # what comes late must not be taken for the answer to the next request
                    self._hang_up()

    async def _connected(self, who: str) -> Client:
        if self._client is not None and not self._client.connected:
            self._hang_up()
        if self._client is None:
            self._client = self.wire.dial(self.timeout_s, self._heard)
            try:
                reached = await self._client.connect()
            except (ValueError, termios.error) as failure:  # a host name or a setting that cannot be
                raise MeterError(f"{who}: cannot be reached ({failure})", transient=False) from failure
            _heed_cancellation()
            if not reached:
                raise MeterError(f"{who}: cannot be reached")
            self.connections += 1
        return self._client

    async def _ask(self, client: Client, who: str, unit: int, block: Block) -> ModbusPDU:
        """The answer to one request, which may be a refusal."""
        from pymodbus.exceptions import ModbusException

        ask = client.read_holding_registers if block.function == 3 else client.read_input_registers
        try:
            answer = await ask(block.address, count=block.count, device_id=unit)
        except ModbusException as failure:
            _heed_cancellation()
            raise MeterError(f"{who}: gives no answer within {self.timeout_s:g} s") from failure
        _heed_cancellation()
        given = (answer.function_code, len(answer.registers))
        if not answer.isError() and given != (block.function, block.count):
            raise MeterError(f"{who}: answered another question than registers from {block.address} on")
        return answer

    def _heard(self, sending: bool, data: bytes) -> bytes:
        self._tap.heard(self.wire.place, self._real.now(), data, sent=sending)
        return data

    def _hang_up(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()


class Buses:
    """The wires in use: meters on one wire share one client and take turns."""

    def __init__(self) -> None:
        self._buses: dict[str, Bus] = {}
        self.tap = Wiretap()
        """what went over these wires, and over those of meters that only talk"""

    def on(self, wire: Wire) -> Bus:
        """The bus of this wire.

        Raises:
            MeterError: a meter on the same wire wants it with other settings.
        """
        bus = self._buses.setdefault(wire.place, Bus(wire, self.tap))
        if bus.wire.settings != wire.settings:
            raise MeterError(
                f"{wire.place}: one meter wants {bus.wire.settings}, another {wire.settings}", transient=False
            )
        return bus


class ModbusMeter:
    """A meter that is read by its register table."""

    def __init__(
        self,
        model: MeterModel,
        bus: Bus,
        config: _MeterOnModbus,
        unit: int,
        clock: Clock,
        wanted: Wanted = None,
    ) -> None:
        self._model = model
        self._wanted = wanted
        self._blocks = blocks(model, self._wanted)
        self._bus = bus
        self._unit = unit
        self._invert = config.invert
        self._invert_power = config.invert_power
        self._within_s = 2 * config.timeout_s
        self._clock = clock
        self._proven_on = 0
        bus.join(self, config.timeout_s)

    def __str__(self) -> str:
        return f"{self._model.name} (unit {self._unit}) on {self._bus.wire.place}"

    async def read(self) -> Reading:
        """Read everything that the table names.

        Raises:
            MeterError: silence, a broken frame, a refusal, or another kind of meter than the configured one.
        """
        with self._clock.wire(self._within_s + 1.0):
            if not self._blocks:
                await self._find_registers()
            registers = await self._bus.read(str(self), self._unit, self._blocks, self._within_s)
        reading = decode(self._model, registers, self._clock.now())
        self._prove(reading)
        if self._invert_power:
            reading = power_inverted(reading)
        return inverted(reading) if self._invert else reading

    async def _find_registers(self) -> None:
        """Ask a SunSpec meter where its registers are, once."""
        within_s = _STEPS_OF_A_SEARCH * self._within_s
        found = await self._bus.search(str(self), self._unit, sunspec.search(self._model), within_s)
        if found is None:
            raise MeterError(f"{self}: tells of no SunSpec meter model", transient=False)
        self._model, self._blocks = found, blocks(found, self._wanted)

    async def close(self) -> None:
        """Let go of the wire; a meter that is read again takes it up again."""
        await self._bus.leave(self)

    def _prove(self, reading: Reading) -> None:
        """Refuse a wrong table at the first reading of a connection; later voltages may do what they like."""
        if self._proven_on != self._bus.connections:
            if (reason := mismatch(self._model, reading)) is not None:
                raise MeterError(f"{self}: {reason}", transient=False)
            self._proven_on = self._bus.connections


class RegisterRow(BaseModel):
    """A register of a meter that has no table here."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    quantity: Quantity
    """what it holds: `power_w`, `currents_a.l1`, `powers_w.l3`, …"""
    address: Annotated[int, Field(ge=0, le=0xFFFF)]
    """as it goes on the wire; many manuals print one more"""
    type: Literal["u16", "s16", "u32", "s32", "u64", "s64", "f32", "f64"]
    function: Literal[3, 4] = 3
    word_order: WordOrder = WordOrder.BIG
    factor: Annotated[float, Field(allow_inf_nan=False)] = 1.0
    """makes V, A, W, Hz or Wh of what stands in the register"""

    @field_validator("factor")
    @classmethod
    def _is_not_zero(cls, factor: float) -> float:
        if factor == 0.0:
            raise ValueError("must not be 0")
        return factor

    def register(self) -> Register:
        """The row as a table holds it."""
        type_ = NumberType[self.type.upper()]
        return Register(self.quantity, self.function, self.address, type_, self.word_order, Decimal(repr(self.factor)))


class _MeterOnModbus(BaseModel):
    """What all meters on Modbus have in common."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    model: ModelName | Literal["custom"]
    """custom: a meter whose table is given in `registers`"""
    registers: tuple[RegisterRow, ...] = ()
    max_registers: Annotated[int, Field(ge=4, le=125)] | None = None
    """the most registers that one request may ask for; 125 or what the model is known to answer when absent"""
    invert: bool = False
    """the meter is mounted the other way round: import and export change places"""
    invert_power: bool = False
    """the meter shows powers with the other sign and counts right (SolarEdge)"""
    timeout_s: Annotated[float, Field(gt=0.0, le=10.0)] = 1.0
    """seconds to wait for a connection and for an answer; a whole reading takes twice as long at most"""

    @model_validator(mode="after")
    def _has_one_table(self) -> Self:
        if self.model == "custom" and not self.registers:
            raise ValueError('model = "custom" needs a table: at least one register')
        if self.model != "custom" and self.registers:
            raise ValueError(f'{self.model} has its table: registers belong to model = "custom"')
        return self

    @property
    def table(self) -> MeterModel:
        """The registers of the meter."""
        if self.model == "custom":
            rows = tuple(row.register() for row in self.registers)
            return MeterModel("custom meter", rows, _COMMON_LINE, max_registers=self.max_registers or 125)
        known = MODELS[self.model]
        return known if self.max_registers is None else replace(known, max_registers=self.max_registers)

    def _open(self, wire: Wire, unit: int, clock: Clock, buses: Buses, wanted: Wanted) -> Meter:
        reach = Reach(unit, self.timeout_s, self.invert, self.invert_power)
        bus = buses.on(wire)
        if self.model == EM580 and wanted is None:
            return Em580(self.table, bus, reach, clock)
        # Who wants but some values has a use for the meter in which its number does not matter.
        tells = wanted is None and (self.table.serial_number is not None or self.model == "sunspec")
        kind = IdentifiedModbusMeter if tells else ModbusMeter
        return kind(self.table, bus, reach, clock, wanted)


class ModbusTcpMeter(_MeterOnModbus):
    """A meter on Modbus TCP."""

    type: Literal["modbus-tcp"] = "modbus-tcp"
    host: Annotated[str, Field(min_length=1)]
    port: Annotated[int, Field(ge=1, le=65535)] = 502
    unit: Annotated[int, Field(ge=0, le=255)] = 1

    def open(self, clock: Clock, buses: Buses, wanted: Wanted = None) -> Meter:
        """The meter, not yet connected; `wanted` is what is read, else all that a charge needs.

        Raises:
            MeterError: another meter uses the same wire with other settings.
        """
        return self._open(tcp_wire(self.host, self.port, rtu=False), self.unit, clock, buses, wanted)


class ModbusRtuOverTcpMeter(_MeterOnModbus):
    """A meter on a serial line behind a transparent serial server: RTU frames in a TCP stream."""

    type: Literal["modbus-rtu-over-tcp"] = "modbus-rtu-over-tcp"
    host: Annotated[str, Field(min_length=1)]
    port: Annotated[int, Field(ge=1, le=65535)]
    unit: Annotated[int, Field(ge=1, le=247)] | None = None
    """the factory setting of the model when absent"""

    def open(self, clock: Clock, buses: Buses, wanted: Wanted = None) -> Meter:
        """The meter, not yet connected; `wanted` is what is read, else all that a charge needs.

        Raises:
            MeterError: another meter uses the same wire with other settings.
        """
        unit = self.table.unit if self.unit is None else self.unit
        return self._open(tcp_wire(self.host, self.port, rtu=True), unit, clock, buses, wanted)


class ModbusRtuMeter(_MeterOnModbus):
    """A meter on a serial line of this machine. What is absent is the factory setting of the model."""

    type: Literal["modbus-rtu"] = "modbus-rtu"
    device: Annotated[str, Field(min_length=1)]
    """path of the serial device"""
    baud: Annotated[int, Field(ge=300, le=1_000_000)] | None = None
    parity: Literal["N", "E", "O"] | None = None
    stop_bits: Literal[1, 2] | None = None
    unit: Annotated[int, Field(ge=1, le=247)] | None = None

    def open(self, clock: Clock, buses: Buses, wanted: Wanted = None) -> Meter:
        """The meter, not yet connected; `wanted` is what is read, else all that a charge needs.

        Raises:
            MeterError: another meter uses the same wire with other settings.
        """
        factory = self.table
        line = SerialLine(
            baud=factory.line.baud if self.baud is None else self.baud,
            parity=factory.line.parity if self.parity is None else self.parity,
            stop_bits=factory.line.stop_bits if self.stop_bits is None else self.stop_bits,
        )
        unit = factory.unit if self.unit is None else self.unit
        return self._open(serial_wire(self.device, line), unit, clock, buses, wanted)
        return self._open(_serial_wire(self.device, line), unit, clock, buses, wanted)


def _tcp_wire(host: str, port: int, *, rtu: bool) -> Wire:
    from pymodbus import FramerType
    from pymodbus.client import AsyncModbusTcpClient

    _quieten()
    framer = FramerType.RTU if rtu else FramerType.SOCKET

    def dial(timeout_s: float, trace: Trace) -> Client:
        return AsyncModbusTcpClient(
            host,
            port=port,
            framer=framer,
            timeout=timeout_s,
            retries=0,
            reconnect_delay=0,
            trace_packet=trace,
        )

    # A serial server has itself waited for silence to know that the answer was over.
    return Wire(f"{host}:{port}", "RTU over TCP" if rtu else "Modbus TCP", 0.0, dial)


def _serial_wire(device: str, line: SerialLine) -> Wire:
    from pymodbus.client import AsyncModbusSerialClient

    _quieten()

    def dial(timeout_s: float, trace: Trace) -> Client:
        return AsyncModbusSerialClient(
            device,
            baudrate=line.baud,
            parity=line.parity,
            stopbits=line.stop_bits,
            timeout=timeout_s,
            retries=0,
            reconnect_delay=0,
            trace_packet=trace,
        )

    # /dev/serial/by-id/… and /dev/ttyUSB0 may be the same wire.
    return Wire(os.path.realpath(device), str(line), line.silence_s, dial)


def _heed_cancellation() -> None:
    """Raise CancelledError where it was lost: asyncio.wait_for of Python 3.11, on which pymodbus waits, drops a
    cancellation that comes together with the result, and a task that reads for ever would never end."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _quieten() -> None:
    """Every failure becomes a MeterError: pymodbus need not log it too, unless someone has asked it to."""
    logger = logging.getLogger("pymodbus")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.CRITICAL)

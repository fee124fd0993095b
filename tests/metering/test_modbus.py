"""One contract for the Modbus driver on its three wires, against a real server on a socket or a tty."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Literal

import pytest
from msgspec.structs import replace

from foundation.clock import SystemClock
from foundation.table import Table
from foundation.table_definition import InvalidTableError
from metering.drivers.bus_registry import BusRegistry
from metering.drivers.endpoints import tcp_endpoint
from metering.drivers.meter_config import MeterConfig
from metering.drivers.modbus import ModbusRtuMeterConfig, ModbusRtuOverTcpMeterConfig, ModbusTcpMeterConfig
from metering.drivers.modbus_frames import crc
from metering.drivers.models import MODELS, ModelName
from metering.drivers.quantities import values_of
from metering.drivers.registers import WordOrder
from metering.drivers.simulated import SimulatedMeter, SimulatedMeterConfig
from metering.meter import DescribedMeter, DetailedMeter, IdentifiedMeter, ImplausibleReadingError, Meter, MeterError
from metering.plausibility import PlausibilityRules, PlausibleMeter
from metering.reading import Phases, Reading
from simulator.clock import VirtualClock
from simulator.meter_server import (
    Garbled,
    MeterFault,
    MeterServer,
    Refusing,
    RtuFraming,
    SerialMeterServer,
    ServedMeter,
    Shortened,
    Silent,
    Slow,
    TcpFraming,
    TcpMeterServer,
)
from station.core.sampling import Measurand, supported_measurands
from tests.patience import until
from tests.shared import SHARED

ROOT = Path(__file__).parents[2]
SAMPLES = SHARED / "meters" / "samples" / "modbus"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

READING = Reading(
    taken_at=NOW,
    energy_import_wh=7_003_500.0,
    energy_export_wh=310_620.0,
    power_w=4748.75,
    currents_a=Phases(12.34, 0.52, 8.91),
    voltages_v=Phases(230.1, 231.4, 229.7),
    powers_w=Phases(2812.5, -95.0, 2031.25),
    frequency_hz=50.02,
)

WireName = Literal["tcp", "rtu", "rtu-over-tcp"]
WIRES: tuple[WireName, ...] = ("tcp", "rtu", "rtu-over-tcp")


class _Meters(Table):
    meter: MeterConfig


def configured(settings: Mapping[str, object]) -> MeterConfig:
    """The configuration of a meter, as the installation file makes it."""
    return _Meters.from_tree({"meter": settings}).meter


class StoppedClock(SystemClock):
    """The machine's clock with a wall time that stands still, and a count of who waits for a wire."""

    def __init__(self) -> None:
        super().__init__()
        self.on_wire = 0

    def now(self) -> datetime:
        return NOW

    @contextlib.contextmanager
    def outside_wait(self, patience_s: float = 5.0) -> Generator[None]:
        self.on_wire += 1
        try:
            yield
        finally:
            self.on_wire -= 1


@dataclass(slots=True)
class Bench:
    """A wire with meters at one end, and what a driver needs at the other."""

    name: WireName
    server: MeterServer
    clock: StoppedClock
    buses: BusRegistry
    link: Path
    """the device, by a name that stays the same"""

    def meter(
        self, *, model: ModelName = "eastron-sdm630", unit: int = 1, timeout_s: float = 10.0, invert: bool = False
    ) -> Meter:
        """A driver for the meter at `unit`."""
        server = self.server
        if isinstance(server, SerialMeterServer):
            rtu = ModbusRtuMeterConfig(
                model=model,
                device=str(self.link),
                baud=19200,
                parity="N",
                stop_bits=1,
                unit=unit,
                timeout_s=timeout_s,
                invert=invert,
            )
            return rtu.open(self.clock, self.buses)
        assert isinstance(server, TcpMeterServer)
        kind = ModbusTcpMeterConfig if self.name == "tcp" else ModbusRtuOverTcpMeterConfig
        tcp = kind(model=model, host="127.0.0.1", port=server.port, unit=unit, timeout_s=timeout_s, invert=invert)
        return tcp.open(self.clock, self.buses)

    async def start(self) -> None:
        await self.server.start()
        if isinstance(self.server, SerialMeterServer):
            self.link.unlink(missing_ok=True)
            self.link.symlink_to(self.server.device)


@asynccontextmanager
async def bench_with(name: WireName, meters: Mapping[int, ServedMeter], folder: Path) -> AsyncGenerator[Bench]:
    clock = StoppedClock()
    server: MeterServer
    if name == "rtu":
        server = SerialMeterServer(meters, clock)
    else:
        server = TcpMeterServer(meters, TcpFraming() if name == "tcp" else RtuFraming(), clock)
    bench = Bench(name, server, clock, BusRegistry(), folder / "meter")
    await bench.start()
    try:
        yield bench
    finally:
        await server.stop()


@pytest.fixture(params=WIRES)
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Bench]:
    """An SDM630 at unit 1 and an ABB B23 at unit 2."""
    meters = {
        1: ServedMeter(MODELS["eastron-sdm630"], lambda: READING),
        2: ServedMeter(MODELS["abb-b23"], lambda: replace(READING, energy_import_wh=500.0)),
    }
    async with bench_with(request.param, meters, tmp_path) as bench:
        yield bench


async def expect_meter_error(meter: Meter) -> MeterError:
    with pytest.raises(MeterError) as caught:
        await meter.read()
    return caught.value


async def test_a_meter_shows_what_stands_in_its_registers_at_the_time_of_the_clock(bench: Bench) -> None:
    meter = bench.meter()
    assert await meter.read() == READING
    await meter.close()


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"\x04", id="function only"),
        pytest.param(b"\x04\x04\x00\x00", id="shorter than it says"),
        pytest.param(b"\x84", id="a refusal without a reason"),
        pytest.param(b"\x55\x00\x00", id="an unknown function"),
    ],
)
async def test_an_answer_that_is_too_short_is_an_error_at_each_reading_and_nothing_else(
    answer: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """No traceback of asyncio, and no waiting for the rest of the patience."""

    answered: list[asyncio.Future[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answered.append(over := asyncio.get_running_loop().create_future())
        request = await reader.readexactly(12)
        writer.write(request[:4] + (len(answer) + 1).to_bytes(2, "big") + request[6:7] + answer)
        assert await reader.read() == b"", "the driver hangs up"
        writer.close()
        await writer.wait_closed()
        over.set_result(None)

    caplog.set_level(logging.DEBUG, "asyncio")
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        meter = ModbusTcpMeterConfig(model="eastron-sdm630", host="127.0.0.1", port=port, timeout_s=10.0).open(
            StoppedClock(), BusRegistry()
        )
        for _ in range(3):
            error = await expect_meter_error(meter)
            assert "response cannot be decoded" in str(error)
            assert error.transient
        await meter.close()
        await asyncio.gather(*answered)
    assert len(answered) == 3, "asked once for each reading"
    assert [record for record in caplog.records if record.levelno > logging.DEBUG] == []


async def test_every_reading_is_fresh(tmp_path: Path) -> None:
    current = [READING]
    meters = {1: ServedMeter(MODELS["siemens-pac2200"], lambda: current[0])}
    async with bench_with("tcp", meters, tmp_path) as bench:
        meter = bench.meter(model="siemens-pac2200")
        first = await meter.read()
        current[0] = replace(READING, energy_import_wh=7_003_501.5, power_w=None)
        second = await meter.read()
        assert (first.energy_import_wh, second.energy_import_wh) == (7_003_500.0, 7_003_501.5)
        assert second.power_w is None
        await meter.close()


async def test_the_clock_knows_that_a_wire_is_awaited(tmp_path: Path) -> None:
    wire_counts: list[int] = []

    def read_when_allowed() -> Reading:
        wire_counts.append(bench.clock.on_wire)
        return READING

    async with bench_with("tcp", {1: ServedMeter(MODELS["abb-b23"], read_when_allowed)}, tmp_path) as bench:
        meter = bench.meter(model="abb-b23")
        await meter.read()
        assert set(wire_counts) == {1}
        assert bench.clock.on_wire == 0
        await meter.close()


async def test_a_meter_mounted_the_other_way_round_is_turned(bench: Bench) -> None:
    meter = bench.meter(invert=True)
    reading = await meter.read()
    assert (reading.energy_import_wh, reading.energy_export_wh) == (310_620.0, 7_003_500.0)
    assert reading.power_w == -4748.75
    await meter.close()


# What never comes takes the whole timeout; what does come has time on a busy machine.
@pytest.mark.parametrize(
    ("fault", "message", "timeout_s"),
    [(Silent(), "no response", 3), (Garbled(), "no response", 3), (Shortened(), "does not match the request", 30)],
    ids=["silent", "garbled", "shortened"],
)
async def test_a_meter_without_an_answer_is_an_error_and_the_next_reading_is_good_again(
    bench: Bench, fault: MeterFault, message: str, timeout_s: float
) -> None:
    meter = bench.meter(timeout_s=timeout_s)
    await meter.read()
    bench.server.fault = fault
    for _ in range(2):
        error = await expect_meter_error(meter)
        assert error.transient
        assert "Eastron SDM630 (unit 1) on " in str(error)
        assert message in str(error)
    bench.server.fault = None
    assert await meter.read() == READING
    await meter.close()


@pytest.mark.parametrize(
    ("code", "meaning", "transient"), [(2, "illegal address", False), (4, "device failure", True), (6, "busy", True)]
)
async def test_a_refusal_names_its_registers_and_its_reason(
    bench: Bench, code: int, meaning: str, transient: bool
) -> None:
    meter = bench.meter()
    bench.server.fault = Refusing(code)
    error = await expect_meter_error(meter)
    assert f"read of registers 0 to 17 with function 4 rejected: {meaning} ({code})" in str(error)
    assert error.transient is transient
    bench.server.fault = None
    assert await meter.read() == READING
    await meter.close()


async def test_a_slow_meter_is_read(bench: Bench) -> None:
    meter = bench.meter()
    bench.server.fault = Slow(0.05)
    assert await meter.read() == READING
    await meter.close()


async def test_a_reading_takes_no_longer_than_twice_the_timeout_however_slowly_each_part_comes(
    bench: Bench,
) -> None:
    meter = bench.meter(timeout_s=1.0)
    bench.server.fault = Slow(0.9)  # three blocks: each in time, together not
    error = await expect_meter_error(meter)
    assert error.transient
    assert bench.clock.on_wire == 0
    await meter.close()


async def test_a_meter_that_went_away_is_found_again_by_the_next_reading_after_it_returned(
    bench: Bench,
) -> None:
    meter = bench.meter(timeout_s=1.0)
    await meter.read()
    await bench.server.stop()
    assert (await expect_meter_error(meter)).transient
    error = await expect_meter_error(meter)
    assert error.transient
    assert "cannot be reached" in str(error)
    await bench.start()
    assert await meter.read() == READING
    await meter.close()


async def test_a_connection_that_broke_between_two_readings_is_made_again_at_once(bench: Bench) -> None:
    meter = bench.meter()
    await meter.read()
    await bench.server.stop()
    await bench.start()
    await bench.clock.sleep(0.1)
    assert await meter.read() == READING
    await meter.close()


class HangingUp(TcpMeterServer):
    """A gateway that hangs up after each answer, as some do to serve the next client; `late`, a moment after it."""

    closes_late = False
    silent = False
    requests = 0

    def receive(self, stream: bytearray, send: Callable[[bytes], object]) -> None:
        """Answer, and hang up."""
        self.requests += 1
        connections = [connection for connection in self._connections if connection._stream is stream]  # pyright: ignore[reportPrivateUsage]
        if not self.silent:
            super().receive(stream, send)
        for connection in connections:
            transport = connection._transport  # pyright: ignore[reportPrivateUsage]
            assert transport is not None
            if self.closes_late:  # only when the next question is already there
                self.silent = not self.silent
            if not self.closes_late or not self.silent:
                transport.close()


@pytest.mark.parametrize("closes_late", [False, True])
async def test_a_gateway_that_hangs_up_after_each_answer_is_read_however_many_questions_it_takes(
    closes_late: bool,
) -> None:
    async with HangingUp(
        {1: ServedMeter(MODELS["eastron-sdm630"], lambda: READING)}, TcpFraming(), StoppedClock()
    ) as server:
        server.closes_late = closes_late
        config = ModbusTcpMeterConfig(model="eastron-sdm630", host="127.0.0.1", port=server.port, timeout_s=10.0)
        meter, clock = config.open(StoppedClock(), BusRegistry()), SystemClock()
        began_s = clock.monotonic()
        assert [await meter.read() for _ in range(2)] == [READING, READING]
        assert clock.monotonic() - began_s < config.timeout_s
        await meter.close()


async def test_a_gateway_that_hangs_up_without_an_answer_is_asked_no_more_than_once() -> None:
    async with HangingUp({}, TcpFraming(), StoppedClock()) as server:
        config = ModbusTcpMeterConfig(model="eastron-sdm630", host="127.0.0.1", port=server.port, timeout_s=5.0)
        meter = config.open(StoppedClock(), BusRegistry())
        assert "connection closed before the response" in str(await expect_meter_error(meter))
        assert server.requests == 1
        await meter.close()


async def test_an_answer_that_comes_too_late_is_not_taken_for_the_answer_to_the_next_request() -> None:
    to_answer: asyncio.Queue[Reading] = asyncio.Queue()
    current = [replace(READING, voltages_v=Phases(1.0, 2.0, 3.0))]

    def read_when_allowed() -> Reading:
        to_answer.put_nowait(current[0])
        return current[0]

    meters = {1: ServedMeter(MODELS["eastron-sdm630"], read_when_allowed)}
    far_away = VirtualClock(start=NOW)
    async with TcpMeterServer(meters, RtuFraming(), far_away) as server:
        config = ModbusRtuOverTcpMeterConfig(model="eastron-sdm630", host="127.0.0.1", port=server.port, timeout_s=1.0)
        meter = config.open(StoppedClock(), BusRegistry())
        server.fault = Slow(10.0)
        await expect_meter_error(meter)
        await far_away.advance(5.0)
        await to_answer.get()
        current[0] = READING
        reading = asyncio.create_task(meter.read())
        await to_answer.get()
        server.fault = None
        await far_away.advance(5.0)  # the late answer leaves the meter
        await far_away.advance(5.0)  # and then the one that is waited for
        assert await reading == READING
        await meter.close()


async def test_a_meter_that_is_not_there_yet_is_found_when_it_appears(bench: Bench) -> None:
    await bench.server.stop()
    meter = bench.meter()
    assert "cannot be reached" in str(await expect_meter_error(meter))
    await bench.start()
    assert await meter.read() == READING
    await meter.close()


async def test_a_table_that_the_meter_does_not_have_is_refused_for_good(bench: Bench) -> None:
    meter = bench.meter(model="siemens-pac2200")
    error = await expect_meter_error(meter)
    assert not error.transient
    assert "Siemens PAC2200" in str(error)
    assert "illegal function" in str(error)
    await meter.close()


@pytest.mark.parametrize("name", WIRES)
async def test_a_meter_with_its_words_in_another_order_is_refused_before_it_delivers_a_value(
    name: WireName, tmp_path: Path
) -> None:
    current = [MODELS["eastron-sdm630"]]
    swapped = replace(
        current[0],
        registers=tuple(replace(register, word_order=WordOrder.LOW_FIRST) for register in current[0].registers),
    )
    async with bench_with(name, {1: ServedMeter(swapped, lambda: READING)}, tmp_path) as bench:
        meter = bench.meter()
        for _ in range(2):
            error = await expect_meter_error(meter)
            assert not error.transient
            assert "the model is not Eastron SDM630" in str(error)
        await meter.close()


async def test_a_sag_on_a_proven_meter_is_shown_and_not_taken_for_a_wrong_table(tmp_path: Path) -> None:
    current = [READING]
    meters = {1: ServedMeter(MODELS["abb-b23"], lambda: current[0])}
    async with bench_with("tcp", meters, tmp_path) as bench:
        meter = bench.meter(model="abb-b23")
        await meter.read()
        current[0] = replace(READING, voltages_v=Phases(61.0, 55.5, 70.0))
        assert (await meter.read()).voltages_v == Phases(61.0, 55.5, 70.0)
        await meter.close()


async def test_two_meters_on_one_wire_take_turns_on_one_connection(bench: Bench) -> None:
    eastron = bench.meter()
    abb = bench.meter(model="abb-b23", unit=2)
    both = [asyncio.create_task(meter.read()) for meter in (eastron, abb) * 3]
    readings = await asyncio.gather(*both)
    assert [reading.energy_import_wh for reading in readings] == [7_003_500.0, 500.0] * 3
    if isinstance(bench.server, TcpMeterServer):
        assert bench.server.clients == 1
    await eastron.close()
    assert (await abb.read()).energy_import_wh == 500.0
    await abb.close()


async def test_a_dead_neighbour_does_not_keep_a_meter_from_being_read(bench: Bench) -> None:
    dead = bench.meter(unit=9, timeout_s=1.0)
    alive = bench.meter(timeout_s=1.0)
    silence = asyncio.create_task(expect_meter_error(dead))
    await bench.clock.sleep(0.0)
    assert await alive.read() == READING
    assert "unit 9" in str(await silence)
    await dead.close()
    await alive.close()


async def is_read(meter: Meter) -> bool:
    """Read a meter; return whether it was connected in time and has answered."""
    try:
        await meter.read()
    except MeterError:
        return False
    return True


async def test_however_many_neighbours_are_dead_a_meter_is_read(bench: Bench) -> None:
    """Each of them keeps the wire for as long as its answer is waited for; that is no time of this meter."""
    dead = [bench.meter(unit=unit, timeout_s=1.0) for unit in (7, 8, 9, 10)]
    alive = bench.meter(timeout_s=1.0)
    await until(lambda: is_read(alive))  # the time that a busy machine takes to connect is not measured here
    silences = [asyncio.create_task(expect_meter_error(meter)) for meter in dead]
    await bench.clock.sleep(0.0)
    assert await alive.read() == READING
    for unit, silence in zip((7, 8, 9, 10), silences, strict=True):
        assert f"(unit {unit}) on" in str(await silence)
        assert "no response within 1 s" in str(await silence), "its own time is counted, and no other"
    for meter in (*dead, alive):
        await meter.close()


async def test_an_order_goes_before_the_readings_that_wait() -> None:
    """A controller on the wire of many meters has to stop a vehicle now."""
    async with TcpMeterServer({}, RtuFraming(), SystemClock()) as server:
        buses = BusRegistry()
        settings = {"model": "eastron-sdm630", "host": "127.0.0.1", "port": server.port, "timeout_s": 1.0}
        dead = [ModbusRtuOverTcpMeterConfig.from_tree({**settings, "unit": unit}) for unit in (7, 8, 9)]
        meters = [config.open(StoppedClock(), buses) for config in dead]
        silences = [asyncio.create_task(expect_meter_error(meter)) for meter in meters]
        await until(lambda: any(chunk.sent for chunk in buses.tap.chunks_after(0)))
        with pytest.raises(MeterError, match="no response"):
            await buses.bus_for(tcp_endpoint("127.0.0.1", server.port, rtu=True)).write("board", 1, 1000, (0,), 2.0)
        await asyncio.gather(*silences)
        assert [chunk.data[0] for chunk in buses.tap.chunks_after(0) if chunk.sent] == [7, 1, 8, 9]
        for meter in meters:
            await meter.close()


async def test_the_tap_hears_each_byte_once_in_however_many_pieces_it_comes() -> None:
    """As from a serial line, of which the kernel gives a few bytes at a time."""
    sent: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while request := await reader.readexactly(8):
                words = bytes([request[0], request[1], 2 * request[5], *bytes(2 * request[5])])
                sent.append(words + crc(words))
                for at in range(0, len(sent[-1]), 3):
                    writer.write(sent[-1][at : at + 3])
                    sent_bytes = sum(map(len, sent[:-1])) + len(sent[-1][: at + 3])
                    await until(partial(has_received, sent_bytes))
        writer.close()
        await writer.wait_closed()
        over.set()

    def received() -> list[bytes]:
        return [chunk.data for chunk in buses.tap.chunks_after(0) if not chunk.sent]

    def has_received(count: int) -> bool:
        return sum(map(len, received())) >= count

    over = asyncio.Event()
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        buses, clock = BusRegistry(), SystemClock()
        meter = ModbusRtuOverTcpMeterConfig(model="eastron-sdm72d-m", host="127.0.0.1", port=port).open(clock, buses)
        for _ in range(3):
            await meter.read()
        await meter.close()
        await over.wait()
    assert len(received()) > len(sent)
    assert b"".join(received()) == b"".join(sent)


async def test_a_host_name_that_cannot_be_is_refused_for_good() -> None:
    meter = ModbusTcpMeterConfig(model="abb-b23", host="meter..local").open(StoppedClock(), BusRegistry())
    error = await expect_meter_error(meter)
    assert not error.transient
    assert "ABB B23 (unit 1) on meter..local:502: cannot be reached" in str(error)
    await meter.close()


async def test_a_device_that_is_no_serial_line_cannot_be_reached(tmp_path: Path) -> None:
    device = tmp_path / "file"
    device.touch()
    meter = ModbusRtuMeterConfig(model="abb-b23", device=str(device)).open(StoppedClock(), BusRegistry())
    assert "cannot be reached" in str(await expect_meter_error(meter))
    await meter.close()


@pytest.mark.parametrize("other_model", ["abb-b23", "siemens-pac2200"])
async def test_one_serial_line_cannot_have_two_settings(tmp_path: Path, other_model: ModelName) -> None:
    buses = BusRegistry()
    clock = StoppedClock()
    device = tmp_path / "line"
    alias = tmp_path / "by-id"
    alias.symlink_to(device)
    ModbusRtuMeterConfig(model="eastron-sdm630", device=str(device)).open(clock, buses)
    with pytest.raises(MeterError, match="9600 8N1") as caught:
        ModbusRtuMeterConfig(model=other_model, device=str(alias)).open(clock, buses)
    assert not caught.value.transient


async def test_closing_twice_and_closing_unread_are_harmless_and_a_closed_meter_can_be_read_again(
    bench: Bench,
) -> None:
    meter = bench.meter()
    await meter.close()
    assert await meter.read() == READING
    await meter.close()
    await meter.close()


async def test_a_failing_meter_does_not_fill_the_log(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    meter = bench.meter(timeout_s=0.1)
    with caplog.at_level(logging.INFO):
        bench.server.fault = Silent()
        await expect_meter_error(meter)
        await bench.server.stop()
        await expect_meter_error(meter)
    assert caplog.records == []
    await meter.close()


async def test_a_cancelled_reading_leaves_nothing_behind(bench: Bench) -> None:
    meter = bench.meter()
    bench.server.fault = Slow(0.2)
    reading = asyncio.create_task(meter.read())
    await bench.clock.sleep(0.1)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    bench.server.fault = None
    assert await meter.read() == READING
    await meter.close()


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the sample frames are not on this machine")
@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("pac2200 total active power over tcp", "siemens-pac2200"),
        ("pac2200 read inside a value is refused", "siemens-pac2200"),
        ("rtu exception illegal function", "eastron-sdm630"),
    ],
)
async def test_the_simulated_meter_answers_a_sample_frame_byte_by_byte(name: str, model: ModelName) -> None:
    frames = json.loads((SAMPLES / "frames.json").read_text())["frames"]
    frame = next(frame for frame in frames if frame["name"] == name)
    framing = TcpFraming() if frame["transport"] == "tcp" else RtuFraming()
    server = TcpMeterServer({1: ServedMeter(MODELS[model], lambda: READING)}, framing, StoppedClock())
    answers: list[bytes] = []
    server.receive(bytearray.fromhex(frame["request"]), answers.append)
    assert answers == [bytes.fromhex(frame["response"])]


async def raw_answer(server: TcpMeterServer, address: int, count: int) -> bytes:
    """The PDU that a bare socket gets for FC 3."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(bytes((0, 7, 0, 0, 0, 6, 1, 3)) + address.to_bytes(2, "big") + count.to_bytes(2, "big"))
    head = await reader.readexactly(7)
    pdu = await reader.readexactly(int.from_bytes(head[4:6], "big") - 1)
    writer.close()
    await writer.wait_closed()
    return pdu


@pytest.mark.parametrize(
    ("address", "count", "code"),
    [
        (2, 2, 2),  # begins inside a value
        (1, 3, 2),  # ends inside a value
        (43, 2, 2),  # unknown
        (1, 126, 3),  # longer than the standard allows
        (1, 0, 3),
    ],
)
async def test_the_simulated_meter_refuses_what_a_real_one_refuses(address: int, count: int, code: int) -> None:
    meters = {1: ServedMeter(MODELS["siemens-pac2200"], lambda: READING)}
    async with TcpMeterServer(meters, TcpFraming(), StoppedClock()) as server:
        assert await raw_answer(server, address, count) == bytes((0x83, code))
        assert (await raw_answer(server, 1, 42))[:2] == bytes((3, 84))


def test_planned_silences_are_those_of_the_serial_line_specification() -> None:
    silences = [replace(MODELS["abb-b23"].line, baud=baud).silence_s for baud in (2400, 9600, 19200, 115200)]
    assert silences == pytest.approx([0.01604, 0.00401, 0.002005, 0.00175], rel=1e-3)
    assert all(slower >= faster for slower, faster in pairwise(silences))


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"type": "modbus-tcp", "model": "abb-b23"}, ["host"]),
        ({"type": "modbus-tcp", "model": "abb-b23", "host": "h", "prot": 502}, ["prot"]),
        ({"type": "modbus-tcp", "model": "nonsense", "host": "h"}, ["model", "'siemens-pac2200'"]),
        ({"type": "modbus-tcp", "model": "abb-b23", "host": "h", "timeout_s": 0}, ["timeout_s"]),
        ({"type": "modbus-rtu", "model": "abb-b23", "device": "/dev/x", "unit": 0}, ["unit"]),
        ({"type": "modbus-rtu", "model": "abb-b23", "device": "/dev/x", "parity": "X"}, ["parity"]),
        ({"type": "modbus-rtu-over-tcp", "model": "abb-b23", "host": "h"}, ["port"]),
        ({"type": "modbus"}, ["'modbus-tcp'", "'modbus-rtu'", "'modbus-rtu-over-tcp'", "'simulated'"]),
    ],
)
def test_a_bad_configuration_names_its_key_and_the_choices(given: dict[str, object], names: list[str]) -> None:
    with pytest.raises(InvalidTableError) as caught:
        configured(given)
    for name in names:
        assert name in str(caught.value)


def test_the_type_chooses_the_driver() -> None:
    given = {"type": "modbus-rtu", "model": "siemens-pac2200", "device": "/dev/ttyUSB0"}
    assert configured(given) == ModbusRtuMeterConfig(model="siemens-pac2200", device="/dev/ttyUSB0")
    assert configured({"type": "simulated"}) == SimulatedMeterConfig()


async def test_a_serial_meter_without_settings_has_those_of_its_factory() -> None:
    meter = ModbusRtuMeterConfig(model="siemens-pac2200", device="/dev/nothing").open(StoppedClock(), BusRegistry())
    assert str(meter) == "Siemens PAC2200 (unit 126) on /dev/nothing"
    assert str(MODELS["siemens-pac2200"].line) == "19200 8N2"


async def test_a_simulated_meter_shows_what_its_circuit_carries() -> None:
    meter = SimulatedMeter(lambda: READING, lambda: "SIMULATED")
    assert await meter.read() == READING
    await meter.close()


def test_naming_the_drivers_does_not_load_the_modbus_library() -> None:
    code = "import sys, metering.drivers; sys.exit('pymodbus' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("model", [name for name, model in MODELS.items() if model.serial_number is not None])
async def test_a_meter_reports_its_serial_number_and_another_one_in_its_place_is_not_used(
    model: ModelName, wire: WireName, tmp_path: Path
) -> None:
    meters = {1: ServedMeter(MODELS[model], lambda: READING, "20471103")}
    async with bench_with(wire, meters, tmp_path) as bench:
        driver = bench.meter(model=model)
        assert isinstance(driver, IdentifiedMeter)
        assert (await driver.identity()).serial_number == "20471103"
        meter = PlausibleMeter(driver, PlausibilityRules(22_000.0), bench.clock.monotonic)
        meter.restore(None, serial_number="20471104")
        with pytest.raises(ImplausibleReadingError, match="its serial number is 20471103, not 20471104"):
            await meter.read()
        await meter.close()


def test_of_these_models_the_register_of_the_serial_number_is_unknown() -> None:
    without = {name for name, model in MODELS.items() if model.serial_number is None}
    assert without == {
        "carlo-gavazzi-em24",
        "inepro-pro380",
        "janitza-b23",
        "janitza-umg",
        "siemens-pac2200",
        "sunspec",  # its registers are located at run time
    }


ALL = replace(
    READING,
    reactive_power_var=-410.5,
    reactive_powers_var=Phases(31.25, -45.5, 0.0),
    power_factor=0.5,
    power_factors=Phases(0.75, -0.5, 1.0),
    energies_import_wh=Phases(1.0, 2.0, 3.0),
    energies_export_wh=Phases(4.0, 5.0, 6.0),
    reactive_import_varh=77.5,
    reactive_export_varh=88.25,
    apparent_vah=99.0,
)


async def test_a_sample_reads_everything_and_a_charge_what_it_needs(tmp_path: Path) -> None:
    async with bench_with("tcp", {126: ServedMeter(MODELS["siemens-pac2200"], lambda: ALL)}, tmp_path) as bench:
        meter = PlausibleMeter(
            bench.meter(model="siemens-pac2200", unit=126), PlausibilityRules(22_000.0), bench.clock.monotonic
        )
        assert values_of(await meter.read_all()) == pytest.approx(values_of(ALL), rel=1e-6)
        needed = await meter.read()
        assert (needed.energy_import_wh, needed.reactive_import_varh) == (ALL.energy_import_wh, None)
        await meter.close()


async def test_registers_that_a_variant_refuses_are_unknown_and_not_asked_for_again(tmp_path: Path) -> None:
    reading = replace(READING, reactive_import_varh=77.5, reactive_export_varh=88.25, apparent_vah=99.0)
    async with bench_with("tcp", {126: ServedMeter(MODELS["siemens-pac2200"], lambda: reading)}, tmp_path) as bench:
        meter = bench.meter(model="siemens-pac2200", unit=126)
        assert isinstance(meter, DetailedMeter)
        first, second = await meter.read_all(), await meter.read_all()
        assert first.energy_import_wh == second.energy_import_wh == READING.energy_import_wh
        assert first.energies_import_wh == Phases(None, None, None)
        await meter.close()


@pytest.mark.parametrize(
    ("model", "reactive", "factor", "currents"),
    [
        ("siemens-pac2200", True, True, True),
        ("abb-b23", False, True, True),
        ("shelly-pro-3em", False, True, True),
        ("eastron-sdm630", False, False, True),
        ("eastron-sdm72d-m", False, False, False),
        ("sunspec", False, False, True),
    ],
)
async def test_only_what_the_table_names_can_be_sampled(
    model: ModelName, reactive: bool, factor: bool, currents: bool
) -> None:
    meter = ModbusTcpMeterConfig(model=model, host="127.0.0.1").open(StoppedClock(), BusRegistry())
    assert isinstance(meter, DescribedMeter)
    given = supported_measurands(meter.example_reading())
    assert (Measurand.REACTIVE_POWER_IMPORT in given, Measurand.REACTIVE_IMPORT_INTERVAL in given) == (reactive,) * 2
    assert (Measurand.POWER_FACTOR in given, Measurand.CURRENT_IMPORT in given) == (factor, currents)
    await meter.close()


async def test_a_variant_that_has_no_such_register_is_read_all_the_same(tmp_path: Path) -> None:
    meters = {1: ServedMeter(replace(MODELS["abb-b23"], serial_number=None), lambda: READING)}
    async with bench_with("tcp", meters, tmp_path) as bench:
        meter = PlausibleMeter(bench.meter(model="abb-b23"), PlausibilityRules(22_000.0), bench.clock.monotonic)
        assert (await meter.read()).energy_import_wh == READING.energy_import_wh
        assert meter.serial_number is None
        known = PlausibleMeter(bench.meter(model="abb-b23"), PlausibilityRules(22_000.0), bench.clock.monotonic)
        known.restore(None, serial_number="20471103")
        with pytest.raises(MeterError):  # a value that was read once and is missing now is an error
            await known.read()
        await known.close()
        await meter.close()

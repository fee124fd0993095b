"""What every grid source promises, each on its real wire: fresh, stale, noisy, restarting, disconnected, mistaken.

The same of the grid operator's contact, which gives orders in place of samples: test_contact_contract.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import tempfile
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Protocol, cast

import pytest

from energy.grid import GridSample, GridSource, SourceError
from energy.sources.frozen_reading import STILL_AFTER_S
from energy.sources.p1_cipher import AUTHENTICATION_KEY
from energy.sources.source_context import SourceContext
from energy.sources.tic import TicMode
from foundation.clock import Clock, SystemClock
from foundation.table import all_values
from metering.drivers.models import MODELS, ModelName
from metering.reading import Phases, Reading
from simulator.house import HouseReading
from simulator.linky import SimulatedLinky
from simulator.meter_server import (
    Garbled,
    MeterServer,
    RtuFraming,
    SerialMeterServer,
    ServedMeter,
    Silent,
    TcpFraming,
    TcpMeterServer,
)
from simulator.p1 import P1Encryption, P1Meter, P1Version, SimulatedP1
from tests.energy.fake_converter import FakeConverter, wave
from tests.energy.listening import FastClock, Listener, configured, listening
from tests.patience import PATIENCE_S

KEY = bytes(range(16))
HOUSE = HouseReading(Phases(3.4, 2.6, 10.2), subscribed_va=18000)
HOUSE_AFTER_CHANGE = HouseReading(Phases(16.4, 0.0, 1.0), subscribed_va=18000)


class Meter(Protocol):
    """A simulated meter at the other end of the wire."""

    house: HouseReading

    @property
    def settings(self) -> dict[str, object]:
        """The meter's table in the installation file."""
        ...

    def set_silent(self, silent: bool) -> None:
        """Let the meter send nothing, or send again."""
        ...

    def set_noisy(self, noisy: bool) -> None:
        """Make the wire noisy, or quiet again."""
        ...

    async def restart(self) -> None:
        """Lose the supply for a moment, in the middle of something."""
        ...

    async def start(self) -> None: ...

    async def stop(self) -> None:
        """Take the meter and its wire away."""
        ...


@dataclass
class LinkyOnTerminal:
    clock: Clock
    mode: TicMode
    house: HouseReading = HOUSE
    meter: SimulatedLinky = field(init=False)

    def __post_init__(self) -> None:
        self.meter = SimulatedLinky(lambda: self.house, self.clock, self.mode)

    @property
    def settings(self) -> dict[str, object]:
        return {"type": "linky", "device": self.meter.device, "mode": self.mode.name.lower()}

    def set_silent(self, silent: bool) -> None:
        self.meter.silent = silent

    def set_noisy(self, noisy: bool) -> None:
        self.meter.flips_per_byte = 0.02 if noisy else 0.0

    async def restart(self) -> None:
        self.meter.restart()

    async def start(self) -> None:
        await self.meter.start()

    async def stop(self) -> None:
        await self.meter.stop()


@dataclass
class P1OnWire:
    clock: Clock
    version: P1Version
    tcp: bool = False
    house: HouseReading = HOUSE
    meter: SimulatedP1 = field(init=False)

    def __post_init__(self) -> None:
        seal = P1Encryption(KEY, AUTHENTICATION_KEY) if self.version is P1Version.LUXEMBOURG else None
        self.meter = SimulatedP1(lambda: self.house, self.clock, P1Meter(self.version, encryption=seal), tcp=self.tcp)

    @property
    def settings(self) -> dict[str, object]:
        key = {"key": KEY.hex()} if self.version is P1Version.LUXEMBOURG else {}
        return {"type": "p1", "device": self.meter.device, "version": "modern", **key}

    def set_silent(self, silent: bool) -> None:
        self.meter.silent = silent

    def set_noisy(self, noisy: bool) -> None:
        self.meter.flips_per_byte = 0.002 if noisy else 0.0

    async def restart(self) -> None:
        self.meter.restart()

    async def start(self) -> None:
        await self.meter.start()

    async def stop(self) -> None:
        await self.meter.stop()


@dataclass
class ModbusOnWire:
    clock: Clock
    model: ModelName
    transport: str
    house: HouseReading = HOUSE
    server: MeterServer = field(init=False)
    frozen: Reading | None = None

    def __post_init__(self) -> None:
        meters = {1: ServedMeter(MODELS[self.model], self.measured)}
        if self.transport == "modbus-rtu":
            self.server = SerialMeterServer(meters, self.clock)
        else:
            framing = TcpFraming() if self.transport == "modbus-tcp" else RtuFraming()
            self.server = TcpMeterServer(meters, framing, self.clock)

    def measured(self) -> Reading:
        if self.frozen is not None:
            return self.frozen
        l1, l2, l3 = self.house.amperes
        currents, volts = Phases(l1, l2, l3), self.house.voltage_v + 0.5 * math.sin(self.clock.monotonic())
        return Reading(
            self.clock.now(),
            power_w=sum(currents) * volts,
            currents_a=Phases(abs(l1), abs(l2), abs(l3)),
            voltages_v=Phases(volts, volts, volts),
            powers_w=Phases(l1 * volts, l2 * volts, l3 * volts),
            frequency_hz=50.0,
        )

    @property
    def settings(self) -> dict[str, object]:
        meter: dict[str, object] = {"type": self.transport, "model": self.model, "unit": 1, "timeout_s": 1.0}
        if isinstance(self.server, SerialMeterServer):
            meter |= {"device": self.server.device, "parity": "N"}
        elif isinstance(self.server, TcpMeterServer):
            meter |= {"host": "127.0.0.1", "port": self.server.port}
        return {"type": "modbus", "meter": meter}

    def set_silent(self, silent: bool) -> None:
        self.server.fault = Silent() if silent else None

    def set_noisy(self, noisy: bool) -> None:
        self.server.fault = Garbled() if noisy else None

    async def restart(self) -> None:
        if isinstance(self.server, SerialMeterServer):  # its wire stays where it is
            self.set_silent(True)
            await self.clock.sleep(3.0)
            self.set_silent(False)
        else:
            await self.server.stop()
            await self.server.start()

    async def start(self) -> None:
        await self.server.start()

    async def stop(self) -> None:
        await self.server.stop()


@dataclass
class ClampsOnConverter:
    clock: Clock
    house: HouseReading = HOUSE
    folder: tempfile.TemporaryDirectory[str] = field(init=False)
    converter: FakeConverter = field(init=False)
    noise: float = 0.5

    def __post_init__(self) -> None:
        self._place()

    def _place(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.converter = FakeConverter(Path(self.folder.name))
        self.converter.pace_s = 0.01
        self.converter.channels = lambda: [wave(current_a, noise=self.noise) for current_a in self.house.amperes]

    @property
    def settings(self) -> dict[str, object]:
        return all_values(self.converter.config())

    def set_silent(self, silent: bool) -> None:
        self.converter.silent = silent

    def set_noisy(self, noisy: bool) -> None:
        self.noise = 4.0 if noisy else 0.5

    async def restart(self) -> None:
        self.converter.silent = True
        await self.clock.sleep(3.0)
        self.converter.silent = False

    async def start(self) -> None:
        if not self.converter.path.exists():
            self._place()
        self.giving = asyncio.create_task(self.converter.run())

    async def stop(self) -> None:
        self.giving.cancel()
        await asyncio.wait([self.giving])
        self.converter.close()
        self.folder.cleanup()


METERS: dict[str, Callable[[Clock], Meter]] = {
    "current-transformers": ClampsOnConverter,
    "linky-historique": lambda clock: LinkyOnTerminal(clock, TicMode.HISTORIQUE),
    "linky-standard": lambda clock: LinkyOnTerminal(clock, TicMode.STANDARD),
    "p1-v4": lambda clock: P1OnWire(clock, P1Version.V42),
    "p1-v5": lambda clock: P1OnWire(clock, P1Version.V50),
    "p1-belgium-tcp": lambda clock: P1OnWire(clock, P1Version.BELGIUM, tcp=True),
    "p1-luxembourg": lambda clock: P1OnWire(clock, P1Version.LUXEMBOURG),
    "p1-luxembourg-tcp": lambda clock: P1OnWire(clock, P1Version.LUXEMBOURG, tcp=True),
    "modbus-tcp": lambda clock: ModbusOnWire(clock, "siemens-pac2200", "modbus-tcp"),
    "modbus-rtu": lambda clock: ModbusOnWire(clock, "eastron-sdm630", "modbus-rtu"),
    "modbus-rtu-over-tcp": lambda clock: ModbusOnWire(clock, "carlo-gavazzi-em340", "modbus-rtu-over-tcp"),
}
each = pytest.mark.parametrize("name", METERS)


def open_source(meter: Meter, clock: Clock) -> GridSource:
    config = configured(meter.settings)
    return config.open(clock, SourceContext(3))


@contextlib.asynccontextmanager
async def connected_meter(name: str) -> AsyncGenerator[tuple[Meter, FastClock, Listener]]:
    clock = FastClock(40.0 if "p1" in name else 20.0)
    meter = METERS[name](clock)
    await meter.start()
    try:
        # A converter whose samples cease is closed and opened again.
        reopens = isinstance(meter, ClampsOnConverter)
        async with listening(open_source(meter, clock), clock, reopens=reopens) as listener:
            yield meter, clock, listener
    finally:
        await meter.stop()


def within_1_a(measured: Phases[float | None], house: HouseReading) -> bool:
    """Whether each measured current is within 1 A of the real one (some meters round down)."""
    pairs = zip(measured, house.currents_a, strict=True)
    return all(
        measured_a is not None and true is not None and abs(measured_a - true) < 1.0 for measured_a, true in pairs
    )


@each
async def test_a_living_meter_is_fresh_and_shows_each_phase(name: str) -> None:
    async with connected_meter(name) as (_, clock, listener):
        samples: list[GridSample] = []
        for _ in range(3):
            samples += await listener.next_samples()
            assert within_1_a(samples[-1].currents_a, HOUSE)
            assert abs(samples[-1].taken_at - clock.now()) < timedelta(seconds=25)
        assert samples[0].taken_at != samples[2].taken_at  # a frame of a Linky takes less than its clock can show
        assert not listener.stale
        assert 0.0 < samples[0].period_s <= 10.0


@each
async def test_a_change_in_the_house_arrives_within_three_periods(name: str) -> None:
    async with connected_meter(name) as (meter, _, listener):
        await listener.next_samples()
        meter.house = HOUSE_AFTER_CHANGE
        assert any(within_1_a(sample.currents_a, HOUSE_AFTER_CHANGE) for sample in await listener.next_samples(3))


@each
async def test_a_silent_meter_becomes_stale_and_fresh_again(name: str) -> None:
    async with connected_meter(name) as (meter, clock, listener):
        (sample,) = await listener.next_samples()
        meter.set_silent(True)
        await clock.sleep(1.5 * sample.period_s)  # what was under way arrives
        count = len(listener.samples)
        patience_s = 3 * sample.period_s
        await clock.sleep(patience_s + 2.0)
        assert len(listener.samples) == count, "silence is no sample"
        age_s = listener.freshness.age_s(clock.monotonic())
        assert age_s is not None
        assert age_s > patience_s
        meter.set_silent(False)
        await listener.next_samples()
        assert not listener.stale


@each
async def test_a_noisy_wire_costs_samples_and_never_makes_another_current(name: str) -> None:
    async with connected_meter(name) as (meter, clock, listener):
        await listener.next_samples()
        meter.set_noisy(True)
        # The converter is read in real time: 4 s are four hundred windows, of which each is like the others.
        await clock.sleep(4.0 if isinstance(meter, ClampsOnConverter) else 40.0)
        meter.set_noisy(False)
        await listener.next_samples(2)
        assert all(within_1_a(sample.currents_a, HOUSE) for sample in listener.samples)


@each
async def test_a_meter_that_restarts_is_heard_again_without_being_asked(name: str) -> None:
    async with connected_meter(name) as (meter, _, listener):
        await listener.next_samples()
        await meter.restart()
        samples = await listener.next_samples(3)
        assert all(within_1_a(sample.currents_a, HOUSE) for sample in samples)


@each
async def test_a_wire_that_is_gone_is_an_error_or_silence_and_can_be_opened_again(name: str) -> None:
    clock = FastClock(40.0)
    meter = METERS[name](clock)
    await meter.start()
    source = open_source(meter, clock)
    listener = Listener(source, clock)
    task = asyncio.create_task(listener.run())
    await listener.next_samples()
    await meter.stop()
    if name.startswith("modbus"):
        count = len(listener.samples)
        await clock.sleep(20.0)
        assert len(listener.samples) <= count + 1
        task.cancel()
        await asyncio.wait([task])
    else:
        async with asyncio.timeout(PATIENCE_S):
            with pytest.raises(SourceError):
                await task
    await meter.start()
    try:
        async with listening(open_source(meter, clock), clock) as again:
            assert within_1_a((await again.next_samples())[0].currents_a, HOUSE)
    finally:
        await meter.stop()


@each
async def test_a_wire_that_is_not_there_is_an_error_or_silence(name: str) -> None:
    clock = FastClock()
    meter = METERS[name](clock)
    await meter.start()
    source = open_source(meter, clock)
    await meter.stop()
    if name.startswith("modbus"):
        listener = Listener(source, clock)
        task = asyncio.create_task(listener.run())
        await clock.sleep(10.0)
        assert listener.samples == []
        task.cancel()
        await asyncio.wait([task])
        return
    with pytest.raises(SourceError):
        async for _ in source.samples():
            pass


@pytest.mark.parametrize(
    ("served", "read"),
    [
        ("siemens-pac2200", "schneider-iem3155"),
        ("eastron-sdm630", "carlo-gavazzi-em340"),
        ("eastron-sdm630", "shelly-pro-3em"),
        ("abb-b23", "sunspec"),
    ],
)
async def test_another_modbus_meter_than_the_configured_one_is_said_and_not_believed(
    served: ModelName, read: ModelName
) -> None:
    clock = FastClock()
    meter = ModbusOnWire(clock, served, "modbus-tcp")
    await meter.start()
    try:
        settings = meter.settings
        wire = cast("dict[str, object]", settings["meter"])
        config = configured({**settings, "meter": {**wire, "model": read}})
        with pytest.raises(
            SourceError, match=r"read of registers .* rejected|so the model is not|no SunSpec meter model found"
        ):
            async for _ in config.open(clock, SourceContext(3)).samples():
                pass
    finally:
        await meter.stop()


@pytest.mark.parametrize("tcp", [False, True])
async def test_a_linky_read_as_a_p1_port_and_the_other_way_round_give_nothing(tcp: bool) -> None:
    clock = FastClock(40.0)
    p1, linky = P1OnWire(clock, P1Version.V50, tcp=tcp), LinkyOnTerminal(clock, TicMode.STANDARD)
    await p1.start()
    await linky.start()
    try:
        for settings in (
            {"type": "linky", "device": p1.meter.device},
            {"type": "p1", "device": linky.meter.device},
        ):
            config = configured(settings)
            async with listening(config.open(clock, SourceContext(3)), clock) as listener:
                await clock.sleep(45.0)
                assert listener.samples == []
    finally:
        await p1.stop()
        await linky.stop()


@pytest.mark.parametrize("name", [name for name in METERS if name.startswith("p1")])
async def test_a_telegram_that_comes_again_and_again_becomes_stale(name: str) -> None:
    async with connected_meter(name) as (meter, clock, listener):
        assert isinstance(meter, P1OnWire)
        (sample,) = await listener.next_samples()
        meter.meter.repeating = True
        await clock.sleep(2.5 * sample.period_s)
        count = len(listener.samples)
        await clock.sleep(2 * sample.period_s)
        assert len(listener.samples) == count
        meter.meter.repeating = False
        await listener.next_samples()


@pytest.mark.parametrize("name", [name for name in METERS if name.startswith("modbus")])
async def test_a_meter_that_answers_but_measures_no_more_becomes_stale(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with connected_meter(name) as (meter, clock, listener):
        assert isinstance(meter, ModbusOnWire)
        await listener.next_samples()
        await clock.sleep(2 * STILL_AFTER_S)
        await listener.next_samples()
        assert "no longer measures" not in caplog.text, "the house may stand still, the grid does not"
        meter.frozen = meter.measured()
        async with asyncio.timeout(PATIENCE_S):
            while "no longer measures" not in caplog.text:
                await clock.sleep(1.0)
        count = len(listener.samples)
        await clock.sleep(30.0)
        assert len(listener.samples) == count
        assert listener.stale
        assert caplog.text.count("no longer measures") == 1
        meter.frozen = None
        await listener.next_samples()
        assert not listener.stale


@each
@pytest.mark.parametrize("correction", [timedelta(hours=1), timedelta(hours=-1), timedelta(days=-400)])
async def test_the_wall_clock_may_jump_and_nothing_becomes_stale(name: str, correction: timedelta) -> None:
    async with connected_meter(name) as (_, clock, listener):
        await listener.next_samples()
        clock.adjust(correction)
        samples = await listener.next_samples(2)
        assert abs(samples[-1].taken_at - clock.now()) < timedelta(seconds=25)
        assert not listener.stale


async def test_a_meter_whose_own_clock_is_wrong_is_taken_by_the_time_of_reception() -> None:
    clock = FastClock(40.0)
    meter = P1OnWire(clock, P1Version.V50)
    await meter.start()
    try:
        ahead = FastClock(40.0)
        ahead.adjust(timedelta(days=3))
        async with listening(open_source(meter, ahead), ahead) as listener:
            first, second = await listener.next_samples(2)
            assert abs(second.taken_at - ahead.now()) < timedelta(seconds=10)
            assert first.taken_at < second.taken_at
    finally:
        await meter.stop()


async def test_the_speed_of_an_old_p1_port_is_found() -> None:
    clock = FastClock(60.0)
    meter = P1OnWire(clock, P1Version.V22, house=HouseReading(Phases(5.0, None, None)))
    await meter.start()
    try:
        config = configured({"type": "p1", "device": meter.meter.device})
        async with listening(config.open(clock, SourceContext(1)), clock) as listener:
            (sample,) = await listener.next_samples()
        assert sample.currents_a == Phases(5.0, None, None)
        assert sample.period_s == 10.0
    finally:
        await meter.stop()


async def test_a_source_ends_whenever_it_is_cancelled(tmp_path: Path) -> None:
    """Cancelled at every step of dialling: Python 3.11's wait_for, on which the Modbus library waits, loses some."""
    settings = {"type": "modbus-rtu", "model": "eastron-sdm630", "device": str(tmp_path / "none"), "timeout_s": 0.3}
    for steps in range(40):
        clock = SystemClock()
        listener = Listener(configured({"type": "modbus", "meter": settings, "every_s": 0.2}).open(clock), clock)
        task = asyncio.create_task(listener.run())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        ended, _ = await asyncio.wait([task], timeout=PATIENCE_S)
        assert ended, f"after {steps} steps"


async def test_a_meter_whose_encryption_was_switched_off_is_read_all_the_same() -> None:
    clock = FastClock(40.0)
    meter = P1OnWire(clock, P1Version.V50)
    await meter.start()
    try:
        source = configured({**meter.settings, "key": KEY.hex()}).open(clock)
        async with listening(source, clock) as listener:
            assert within_1_a((await listener.next_samples(2))[-1].currents_a, HOUSE)
    finally:
        await meter.stop()


async def test_a_wrong_key_gives_nothing_and_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    clock = FastClock(60.0)
    meter = P1OnWire(clock, P1Version.LUXEMBOURG)
    await meter.start()
    try:
        source = configured({**meter.settings, "key": "AB" * 16}).open(clock)
        async with listening(source, clock) as listener:
            await clock.sleep(75.0)
            assert listener.samples == []
        messages = [record.getMessage() for record in caplog.records if "key" in record.getMessage()]
        assert messages == ["P1: telegrams cannot be decrypted with the configured key"]
        assert "ab" * 16 not in caplog.text.lower()
    finally:
        await meter.stop()

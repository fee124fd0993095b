"""The Linky driver and the simulated meter on a real pseudo-terminal, at twenty times the pace."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import termios
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from energy.grid import GridSource, SourceError
from energy.sources.linky import LinkyConfig
from energy.sources.tic import TicMode
from foundation.clock import Clock, TimerHandle
from foundation.table_definition import InvalidTableError
from metering.reading import Phases
from simulator.house import HouseReading
from simulator.linky import SimulatedLinky, historique_frame, standard_frame
from tests.energy.listening import FastClock, Listener, configured, listening
from tests.patience import PATIENCE_S

MONO = HouseReading(Phases(12.0, None, None), subscribed_va=9000)
TRI = HouseReading(Phases(3.0, 6.0, 4.0), subscribed_va=18000)


class SteppingClock(Clock):
    """Time that jumps to whatever is waited for; one waiter only."""

    def __init__(self) -> None:
        super().__init__()
        self._elapsed_s = 0.0

    def now(self) -> datetime:
        return datetime(2026, 1, 15, 12, 0, 0, tzinfo=UTC) + timedelta(seconds=self._elapsed_s)

    def monotonic(self) -> float:
        return self._elapsed_s

    def call_later(self, delay_s: float, callback: Callable[[], object]) -> TimerHandle:
        self._elapsed_s += max(0.0, delay_s)
        return asyncio.get_running_loop().call_soon(callback)

    def _move_wall_time(self, correction: timedelta) -> None:
        raise NotImplementedError


def standard_source(device: str, clock: Clock) -> GridSource:
    return LinkyConfig(device=device, mode="standard").open(clock)


@pytest.mark.parametrize("house", [MONO, TRI], ids=["single-phase", "three-phase"])
@pytest.mark.parametrize("mode", TicMode)
@pytest.mark.parametrize("chosen", ["auto", "fixed"])
async def test_what_the_meter_shows_arrives_and_is_fresh(house: HouseReading, mode: TicMode, chosen: str) -> None:
    clock = FastClock()
    async with SimulatedLinky(lambda: house, clock, mode) as meter:
        settings = {"type": "linky", "device": meter.device, "mode": mode.name.lower() if chosen == "fixed" else "auto"}
        source = configured(settings).open(clock)
        async with listening(source, clock) as listener:
            samples = await listener.next_samples(2)
            assert not listener.stale
    for sample in samples:
        assert sample.currents_a == house.currents_a
        assert sample.subscribed_current_a == pytest.approx(house.subscribed_va / len(house.amperes) / 230)
        assert not sample.overrun


async def test_a_change_in_the_house_is_seen() -> None:
    clock, house = FastClock(), [TRI]
    async with SimulatedLinky(lambda: house[0], clock, TicMode.HISTORIQUE) as meter:
        source = LinkyConfig(device=meter.device, mode="historique").open(clock)
        async with listening(source, clock) as listener:
            await listener.next_samples(1)
            house[0] = HouseReading(Phases(31.0, 6.0, 4.0), subscribed_va=18000)
            overrun = (await listener.next_samples(3))[-1]
            house[0] = TRI
            afterwards = (await listener.next_samples(3))[-1]
    assert overrun.currents_a == Phases(31.0, 6.0, 4.0)
    assert overrun.overrun
    assert overrun.apparent_power_va is None, "short frames carry no power"
    assert overrun.subscribed_current_a == pytest.approx(6000 / 230)
    assert afterwards.currents_a == TRI.currents_a
    assert not afterwards.overrun


async def test_a_silent_meter_becomes_stale_and_nothing_is_invented() -> None:
    clock = FastClock()
    async with (
        SimulatedLinky(lambda: TRI, clock, TicMode.STANDARD) as meter,
        listening(standard_source(meter.device, clock), clock) as listener,
    ):
        await listener.next_samples(1)
        meter.silent = True
        await clock.sleep(2.0)
        count = len(listener.samples)
        await clock.sleep(12.0)
        assert listener.stale
        assert len(listener.samples) == count
        meter.silent = False
        await listener.next_samples(1)
        assert not listener.stale


async def test_a_meter_that_is_found_after_a_long_silence_is_found() -> None:
    clock = FastClock()
    async with SimulatedLinky(lambda: MONO, clock, TicMode.STANDARD) as meter:
        meter.silent = True
        async with listening(LinkyConfig(device=meter.device).open(clock), clock) as listener:
            await clock.sleep(13.0)
            assert listener.samples == []
            meter.silent = False
            assert (await listener.next_samples(1))[0].currents_a == MONO.currents_a


async def test_a_reader_at_another_speed_hears_nothing() -> None:
    clock = FastClock()
    async with SimulatedLinky(lambda: MONO, clock, TicMode.STANDARD) as meter:
        source = LinkyConfig(device=meter.device, mode="historique").open(clock)
        async with listening(source, clock) as listener:
            await clock.sleep(8.0)
            assert listener.samples == []


async def test_a_group_that_noise_made_by_chance_does_not_end_the_search_for_the_speed() -> None:
    clock = FastClock()
    near, far = os.openpty()
    speeds: set[int] = set()
    try:
        async with listening(LinkyConfig(device=os.ttyname(far)).open(clock), clock):
            async with asyncio.timeout(PATIENCE_S):
                while not {termios.B1200, termios.B9600} <= speeds:  # if a group ended the search, only one of them
                    await clock.sleep(6.0)  # a speed is tried for five seconds: never three groups, which do end it
                    os.write(near, b"\nPTEC HP..  \r")
                    speeds.add(termios.tcgetattr(far)[4])
    finally:
        os.close(near)
        os.close(far)


async def test_a_little_noise_costs_samples_and_never_changes_one() -> None:
    clock = FastClock(rate=50.0)
    async with SimulatedLinky(lambda: TRI, clock, TicMode.STANDARD) as meter:
        meter.flips_per_byte = 0.003
        async with listening(standard_source(meter.device, clock), clock) as listener:
            samples = await listener.next_samples(20)
    assert {sample.currents_a for sample in samples} == {TRI.currents_a}
    assert not any(sample.overrun for sample in samples)


async def test_a_line_of_noise_becomes_stale_and_recovers() -> None:
    clock = FastClock()
    async with (
        SimulatedLinky(lambda: TRI, clock, TicMode.STANDARD) as meter,
        listening(standard_source(meter.device, clock), clock) as listener,
    ):
        await listener.next_samples(1)
        meter.flips_per_byte = 0.5
        await clock.sleep(15.0)
        assert listener.stale
        meter.flips_per_byte = 0.0
        await listener.next_samples(1)
        assert not listener.stale
        assert {sample.currents_a for sample in listener.samples} == {TRI.currents_a}


async def test_a_meter_that_restarts_goes_on() -> None:
    clock = FastClock()
    async with (
        SimulatedLinky(lambda: TRI, clock, TicMode.STANDARD) as meter,
        listening(LinkyConfig(device=meter.device).open(clock), clock) as listener,
    ):
        await listener.next_samples(1)
        for _ in range(3):
            meter.restart(outage_s=2.0)
            await listener.next_samples(2)
        assert not listener.stale
        assert {sample.currents_a for sample in listener.samples} == {TRI.currents_a}


async def test_a_device_that_is_taken_away_is_an_error() -> None:
    clock = FastClock()
    meter = SimulatedLinky(lambda: TRI, clock, TicMode.STANDARD)
    await meter.start()
    listener = Listener(standard_source(meter.device, clock), clock)

    async def unplug() -> None:
        await listener.next_samples(1)
        await meter.stop()

    with pytest.raises(SourceError, match=meter.device):
        await asyncio.wait_for(asyncio.gather(listener.run(), unplug()), PATIENCE_S)


async def test_a_source_goes_on_when_its_device_is_back(tmp_path: Path) -> None:
    clock = FastClock()
    device = tmp_path / "linky"
    source = LinkyConfig(device=str(device)).open(clock)
    for mode in (TicMode.STANDARD, TicMode.STANDARD, TicMode.HISTORIQUE):
        with pytest.raises(SourceError):
            await anext(source.samples())
        async with SimulatedLinky(lambda: MONO, clock, mode) as meter:
            device.symlink_to(meter.device)
            async with listening(source, clock) as listener:
                assert (await listener.next_samples(1))[0].currents_a == MONO.currents_a
        device.unlink()


async def test_a_device_that_somebody_else_reads_is_an_error() -> None:
    clock = FastClock()
    async with (
        SimulatedLinky(lambda: TRI, clock, TicMode.STANDARD) as meter,
        listening(standard_source(meter.device, clock), clock) as listener,
    ):
        await listener.next_samples(1)
        with pytest.raises(SourceError, match="locked"):
            await anext(standard_source(meter.device, clock).samples())
        await listener.next_samples(1)


async def test_a_device_can_be_read_again_and_again() -> None:
    # A pseudo-terminal cannot do 7E1: the kernel lets it pass while anything else changes, then refuses it.
    clock = FastClock()
    async with SimulatedLinky(lambda: TRI, clock, TicMode.STANDARD) as meter:
        for _ in range(3):
            async with listening(standard_source(meter.device, clock), clock) as listener:
                assert (await listener.next_samples(1))[0].currents_a == TRI.currents_a


# --- the configuration


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"type": "linky"}, "device"),
        ({"type": "linky", "device": ""}, "device"),
        ({"type": "linky", "device": "/dev/ttyS0", "mode": "moderne"}, "mode"),
        ({"type": "linky", "device": "/dev/ttyS0", "baud": 1200}, "baud"),
        ({"type": "telepathy"}, "type"),
    ],
)
def test_a_wrong_configuration_names_the_field(settings: dict[str, str], complaint: str) -> None:
    with pytest.raises(InvalidTableError, match=complaint):
        configured(settings)


def test_knowing_the_sources_loads_no_serial_library() -> None:
    program = "import sys, energy.sources; sys.exit('serialx' in sys.modules)"
    repository = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", program], cwd=repository, check=True)


# --- the simulated meter


class RecordingHouse:
    """A house that records when its meter reads it: once for each frame."""

    def __init__(self, reading: HouseReading, clock: Clock, times: int) -> None:
        self.read_times_s: list[float] = []
        self.done = asyncio.Event()
        self._reading = reading
        self._clock = clock
        self._times = times

    def __call__(self) -> HouseReading:
        self.read_times_s.append(self._clock.monotonic())
        if len(self.read_times_s) == self._times:
            self.done.set()
        return self._reading


@pytest.mark.parametrize(
    ("reading", "mode", "frame"),
    [
        (MONO, TicMode.HISTORIQUE, historique_frame(MONO)),
        (TRI, TicMode.STANDARD, standard_frame(TRI, datetime(2026, 1, 15, tzinfo=UTC))),
    ],
)
async def test_frames_take_ten_bits_a_character_and_a_gap(
    reading: HouseReading, mode: TicMode, frame: list[bytes]
) -> None:
    clock = SteppingClock()
    house = RecordingHouse(reading, clock, times=3)
    async with SimulatedLinky(house, clock, mode), asyncio.timeout(PATIENCE_S):
        await house.done.wait()
    frame_s = len(b"".join(frame)) * 10 / mode.value + 0.025
    assert house.read_times_s[:3] == pytest.approx([0.0, frame_s, 2 * frame_s])


async def test_an_overrun_brings_twenty_short_frames_for_each_long_one() -> None:
    clock = SteppingClock()
    over = HouseReading(Phases(31.0, 6.0, 4.0), subscribed_va=18000)
    house = RecordingHouse(over, clock, times=44)
    async with SimulatedLinky(house, clock, TicMode.HISTORIQUE), asyncio.timeout(PATIENCE_S):
        await house.done.wait()
    long_s = len(b"".join(historique_frame(over))) * 10 / 1200 + 0.025
    lasted_s = [later - earlier for earlier, later in pairwise(house.read_times_s)]
    assert [index for index, duration_s in enumerate(lasted_s) if duration_s == pytest.approx(long_s)] == [20, 41]


async def test_nobody_has_to_read() -> None:
    clock = FastClock(rate=200.0)
    async with SimulatedLinky(lambda: TRI, clock, TicMode.STANDARD) as meter:
        written_s = 60.0
        async with asyncio.timeout(PATIENCE_S):
            await clock.sleep(written_s)  # three times what the pseudo-terminal holds
    with pytest.raises(RuntimeError, match="has not been started"):
        _ = meter.device


async def test_a_house_that_fails_is_not_hidden() -> None:
    called = asyncio.Event()

    def broken() -> HouseReading:
        called.set()
        raise ZeroDivisionError

    meter = SimulatedLinky(broken, FastClock())
    await meter.start()
    await asyncio.wait_for(called.wait(), PATIENCE_S)
    with pytest.raises(ZeroDivisionError):
        await meter.stop()
    await meter.stop()


async def test_a_stopped_meter_leaves_nothing_open() -> None:
    before = len(os.listdir("/proc/self/fd"))
    meter = SimulatedLinky(lambda: TRI, FastClock(), TicMode.STANDARD)
    for _ in range(3):
        await meter.start()
        await meter.start()
        await meter.stop()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_house_has_one_phase_or_three() -> None:
    with pytest.raises(ValueError, match="currents_a"):
        HouseReading(Phases(1.0, 2.0, None))

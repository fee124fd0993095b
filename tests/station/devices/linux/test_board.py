"""The Linux board on a bench: what it drives in which order, what it sees, and what it does when a wire is gone."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from gpiod import LineSettings

from foundation.table_definition import InvalidTableError
from simulator.clock import VirtualClock
from station.core.hardware.board import SAFE_OUTPUTS, BoardError, Observation, Outputs, SelfTest
from station.core.model import Fault, PilotState
from station.devices.linux.back_plate import LinuxBackPlate
from station.devices.linux.board import CONVERTER_TIMEOUT_S, LinuxBoard
from station.devices.linux.gpio import GpioLines, LineRequest, RequestLines
from station.devices.linux.linux_board_config import LinuxBoardConfig
from station.devices.linux.wiring import GpioLine, SelectorWiring
from tests import fakes
from tests.linux_double import (
    BAY,
    CONTACTOR,
    EMERGENCY,
    FEEDBACK,
    FLAP,
    GAIN,
    HOT,
    JUMPERS,
    OPEN,
    SHUNT,
    SHUT,
    TEST,
    TRIPPED,
    Bench,
    Chips,
    raw_count,
)
from tests.patience import until

CHARGING = Outputs(pilot_a=16.0, contactor=True, lock=True)


class Rig:
    """A board, its bench, and the last observation of the board."""

    def __init__(self, bench: Bench, board: LinuxBoard, clock: VirtualClock) -> None:
        self.bench = bench
        self.board = board
        self.clock = clock
        self.observation = Observation()
        self.count = 0

    async def follow(self) -> None:
        """Store each observation, and count them."""
        async for observation in self.board.observations():
            self.observation, self.count = observation, self.count + 1

    async def until(self, condition: Callable[[], bool]) -> None:
        """Advance the clock until a condition holds."""
        for _ in range(40):
            if condition():
                return
            await self.clock.advance(0.05)
        raise AssertionError(f"not so within two seconds; last observation: {self.observation}")


class _Unheld(VirtualClock):
    """A virtual clock that does not stand while a thread reads the hardware."""

    @contextlib.contextmanager
    def outside_wait(self, patience_s: float = 5.0) -> Generator[None]:
        del patience_s
        yield


def board_of(
    bench: Bench, clock: VirtualClock, *, converter_timeout_s: float = CONVERTER_TIMEOUT_S, **changes: object
) -> LinuxBoard:
    config = LinuxBoardConfig.from_tree({**bench.table(), **changes})
    return LinuxBoard(
        config.evse[0],
        clock,
        unrated_cable=13,
        request_lines=bench.chips.request_lines,
        converter_timeout_s=converter_timeout_s,
    )


@contextlib.asynccontextmanager
async def rigged(root: Path) -> AsyncGenerator[Rig]:
    clock, bench = fakes.clock(), Bench(root)
    rig = Rig(bench, board_of(bench, clock), clock)
    await rig.board.apply(SAFE_OUTPUTS)
    following = asyncio.create_task(rig.follow())
    await rig.until(lambda: rig.count > 0)
    try:
        yield rig
    finally:
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following


async def test_at_rest_the_pilot_is_steady_and_nothing_is_closed(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        assert rig.bench.duty == 1.0
        assert not rig.bench.chips.active[CONTACTOR]
        assert rig.observation == Observation(pilot=PilotState.A, temperature_c=21.5)


@pytest.mark.parametrize(("current_a", "duty"), [(6.0, 0.1), (16.0, 0.26667), (32.0, 0.53333), (63.0, 0.892)])
async def test_a_current_is_offered_by_the_duty_cycle(tmp_path: Path, current_a: float, duty: float) -> None:
    async with rigged(tmp_path) as rig:
        await rig.board.apply(Outputs(pilot_a=current_a))
        assert rig.bench.duty == pytest.approx(duty, abs=1e-5)


async def test_a_fault_holds_the_pilot_at_minus_twelve_volts(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        await rig.board.apply(Outputs(pilot_fault=True))
        assert rig.bench.duty == 0.0


async def test_an_inverting_stage_gets_the_other_part_of_the_period(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    evse = bench.table()["evse"][0]
    evse["pilot"]["pwm"]["inverted"] = True
    board = board_of(bench, fakes.clock(), evse=[evse])
    await board.apply(Outputs(pilot_a=15.0))
    assert bench.duty == 0.75
    await board.apply(SAFE_OUTPUTS)
    assert bench.duty == 0.0


async def test_a_channel_that_udev_hands_over_a_moment_after_its_export_is_no_failure(tmp_path: Path) -> None:
    """At a cold boot; else nothing would be known of the contactor before the first charge."""
    bench = Bench(tmp_path)
    exported, hidden = bench.pwm / "pwm0", bench.pwm / "later"
    exported.rename(hidden)
    udev = threading.Timer(0.1, hidden.rename, (exported,))
    udev.start()
    try:
        await board_of(bench, fakes.clock()).apply(SAFE_OUTPUTS)
    finally:
        udev.join()
    assert (bench.pwm / "export").read_text() == "0"
    assert bench.duty == 1.0


async def test_the_contactor_closes_last_and_opens_first(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        duties: list[tuple[bool, float]] = []
        previous_on_output = rig.bench.chips.on_output

        def record_duty(line: int, active: bool) -> None:
            previous_on_output(line, active)
            if line == CONTACTOR:
                duties.append((active, rig.bench.duty))

        rig.bench.chips.on_output = record_duty
        await rig.board.apply(CHARGING)
        await rig.board.apply(SAFE_OUTPUTS)
        assert duties == [(True, pytest.approx(0.26667, abs=1e-5)), (False, pytest.approx(0.26667, abs=1e-5))]


@pytest.mark.parametrize(("volts", "state"), [(9.0, "B"), (6.0, "C"), (3.0, "D"), (0.0, "E"), (-12.0, "F")])
async def test_the_voltage_of_the_pilot_is_its_state(tmp_path: Path, volts: float, state: str) -> None:
    async with rigged(tmp_path) as rig:
        rig.bench.set_pilot_voltages(volts)
        await rig.until(lambda: rig.observation.pilot is PilotState(state))


async def test_a_missing_diode_is_found_while_the_pilot_waves_and_only_then(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        rig.bench.set_pilot_voltages(6.0, -6.0)
        await rig.until(lambda: rig.observation.pilot is PilotState.C)
        assert not rig.observation.faults
        await rig.board.apply(Outputs(pilot_a=16.0))
        await rig.until(lambda: rig.observation.faults == frozenset({Fault.DIODE}))


async def test_a_diode_is_missing_when_two_looks_in_a_row_say_so(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        await rig.board.apply(Outputs(pilot_a=16.0))
        rig.bench.set_pilot_voltages(6.0)
        await rig.until(lambda: rig.observation.pilot is PilotState.C)
        rig.bench.set_pilot_voltages(6.0, -6.0)
        await rig.clock.advance(0.05)
        assert not rig.observation.faults
        rig.bench.set_pilot_voltages(6.0)
        await rig.clock.advance(0.05)
        rig.bench.set_pilot_voltages(6.0, -6.0)
        await rig.clock.advance(0.05)
        assert not rig.observation.faults
        await rig.clock.advance(0.05)
        assert rig.observation.faults == {Fault.DIODE}


@pytest.mark.parametrize(("first", "then"), [(None, 16.0), (16.0, None)])
async def test_an_offer_that_begins_or_ends_within_a_look_makes_no_diode_fault(
    tmp_path: Path, first: float | None, then: float | None
) -> None:
    """A steady pilot has no negative half."""
    async with rigged(tmp_path) as rig:
        rig.bench.set_pilot_voltages(9.0, -12.0 if first else 9.0)
        await rig.board.apply(Outputs(pilot_a=first))
        await rig.until(lambda: rig.observation.pilot is PilotState.B)
        with rig.bench.hold_channel(1) as negative_half:
            moved = asyncio.create_task(rig.clock.advance(0.05))
            await until(lambda: negative_half.readers)
            await rig.board.apply(Outputs(pilot_a=then))
            rig.bench.set_pilot_voltages(9.0, -12.0 if then else 9.0)
            negative_half.release(raw_count(9.0 / GAIN))
            await moved
        assert not rig.observation.faults
        await rig.clock.advance(0.2)
        assert not rig.observation.faults


@pytest.mark.parametrize(("resistance_ohm", "cable_max_a"), [(1500, 13), (680, 20), (220, 32), (100, 63), (1000, 13)])
async def test_the_resistor_in_the_plug_gives_the_rating_of_the_cable(
    tmp_path: Path, resistance_ohm: float, cable_max_a: float
) -> None:
    """The last one tells no rating: it gets what is configured for it."""
    async with rigged(tmp_path) as rig:
        rig.bench.set_cable_resistance(resistance_ohm)
        await rig.until(lambda: rig.observation.cable_plugged)
        assert rig.observation.cable_max_a == cable_max_a


async def test_with_an_attached_cable_a_vehicle_is_detected_by_the_pilot(tmp_path: Path) -> None:
    bench, clock = Bench(tmp_path), fakes.clock()
    evse = {**bench.table()["evse"][0], "proximity": None, "lock": None}
    board = board_of(bench, clock, evse=[evse])
    watching = board.observations()
    assert not (await anext(watching)).cable_plugged
    bench.set_pilot_voltages(9.0)
    next_observation = asyncio.ensure_future(anext(watching))
    await clock.advance(0.1)
    assert (await next_observation).cable_plugged
    bench.set_pilot_voltages(-12.0)  # our own: the vehicle is behind it
    next_observation = asyncio.ensure_future(anext(watching))
    await clock.advance(0.1)
    assert (await next_observation).cable_plugged


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (TRIPPED, Fault.DC_RESIDUAL_CURRENT),
        (EMERGENCY, Fault.EMERGENCY_STOP),
        (HOT, Fault.OVER_TEMPERATURE),
    ],
)
async def test_an_input_is_a_fault_while_it_is_active(tmp_path: Path, line: int, fault: Fault) -> None:
    async with rigged(tmp_path) as rig:
        rig.bench.set_input(line, True)
        await rig.until(lambda: rig.observation.faults == frozenset({fault}))
        rig.bench.set_input(line, False)
        await rig.until(lambda: not rig.observation.faults)


async def test_the_bay_and_the_contactor_are_seen_and_a_weld_too(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        rig.bench.set_input(BAY, True)
        await rig.until(lambda: rig.observation.bay_occupied)
        rig.bench.welded = True
        await rig.board.apply(CHARGING)
        await rig.until(lambda: rig.observation.contactor_closed)
        await rig.board.apply(SAFE_OUTPUTS)
        await rig.clock.advance(0.2)
        assert rig.observation.contactor_closed


async def test_a_motor_lock_is_driven_for_its_pulse_and_never_both_ways(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        await rig.board.apply(Outputs(lock=True))
        assert (rig.bench.chips.active[SHUT], rig.bench.chips.active[OPEN]) == (True, False)
        await rig.until(lambda: rig.observation.locked)
        await rig.clock.advance(0.7)
        assert not rig.bench.chips.active[SHUT]
        await rig.board.apply(SAFE_OUTPUTS)
        assert (rig.bench.chips.active[SHUT], rig.bench.chips.active[OPEN]) == (False, True)
        await rig.until(lambda: not rig.observation.locked)


async def test_a_stuck_lock_is_driven_again_with_the_next_order(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        rig.bench.lock_stuck = True
        await rig.board.apply(Outputs(lock=True))
        await rig.clock.advance(1)
        assert not rig.observation.locked
        rig.bench.lock_stuck = False
        await rig.board.apply(Outputs(lock=True))
        await rig.until(lambda: rig.observation.locked)


async def test_a_solenoid_holds_while_it_is_energised(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    evse = {**bench.table()["evse"][0], "lock": {"kind": "solenoid", "shut": {"line": SHUT}}}
    board = board_of(bench, fakes.clock(), evse=[evse])
    await board.apply(Outputs(lock=True))
    assert bench.chips.active[SHUT]
    assert (await anext(board.observations())).locked
    await board.apply(SAFE_OUTPUTS)
    assert not bench.chips.active[SHUT]


async def test_the_monitor_tests_itself_without_a_fault_being_reported(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        testing = asyncio.create_task(rig.board.test_residual_monitor())
        faults: set[Fault] = set()
        while not testing.done():
            await rig.clock.advance(0.05)
            faults |= rig.observation.faults
        assert (await testing, faults) == (SelfTest.PASSED, set())


async def test_a_reading_that_began_during_a_self_test_reports_no_residual_current_when_it_ends_after(
    tmp_path: Path,
) -> None:
    clock, bench = _Unheld(start=fakes.NOON), Bench(tmp_path)
    board = board_of(bench, clock)
    bench.chips.on_output = lambda line, active: bench.set_input(TRIPPED, True) if line == TEST and active else None
    testing = asyncio.create_task(board.test_residual_monitor())
    await clock.settle()
    with bench.hold_channel(0) as converter:
        looking = asyncio.create_task(anext(board.observations()))
        await until(lambda: converter.readers)
        bench.set_input(TRIPPED, False)
        await clock.advance(0.1)
        assert testing.result() is SelfTest.PASSED
        converter.release()
        assert not (await looking).faults


async def test_a_test_that_is_broken_off_ends_and_its_trip_is_no_fault(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        rig.bench.chips.on_output = lambda line, active: None  # a slow monitor
        testing = asyncio.create_task(rig.board.test_residual_monitor())
        await rig.clock.advance(0.1)
        testing.cancel()
        await asyncio.wait([testing])
        assert not rig.bench.chips.active[TEST]
        rig.bench.set_input(TRIPPED, True)
        await rig.clock.advance(1.9)
        assert not rig.observation.faults
        rig.bench.set_input(TRIPPED, False)
        await rig.clock.advance(0.2)
        rig.bench.set_input(TRIPPED, True)
        await rig.clock.advance(0.1)
        assert rig.observation.faults == {Fault.DC_RESIDUAL_CURRENT}


async def test_a_monitor_that_does_not_trip_has_failed(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        rig.bench.monitor_broken = True
        testing = asyncio.create_task(rig.board.test_residual_monitor())
        await rig.clock.advance(3)
        assert await testing is SelfTest.FAILED


async def test_the_contactor_and_a_test_exclude_each_other(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        rig.bench.monitor_broken = True
        testing = asyncio.create_task(rig.board.test_residual_monitor())
        await rig.clock.advance(0.1)
        with pytest.raises(BoardError, match="being tested"):
            await rig.board.apply(CHARGING)
        await rig.clock.advance(3)
        await testing
        await rig.board.apply(CHARGING)
        with pytest.raises(BoardError, match="contactor is closed"):
            await rig.board.test_residual_monitor()


async def test_a_chip_that_is_gone_is_a_board_error_and_its_return_is_enough(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    board = board_of(bench, fakes.clock())
    bench.chips.missing = True
    with pytest.raises(BoardError, match="/dev/gpiochip0"):
        await board.apply(CHARGING)
    with pytest.raises(BoardError, match="/dev/gpiochip0"):
        await anext(board.observations())
    bench.chips.missing = False
    await board.apply(CHARGING)
    assert (await anext(board.observations())).contactor_closed
    bench.chips.missing = True
    with pytest.raises(BoardError, match="No such device"):
        await board.apply(SAFE_OUTPUTS)
    bench.chips.missing = False
    await board.apply(SAFE_OUTPUTS)
    assert not bench.chips.active[FEEDBACK]


async def test_without_its_lines_the_pilot_still_pauses_signals_the_fault_and_idles(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        charging, duties = Outputs(16.0, contactor=True), list[float]()
        for order in (Outputs(), Outputs(pilot_fault=True)):
            await rig.board.apply(charging)
            rig.bench.chips.missing = True
            with pytest.raises(BoardError, match="No such device"):
                await rig.board.apply(order)
            duties.append(rig.bench.duty)
            rig.bench.chips.missing = False
        await rig.board.apply(charging)
        rig.bench.chips.missing = True
        with pytest.raises(BoardError, match="No such device"):
            await rig.board.close()
        assert [*duties, rig.bench.duty] == [1.0, 0.0, 1.0]


def of_both(first: Chips, second: Chips) -> RequestLines:
    """As gpiod.request_lines, of two chips."""

    def request_lines(path: str, config: dict[Any, LineSettings | None], consumer: str) -> LineRequest:
        return (first if path == first.path else second).request_lines(path, config, consumer)

    return request_lines


async def test_a_chip_that_is_gone_keeps_no_output_of_another_chip_from_rest(tmp_path: Path) -> None:
    """An expander on I²C with the sensor of the bay, and the contactor and the lock on the machine's own lines."""
    bench, expander, clock = Bench(tmp_path), Chips("/dev/gpiochip1"), fakes.clock()

    evse = bench.table()["evse"][0]
    evse["bay"] = {"line": BAY, "chip": expander.path}
    config = LinuxBoardConfig.from_tree({**bench.table(), "evse": [evse]})
    board = LinuxBoard(config.evse[0], clock, unrated_cable=13, request_lines=of_both(bench.chips, expander))
    await board.apply(CHARGING)
    assert (await anext(board.observations())).contactor_closed
    expander.missing = True
    with pytest.raises(BoardError, match="No such device"):
        await anext(board.observations())
    await board.apply(SAFE_OUTPUTS)
    assert not bench.chips.active[FEEDBACK]
    assert bench.chips.active[OPEN]
    await clock.advance(1.0)
    with pytest.raises(BoardError, match="/dev/gpiochip1"):
        await anext(board.observations())
    assert not bench.chips.active[OPEN], "the motor's time is over"
    expander.missing = False
    await board.apply(CHARGING)
    assert (await anext(board.observations())).contactor_closed


def test_letting_go_of_lines_brings_each_output_to_rest_although_one_chip_is_gone() -> None:
    first, second = Chips("/dev/gpiochip0"), Chips("/dev/gpiochip1")
    outputs = {"one": GpioLine(line=1, chip=first.path), "two": GpioLine(line=2, chip=second.path)}
    lines = GpioLines({}, outputs, of_both(first, second))
    for name in outputs:
        lines.write(name, True)
    first.missing = True
    with pytest.raises(OSError, match="No such device"):
        lines.close()
    assert not second.active[2]
    assert not second.settings
    first.missing = False
    lines.close()


async def test_without_its_pwm_the_contactor_opens_and_does_not_close_and_the_cable_is_let_go(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        await rig.board.apply(CHARGING)
        duty = rig.bench.pwm / "pwm0" / "duty_cycle"
        duty.unlink()
        duty.mkdir()
        with pytest.raises(BoardError, match="duty_cycle"):
            await rig.board.apply(SAFE_OUTPUTS)
        assert not rig.bench.chips.active[CONTACTOR]
        assert rig.bench.chips.active[OPEN]
        with pytest.raises(BoardError, match="duty_cycle"):
            await rig.board.apply(CHARGING)
        assert not rig.bench.chips.active[CONTACTOR]


async def test_a_converter_that_is_gone_is_a_board_error(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    board = board_of(bench, fakes.clock())
    (bench.converter / "in_voltage0_raw").write_text("nothing")
    with pytest.raises(BoardError, match="is not a number"):
        await anext(board.observations())
    (bench.converter / "in_voltage0_raw").unlink()
    with pytest.raises(BoardError, match="in_voltage0_raw"):
        await anext(board.observations())


async def first_answer(board: LinuxBoard) -> Observation:
    """The first observation that a converter does not delay too long."""
    while True:
        with contextlib.suppress(BoardError):
            return await anext(board.observations())


async def test_a_converter_that_hangs_is_a_board_error_and_holds_one_thread(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    board = board_of(bench, fakes.clock(), converter_timeout_s=0.05)
    with bench.hold_channel(0) as converter:
        with pytest.raises(BoardError, match="do not answer"):
            await anext(board.observations())
        await until(lambda: converter.readers)
        for _ in range(2):
            with pytest.raises(BoardError, match="do not answer"):
                await anext(board.observations())
        assert converter.readers == 1
        converter.release(raw_count(9.0 / GAIN))
        assert (await first_answer(board)).pilot is PilotState.A, "what was asked too long ago says nothing of now"


async def test_a_look_that_never_ends_is_overdue(tmp_path: Path) -> None:
    clock, bench = _Unheld(start=fakes.NOON), Bench(tmp_path)
    board = board_of(bench, clock)
    with bench.hold_channel(0) as converter:
        looking = asyncio.create_task(anext(board.observations()))
        await until(lambda: converter.readers)
        assert not board.observation_task.overdue
        await clock.advance(16)
        assert board.observation_task.overdue
        converter.release()
        await looking
    assert not board.observation_task.overdue


async def test_what_a_pilot_cannot_signal_opens_the_contactor(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        with pytest.raises(BoardError, match="6 to 80 A"):
            await rig.board.apply(Outputs(pilot_a=3.0))
        assert not rig.bench.chips.active[CONTACTOR]


async def test_phases_are_switched_while_the_contactor_is_open_and_seen_where_they_are(tmp_path: Path) -> None:
    clock, bench = fakes.clock(), Bench(tmp_path)
    evse = bench.table()["evse"][0] | {"phases": {"connect": {"line": 40}, "feedback": {"line": 41}}}
    rig = Rig(bench, board_of(bench, clock, evse=[evse]), clock)
    following = asyncio.create_task(rig.follow())
    await rig.board.apply(Outputs(phases=3))
    bench.set_input(41, True)
    await rig.until(lambda: rig.observation.phases == 3)
    await rig.board.apply(Outputs(16.0, contactor=True, phases=3))
    await rig.until(lambda: rig.observation.contactor_closed)
    await rig.board.apply(Outputs(phases=1))
    assert bench.chips.active[40], "the contactor was closed when that was ordered"
    await rig.until(lambda: not rig.observation.contactor_closed)
    await rig.board.apply(Outputs(phases=1))
    assert not bench.chips.active[40]
    await clock.advance(2.0)
    assert (rig.observation.phases, rig.observation.faults) == (3, frozenset())
    await clock.advance(2.0)
    assert rig.observation.faults == {Fault.POWER_SWITCH}
    bench.set_input(41, False)
    await rig.until(lambda: rig.observation.phases == 1)
    assert rig.observation.faults == frozenset()
    following.cancel()
    await asyncio.wait([following])


@pytest.mark.parametrize("phases", [3, None])
async def test_the_relay_of_the_phases_is_where_it_was_ordered_when_its_chip_is_back(
    tmp_path: Path, phases: int | None
) -> None:
    """Else each charge after that would be a fault of the relay."""
    bench = Bench(tmp_path)
    evse = bench.table()["evse"][0] | {"phases": {"connect": {"line": 40}, "feedback": {"line": 41}}}
    board = board_of(bench, fakes.clock(), evse=[evse])
    await board.apply(Outputs(phases=3))
    bench.chips.missing = True
    with pytest.raises(BoardError):
        await anext(board.observations())
    bench.chips.missing = False
    await anext(board.observations())
    assert not bench.chips.active[40], "lines that are requested again begin inactive"
    await board.apply(Outputs(phases=phases))
    assert bench.chips.active[40]


async def test_letting_go_leaves_everything_at_rest(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        await rig.board.apply(CHARGING)
        await rig.until(lambda: rig.observation.locked)
        closing = asyncio.create_task(rig.board.close())
        await rig.clock.advance(1)
        await closing
        assert not any(rig.bench.chips.active[line] for line in (CONTACTOR, SHUT, OPEN))
        assert rig.bench.duty == 1.0


# --- the back plate


@contextlib.asynccontextmanager
async def plated(bench: Bench, **changes: object) -> AsyncGenerator[tuple[LinuxBackPlate, VirtualClock]]:
    clock = fakes.clock()
    config = LinuxBoardConfig.from_tree({**bench.table(), **changes})
    plate = LinuxBackPlate(config, clock, bench.chips.request_lines)

    async def follow() -> None:
        async for _ in plate.views():
            pass

    following = asyncio.create_task(follow())
    await clock.advance(0.1)
    try:
        yield plate, clock
    finally:
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following


@pytest.mark.parametrize(
    ("number", "position"), [(0, "Z"), (1, "32"), (4, "16"), (6, "8"), (7, "X"), (9, None), (15, None)]
)
async def test_the_bits_of_the_selector_are_a_printed_position_or_nothing(
    tmp_path: Path, number: int, position: str | None
) -> None:
    bench = Bench(tmp_path)
    bench.set_selector(number)
    async with plated(bench) as (plate, _):
        assert plate.view.selector == position


@pytest.mark.parametrize(
    ("lines", "positions", "number"),
    [
        (4, ("32", "25", "20", "16", "12", "8", "X", "Y", "Z"), "number 0 .* inactive"),
        (2, ("8", "16", "20", "32"), "number 3 .* active"),
    ],
)
def test_a_selector_whose_plug_is_off_must_not_allow_more_than_8_a(
    lines: int, positions: tuple[str, ...], number: str
) -> None:
    table = {"lines": [{"line": line} for line in range(lines)], "positions": positions}
    with pytest.raises(InvalidTableError, match=number):
        SelectorWiring.from_tree(table)
    with pytest.raises(InvalidTableError, match=r"positions.*required"):
        SelectorWiring.from_tree({"lines": table["lines"]})


async def test_a_selector_that_is_being_turned_is_believed_when_it_stands(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.set_selector(4)
    async with plated(bench) as (plate, clock):
        bench.set_selector(7)  # between 16 and 12 A all bits bounce
        await clock.advance(0.2)
        assert plate.view.selector == "16"
        bench.set_selector(5)
        await clock.advance(0.2)
        assert plate.view.selector == "16"
        await clock.advance(0.2)
        assert plate.view.selector == "12"


async def test_a_back_plate_without_a_selector_reports_none(tmp_path: Path) -> None:
    async with plated(Bench(tmp_path), selector=None) as (plate, _):
        assert plate.view.selector is None


async def test_jumpers_stand_on_one_position_or_cannot_be_read(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.set_input(JUMPERS[1], True)
    async with plated(bench) as (plate, clock):
        assert plate.view.jumpers == "3-4"
        bench.set_input(JUMPERS[4], True)
        await clock.advance(0.5)
        assert plate.view.jumpers is None


async def test_the_flap_is_seen_and_the_shunt_trip_is_driven(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    async with plated(bench) as (plate, clock):
        assert not plate.view.flap_open
        bench.set_input(FLAP, True)
        await clock.advance(0.5)
        assert plate.view.flap_open
        await plate.energise_shunt_trip(True)
        assert bench.chips.active[SHUNT]
        await plate.close()
        assert not bench.chips.active[SHUNT]


async def test_a_back_plate_that_cannot_be_read_reports_no_position_and_raises_no_alarm(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    async with plated(bench) as (plate, clock):
        assert plate.view.selector == "32"
        bench.chips.missing = True
        await clock.advance(0.5)
        assert (plate.view.selector, plate.view.flap_open) == (None, False)
        with pytest.raises(BoardError):
            await plate.energise_shunt_trip(True)
        bench.chips.missing = False
        await clock.advance(0.5)
        assert plate.view.selector == "32"


async def test_a_shunt_trip_that_is_held_is_energised_again_when_its_chip_is_back(tmp_path: Path) -> None:
    """A station on another phase, or behind a breaker that was closed again, lives on: service has not cleared it."""
    bench = Bench(tmp_path)
    async with plated(bench) as (plate, clock):
        await plate.energise_shunt_trip(True)
        bench.chips.missing = True
        await clock.advance(0.5)
        bench.chips.active[SHUNT] = False  # the driver of the chip lets it fall
        bench.chips.missing = False
        await clock.advance(0.5)
        assert bench.chips.active[SHUNT]
        await plate.energise_shunt_trip(False)
        bench.chips.missing = True
        await clock.advance(0.5)
        bench.chips.missing = False
        await clock.advance(0.5)
        assert not bench.chips.active[SHUNT]


async def test_without_a_shunt_trip_there_is_none_to_energise(tmp_path: Path) -> None:
    async with plated(Bench(tmp_path), shunt_trip=None) as (plate, _):
        with pytest.raises(BoardError, match="no shunt trip"):
            await plate.energise_shunt_trip(True)

"""`borne board`: the lines, the inputs, and outputs that are safe again whatever ends the command."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from borne.bring_up.board_outputs import UnsafeOutputError, hold_line
from foundation.clock import SystemClock
from simulator.clock import VirtualClock
from station.devices.linux.back_plate import LinuxBackPlate
from station.devices.linux.board import LinuxBoard
from station.devices.linux.board_lines import board_lines
from station.devices.linux.linux_board_config import LinuxBoardConfig
from station.storage.storage_lock import StorageLock, StorageLockError
from tests import fakes
from tests.borne.bring_up.board_bench import BoardBench
from tests.command_line import invoke
from tests.linux_double import CONTACTOR, FLAP, OPEN, SHUNT, SHUT, TEST, Bench, Chips
from tests.patience import until
from tests.terminal import CTRL_C, CTRL_Q, CTRL_S

WITH_STATION = {
    "watch": (),
    "set": ("evse1.contactor",),
    "pilot": ("--duty", "50"),
    "lock": (),
    "light": (),
    "reader": (),
    "meter": (),
    "report": ("report.json",),
}


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BoardBench:
    return BoardBench(tmp_path, monkeypatch)


# Lines and inputs


async def test_the_directions_of_the_lines_are_those_that_the_drivers_request(tmp_path: Path) -> None:
    clock, chips = fakes.clock(), Chips()
    bench = Bench(tmp_path, chips)
    table = bench.table()
    table["evse"][0]["phases"] = {"connect": {"line": 15}, "feedback": {"line": 16}}
    config = LinuxBoardConfig.from_tree(table)
    driver = LinuxBoard(config.evse[0], clock, unrated_cable=13, request_lines=chips.request_lines)
    await driver.close()
    back_plate = LinuxBackPlate(config, clock, chips.request_lines)
    requested = await _requested_directions(driver, back_plate, chips, clock)
    assert {line.line.line: line.output for line in board_lines(config)} == requested


async def _requested_directions(
    driver: LinuxBoard, back_plate: LinuxBackPlate, chips: Chips, clock: VirtualClock
) -> dict[int, bool]:
    await anext(driver.observations())
    await anext(back_plate.views())
    del clock
    return {line: settings.direction.name == "OUTPUT" for line, settings in chips.settings.items()}


def test_lines_are_listed_with_name_direction_and_place_and_none_is_requested(board: BoardBench) -> None:
    board.bench.chips.busy_lines.add(SHUNT)
    listed = board.invoke("lines")
    assert listed.exit_code == 0
    rows = {row.split()[0]: row for row in listed.stdout.splitlines()}
    assert len(rows) == 21
    assert "output  /dev/gpiochip0 5 " in rows["evse1.contactor"]
    assert "input   /dev/gpiochip0 20" in rows["flap"]
    assert "active low , pull-up" in rows["flap"]
    assert "in use by other" in rows["shunt_trip"]
    assert {"evse1.lock.shut", "evse1.residual.test", "selector.bit3", "jumpers.9-10"} <= set(rows)
    assert board.bench.chips.written == []


def test_a_chip_that_is_not_there_is_said_so_at_each_of_its_lines(board: BoardBench) -> None:
    board.bench.chips.missing = True
    assert board.invoke("lines").stdout.count("NOT there: /dev/gpiochip0: No such file") == 21


def test_inputs_are_shown_without_an_output_being_requested(board: BoardBench) -> None:
    board.bench.set_input(FLAP, True)
    board.bench.set_pilot_voltages(8.9)
    board.bench.set_cable_resistance(680.0)
    shown = board.invoke("watch", "--seconds", "0.01")
    assert shown.exit_code == 0, shown
    lines = shown.stdout.splitlines()
    assert "flap: active" in lines
    assert "evse1.pilot: 8.9 V / -12.0 V, state B" in lines
    assert "evse1.temperature: 21.3 °C" in lines
    assert any(line.startswith("evse1.proximity: ") and "cable of 20 A" in line for line in lines)
    assert not any("contactor:" in line for line in lines)
    assert board.bench.chips.written == []


async def test_a_change_is_shown_on_a_terminal_until_ctrl_c(board: BoardBench) -> None:
    async with board.in_terminal("watch") as terminal:
        await terminal.wait_for("12.0 V / -12.0 V, state A")
        board.bench.set_pilot_voltages(5.9)
        await terminal.wait_for("5.9 V / -12.0 V, state C")
        terminal.type(CTRL_C)
        assert await terminal.exit_code() == 1
        assert "stopped by SIGINT" in terminal.text
    assert board.written == []


# The confirmation


async def test_a_contactor_is_closed_once_its_name_is_typed_and_opens_by_itself(board: BoardBench) -> None:
    async with board.in_terminal("set", "evse1.contactor", "--seconds", "0.5") as terminal:
        await terminal.wait_for("Type evse1.contactor to confirm: ")
        assert "CLOSES A CONTACTOR" in terminal.text
        assert board.written == []
        terminal.type_line("evse1.contactor")
        assert await terminal.exit_code() == 0, terminal.text
        shown = terminal.text
    assert "evse1.contactor: active for 0.5 s" in shown
    assert "evse1.contactor_feedback: active" in shown
    assert "evse1.contactor_feedback: inactive" in shown
    assert "all outputs are in the safe state" in shown
    assert [row for row in board.written if row[1]] == [(CONTACTOR, True)]
    assert board.safe


@pytest.mark.parametrize("typed", ["", "y", "yes", "evse1", "evse2.contactor", "shunt_trip"])
async def test_nothing_but_the_name_of_the_line_confirms_it(board: BoardBench, typed: str) -> None:
    async with board.in_terminal("set", "evse1.contactor") as terminal:
        await terminal.wait_for("to confirm: ")
        terminal.type_line(typed)
        assert await terminal.exit_code() == 2
        assert "not confirmed; nothing was switched" in terminal.text
    assert board.written == []


async def test_what_was_typed_before_the_question_confirms_nothing(board: BoardBench) -> None:
    async with board.in_terminal("set", "evse1.contactor") as terminal:
        terminal.type_line("evse1.contactor")
        await terminal.wait_for("to confirm: ")
        terminal.type_line("")
        assert await terminal.exit_code() == 2
    assert board.written == []


@pytest.mark.parametrize("line", ["evse1.contactor", "shunt_trip"])
def test_a_hazardous_output_has_no_yes_and_needs_a_terminal(board: BoardBench, line: str) -> None:
    assert f"--yes: not for {line}, whose name must be typed" in board.invoke("set", line, "--yes").stderr
    outcome = board.invoke("set", line)
    assert (outcome.exit_code, "needs a terminal" in outcome.stderr) == (2, True)
    assert board.bench.chips.written == []


def test_another_output_may_be_set_without_a_question(board: BoardBench) -> None:
    outcome = board.invoke("set", "evse1.residual.test", "--yes", "--seconds", "0.2")
    assert outcome.exit_code == 0, outcome
    assert "evse1.residual.tripped: active" in outcome.stdout
    assert (TEST, True) in board.bench.chips.written
    assert not any(dict(board.bench.chips.written).values())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("set", "flap"), "LINE: must be one of "),
        (("set", "evse1.lock.shut"), "use `borne board lock`"),
        (("set", "evse1.contactor", "--seconds", "61"), "at most 60"),
        (("pilot", "--duty", "101"), "must be 0 to 100 (is 101)"),
        (("pilot", "--amperes", "5"), "pilot current must be 6 to 80 A"),
        (("pilot",), "--duty --amperes"),
        (("pilot", "--duty", "50", "--evse", "2"), "--evse: must be 1 to 1 (is 2)"),
        (("light",), 'light.type is "simulated"'),
        (("light", "pink"), "COLOUR: must be one of "),
        (("reader",), "no [[reader]]"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(board: BoardBench, arguments: tuple[str, ...], words: str) -> None:
    outcome = board.invoke(*arguments)
    assert outcome.exit_code == 2
    assert words in outcome.stderr
    assert board.bench.chips.written == []


@pytest.mark.parametrize("command", WITH_STATION)
def test_nothing_is_opened_while_the_station_runs(board: BoardBench, command: str) -> None:
    with StorageLock(board.storage):
        outcome = board.invoke(command, *WITH_STATION[command])
    assert outcome.exit_code == 2
    assert f"a station runs with this board (process {os.getpid()}); stop it first" in outcome.stderr
    assert board.bench.chips.settings == {}


def test_a_simulated_board_has_no_lines(tmp_path: Path) -> None:
    file = tmp_path / "station.toml"
    file.write_text(f'[station]\nidentity = "B-1"\nstorage = "{tmp_path}/records"\n', encoding="utf-8")
    for command in (("lines",), ("watch",), ("set", "x"), ("pilot", "--duty", "50"), ("lock",)):
        outcome = invoke(["board", *command, "--config", str(file)])
        assert (outcome.exit_code, 'board.type is "simulated"' in outcome.stderr) == (2, True)


# Safe whatever happens


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP])
async def test_a_signal_opens_the_contactor(board: BoardBench, number: signal.Signals) -> None:
    async with board.in_terminal("set", "evse1.contactor", "--seconds", "60") as terminal:
        await terminal.wait_for("to confirm: ")
        terminal.type_line("evse1.contactor")
        await board.until_closed()
        terminal.send_signal(number)
        assert await terminal.exit_code() == 1
        assert f"stopped by {number.name}" in terminal.text
        assert "all outputs are in the safe state" in terminal.text
    assert board.safe


@pytest.mark.parametrize("ended_by", ["time", "signal"])
async def test_a_terminal_that_is_held_up_holds_up_no_output(board: BoardBench, ended_by: str) -> None:
    async with board.in_terminal(
        "set", "evse1.contactor", "--seconds", {"time": "1", "signal": "60"}[ended_by]
    ) as terminal:
        await terminal.wait_for("to confirm: ")
        terminal.type_line("evse1.contactor")
        await board.until_closed()
        terminal.type(CTRL_S)  # and the contact that follows would be printed
        if ended_by == "signal":
            terminal.send_signal(signal.SIGTERM)
        await until(lambda: board.safe)
        terminal.type(CTRL_Q)
        assert await terminal.exit_code() == {"time": 0, "signal": 1}[ended_by]
        assert "all outputs are in the safe state" in terminal.text


def test_a_station_whose_storage_the_environment_of_the_service_names_is_found(board: BoardBench) -> None:
    elsewhere = board.folder / "elsewhere"
    (board.folder / "environment").write_text(f"BORNE_STATION_STORAGE={elsewhere}\n", encoding="utf-8")
    with StorageLock(elsewhere):
        outcome = board.invoke("set", "evse1.residual.test", "--yes")
    assert (outcome.exit_code, "a station runs with this board" in outcome.stderr) == (2, True)
    assert board.bench.chips.settings == {}


async def test_the_loss_of_the_terminal_opens_the_contactor(board: BoardBench) -> None:
    async with board.in_terminal("set", "evse1.contactor", "--seconds", "60") as terminal:
        await terminal.wait_for("to confirm: ")
        terminal.type_line("evse1.contactor")
        await board.until_closed()
        terminal.hang_up()
        assert await terminal.exit_code() == 1
    assert board.safe


async def test_the_pilot_has_the_chosen_duty_cycle_until_ctrl_c_and_is_steady_afterwards(board: BoardBench) -> None:
    async with board.in_terminal("pilot", "--duty", "26.7", "--seconds", "60") as terminal:
        await terminal.wait_for("evse1.pilot: 12.0 V / -12.0 V, state A")
        assert board.bench.duty == pytest.approx(0.267)
        board.bench.set_pilot_voltages(8.9)
        await terminal.wait_for("evse1.pilot: 8.9 V / -12.0 V, state B")
        terminal.type(CTRL_C)
        assert await terminal.exit_code() == 1
    assert board.safe
    assert (CONTACTOR, True) not in board.written


async def test_a_converter_that_fails_ends_the_command_with_the_pilot_steady(board: BoardBench) -> None:
    async with board.in_terminal("pilot", "--amperes", "16", "--seconds", "60") as terminal:
        await terminal.wait_for("evse1.pilot: 12.0 V")
        assert board.bench.duty == pytest.approx(16 / 60, abs=1e-5)
        (board.bench.converter / "in_voltage0_raw").write_text("broken\n")
        assert await terminal.exit_code() == 1
        assert "'broken' is not a number" in terminal.text
    assert board.safe


async def test_an_output_that_cannot_be_made_safe_is_said_to_be_so(board: BoardBench) -> None:
    chips = board.bench.chips
    config = LinuxBoardConfig.from_tree(board.bench.table())

    def pull_out(line: int, active: bool) -> None:
        chips.missing = chips.missing or (line, active) == (CONTACTOR, True)

    chips.on_output = pull_out
    with pytest.raises(UnsafeOutputError, match="perhaps NOT in the safe state; switch off the supply"):
        await hold_line(config, "evse1.contactor", 1.0, SystemClock())
    assert board.bench.duty == 1.0, "the failure of one output does not skip another"


def test_a_pilot_that_cannot_be_driven_leaves_every_contactor_open(board: BoardBench) -> None:
    (board.bench.pwm / "pwm0" / "duty_cycle").unlink()
    (board.bench.pwm / "pwm0").rename(board.bench.pwm / "gone")
    (board.bench.pwm / "export").mkdir()
    outcome = board.invoke("pilot", "--duty", "50", "--seconds", "0.1")
    assert (outcome.exit_code, "NOT in the safe state" in outcome.stderr) == (1, True)
    assert not any(dict(board.bench.chips.written).values())


# The lock


def test_the_lock_is_shut_and_opened_again(board: BoardBench) -> None:
    outcome = board.invoke("lock")
    assert outcome.exit_code == 0, outcome
    assert "evse1.lock: locked after" in outcome.stdout
    assert "evse1.lock: unlocked after" in outcome.stdout
    pulses = [line for line, active in board.bench.chips.written if active]
    assert pulses == [SHUT, OPEN]
    assert not any(dict(board.bench.chips.written).values())


def test_a_lock_that_does_not_follow_fails(board: BoardBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("borne.bring_up.board_outputs._LOCK_TIMEOUT_S", 0.3)
    board.bench.lock_stuck = True
    outcome = board.invoke("lock")
    assert outcome.exit_code == 1
    assert "evse1.lock: NOT locked within 0.3 s" in outcome.stdout
    assert not any(dict(board.bench.chips.written).values())


@pytest.mark.parametrize("line", [SHUT, OPEN])
async def test_a_lock_that_is_interrupted_while_it_moves_is_opened_and_its_motor_stops(
    board: BoardBench, line: int
) -> None:
    """Also by a signal that comes while the command has begun to release the board."""
    async with board.in_terminal("lock") as terminal:
        await until(lambda: (line, True) in board.written)
        terminal.send_signal(signal.SIGTERM)
        assert await terminal.exit_code() == 1
    assert board.safe


async def test_on_a_terminal_that_is_too_low_each_change_has_a_line(board: BoardBench) -> None:
    async with board.in_terminal("watch", lines="5") as terminal:
        await terminal.wait_for("evse1.pilot: 12.0 V / -12.0 V, state A\n")
        terminal.type(CTRL_C)
        await terminal.exit_code()
        assert "\x1b[" not in terminal.text


@pytest.mark.parametrize("command", WITH_STATION)
def test_a_data_folder_that_cannot_be_opened_may_be_that_of_a_running_station(
    board: BoardBench, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    board.storage.mkdir()

    def lock(folder: Path) -> StorageLock:
        raise StorageLockError(f"{folder}: Permission denied")

    monkeypatch.setattr("borne.bring_up.stopped_station.StorageLock", lock)
    outcome = board.invoke(command, *WITH_STATION[command])
    assert outcome.exit_code == 2
    assert "Permission denied; run this as the user of the station" in outcome.stderr
    assert board.bench.chips.settings == {}
    checked = invoke(["check", "--here", str(board.file)])
    assert (checked.exit_code, "Permission denied" in checked.stderr) == (2, True)

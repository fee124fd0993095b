"""`borne board light`, `reader`, `meter` and `report`, and a board that is a controller on Modbus."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from foundation.clock import SystemClock
from simulator.meter_server import TcpFraming, TcpMeterServer
from tests.borne.bring_up.board_bench import BoardBench
from tests.command_line import Outcome, invoke
from tests.metering.test_meter_probe import served
from tests.station.devices.modbus.test_board import on_tcp
from tests.station.devices.test_leds import create_led_folder
from tests.terminal import in_terminal

SECRETS = {
    "password": "0123456789abcdef",
    "installer": "ABCD-EFGH-JKLM",
    "broker": "mqtt-pass-word",
    "in_url": "hidden-in-url",
    "key": "00112233445566778899AABBCCDDEEFF",
}


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BoardBench:
    return BoardBench(tmp_path, monkeypatch)


def test_each_colour_is_shown_and_then_the_light_of_a_stopped_station(board: BoardBench, tmp_path: Path) -> None:
    led = create_led_folder(tmp_path / "rgb:status")
    board.more = f'[light]\ntype = "sysfs"\npaths = ["{led}"]\n'
    outcome = board.invoke("light", "red", "violet", "--blink", "--seconds", "0.01")
    assert (outcome.exit_code, outcome.stdout) == (0, "red, blinking\nviolet, blinking\n")
    assert (led / "multi_intensity").read_text() == "255 255 255"
    assert (led / "trigger").read_text() == "none"


def test_an_led_that_is_missing_is_named(board: BoardBench, tmp_path: Path) -> None:
    board.more = f'[light]\ntype = "sysfs"\npaths = ["{tmp_path}/none"]\n'
    outcome = board.invoke("light", "--seconds", "0.01")
    assert (outcome.exit_code, f"{tmp_path}/none" in outcome.stderr) == (1, True)


async def test_the_uid_of_a_card_is_printed(board: BoardBench) -> None:
    near, far = os.openpty()
    board.more = f'[[reader]]\ntype = "serial"\ndevice = "{os.ttyname(far)}"\nreversed_bytes = true\n'
    board.more += '[[reader]]\ntype = "keyboard"\ndevice = "/dev/none"\n'
    async with board.in_terminal("reader", "--seconds", "60") as terminal:
        await terminal.wait_for("reader[0]: open; present a card")
        await terminal.wait_for("reader[1]: FAILED: /dev/none: No such file or directory")
        os.write(near, b"04A3B2C1D5E680\r\n")
        await terminal.wait_for("reader[0]: UID 80E6D5C1B2A304, ISO14443")
        os.write(near, b"33221108\r\n")
        await terminal.wait_for("reader[0]: UID 33221108: not usable: the card has a random UID")
        terminal.type("\x03")
        await terminal.exit_code()
    os.close(near)
    os.close(far)


def test_without_a_card_the_exit_code_is_1(board: BoardBench) -> None:
    near, far = os.openpty()
    board.more = f'[[reader]]\ntype = "serial"\ndevice = "{os.ttyname(far)}"\n'
    assert board.invoke("reader", "--seconds", "0.3").exit_code == 1
    os.close(near)
    os.close(far)


async def test_the_meters_are_read_and_nothing_else(board: BoardBench) -> None:
    async with TcpMeterServer({1: served("eastron-sdm630")}, TcpFraming(), SystemClock()) as server:
        os.environ["BORNE_EVSE_0_METER_PORT"] = str(server.port)
        try:
            outcome = await asyncio.to_thread(board.invoke, "meter")
        finally:
            del os.environ["BORNE_EVSE_0_METER_PORT"]
    assert outcome.exit_code == 0, outcome
    assert outcome.stdout.startswith("evse[0].meter: eastron-sdm630 unit 1 on 127.0.0.1:")
    assert "serial number 1234567" in outcome.stdout
    assert outcome.stdout.count("\n") == 1


def test_a_meter_that_does_not_answer_fails(board: BoardBench) -> None:
    assert board.invoke("meter").exit_code == 1


def test_the_report_has_the_devices_and_no_secret(board: BoardBench, tmp_path: Path) -> None:
    board.more = (
        f'[csms]\nurl = "ws://127.0.0.1:1/ocpp"\npassword = "{SECRETS["password"]}"\n'
        f'[http]\ninstaller_code = "{SECRETS["installer"]}"\nport = 0\n'
        f'[mqtt]\nhost = "127.0.0.1"\nport = 1\nuser = "u"\npassword = "{SECRETS["broker"]}"\n'
        f'[display]\nsession_page = "https://user:{SECRETS["in_url"]}@charge.example/x"\n'
        f'[grid]\nphases = 3\nsource = {{type = "p1", device = "/dev/none", key = "{SECRETS["key"]}"}}\n'
    )
    file = tmp_path / "report.json"
    outcome = board.invoke("report", str(file))
    assert outcome.exit_code == 0, outcome
    text = file.read_text(encoding="utf-8")
    assert [secret for secret in SECRETS.values() if secret in text] == []
    report = json.loads(text)
    assert report["installation_file"]["csms"] == {"url": "ws://127.0.0.1:1/ocpp", "password": "(removed)"}
    assert report["installation_file"]["station"]["identity"] == "B-1"
    assert report["program"]["version"]
    devices = {device["key"]: device for device in report["devices"]}
    assert devices["board"]["answer"]["chip"] == "bench"
    assert "No such file" in devices["grid.source"]["reason"]
    assert board.bench.chips.written == []
    assert f"{len(report['devices'])} devices answered" in outcome.stdout
    assert "already exists" in board.invoke("report", str(file)).stderr
    assert board.invoke("report", "--force", str(file)).exit_code == 0


def modbus_file(folder: Path, port: int) -> Path:
    file = folder / "station.toml"
    file.write_text(
        f'[station]\nidentity = "B-1"\nstorage = "{folder}/records"\n'
        '[firmware]\ntype = "command"\ninstall_command = ["/bin/true"]\n'
        '[[evse]]\n[evse.meter]\ntype = "modbus-tcp"\nmodel = "eastron-sdm630"\nhost = "127.0.0.1"\nport = 1\n'
        '[board]\ntype = "modbus"\nselector_a = 16\ni_accept_no_timeout = true\n'
        f'[[board.evse]]\nmodel = "simple-evse"\nhost = "127.0.0.1"\nport = {port}\ntimeout_s = 5\n',
        encoding="utf-8",
    )
    return file


async def test_a_controller_offers_current_once_its_evse_is_typed_and_none_afterwards(tmp_path: Path) -> None:
    async with on_tcp("simple-evse") as (controller, driver):
        controller.state("B")
        port = int(str(driver).rpartition(":")[2])
        file = modbus_file(tmp_path, port)
        words = ("board", "pilot", "--amperes", "16", "--seconds", "60", "--config", str(file))
        async with in_terminal(*words, cwd=tmp_path) as terminal:
            await terminal.wait_for("Type evse1 to confirm: ")
            assert "CLOSE THE CONTACTOR" in terminal.text
            terminal.type_line("evse1")
            await terminal.wait_for("evse1.pilot: state")
            assert (16, 1000, 16) in controller.writes
            terminal.type("\x03")
            assert await terminal.exit_code() == 1
        assert controller.words[1000] == 0, (controller.writes, terminal.text)


async def test_inputs_and_check_of_a_controller_write_nothing(tmp_path: Path) -> None:
    async with on_tcp("simple-evse") as (controller, driver):
        controller.state("A")
        file = modbus_file(tmp_path, int(str(driver).rpartition(":")[2]))

        async def run(*words: str) -> Outcome:
            return await asyncio.to_thread(invoke, words)

        async with in_terminal("board", "watch", "--seconds", "0.01", "--config", str(file), cwd=tmp_path) as watched:
            assert await watched.exit_code() == 0
        checked = await run("check", "--here", "--json", str(file))
        listed = await run("board", "lines", "--config", str(file))
        assert controller.writes == []
    assert "evse1.contactor" in watched.text
    assert "state A" in watched.text
    found = {device["key"]: device for device in json.loads(checked.stdout)["devices"]}
    assert found["board.evse[0]"]["answer"]["contactor"] == "open"
    assert found["board.evse[0]"]["answer"]["line"] == "Modbus TCP"
    assert listed.stdout.startswith("evse1  simple-evse unit 1 on 127.0.0.1:")

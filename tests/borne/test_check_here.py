"""`borne check --here` on real ttys, sockets and files, and on the doubles of GPIO and I²C."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import pytest

from foundation.clock import SystemClock
from metering.reading import Phases
from simulator.house import HouseReading
from simulator.linky import historique_frame
from simulator.meter_server import Refusing, SerialMeterServer, TcpFraming, TcpMeterServer
from station.configuration.example_values import toml_text
from station.storage.storage_lock import StorageLock
from tests.command_line import Outcome, invoke
from tests.i2c_double import Hd44780, wire_bus
from tests.linux_double import CONTACTOR, FEEDBACK, FLAP, Bench
from tests.metering.test_meter_probe import served
from tests.station.devices.test_leds import create_led_folder

REAL = """
[firmware]
type = "command"
install_command = ["/bin/true"]
"""


class Station:
    """An installation file in a folder, with a free port for its page."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "station.toml"
        self.storage = folder / "records"
        self._text = f'[station]\nidentity = "B-1"\nstorage = "{self.storage}"\n[http]\nport = 0\n'

    def add(self, text: str) -> None:
        """Add tables to the file."""
        self._text += f"{text}\n"

    def add_table(self, place: str, table: Mapping[str, object]) -> None:
        """Add a table."""
        self.add("\n".join([place, *(f"{key} = {toml_text(value)}" for key, value in table.items())]))

    async def check(self, *options: str) -> tuple[Outcome, dict[str, Any]]:
        """Run the command; returns also the devices of its JSON, by their keys (with the device, if several)."""
        self.file.write_text(self._text, encoding="utf-8")
        outcome = await asyncio.to_thread(invoke, ["check", "--here", "--json", *options, str(self.file)])
        assert outcome.stderr == ""
        return outcome, json.loads(outcome.stdout)


@pytest.fixture
def station(tmp_path: Path) -> Station:
    return Station(tmp_path)


def by_key(report: dict[str, Any]) -> dict[str, Any]:
    return {device["key"]: device for device in report["devices"]}


@contextlib.contextmanager
def listening() -> Generator[int]:
    """A TCP port that accepts connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A wired board, whose chip takes the place of the kernel's."""
    bench = Bench(tmp_path / "bench")
    monkeypatch.setattr("gpiod.request_lines", bench.chips.request_lines)
    monkeypatch.setattr("gpiod.Chip", bench.chips.open)
    return bench


async def test_a_station_whose_devices_all_answer_ends_with_0_and_says_what_they_are(station: Station) -> None:
    station.add("[[evse]]")
    async with (
        TcpMeterServer({1: served("eastron-sdm630")}, TcpFraming(), SystemClock()) as meter,
        SerialMeterServer({1: served("siemens-pac2200")}, SystemClock()) as grid_meter,
    ):
        station.add_table(
            "[evse.meter]", {"type": "modbus-tcp", "model": "eastron-sdm630", "host": "127.0.0.1", "port": meter.port}
        )
        wire = {"type": "modbus-rtu", "model": "siemens-pac2200", "unit": 1, **grid_meter.address, "timeout_s": 5}
        station.add_table("[grid]", {"phases": 3, "source": {"type": "modbus", "meter": wire}})
        with listening() as port:
            station.add(f'[csms]\nurl = "ws://127.0.0.1:{port}/ocpp"\n[mqtt]\nhost = "127.0.0.1"\nport = {port}')
            outcome, report = await station.check()
        found = by_key(report)
        assert (outcome.exit_code, report["answered"], report["station"]) == (0, True, None), report
        device = grid_meter.device
    billing = found["evse[0].meter"]["answer"]
    assert billing["model"] == "Eastron SDM630"
    assert billing["serial_number"] == "1234567"
    assert billing["line"] == "Modbus TCP"
    assert "230.1 / 231.4 / 229.7 V" in billing["values"]
    assert found["grid.source.meter"]["answer"]["line"] == "19200 8N2"
    assert device in found["grid.source.meter"]["device"]
    assert found["csms.url"]["answer"] == found["mqtt.host"]["answer"] == {"connected_to": "127.0.0.1"}
    assert found["board"]["answer"] == {"simulated": "nothing to open"}
    assert found["http.port"]["answer"] == {"port": "free"}
    assert found["station.storage"]["answer"]["writable"] == "will be created"
    assert not station.storage.exists()


async def test_each_device_that_does_not_answer_says_why_and_the_others_are_asked_all_the_same(
    station: Station,
) -> None:
    with listening() as port:
        closed = port
    station.add(f'[csms]\nurl = "ws://127.0.0.1:{closed}/ocpp"')
    station.add('[[evse]]\n[evse.secc]\ntype = "external"\nsocket = "/nowhere/secc.sock"\n[evse.meter]')
    async with TcpMeterServer({1: served("eastron-sdm630")}, TcpFraming(), SystemClock()) as meter:
        meter.fault = Refusing(2)
        station.add(f'type = "modbus-tcp"\nmodel = "eastron-sdm630"\nhost = "127.0.0.1"\nport = {meter.port}')
        station.add('[[reader]]\ntype = "serial"\ndevice = "/dev/no-reader"')
        station.add('[[reader]]\ntype = "keyboard"\ndevice = "/dev/no-keyboard"')
        station.add('[[display.output]]\ntype = "file"\npath = "/nowhere/display.json"')
        station.add('[light]\ntype = "sysfs"\npaths = ["/nowhere/led"]')
        station.add('[grid_order]\ntype = "dry-contact"\npolarity = "open-dims"\nchip = "/dev/gpiochip77"\nline = 1')
        station.add('[grid]\nphases = 3\nsource = {type = "ct", path = "/nowhere", clamps = [')
        station.add("{channel = 0}, {channel = 1}, {channel = 2}]}")
        outcome, report = await station.check()
    found = by_key(report)
    assert (outcome.exit_code, report["answered"]) == (1, False)
    assert "illegal address" in found["evse[0].meter"]["reason"]
    assert "refused" in found["csms.url"]["reason"]
    missing = {key: device["reason"] for key, device in found.items() if not device["answered"]}
    assert set(missing) == {
        *("csms.url", "evse[0].meter", "evse[0].secc", "reader[0]", "reader[1]", "display.output[0]", "light.paths[0]"),
        *("grid_order", "grid.source"),
    } - ({"display.output[0]"} if os.access("/", os.W_OK) else set())
    no_file = [key for key, reason in missing.items() if "No such file" in reason]
    assert {"evse[0].secc", "reader[0]", "reader[1]", "light.paths[0]", "grid_order", "grid.source"} <= set(no_file)


async def test_a_silent_device_ends_in_time(station: Station) -> None:
    near, far = os.openpty()
    device = os.ttyname(far)
    station.add_table("[grid]", {"phases": 3, "source": {"type": "linky", "device": device}})
    _, report = await station.check("--within", "0.2")
    os.close(near)
    os.close(far)
    assert by_key(report)["grid.source"]["reason"] == "no answer within 0.2 s"


async def test_a_linky_answers_with_its_first_frame(station: Station) -> None:
    near, far = os.openpty()
    station.add_table("[grid]", {"phases": 1, "source": {"type": "linky", "device": os.ttyname(far)}})
    station.add("[[evse]]\nphases = 1")
    frame = b"".join(historique_frame(HouseReading(Phases(7.0, None, None))))

    async def send() -> None:
        while True:
            with contextlib.suppress(BlockingIOError):
                os.write(near, frame)
            await asyncio.sleep(0.05)

    os.set_blocking(near, False)
    sending = asyncio.create_task(send())
    outcome, report = await station.check("--within", "60")
    sending.cancel()
    os.close(near)
    os.close(far)
    assert outcome.exit_code == 0, report
    assert "7 A" in by_key(report)["grid.source"]["answer"]["values"]


def add_linux_board(station: Station, bench: Bench, port: int) -> None:
    station.add(REAL)
    station.add("[[evse]]")
    station.add_table(
        "[evse.meter]", {"type": "modbus-tcp", "model": "eastron-sdm630", "host": "127.0.0.1", "port": port}
    )
    station.add_table("[board]", bench.table())


async def test_a_linux_board_is_read_and_no_output_of_it_is_requested_or_written(
    station: Station, bench: Bench
) -> None:
    bench.set_input(FLAP, True)
    bench.set_pilot_voltages(8.9)
    before = {file: file.read_bytes() for file in bench.root.rglob("*") if file.is_file()}
    async with TcpMeterServer({1: served("eastron-sdm630")}, TcpFraming(), SystemClock()) as meter:
        add_linux_board(station, bench, meter.port)
        outcome, report = await station.check()
    found = by_key(report)
    assert outcome.exit_code == 0, report
    assert found["board"]["answer"] == {"chip": "bench", "lines": "21", "active_inputs": "flap, selector.bit0"}
    assert found["board.evse[0].pilot.high"]["answer"] == {"voltage": "8.90 V"}
    assert found["board.evse[0].pilot.low"]["answer"] == {"voltage": "-12.00 V"}
    assert found["board.evse[0].temperature"]["answer"] == {"temperature": "21.3 °C"}
    assert found["board.evse[0].pilot.pwm"]["answer"] == {"channel": "exported, not enabled"}
    assert bench.chips.written == []
    assert bench.chips.settings == {}, "released"
    assert before == {file: file.read_bytes() for file in bench.root.rglob("*") if file.is_file()}


@pytest.mark.parametrize(("line", "name"), [(CONTACTOR, "evse1.contactor"), (FEEDBACK, "evse1.contactor_feedback")])
async def test_a_line_that_another_program_holds_is_named(station: Station, bench: Bench, line: int, name: str) -> None:
    bench.chips.busy_lines.add(line)
    add_linux_board(station, bench, 1)
    _, report = await station.check()
    assert by_key(report)["board"]["reason"] == f"/dev/gpiochip0: lines are in use: {name} by other"


async def test_a_channel_that_the_pwm_chip_lacks_is_named(station: Station, bench: Bench) -> None:
    (bench.pwm / "npwm").write_text("0\n")
    add_linux_board(station, bench, 1)
    _, report = await station.check()
    assert by_key(report)["board.evse[0].pilot.pwm"]["reason"].endswith("has channels 0 to -1, not 0")


async def test_devices_of_a_running_station_are_left_alone(station: Station, bench: Bench) -> None:
    async with TcpMeterServer({1: served("eastron-sdm630")}, TcpFraming(), SystemClock()) as meter:
        add_linux_board(station, bench, meter.port)
        with listening() as port:
            station.add(f'[csms]\nurl = "ws://127.0.0.1:{port}/ocpp"')
            with StorageLock(station.storage):
                outcome, report = await station.check()
                plain = await asyncio.to_thread(invoke, ["check", "--here", str(station.file)])
        assert meter.clients == 0
    holder = f"process {os.getpid()}"
    found = by_key(report)
    assert (outcome.exit_code, report["station"]) == (1, holder)
    assert found["evse[0].meter"]["reason"] == f"not opened: the running station ({holder}) uses it"
    assert found["board"]["reason"] == found["http.port"]["reason"] == found["evse[0].meter"]["reason"]
    assert found["csms.url"]["answered"]
    assert found["station.storage"]["answered"]
    assert bench.chips.settings == {}
    assert plain.stdout.startswith(f"A station runs with these devices ({holder}) and keeps them; stop it")
    assert "FAILED" in plain.stdout


async def test_no_station_can_start_while_devices_are_asked_and_one_can_afterwards(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    station.storage.mkdir()
    refused: list[bool] = []

    async def ask(*_: object) -> list[object]:
        with pytest.raises(Exception, match="is in use by"):
            StorageLock(station.storage)
        refused.append(True)
        return []

    monkeypatch.setattr("borne.commands.device_check.ask_devices", ask)
    await station.check()
    assert refused == [True]
    StorageLock(station.storage).release()


async def test_a_character_display_acknowledges_without_being_written(
    station: Station, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus, device = wire_bus(monkeypatch, tmp_path)
    station.add(f'[[display.output]]\ntype = "lcd"\ndevice = "{device}"')
    _, without = await station.check()
    bus.devices[0x27] = lcd = Hd44780()
    _, report = await station.check()
    assert by_key(without)["display.output[0]"]["reason"] == "Remote I/O error"
    assert by_key(report)["display.output[0]"]["answer"] == {"expander": "PCF8574 acknowledges"}
    assert lcd.received == 0


async def test_a_reader_and_an_led_answer(station: Station, tmp_path: Path) -> None:
    near, far = os.openpty()
    led = create_led_folder(tmp_path / "rgb:status")
    station.add(f'[[reader]]\ntype = "serial"\ndevice = "{os.ttyname(far)}"\nbaud = 19200')
    station.add(f'[light]\ntype = "sysfs"\npaths = ["{led}"]')
    outcome, report = await station.check()
    os.close(near)
    os.close(far)
    assert outcome.exit_code == 0, report
    assert by_key(report)["reader[0]"]["answer"] == {"open": "19200 baud"}
    assert by_key(report)["light.paths[0]"]["answer"]["colours"] == "red green blue"


def test_here_takes_the_file_of_the_service_and_its_options_are_its_own(tmp_path: Path) -> None:
    assert "/etc/borne/station.toml" in invoke(["check", "--here"]).stderr
    assert "required: FILE" in invoke(["check"]).stderr
    assert "--json needs --here" in invoke(["check", "--json", str(tmp_path / "x")]).stderr
    assert "--within" in invoke(["check", "--here", "--within", "0"]).stderr


async def test_files_of_the_connection_and_the_program_that_installs_firmware_are_looked_for(station: Station) -> None:
    roots = station.folder / "roots.pem"
    roots.write_text("roots", encoding="utf-8")
    station.add('[[evse]]\n[firmware]\ntype = "command"\ninstall_command = ["/usr/sbin/no-such-program", "--slot"]')
    with listening() as port:
        station.add(
            f'[csms]\nurl = "wss://127.0.0.1:{port}/ocpp"\nca_file = "{roots}"\n'
            f'certificate_file = "{station.folder}/station.pem"\nkey_file = "{station.folder}/station-key.pem"'
        )
        outcome, report = await station.check()
    found = by_key(report)
    assert outcome.exit_code == 1
    assert found["csms.ca_file"]["answer"] == {"size": "5 B"}
    for key, reason in {
        "csms.certificate_file": "No such file",
        "csms.key_file": "No such file",
        "firmware.install_command": "/usr/sbin/no-such-program: there is no such program",
    }.items():
        assert reason in found[key]["reason"]

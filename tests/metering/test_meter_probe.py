"""`borne meter probe` finds model, unit and line of simulated meters on real ttys and sockets."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import termios
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from borne.commands import meter_probe
from foundation.clock import SystemClock
from metering.drivers.models import MODELS, ModelName
from metering.reading import Phases, Reading
from simulator.meter_server import Refusing, RtuFraming, SerialMeterServer, ServedMeter, TcpFraming, TcpMeterServer
from tests.command_line import Outcome, invoke

READING = Reading(
    taken_at=datetime(2026, 3, 1, 12, 0, tzinfo=UTC),
    energy_import_wh=7_003_500.0,
    energy_export_wh=310_600.0,
    power_w=5124.0,
    currents_a=Phases(12.3, 0.5, 8.9),
    voltages_v=Phases(230.1, 231.4, 229.7),
    powers_w=Phases(2830.0, 110.0, 2040.0),
    frequency_hz=50.0,
)
QUICK = ("--timeout", "1")
"""long enough for a server of this process on a busy machine, although silent units take as long"""
BY_REGISTERS: dict[str, set[ModelName]] = {
    "eastron": {"eastron-sdm630", "eastron-sdm72d-m-v2"},
    "gavazzi": {"carlo-gavazzi-em24-e1", "carlo-gavazzi-em340", "carlo-gavazzi-em580"},
    "janitza": {"janitza-b23", "janitza-umg"},
}
"""models that have the same registers, so that one cannot be told from another"""
SERVED = [name for name in MODELS if name not in {"sunspec", "eastron-sdm72d-m"}]


async def probed(place: str, *options: str) -> Outcome:
    return await asyncio.to_thread(invoke, ["meter", "probe", place, *options])


def served(name: ModelName, reading: Reading = READING) -> ServedMeter:
    model = MODELS[name]
    if model.phases == 1:
        first = Phases(reading.powers_w.l1, None, None)
        currents, voltages = Phases(reading.currents_a.l1, None, None), Phases(reading.voltages_v.l1, None, None)
        reading = replace(reading, powers_w=first, currents_a=currents, voltages_v=voltages)
    return ServedMeter(model, lambda: reading)


def table_in(outcome: Outcome) -> dict[str, object]:
    """The lines to paste, as the installation file reads them."""
    assert outcome.exit_code == 0, outcome.stderr or outcome.stdout
    table: dict[str, object] = tomllib.loads(f"[[evse]]\n{outcome.stdout}")["evse"][0]["meter"]
    return table


@pytest.mark.parametrize("name", SERVED)
async def test_each_model_is_found_at_its_host(name: ModelName) -> None:
    async with TcpMeterServer({7: served(name)}, TcpFraming(), SystemClock()) as server:
        outcome = await probed(f"127.0.0.1:{server.port}", "--units", "7", "--timeout", "2")
    table = table_in(outcome)
    same = next((names for names in BY_REGISTERS.values() if name in names), {name})
    assert table.pop("model") in same
    assert all(other in outcome.stdout for other in same)
    assert table == {"type": "modbus-tcp", "host": "127.0.0.1", "port": server.port, "unit": 7}
    assert "230.1" in outcome.stdout


async def test_a_meter_of_totals_is_known_by_its_serial_number() -> None:
    async with TcpMeterServer({1: served("eastron-sdm72d-m")}, TcpFraming(), SystemClock()) as server:
        outcome = await probed(f"127.0.0.1:{server.port}", "--units", "1", "--timeout", "2")
    assert table_in(outcome)["model"] == "eastron-sdm72d-m"
    assert "serial number 1234567" in outcome.stdout


async def test_a_serial_server_is_recognized_by_its_frames() -> None:
    async with TcpMeterServer({1: served("abb-b23")}, RtuFraming(), SystemClock()) as server:
        outcome = await probed(f"127.0.0.1:{server.port}", "--units", "1", *QUICK)
    table = table_in(outcome)
    assert (table["type"], table["model"], table["port"]) == ("modbus-rtu-over-tcp", "abb-b23", server.port)


class _MeterAtSpeed(SerialMeterServer):
    """Meters that understand nothing unless the line has their speed."""

    speed = termios.B2400

    def _readable(self) -> None:
        assert self._frame_ends is not None
        if termios.tcgetattr(self._frame_ends[0])[5] == self.speed:
            super()._readable()
        else:
            os.read(self._frame_ends[0], 4096)


async def test_the_speed_of_a_line_is_found_and_named_where_it_is_not_the_factory_setting() -> None:
    meters = {3: served("eastron-sdm630"), 9: served("eastron-sdm120")}
    async with _MeterAtSpeed(meters, SystemClock()) as server:
        outcome = await probed(server.device, "--units", "1,3,9", *QUICK)
        device = server.device
    assert outcome.exit_code == 0
    _, first, second = outcome.stdout.split("[evse.meter]")
    expected = {"type": "modbus-rtu", "model": "eastron-sdm630", "device": device, "baud": 2400, "unit": 3}
    assert tomllib.loads(first) == expected
    assert tomllib.loads(second) == {"type": "modbus-rtu", "model": "eastron-sdm120", "device": device, "unit": 9}
    assert "2400 8N1, unit 9: Eastron SDM120" in outcome.stdout


async def test_of_models_with_the_same_registers_the_one_whose_factory_setting_the_line_has_comes_first() -> None:
    class Fast(_MeterAtSpeed):
        speed = termios.B38400

    async with Fast({1: served("janitza-b23")}, SystemClock()) as server:
        outcome = await probed(server.device, "--units", "1", *QUICK)
    assert "with the same registers: janitza-b23" in outcome.stdout
    table = table_in(outcome)
    assert (table["model"], "baud" in table) == ("janitza-umg", False)


async def test_a_line_on_which_nothing_answers_is_said_to_be_silent() -> None:
    async with SerialMeterServer({}, SystemClock()) as server:
        outcome = await probed(server.device, "--units", "1", "--timeout", "0.05")
    assert (outcome.exit_code, outcome.stdout) == (1, f"{server.device}: no device answers\n")


async def test_a_gateway_without_a_meter_behind_it_is_no_meter() -> None:
    async with TcpMeterServer({1: served("eastron-sdm630")}, TcpFraming(), SystemClock()) as server:
        server.fault = Refusing(11)
        outcome = await probed(f"127.0.0.1:{server.port}", "--units", "1", *QUICK)
    assert outcome.exit_code == 1
    assert "no device answers" in outcome.stdout


async def test_another_device_is_named_as_one_that_fits_no_model() -> None:
    async with TcpMeterServer({1: served("eastron-sdm630")}, TcpFraming(), SystemClock()) as server:
        server.fault = Refusing(2)
        outcome = await probed(f"127.0.0.1:{server.port}", "--units", "1", "--timeout", "2")
    assert outcome.exit_code == 1
    assert "unit 1: a device answers, but fits no known model" in outcome.stdout


async def test_a_search_ends_in_time() -> None:
    async with SerialMeterServer({}, SystemClock()) as server:
        outcome = await probed(server.device, "--units", "0-255", "--timeout", "5", "--within", "0.3")
    assert outcome.exit_code == 1
    assert "no meter found within 0.3 s" in outcome.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("/dev/none",), "/dev/none"),
        (("127.0.0.1:x",), "the port must be 1 to 65535 (is x)"),
        (("127.0.0.1:1", "--units", "3-1"), "--units"),
        (("127.0.0.1:1", "--units", "256"), "--units"),
        (("127.0.0.1:1", "--timeout", "0"), "--timeout"),
        (("127.0.0.1:1", "--within", "9999"), "--within"),
    ],
)
def test_what_cannot_be_searched_is_refused_by_name(arguments: tuple[str, ...], words: str) -> None:
    outcome = invoke(["meter", "probe", *arguments])
    assert outcome.exit_code == 2
    assert words in outcome.stderr


def test_without_a_serial_line_a_place_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meter_probe, "_SERIAL_PORTS", ("no-such-line*",))
    assert invoke(["meter", "probe"]).stderr == "no serial line found; name one, or a host\n"


def test_a_line_that_another_process_has_open_is_left_alone(tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    device = os.ttyname(theirs)
    command = [sys.executable, "-c", f"import os; os.open({device!r}, os.O_RDWR); print('open', flush=True); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        outcome = invoke(["meter", "probe", device])
        holder.communicate(b"\n")
    os.close(ours)
    os.close(theirs)
    assert outcome.exit_code == 2
    assert outcome.stderr.startswith(f"{device}: is in use by process {holder.pid} (")

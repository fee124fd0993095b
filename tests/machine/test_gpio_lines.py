"""A Linux board in a machine: contactor, lock and residual-current monitor are lines of a GPIO chip of the kernel.

The kernel simulates the chip; the station uses its character device. Pilot and converter are files, as they are in
sysfs, since no module of Debian's kernel simulates them.
"""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any, Final

import pytest

from foundation.clock import SystemClock
from metering.drivers.models import MODELS
from simulator.meter_server import ServedMeter, TcpFraming, TcpMeterServer
from tests.linux_double import CONTACTOR, FEEDBACK, GAIN, LOCKED, OPEN, SHUT, TEST, TRIPPED, raw_count
from tests.machine.bench import Bench, patiently, resumed, save_station
from tests.machine.built_image import BuiltImage
from tests.machine.gpio_module import build_gpio_module, missing_for_module
from tests.machine.virtual_machine import HOST_ADDRESS, free_port
from tests.walks.test_modbus_controllers import CircuitMeter

_FILES: Final = "/run/bench"
_CHIP: Final = "/sys/kernel/config/gpio-sim/bench"
_INSTALLATION: Final = f"""\
[station]
identity = "DEV-0001"
storage = "/var/lib/borne"

[csms]
url = "wss://csms.invalid/ocpp"
password = "0123456789abcdef"

[http]
host = "0.0.0.0"

[firmware]
type = "rauc"

[board]
type = "linux"

[[board.evse]]
contactor = {{ chip = "CHIP", line = {CONTACTOR} }}
contactor_feedback = {{ chip = "CHIP", line = {FEEDBACK} }}
[board.evse.pilot]
pwm = {{ path = "{_FILES}" }}
high = {{ path = "{_FILES}", channel = 0, gain = {GAIN} }}
low = {{ path = "{_FILES}", channel = 1, gain = {GAIN} }}
[board.evse.proximity]
path = "{_FILES}"
channel = 2
pull_up_ohm = 1000
reference_v = 3.3
[board.evse.lock]
kind = "motor"
shut = {{ chip = "CHIP", line = {SHUT} }}
open = {{ chip = "CHIP", line = {OPEN} }}
feedback = {{ chip = "CHIP", line = {LOCKED} }}
[board.evse.residual]
tripped = {{ chip = "CHIP", line = {TRIPPED} }}
test = {{ chip = "CHIP", line = {TEST} }}

[[evse]]
[evse.meter]
type = "modbus-tcp"
model = "eastron-sdm630"
host = "{HOST_ADDRESS}"
port = METER_PORT

[[variable]]
component = "AuthCtrlr"
variable = "Enabled"
value = "false"
"""
_WIRING: Final = f"""\
cd $(dirname $(ls -d /sys/devices/platform/gpio-sim.*/gpiochip*/sim_gpio{CONTACTOR}))
line() {{ read value < sim_gpio$1/value; }}
pull() {{ [ "$old" = "$2" ] || echo pull-$2 > sim_gpio$1/pull; }}
feedback= tripped= locked=
while sleep 0.05; do
    line {CONTACTOR}; new=down; [ $value = 1 ] && new=up
    old=$feedback; pull {FEEDBACK} $new; feedback=$new
    line {TEST}; new=down; [ $value = 1 ] && new=up
    old=$tripped; pull {TRIPPED} $new; tripped=$new
    new=$locked; line {SHUT}; [ $value = 1 ] && new=up; line {OPEN}; [ $value = 1 ] && new=down
    old=$locked; [ -z "$new" ] || pull {LOCKED} $new; locked=$new
done
"""
"""what is connected to the lines: each auxiliary contact follows its output"""


class _Board:
    """The lines and files of the board in a guest, as its vehicle and its contactor see them."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._lines = ""

    async def fit(self, module: bytes) -> str:
        """Give the guest the chip with what is connected to it, and the files; returns the path of the chip."""
        run = self._bench.run
        await run(f"base64 -d > /run/module.ko <<'END'\n{base64.encodebytes(module).decode()}END")
        await run("modprobe configfs && udevadm settle")
        await run("mountpoint -q /sys/kernel/config || mount -t configfs none /sys/kernel/config")
        await run(f"insmod /run/module.ko && mkdir -p {_CHIP}/bank && echo 64 > {_CHIP}/bank/num_lines")
        await run(f"echo 1 > {_CHIP}/live && udevadm settle")
        chip = (await run(f"cat {_CHIP}/bank/chip_name")).strip()
        self._lines = f"/sys/devices/platform/{(await run(f'cat {_CHIP}/dev_name')).strip()}/{chip}"
        await run(f"cat > /run/wiring <<'END'\n{_WIRING}END\nsystemd-run --unit=tests-wiring sh /run/wiring")
        await run(f"mkdir -p {_FILES}/pwm0 && cd {_FILES} && echo 0.5 > in_voltage_scale && echo 1 > npwm")
        await run(f"cd {_FILES}/pwm0 && for name in period duty_cycle enable; do echo 0 > $name; done")
        await self.set_pilot(12.0)
        await self._convert(1, -12.0 / GAIN)
        await self.set_cable(plugged=False)
        await run(f"chown -R borne:borne {_FILES}")
        # On a board these files are below /sys/devices, to which the service may write.
        folder = "/run/systemd/system/borne.service.d"
        await run(f"mkdir -p {folder} && printf '[Service]\\nReadWritePaths={_FILES}\\n' > {folder}/bench.conf")
        return f"/dev/{chip}"

    async def _convert(self, channel: int, volts: float) -> None:
        await self._bench.run(f"cd {_FILES} && echo {raw_count(volts).strip()} > new && mv new in_voltage{channel}_raw")

    async def set_pilot(self, high_v: float) -> None:
        """Set the positive voltage of the control pilot."""
        await self._convert(0, high_v / GAIN)

    async def set_cable(self, *, plugged: bool) -> None:
        """Plug in a cable for 32 A (220 Ω), or remove it."""
        await self._convert(2, 3.3 * 220.0 / 1220.0 if plugged else 3.3)

    async def active(self, line: int) -> bool:
        """Whether a line of the chip is active."""
        return await self._bench.run(f"cat {self._lines}/sim_gpio{line}/value") == "1\n"

    async def until(self, line: int, *, active: bool) -> None:
        """Wait until a line is active, or not."""

        async def reached() -> bool:
            return await self.active(line) is active

        await patiently(reached)

    async def until_duty(self, duty: float) -> None:
        """Wait until the pilot has a duty cycle."""

        async def reached() -> bool:
            words = await self._bench.run(f"cd {_FILES}/pwm0 && cat duty_cycle; echo; cat period")
            duty_ns, period_ns = words.split()
            return abs(int(duty_ns) / int(period_ns) - duty) < 1e-3

        await patiently(reached)


async def test_a_linux_board_charges_once_on_the_lines_of_a_gpio_chip(image: BuiltImage, tmp_path: Path) -> None:
    current_a, meter_port = [0.0], free_port()
    clock = SystemClock()
    meter = ServedMeter(MODELS["eastron-sdm630"], CircuitMeter(lambda: current_a[0], clock).read)
    async with TcpMeterServer({1: meter}, TcpFraming(), clock, port=meter_port):
        saved = await save_station(image, tmp_path / "saved")
        async with resumed(saved, tmp_path) as bench:
            kernel = (await bench.run("uname -r")).strip()
            if (reason := missing_for_module(kernel)) is not None:
                pytest.skip(reason)
            module = await asyncio.to_thread(build_gpio_module, kernel, tmp_path / "module")
            board = _Board(bench)
            chip = await board.fit(await asyncio.to_thread(module.read_bytes))
            text = _INSTALLATION.replace("CHIP", chip).replace("METER_PORT", str(meter_port))
            await bench.restart_with(text)
            assert not await board.active(CONTACTOR)
            await board.set_cable(plugged=True)
            await board.set_pilot(9.0)
            await board.until(LOCKED, active=True)
            await patiently(lambda: bench.events())
            await board.until_duty(8 / 60)  # no current selector is wired: the lowest position counts
            assert not await board.active(CONTACTOR)
            await board.set_pilot(6.0)
            await board.until(CONTACTOR, active=True)
            current_a[0] = 7.9
            await asyncio.to_thread(bench.station.wait_for_state, charging_state="Charging")
            await board.set_pilot(9.0)
            await board.until(CONTACTOR, active=False)
            current_a[0] = 0.0
            await board.set_pilot(12.0)
            await board.set_cable(plugged=False)
            await patiently(lambda: any(event["eventType"] == "Ended" for event in bench.events()))
            await board.until(LOCKED, active=False)
            assert _registers(bench)[-1] > _registers(bench)[0]
            assert bench.csms.schema_faults == []


def _registers(bench: Bench) -> list[float]:
    """The registers of the transaction events, in Wh."""
    samples: list[dict[str, Any]] = [
        sample for event in bench.events() for value in event.get("meterValue", []) for sample in value["sampledValue"]
    ]
    name = "Energy.Active.Import.Register"
    return [float(sample["value"]) for sample in samples if sample.get("measurand", name) == name]

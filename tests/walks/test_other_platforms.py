"""A simulated station needs nothing that only Linux has, and a station on hardware says what it needs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import PATIENCE_S
from tests.walks.station_process import StationProcess

ROOT = Path(__file__).parents[2]
RESTRICT = "from tests.walks.other_platform import restrict\nrestrict()"
STATION = '[station]\nidentity = "B1"\nstorage = "{storage}"\n'
CONTACT = '[grid_order]\ntype = "dry-contact"\npolarity = "open-dims"\nline = 1\n'
LCD = '[[display.output]]\ntype = "lcd"\n'


def run_restricted(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program without the Linux-only modules, files and packages."""
    return subprocess.run(
        [sys.executable, "-c", f"{RESTRICT}\n{program}", *arguments],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith(("BORNE_", "NOTIFY_"))},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )


def borne(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run_restricted("import runpy\nrunpy.run_module('borne', run_name='__main__')", *arguments)


def test_a_charge_of_the_demonstration_needs_nothing_that_only_linux_has() -> None:
    result = borne("demo", "--once")
    assert (result.returncode, result.stderr) == (0, ""), result.stdout
    assert "Meter, station and CSMS agree" in " ".join(result.stdout.split())


async def test_a_simulated_station_serves_its_page_with_nothing_that_only_linux_has(tmp_path: Path) -> None:
    station = StationProcess(tmp_path, None)
    station.start(mistake=RESTRICT)
    try:
        await station.ready()
        await station.plug()
        assert (await station.api.get("/")).status_code == 200
        station.signal(signal.SIGTERM)
        assert await station.ended() == 0
    finally:
        await station.aclose()
    assert "refused:" not in station.log.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "added", "place", "needs"),
    [
        (("check",), CONTACT, "5: grid_order.type", "gpiod"),
        (("check",), LCD, "5: display.output[0].type", "RPLCD and smbus2"),
        (("run", "--config"), CONTACT, "5: grid_order.type", "gpiod"),
    ],
)
def test_a_device_whose_package_is_missing_is_named_with_the_command_that_installs_it(
    tmp_path: Path, arguments: tuple[str, ...], added: str, place: str, needs: str
) -> None:
    file = tmp_path / "station.toml"
    file.write_text(STATION.format(storage=tmp_path / "storage") + added, encoding="utf-8")
    result = borne(*arguments, str(file))
    remedy = f'{sys.executable} -m pip install "borne[board]"'
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"{file}:{place}: needs {needs}, not installed: {remedy}\n"


async def test_a_station_starts_without_a_display_whose_package_is_missing_and_logs_it(tmp_path: Path) -> None:
    station = StationProcess(tmp_path, None, more=LCD)
    station.start(mistake=RESTRICT)
    try:
        await station.ready()
        await station.plug()
    finally:
        await station.aclose()
    errors = [line for line in station.log.read_text(encoding="utf-8").splitlines() if '"level": "error"' in line]
    (message,) = [json.loads(line)["message"] for line in errors]
    assert message.startswith(
        "a display of the installation file is not used: it needs RPLCD and smbus2, not installed: "
    )
    assert message.endswith('-m pip install "borne[board]"')


@pytest.mark.parametrize(
    ("statement", "refusal"),
    [
        ("import gpiod", "import gpiod"),
        ("from pathlib import Path; Path('/proc/self/stat').read_bytes()", "open /proc/self/stat"),
        ("import os; os.listdir('/sys')", "os.listdir /sys"),
        ("import socket; socket.socket(socket.AF_UNIX).bind('\\0name')", "socket.bind '\\x00name'"),
        ("import os; os.sched_getaffinity(0)", None),
    ],
)
def test_what_only_linux_has_is_refused_and_noted_although_the_program_catches_it(
    statement: str, refusal: str | None
) -> None:
    result = run_restricted(
        f"try:\n    {statement}\nexcept (ImportError, OSError, AttributeError):\n    print('caught')"
    )
    assert result.stdout == "caught\n"
    assert result.stderr == ("" if refusal is None else f"refused: {refusal}\n")

"""What is added by following "Where to add what" of docs/architecture.md alone works, and touches few places.

Each addition is made in a copy of the program, in the files that its row names, and used there.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests import project
from tests.additions import (
    ADDITIONS,
    BLOCK,
    BOARD,
    DISPLAY,
    GRID_METER,
    KEY,
    LANGUAGE,
    LIMIT,
    MESSAGE,
    NOTIFIER,
    READER,
    Addition,
)

_TABLE: Final = (project.ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
_STATION: Final = '[station]\nidentity = "BORNE-1"\n'
_REAL: Final = """
[firmware]
type = "command"
install_command = ["/bin/true"]
[[evse]]
[evse.meter]
type = "modbus-tcp"
model = "eastron-sdm630"
host = "192.168.1.20"
"""
_COMMANDS: Final = """
import contextlib, io
from borne.cli import main as run_command

def borne(*arguments):
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        assert run_command(arguments) == 0, output.getvalue()
    return output.getvalue()

print(borne("check", "station.toml").partition(":")[2].split()[0])
"""
"""before each program: it checks the installation file, and prints `ok:`"""


def cells() -> dict[str, str]:
    """The rows of the table, by what is to be added."""
    section = _TABLE.partition("## Where to add what")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| (.+?) \| (.+) \|$", section, re.MULTILINE))


class Copy:
    """A copy of the program in which something is added."""

    def __init__(self, folder: Path, addition: Addition) -> None:
        self.folder = folder
        for name in project.roots():
            shutil.copytree(
                project.ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "swagger-ui", "fonts")
            )
        for file, text in addition.files.items():
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).write_text(text, encoding="utf-8")
        for edit in addition.edits:
            text = (folder / edit.file).read_text(encoding="utf-8")
            assert text.count(edit.old) == 1, edit
            (folder / edit.file).write_text(text.replace(edit.old, edit.new), encoding="utf-8")

    def run(self, program: str, file: str = _STATION) -> str:
        """Run a program with the packages of the copy, and the tests of this tree; returns what it prints.

        The program finds an installation file, and has a function that runs a command and returns what that prints.
        """
        path = f"{self.folder}:{project.ROOT}"
        (self.folder / "station.toml").write_text(file, encoding="utf-8")
        result = subprocess.run(
            [sys.executable, "-c", _COMMANDS + program],
            cwd=self.folder,
            env={"PYTHONPATH": path, "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert result.returncode == 0, result.stderr
        return result.stdout


@pytest.mark.parametrize("addition", ADDITIONS, ids=lambda addition: addition.row)
def test_the_row_of_an_addition_names_every_place_and_there_are_few(addition: Addition) -> None:
    named = re.findall(r"`([a-z_]+/[\w./]*)`", cells()[addition.row])
    for place in addition.places:
        assert any(place == name or (name.endswith("/") and place.startswith(name)) for name in named), place
    assert len(addition.places) <= addition.most_places


@pytest.mark.parametrize("addition", [MESSAGE, BLOCK], ids=lambda addition: addition.row)
def test_a_message_that_is_added_is_answered(tmp_path: Path, addition: Addition) -> None:
    answer = Copy(tmp_path, addition).run("""
import asyncio
from pathlib import Path
from tests.walk import walking

async def main():
    async with walking(Path("storage")) as walk:
        await walk.accepted()
        print(await walk.csms.call("UnpublishFirmware", {"checksum": "0" * 32}))

asyncio.run(main())
""")
    assert answer == "ok:\n{'status': 'NoFirmware'}\n"


def test_a_grid_meter_that_is_added_is_checked_described_and_limits_a_charge(tmp_path: Path) -> None:
    file = f'{_STATION}[grid]\nphases = 3\n[grid.source]\ntype = "gateway"\nhost = "192.168.1.30"\n'
    program = """
import asyncio
from pathlib import Path
from typing import get_args
from energy.sources.grid_source_config import GridSourceConfig
from energy.sources.gateway import GatewayConfig
from station.interfaces.page.source_forms import source_forms
from station.load.jumpers import expected_position
from tests.walk import walking

async def main():
    grid = {"phases": 3, "max_current_a": 25.0, "safe_current_a": 8.0, "source": {"type": "gateway", "host": "h"}}
    async with walking(Path("storage"), grid=grid) as walk:
        await walk.accepted()
        await walk.until(lambda: walk.parts.load.grid.last_sample is not None)
        print(*walk.parts.load.grid.house_currents_a)
        await walk.plug()
        await walk.present()
        await walk.until(lambda: "grid" in {limit.source for limit in walk.evse.limits})

print('host = "192.168.1.30"                # required; the address of the gateway' in borne("init"))
print(source_forms(get_args(GridSourceConfig))[-1].fields[0].key, expected_position(GatewayConfig(host="h"), None))
asyncio.run(main())
"""
    assert Copy(tmp_path, GRID_METER).run(program, file) == "ok:\nTrue\nhost 1-2\n7.0 8.0 9.0\n"


def test_a_board_that_is_added_is_checked_described_and_charges(tmp_path: Path) -> None:
    file = f'{_STATION}{_REAL}[[variable]]\ncomponent = "AuthCtrlr"\nvariable = "Enabled"\nvalue = "false"\n'
    file += '[board]\ntype = "relay"\n[[board.evse]]\ncoil = { line = 4 }\n'
    program = """
import asyncio
from pathlib import Path
from borne.composition.station_assembly import host_process
from foundation.clock import SystemClock
from metering.drivers.models import MODELS
from simulator.meter_server import ServedMeter, TcpFraming, TcpMeterServer
from station.configuration.installation_file import ConfigurationError, load_configuration
from tests import fakes
from tests.patience import until
from tests.walks.real_board_process import running

async def main():
    served = ServedMeter(MODELS["eastron-sdm630"], lambda: fakes.reading(1000.0, 0.0))
    async with TcpMeterServer({1: served}, TcpFraming(), SystemClock()) as meter:
        meter_address = {"BORNE_EVSE_0_METER_HOST": "127.0.0.1", "BORNE_EVSE_0_METER_PORT": str(meter.port)}
        variables = {"BORNE_HTTP_PORT": "0", "BORNE_STATION_STORAGE": "storage", **meter_address}
        configuration = load_configuration(Path("station.toml"), variables)
        process = host_process(configuration)
        async with running(process):
            hardware = process.station.hardware
            board = hardware.board(configuration.evse[0])
            await until(lambda: board.outputs.contactor)
            print(type(board).__name__, board.outputs.pilot_a, hardware.back_plate.view.selector)
        print(board.outputs.contactor)

print("# In place of [board] above: a relay for each EVSE\\n" in borne("init"))
contact = '[grid_order]\\ntype = "dry-contact"\\npolarity = "open-dims"\\nline = 4\\n'
Path("shared.toml").write_text(Path("station.toml").read_text() + contact)
try:
    load_configuration(Path("shared.toml"), {})
except ConfigurationError as error:
    print(error.sentences[0].partition(": ")[2])
asyncio.run(main())
"""
    assert Copy(tmp_path, BOARD).run(program, file) == (
        "ok:\nTrue\ngrid_order.line: must not be the same as board.evse[0].coil.line\nRelayBoard 16.0 16\nFalse\n"
    )


def test_a_reader_that_is_added_is_checked_described_and_opened(tmp_path: Path) -> None:
    program = """
import asyncio
from pathlib import Path
from foundation.clock import SystemClock
from station.configuration.installation_file import load_configuration

async def main():
    (config,) = load_configuration(Path("station.toml"), {}).reader
    print([digits async for digits in config.open(SystemClock()).reads()])

print('#path = "/run/cards"                    # required; the file' in borne("init"))
asyncio.run(main())
"""
    output = Copy(tmp_path, READER).run(program, f'{_STATION}[[reader]]\ntype = "file"\npath = "cards"\n')
    assert output == "ok:\nTrue\n[None, '04A3B2C1']\n"


def test_a_display_that_is_added_is_checked_described_and_written(tmp_path: Path) -> None:
    program = """
import asyncio
from pathlib import Path
from tests.walk import walking

async def main():
    async with walking(Path("storage"), display={"output": [{"type": "lines", "path": "screen.txt"}]}) as walk:
        await walk.until(Path("screen.txt").exists)
        print(Path("screen.txt").read_text())

print('#type = "lines"                         # the lines of each screen, in a file' in borne("init"))
asyncio.run(main())
"""
    file = f'{_STATION}[[display.output]]\ntype = "lines"\npath = "screen.txt"\n'
    output = Copy(tmp_path, DISPLAY).run(program, file)
    assert output.startswith("ok:\nTrue\n")
    assert len(output.splitlines()) > 2


def test_a_limit_that_is_added_limits_the_vehicle_and_is_explained(tmp_path: Path) -> None:
    program = """
import asyncio
from pathlib import Path
from energy.limit import limit_to_json, tightest
from tests.walk import walking

async def main():
    async with walking(Path("storage")) as walk:
        await walk.accepted()
        await walk.plug()
        await walk.present()
        await walk.charging()
        limit = tightest(walk.evse.limits)
        print(walk.evse.offered_a, limit.source)
        print(limit_to_json(limit)["words"])

asyncio.run(main())
"""
    output = Copy(tmp_path, LIMIT).run(program)
    assert output == "ok:\n7.0 quiet-hours\nthe quiet hours of the house\n"


def test_a_notifier_that_is_added_hears_of_a_charge(tmp_path: Path) -> None:
    program = """
import asyncio
from pathlib import Path
from tests.walk import walking

async def main():
    async with walking(Path("storage")) as walk:
        await walk.accepted()
        await walk.plug()
        await walk.present()
        await walk.charging()
        await walk.until(lambda: "charging" in Path("light.txt").read_text())

asyncio.run(main())
"""
    assert Copy(tmp_path, NOTIFIER).run(program) == "ok:\n"


def test_a_key_that_is_added_is_read_and_described(tmp_path: Path) -> None:
    program = """
from tools.references.installation_file import page
print("#utc = true                             # whether the times of lines are in UTC" in borne("init"))
print("| `utc` | true or false | `true` | Whether the times" in page())
"""
    assert Copy(tmp_path, KEY).run(program, f"{_STATION}[log]\nutc = false\n") == "ok:\nTrue\nTrue\n"


def test_a_language_that_is_added_is_spoken_by_page_display_and_documents(tmp_path: Path) -> None:
    program = """
from decimal import Decimal
from station.billing.documents import table
from station.billing.documents.words import words
from station.billing.price import PriceList
from station.display.screen_texts import amount_text, price_text
from station.interfaces.languages import best_language, catalogue
language = best_language("it-CH, en;q=0.5")
print(language, catalogue(language)["title.charge"], price_text(PriceList(), language))
print(amount_text(Decimal("1.5"), "EUR", language), words(language).kwh(Decimal(1500)), table.csv_heading(language)[:5])
"""
    output = Copy(tmp_path, LANGUAGE).run(program, f'{_STATION}[display]\nlanguages = ["it"]\n')
    assert output == "ok:\nit Ricarica gratis\n1,50 € 1,500 kWh \ufeffTran\n"

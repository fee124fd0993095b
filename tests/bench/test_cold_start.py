"""What a station may load before its BootNotification: whatever creeps in costs every start."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.csms import neutral_csms
from bench.processes import STATION
from tests.patience import PATIENCE_S
from tests.stored.storage import all_stored

ROOT = Path(__file__).parents[2]
LATE = {
    *("typer", "click", "rich"),  # of the other commands
    *("fastapi", "starlette", "uvicorn", "jinja2", "prometheus_client"),  # the first visitor's
    *("fpdf", "segno", "httpx", "asyncssh", "cryptography", "ocpp", "jsonschema", "jsonschema_rs"),
    *("zeroconf", "ifaddr", "aiomqtt", "pymodbus", "serialx", "gpiod", "RPLCD", "smbus2", "html", "pydantic_settings"),
    *("pydantic", "pydantic_core", "annotated_types", "argparse"),
    "aiosqlite",  # of the first long query
}
"""packages that a simple station boots without"""
LATE_OF_OURS = {
    *(
        "borne.cli",
        "station.interfaces.application",
        "station.interfaces.page.pages",
        "station.billing.documents.receipt",
        "borne.demo.run",
    ),
    "ocpp_handlers.wire.messages",
}
MAX_FOREIGN_MODULES = 235
"""modules of Python and of libraries: one that creeps in brings dozens; our own files are not counted"""
OWN_PACKAGES = frozenset({"foundation", "metering", "energy", "station", "ocpp_handlers", "simulator", "borne"})
STANDARD_FROZEN = 20


async def loaded_before_boot(folder: Path, **environ: str) -> list[str]:
    """The modules that a station has loaded when its BootNotification arrives; `environ`: further variables."""
    async with neutral_csms() as csms:
        file = folder / "station.toml"
        file.write_text(STATION.format(url=csms.url, storage=folder / "storage"), encoding="utf-8")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-X", "importtime", "-m", "borne", "run", "--config", str(file), "--http-port", "0"),
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if not name.startswith("BORNE_")} | environ,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(PATIENCE_S):
                output = asyncio.create_task(process.communicate())
                await csms.booted.wait()
                process.kill()
                _, lines = await output
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    return re.findall(r"^import time: +\d+ \| +\d+ \| +(\S+)$", lines.decode(), re.MULTILINE)


@pytest.fixture(scope="module")
def loaded_modules(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return asyncio.run(loaded_before_boot(tmp_path_factory.mktemp("start")))


def test_a_station_boots_without_what_it_needs_later(loaded_modules: list[str]) -> None:
    assert {"borne.composition.station_assembly", "msgspec", "websockets"} <= set(loaded_modules)
    assert {name.split(".")[0] for name in loaded_modules} & LATE == set()
    assert set(loaded_modules) & LATE_OF_OURS == set()


def test_records_site_settings_and_variables_are_read_without_pydantic(tmp_path: Path) -> None:
    stored = all_stored()[-1]
    stored.restore(tmp_path / "storage", 1)
    (tmp_path / "storage" / "site-settings.json").write_text(
        '{"grid": {"phases": 3, "source": {"type": "p1", "device": "/dev/none"}}}'
    )
    variables = {
        "BORNE_EVSE_0_MAX_CURRENT_A": "16",
        "BORNE_STATION_VENDOR": "v",
        "BORNE_CSMS_ALLOW_SECURITY_DOWNGRADE": "true",  # the CSMS of the stored profile was reached with a password
    }
    loaded_modules = asyncio.run(loaded_before_boot(tmp_path, **variables))
    assert "energy.sources.p1_source" in loaded_modules
    assert {"pydantic", "pydantic_core"} & set(loaded_modules) == set()


def test_a_start_reads_only_the_definitions_of_tables_that_are_given() -> None:
    program = """
import sys, typing
from station.configuration.installation_file import Configuration
evaluated = 0
def count(frame, event, argument):
    global evaluated
    evaluated += event == "call" and frame.f_code is typing.ForwardRef._evaluate.__code__
sys.setprofile(count)
Configuration.from_tree({"station": {"identity": "A", "storage": "/tmp/a"}, "csms": {"url": "ws://h/a"}})
sys.setprofile(None)
print(evaluated)
"""
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert 0 < int(result.stdout) <= 50, "annotations; those of all tables are more than 300"


def test_a_station_boots_with_few_modules_of_others(loaded_modules: list[str]) -> None:
    foreign = {name for name in loaded_modules if name.partition(".")[0] not in OWN_PACKAGES}
    assert len(foreign) <= MAX_FOREIGN_MODULES, len(foreign)


def test_classes_of_values_are_made_by_msgspec() -> None:
    slow = "@dataclass(frozen=True, slots=True"
    rooms = (
        ROOT / room for room in ("foundation", "metering", "energy", "station", "ocpp_handlers", "simulator", "borne")
    )
    sources = [file.read_text(encoding="utf-8") for room in rooms for file in room.rglob("*.py")]
    assert sum(source.count("(Frozen") for source in sources) > 200
    assert sum(source.count(slow) for source in sources) <= STANDARD_FROZEN

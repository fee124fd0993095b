"""What an idle station may load after its start: whatever creeps in stays in its memory."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
from pathlib import Path

from bench.csms import neutral_csms
from bench.processes import STATION
from metering.ocmf_signer import create_key
from station.storage import private_files
from tests.bench.test_cold_start import LATE, LATE_OF_OURS, ROOT
from tests.patience import PATIENCE_S

IDLE_S = 3_700
"""an hour: with what a station does a minute, ten minutes, a quarter of an hour and an hour after its start"""
FAST = f"{STATION}[simulation]\nrate = 1000.0\n"
IMPORTED = re.compile(r"^import time: +\d+ \| +\d+ \| +(\S+)$", re.MULTILINE)


async def loaded_while_idle(folder: Path) -> tuple[set[str], set[str]]:
    """All modules of a station that has been idle for an hour of its own clock; and those loaded after the boot."""
    async with neutral_csms(heartbeat_s=IDLE_S) as csms:
        file, errors = folder / "station.toml", folder / "errors"
        file.write_text(FAST.format(url=csms.url, storage=folder / "storage"), encoding="utf-8")
        with errors.open("wb") as standard_error:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-X", "importtime", "-m", "borne", "run", "--config", str(file), "--http-port", "0"),
                cwd=ROOT,
                env={name: value for name, value in os.environ.items() if not name.startswith("BORNE_")},
                stdout=asyncio.subprocess.DEVNULL,
                stderr=standard_error,
            )
        try:
            async with asyncio.timeout(PATIENCE_S):
                await csms.booted.wait()
                before = errors.stat().st_size
                await csms.heartbeat.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    text = errors.read_bytes()
    return set(IMPORTED.findall(text.decode())), set(IMPORTED.findall(text[before:].decode()))


async def test_an_idle_station_loads_nothing_that_it_boots_without(tmp_path: Path) -> None:
    """Not even a station that has signed readings: it looks once a day whether its key is the same."""
    private_files.write(tmp_path / "storage" / "signing" / "evse-1.pem", create_key())
    loaded, late = await loaded_while_idle(tmp_path)
    assert "ocpp_handlers.wire.session" in loaded
    assert {name.split(".")[0] for name in loaded} & LATE == set()
    assert loaded & (LATE_OF_OURS | {"encodings.idna"}) == set()
    assert len(late) < 10

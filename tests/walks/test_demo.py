"""The demonstration as a visitor starts it: a process of its own, real time, a pipe in place of a terminal."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator
from itertools import pairwise
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from tests.patience import PATIENCE_S

ROOT = Path(__file__).parents[2]


@contextlib.asynccontextmanager
async def borne(*arguments: str) -> AsyncGenerator[Process]:
    """Run `borne` with its output in a pipe; kill it at the end of the block."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BORNE_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "borne",
        *arguments,
        cwd=ROOT,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def next_line(process: Process, pattern: str) -> re.Match[str]:
    """Return the next line of the output that matches."""
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE_S):
        while text := (await process.stdout.readline()).decode():
            if found := re.search(pattern, text):
                return found
    raise AssertionError(f"it ended without a line like {pattern}")


def summary_figures(output: str) -> dict[str, str]:
    """Return the figures of the summary by their names."""
    lines = output.partition("energy of the meter register")
    assert lines[1], output
    summary = (text.strip() for text in (lines[1] + lines[2]).splitlines())
    columns = [re.split(r"\s{2,}", text) for text in summary if "  " in text]
    return {title: value for title, value, *_ in columns}


async def test_one_charge_with_kettle_oven_and_network_cut_is_billed_to_the_watt_hour_within_a_minute() -> None:
    async with borne("demo", "--once") as process:
        output, complained = (text.decode() for text in await process.communicate())
    assert (process.returncode, complained) == (0, ""), output
    *_, last_s = map(float, re.findall(r"^ *([\d.]+) s  ", output, re.MULTILINE))
    assert 30.0 < last_s < 60.0  # its own clock: how long the machine takes to start it does not count
    states = re.findall(r"^ *[\d.]+ s    (EVSE 1 .*)$", output, re.MULTILINE)
    assert len(states) > 10
    assert [state for state, after in pairwise(states) if state == after] == [], "no line repeats the one before it"
    printed = summary_figures(output)
    register_wh = float(printed["energy of the meter register"].removesuffix(" Wh"))
    assert register_wh > 20.0
    assert float(printed["energy received by the CSMS"].removesuffix(" Wh")) == pytest.approx(register_wh, abs=0.5)
    events = int(printed["events recorded"])
    assert printed["events delivered"] == str(events)
    assert printed["sequence numbers"] == f"0…{events - 1}"
    assert int(printed["queued during the network cut"]) >= 2
    assert printed["left in the queue"] == "0"
    assert float(printed["largest grid current"].split()[0]) == pytest.approx(56.0)
    assert 0.0 < float(printed["longest time above the limit"].split()[0]) <= 6.0
    # What was sent in the end is what the frames said in between.
    sent = re.findall(r"→ TransactionEvent #(\d+) ", output)
    assert list(dict.fromkeys(map(int, sent))) == list(range(events))
    assert len(re.findall(r"TransactionEvent #\d+ Ended .* (?P<wh>[\d.]+) Wh", output)) == 1


async def test_a_vehicle_with_a_contract_charges_without_a_card_and_is_billed_to_the_watt_hour() -> None:
    async with borne("demo", "--plug-and-charge") as process:
        output, complained = (text.decode() for text in await process.communicate())
    assert (process.returncode, complained) == (0, ""), output
    assert "The CSMS has accepted the contract FRBRNC00000001X" in output
    assert re.search(r"The car wants 22 kWh until \d\d:\d\d", output)
    assert output.count("→ NotifyEVChargingNeeds") == 1, "no negotiation of the station sends them again (K16.FR.09)"
    assert output.count("→ NotifyEVChargingSchedule") >= 3, "of the begin, of the profile, and of its end"
    assert "AbnormalCondition" not in output
    printed = summary_figures(output)
    register_wh = float(printed["energy of the meter register"].removesuffix(" Wh"))
    assert register_wh > 20.0
    assert float(printed["energy received by the CSMS"].removesuffix(" Wh")) == pytest.approx(register_wh, abs=0.5)
    assert printed["left in the queue"] == "0"


async def test_ctrl_c_ends_the_demonstration_in_order() -> None:
    async with borne("demo", "--speed", "4") as process:
        await next_line(process, "EVSE 1 Charging")
        process.send_signal(signal.SIGINT)
        await next_line(process, "Stopped.")
        async with asyncio.timeout(PATIENCE_S):
            assert await process.wait() == 0


async def test_one_charge_that_is_interrupted_has_not_agreed() -> None:
    async with borne("demo", "--once") as process:
        await next_line(process, "A car arrives")
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE_S):
            assert await process.wait() == 1


async def test_the_csms_alone_answers_a_station_shows_the_frames_and_ends_with_ctrl_c() -> None:
    boot = {"reason": "PowerUp", "chargingStation": {"model": "flex", "vendorName": "borne"}}
    async with borne("csms", "--port", "0") as process:
        url = (await next_line(process, r"CSMS at (\S+)"))[1]
        async with connect(f"{url}/OTHER-1", subprotocols=[Subprotocol("ocpp2.0.1")]) as station:
            await station.send(json.dumps([2, "1", "BootNotification", boot]))
            kind, identity, answer = json.loads(await station.recv())
        assert (kind, identity, answer["status"]) == (3, "1", "Accepted")
        await next_line(process, r"OTHER-1 → \[2, \"1\", \"BootNotification\"")
        await next_line(process, r"OTHER-1 ← \[3,")
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(PATIENCE_S):
            assert await process.wait() == 0

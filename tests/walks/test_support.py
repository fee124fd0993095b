"""The commands for support on a real station process: its state, its log, its backup and its restore."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import signal
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from borne.support.station_status import StatusExit
from tests.command_line import Outcome, invoke
from tests.csms import Csms, running_csms
from tests.patience import until
from tests.walks.station_process import IDENTITY, StationProcess
from tests.walks.steps import listed, token


@contextlib.asynccontextmanager
async def supported(tmp_path: Path, csms: Csms) -> AsyncGenerator[StationProcess]:
    """A running station that the CSMS has accepted, with two EVSEs."""
    station = StationProcess(tmp_path, csms.url, more="[[evse]]\n[[evse]]\n")
    station.start()
    await station.ready()
    try:
        await csms.expect("BootNotification")
        yield station
    finally:
        await station.aclose()


async def command(station: StationProcess, name: str, *options: str) -> Outcome:
    """Run a command on the station of this process, while its CSMS goes on in this loop."""
    return await asyncio.to_thread(invoke, [name, *options])


def installation(tmp_path: Path) -> str:
    return str(tmp_path / "station.toml")


async def status(station: StationProcess, tmp_path: Path, *, url: bool = True) -> tuple[Outcome, dict[str, Any]]:
    """Run `borne status --json`; `url`: with the address of the running station."""
    address = ["--url", str(station.api.base_url)] if url else []
    outcome = await command(station, "status", installation(tmp_path), "--json", *address)
    return outcome, json.loads(outcome.stdout)


async def stop(station: StationProcess) -> None:
    """Stop the station in order."""
    station.signal(signal.SIGTERM)
    assert await station.ended() == 0


async def settings(station: StationProcess, csms: Csms) -> dict[str, object]:
    """What a backup has to bring back, as the station itself reports it."""
    threshold = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "OfflineThreshold"}}
    answer = await csms.call("GetVariables", {"getVariableData": [threshold]})
    cards = (await station.api.get("/api/cards")).json()
    prices = (await station.api.get("/api/prices")).json()
    listed_cards = (await station.api.get("/api/auth/list")).json()
    return {
        "identity": (await station.status())["identity"],
        "variable": answer["getVariableResult"][0]["attributeValue"],
        "cards": cards,
        "prices": prices,
        "list": listed_cards,
    }


async def change_settings(station: StationProcess, csms: Csms, mark: int) -> None:
    """Change a variable, the owner's cards, the prices and the local list."""
    threshold = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "OfflineThreshold"}}
    data = [{**threshold, "attributeValue": str(mark)}]
    assert (await csms.call("SetVariables", {"setVariableData": data}))["setVariableResult"][0][
        "attributeStatus"
    ] == "Accepted"
    request = {"updateType": "Full", "versionNumber": mark, "localAuthorizationList": [listed(token())]}
    assert await csms.call("SendLocalList", request) == {"status": "Accepted"}
    await station.post("/api/cards", id_token=f"04A3B2C1D5{mark:04}", label=f"card {mark}")
    prices = {"currency": "EUR", "energy_per_kwh": f"0.{mark}"}
    assert (await station.api.put("/api/prices", json=prices)).is_success


async def test_a_wiped_station_comes_back_as_the_same_one(tmp_path: Path) -> None:
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("correct horse battery\n", encoding="utf-8")
    backup_file = tmp_path / "station.backup"
    places = [str(backup_file), installation(tmp_path), "--passphrase-file", str(passphrase), "--records"]
    async with running_csms() as csms, supported(tmp_path, csms) as station:
        await change_settings(station, csms, 321)
        await station.charging()
        await station.post("/api/evses/1/stop")
        await station.until_evse(lambda evse: evse["transaction_id"] is None or not evse["contactor_closed"])
        await station.post("/api/sim/evses/1/unplug")

        async def all_is_delivered() -> bool:
            return (await station.status())["queue"]["transaction_events"] == 0

        await until(all_is_delivered)
        await station.until_evse(lambda evse: evse["transaction_id"] is None)
        before = await settings(station, csms)
        outcome = await command(station, "backup", *places)
        assert outcome.exit_code == 0, outcome.stderr
        assert "correct horse" not in outcome.stdout + outcome.stderr + station.log.read_text(encoding="utf-8")
        transactions = (await station.api.get("/api/transactions")).json()["transactions"]
        refused = await command(station, "restore", *places)
        assert refused.exit_code == 2
        assert "stop the station first" in refused.stderr
        await stop(station)

        shutil.rmtree(station.storage)
        outcome = await command(station, "restore", *places)
        assert outcome.exit_code == 0, outcome.stderr
        station.start()
        await station.ready()
        await until(lambda: csms.connected)

        async def accepted() -> bool:
            return (await station.status())["boot_status"] == "Accepted"

        await until(accepted)
        assert await settings(station, csms) == before
        assert (await station.api.get("/api/transactions")).json()["transactions"] == transactions
        assert invoke(["journal", "verify", str(station.storage)]).exit_code == 0


async def test_a_backup_during_a_charge_does_not_disturb_it_and_is_consistent(tmp_path: Path) -> None:
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("correct horse battery\n", encoding="utf-8")
    async with running_csms() as csms, supported(tmp_path, csms) as station:
        await station.charging()
        for number in range(3):
            places = [str(tmp_path / f"{number}.backup"), installation(tmp_path)]
            outcome = await command(station, "backup", *places, "--records", "--passphrase-file", str(passphrase))
            assert outcome.exit_code == 0, outcome.stderr
        assert (await station.evse())["charging_state"] == "Charging"
        assert not list(station.storage.glob("*.new"))


async def test_the_status_of_a_running_and_of_a_stopped_station(tmp_path: Path) -> None:
    async with running_csms() as csms, supported(tmp_path, csms) as station:
        await station.charging()
        outcome, found = await status(station, tmp_path)
        assert outcome.exit_code == StatusExit.HEALTHY, found["problems"]
        assert (found["state"], found["healthy"], found["identity"]) == ("running", True, IDENTITY)
        assert found["pid"] == station.process.pid
        assert found["boot_status"] == "Accepted"
        first, second = found["evses"]
        assert first["charging_state"] == "Charging"
        assert first["energy_wh"] >= 0.0
        assert first["limit"]["words"]
        assert second["transaction_id"] is None

        await station.post("/api/sim/faults", code="ground-fault", evse=2)
        outcome, found = await status(station, tmp_path)
        assert outcome.exit_code == StatusExit.ATTENTION
        assert "EVSE 2: ground-fault" in found["problems"]

        outcome, found = await status(station, tmp_path, url=False)  # port 8080 is not that of this station
        assert outcome.exit_code == StatusExit.SILENT
        assert found["state"] == "silent"

        station.kill()
        await station.ended()
        outcome, found = await status(station, tmp_path, url=False)
        assert outcome.exit_code == StatusExit.STOPPED
        assert found["state"] == "stopped"
        assert len(found["storage"]["open_transactions"]) == 1
        assert found["storage"]["last_boot"]["reason"] == "PowerUp"
        assert found["storage"]["last_fault"]["fault"] == "ground-fault"


async def test_the_screen_fits_80_columns_and_24_lines_without_colours(tmp_path: Path) -> None:
    async with running_csms() as csms, supported(tmp_path, csms) as station:
        await station.charging()
        await station.post("/api/sim/faults", code="ground-fault", evse=2)
        outcome = await command(station, "status", installation(tmp_path), "--url", str(station.api.base_url))
        lines = outcome.stdout.splitlines()
        assert len(lines) < 24
        assert max(map(len, lines)) <= 80
        assert "\x1b" not in outcome.stdout
        assert "Charging" in outcome.stdout
        assert "ground-fault" in outcome.stdout


async def test_the_stored_log_is_shown_after_a_stop(tmp_path: Path) -> None:
    async with running_csms() as csms, supported(tmp_path, csms) as station:
        await station.charging()
        await stop(station)
        outcome = await command(
            station, "logs", installation(tmp_path), "--category", "station.charging", "--level", "info"
        )
        assert outcome.exit_code == 0
        assert outcome.stdout.splitlines()
        assert all(" station.charging." in line for line in outcome.stdout.splitlines())
        assert "Charging" in outcome.stdout

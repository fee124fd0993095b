"""A second station on the storage of a running one does not start; what only reads works beside it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from tests.csms import running_csms
from tests.patience import until
from tests.walks.station_process import ROOT, StationProcess


def borne(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "borne", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_a_second_process_on_the_same_storage_is_refused_and_disturbs_nothing(tmp_path: Path) -> None:
    async with running_csms() as csms:
        station = StationProcess(tmp_path, csms.url)
        try:
            station.start()
            await station.ready()
            await until(lambda: csms.connected)
            await station.charging()
            run = ("run", "--config", str(tmp_path / "station.toml"), "--http-port", "0")
            second = await asyncio.to_thread(borne, *run)
            assert second.returncode == 2
            (sentence,) = second.stderr.splitlines()
            assert sentence.endswith(f"station.storage: {station.storage} is in use by process {station.process.pid}")
            assert (await station.evse())["charging_state"] == "Charging"
            assert not [event for event in csms.received("TransactionEvent") if event["eventType"] == "Ended"]

            await station.post("/api/evses/1/stop")
            await until(lambda: [event for event in csms.received("TransactionEvent") if event["eventType"] == "Ended"])
            proof = await asyncio.to_thread(borne, "journal", "verify", str(station.storage))
            assert (proof.returncode, proof.stderr) == (0, "")
            label = await asyncio.to_thread(borne, "label", str(tmp_path / "station.toml"))
            assert label.returncode == 0

            station.kill()
            await station.ended()
            station.start()  # the lock of a killed process is gone with it
            await station.ready()
        finally:
            await station.aclose()
    assert len([event for event in csms.received("TransactionEvent") if event["eventType"] == "Ended"]) == 1

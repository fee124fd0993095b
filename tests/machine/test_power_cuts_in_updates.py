"""Power cuts of the whole machine at ten moments of an update: it starts with one version or the other, and reports."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import pytest

from tests.machine.bench import patiently
from tests.machine.built_image import note_figure
from tests.machine.bundles import next_version
from tests.machine.update_bench import ENDS, Maker, update_bench
from tools.delivery.source_tree import source_tree


def _moments() -> list[tuple[str, float]]:
    """Ten moments of an installation: a status of the update, and the seconds after it."""
    random = Random(25)
    phases = [("Downloading", 10.0)] + [("Installing", 25.0)] * 5 + [("InstallRebooting", 75.0)] * 4
    return [(status, round(random.uniform(0.0, longest_s), 1)) for status, longest_s in phases]


@pytest.mark.parametrize(("status", "delay_s"), _moments())
async def test_a_power_cut_in_an_update_leaves_a_station_that_starts_and_reports(
    status: str, delay_s: float, maker: Maker, relabelled: Path, tmp_path: Path
) -> None:
    async with update_bench(maker, tmp_path) as update:
        bench = update.bench
        register_wh = await asyncio.to_thread(bench.station.register_wh)
        await update.order(relabelled)
        await patiently(lambda: status in update.statuses())
        await asyncio.sleep(delay_s)
        bench.machine.cut_power()
        boots = len(bench.csms.received("BootNotification"))
        await asyncio.to_thread(bench.machine.start)
        await bench.until_booted(boots + 1)
        await patiently(lambda: ENDS.intersection(update.statuses()))
        await bench.until_status("Available")
        current, primary, state = await update.slots("get-current", "get-primary", "get-state A")
        assert (current, state) == (primary, "good")
        version = bench.csms.received("BootNotification")[-1]["chargingStation"]["firmwareVersion"]
        installed = "Installed" in update.statuses()
        assert (version, current) == ((next_version(), "B") if installed else (source_tree().version, "A"))
        assert await asyncio.to_thread(bench.station.register_wh) == register_wh
        assert await bench.run("systemctl list-units --failed --no-legend --plain") == ""
        assert "intact" in await bench.run("runuser -u borne -- borne journal verify /var/lib/borne")
        note_figure(f"power cut {delay_s} s after {status}: {update.statuses()[-1]}, slot {current}")

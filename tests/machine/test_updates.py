"""Updates of the station image over OCPP: RAUC bundles, the other slot, the trial, and bundles that are refused."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.machine.bench import patiently
from tests.machine.built_image import BuiltImage
from tests.machine.bundles import empty_bundle, newer_bundle, next_version
from tests.machine.update_bench import INSTALLED, Maker, update_bench


@pytest.mark.parametrize("kind", [pytest.param("same program", marks=pytest.mark.brief), "newer package"])
async def test_a_newer_bundle_is_installed_tried_and_kept(
    kind: str, image: BuiltImage, maker: Maker, relabelled: Path, tmp_path: Path
) -> None:
    bundle = relabelled if kind == "same program" else await asyncio.to_thread(newer_bundle, image, tmp_path)
    async with update_bench(maker, tmp_path) as update:
        await update.update(bundle)
        assert update.statuses() == INSTALLED
        boot = update.bench.csms.received("BootNotification")[-1]
        assert (boot["reason"], boot["chargingStation"]["firmwareVersion"]) == ("FirmwareUpdate", next_version())
        await patiently(lambda: update.security_events() == ["FirmwareUpdated"])
        await update.bench.until_status("Available")
        assert await update.slots("get-current", "get-primary", "get-state A", "get-state B") == [
            "B",
            "B",
            "good",
            "good",
        ]
        assert await update.bench.run("ls /data/slots; cat /data/slots/state") == "state\nkept B\n"
        assert "B_TRY=0" in await update.bench.run("grub-editenv /boot/grub/grubenv list")


@pytest.mark.parametrize(("kind", "end"), [("foreign", "InstallVerificationFailed"), ("older", "InstallationFailed")])
async def test_a_bundle_that_rauc_refuses_changes_nothing(
    kind: str, end: str, image: BuiltImage, maker: Maker, tmp_path: Path
) -> None:
    version = "0.1.0" if kind == "older" else None
    bundle = empty_bundle(image, tmp_path, version=version, foreign=kind == "foreign")
    async with update_bench(maker, tmp_path) as update:
        await update.update(bundle)
        assert update.statuses() == [*INSTALLED[:4], end]
        await update.bench.until_status("Available")
        assert await update.slots("get-current", "get-primary") == ["A", "A"]

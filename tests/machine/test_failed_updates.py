"""Updates of the station image that fail: the boot loader or the trial gives the new slot up, and the old one runs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import pytest

from tests.machine.built_image import BuiltImage
from tests.machine.bundles import changed_bundle, empty_bundle
from tests.machine.update_bench import INSTALLED, Maker, update_bench
from tools.delivery.source_tree import source_tree

_SHORT_TRIAL: Final = "sed -i 's/OnBootSec=.*/OnBootSec=5min/' $1/usr/lib/systemd/system/borne-trial.timer"


@pytest.mark.brief
async def test_a_bundle_that_does_not_start_is_given_up_by_the_boot_loader(
    image: BuiltImage, maker: Maker, tmp_path: Path
) -> None:
    bundle = empty_bundle(image, tmp_path)
    async with update_bench(maker, tmp_path) as update:
        await update.update(bundle)
        assert update.statuses() == [*INSTALLED[:5], "InstallVerificationFailed"]
        boot = update.bench.csms.received("BootNotification")[-1]
        version = boot["chargingStation"]["firmwareVersion"]
        assert (boot["reason"], version) == ("FirmwareUpdate", source_tree().version)
        assert update.security_events() == []
        await update.bench.until_status("Available")
        assert await update.slots("get-current", "get-primary", "get-state B") == ["A", "A", "bad"]
        assert await update.bench.run("cat /data/slots/state") == "fell-back B\n"


@pytest.mark.parametrize(
    ("kind", "command"),
    [
        ("program ends", "sed -i '2i raise SystemExit(1)' $1/opt/borne/*/bin/borne"),
        ("program hangs", "sed -i '2i import time; time.sleep(10**6)' $1/opt/borne/*/bin/borne"),
        ("kernel panics", "ln -sf /nowhere $1/usr/sbin/init"),
    ],
)
async def test_a_bundle_that_fails_its_trial_is_given_up(
    kind: str, command: str, image: BuiltImage, maker: Maker, tmp_path: Path
) -> None:
    bundle = await asyncio.to_thread(changed_bundle, image, tmp_path, [_SHORT_TRIAL, command])
    async with update_bench(maker, tmp_path) as update:
        register_wh = await asyncio.to_thread(update.bench.station.register_wh)
        await update.update(bundle)
        assert update.statuses() == [*INSTALLED[:5], "InstallVerificationFailed"]
        boot = update.bench.csms.received("BootNotification")[-1]
        assert boot["chargingStation"]["firmwareVersion"] == source_tree().version
        await update.bench.until_status("Available")
        assert await update.slots("get-current", "get-primary", "get-state B") == ["A", "A", "bad"]
        assert await asyncio.to_thread(update.bench.station.register_wh) == register_wh

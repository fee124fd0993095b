"""Updates of the station image over OCPP: RAUC bundles, the other slot, the trial, and the way back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final

import pytest

from tests.conformance.firmware import FileServer, Signer, signer, update_request
from tests.conformance.pki import Pki
from tests.machine.bench import Bench, SavedStation, patiently, resumed, save_station
from tests.machine.bundles import empty_bundle, newer_bundle, next_version
from tests.machine.conftest import BuiltImage
from tests.machine.virtual_machine import HOST_ADDRESS
from tools.delivery.source_tree import source_tree

_PAST: Final = "2020-01-01T00:00:00Z"
_INSTALLED: Final = ["Downloading", "Downloaded", "SignatureVerified", "Installing", "InstallRebooting", "Installed"]
_ENDS: Final = {"Installed", "InstallationFailed", "InstallVerificationFailed", "DownloadFailed", "InvalidSignature"}


@dataclass(frozen=True)
class Maker:
    """The maker of a station, whom it trusts."""

    saved: SavedStation
    signer: Signer
    """its firmware signing certificate"""


@dataclass
class UpdateBench:
    """A station with its CSMS, and the file server of its maker."""

    bench: Bench
    files: FileServer
    maker: Maker

    def statuses(self) -> list[str]:
        """The statuses of the update that the CSMS has received, without repetitions."""
        found = self.bench.csms.received("FirmwareStatusNotification")
        return [status for status, _ in groupby(item["status"] for item in found if item.get("requestId") == 1)]

    async def update(self, bundle: Path) -> None:
        """Order an update with a bundle, signed by the maker, and wait for its last status."""
        content = await asyncio.to_thread(bundle.read_bytes)
        self.files.files["bundle"] = content
        request = update_request(1, self.files.url("bundle").replace("127.0.0.1", HOST_ADDRESS), _PAST)
        request["firmware"] |= {
            "signingCertificate": self.maker.signer.pem,
            "signature": await asyncio.to_thread(self.maker.signer.sign, content),
        }
        answer = await self.bench.csms.call("UpdateFirmware", request)
        assert answer["status"] == "Accepted", answer
        await patiently(lambda: _ENDS.intersection(self.statuses()))

    def security_events(self) -> list[str]:
        """The types of the security events about firmware."""
        events = self.bench.csms.received("SecurityEventNotification")
        return [event["type"] for event in events if "Firmware" in event["type"]]

    async def slots(self, *commands: str) -> list[str]:
        """What the boot loader's part of updates answers to these commands."""
        return (await self.bench.run("; ".join(f"/usr/lib/borne/boot-slots {word}" for word in commands))).split()


@pytest.fixture(scope="module")
def maker(image: BuiltImage, tmp_path_factory: pytest.TempPathFactory) -> Maker:
    """The maker of the station that each test goes on with."""
    folder = tmp_path_factory.mktemp("maker")
    pki = Pki(folder)
    root = pki.make_root("Manufacturer")

    async def trust(bench: Bench) -> None:
        certificate = {"certificateType": "ManufacturerRootCertificate", "certificate": root.pem}
        assert (await bench.csms.call("InstallCertificate", certificate))["status"] == "Accepted"
        await bench.run("sync")

    return Maker(asyncio.run(save_station(image, folder, trust)), signer(pki, root))


@asynccontextmanager
async def _bench(maker: Maker, folder: Path) -> AsyncGenerator[UpdateBench]:
    async with resumed(maker.saved, folder) as bench, FileServer() as files:
        yield UpdateBench(bench, files, maker)


async def test_a_newer_bundle_is_installed_tried_and_kept(image: BuiltImage, maker: Maker, tmp_path: Path) -> None:
    bundle = await asyncio.to_thread(newer_bundle, image, tmp_path)
    async with _bench(maker, tmp_path) as update:
        await update.update(bundle)
        assert update.statuses() == _INSTALLED
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
    async with _bench(maker, tmp_path) as update:
        await update.update(bundle)
        assert update.statuses() == [*_INSTALLED[:4], end]
        await update.bench.until_status("Available")
        assert await update.slots("get-current", "get-primary") == ["A", "A"]


async def test_a_bundle_that_does_not_start_is_given_up_by_the_boot_loader(
    image: BuiltImage, maker: Maker, tmp_path: Path
) -> None:
    bundle = empty_bundle(image, tmp_path)
    async with _bench(maker, tmp_path) as update:
        await update.update(bundle)
        assert update.statuses() == [*_INSTALLED[:5], "InstallVerificationFailed"]
        boot = update.bench.csms.received("BootNotification")[-1]
        version = boot["chargingStation"]["firmwareVersion"]
        assert (boot["reason"], version) == ("FirmwareUpdate", source_tree().version)
        assert update.security_events() == []
        await update.bench.until_status("Available")
        assert await update.slots("get-current", "get-primary", "get-state B") == ["A", "A", "bad"]
        assert await update.bench.run("cat /data/slots/state") == "fell-back B\n"

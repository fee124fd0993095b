"""Updates of the station image over OCPP: RAUC bundles, the other slot, the trial, and the way back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from random import Random
from typing import Final

import pytest

from tests.conformance.firmware import FileServer, Signer, signer, update_request
from tests.conformance.pki import Pki
from tests.machine.bench import Bench, SavedStation, patiently, resumed, save_station
from tests.machine.built_image import BuiltImage, note_figure
from tests.machine.bundles import changed_bundle, empty_bundle, newer_bundle, next_version, relabelled_bundle
from tests.machine.virtual_machine import HOST_ADDRESS
from tools.delivery.source_tree import source_tree

_PAST: Final = "2020-01-01T00:00:00Z"
_INSTALLED: Final = ["Downloading", "Downloaded", "SignatureVerified", "Installing", "InstallRebooting", "Installed"]
_SHORT_TRIAL: Final = "sed -i 's/OnBootSec=.*/OnBootSec=5min/' $1/usr/lib/systemd/system/borne-trial.timer"
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
        await self.order(bundle)
        await patiently(lambda: _ENDS.intersection(self.statuses()))

    async def order(self, bundle: Path) -> None:
        """Order an update with a bundle, signed by the maker."""
        content = await asyncio.to_thread(bundle.read_bytes)
        self.files.files["bundle"] = content
        request = update_request(1, self.files.url("bundle").replace("127.0.0.1", HOST_ADDRESS), _PAST)
        request["firmware"] |= {
            "signingCertificate": self.maker.signer.pem,
            "signature": await asyncio.to_thread(self.maker.signer.sign, content),
        }
        answer = await self.bench.csms.call("UpdateFirmware", request)
        assert answer["status"] == "Accepted", answer

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


@pytest.fixture(scope="module")
def relabelled(image: BuiltImage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with the same program under the next version."""
    return relabelled_bundle(image, tmp_path_factory.mktemp("relabelled"))


@pytest.mark.parametrize("kind", [pytest.param("same program", marks=pytest.mark.brief), "newer package"])
async def test_a_newer_bundle_is_installed_tried_and_kept(
    kind: str, image: BuiltImage, maker: Maker, relabelled: Path, tmp_path: Path
) -> None:
    bundle = relabelled if kind == "same program" else await asyncio.to_thread(newer_bundle, image, tmp_path)
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


@pytest.mark.brief
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
    async with _bench(maker, tmp_path) as update:
        register_wh = await asyncio.to_thread(update.bench.station.register_wh)
        await update.update(bundle)
        assert update.statuses() == [*_INSTALLED[:5], "InstallVerificationFailed"]
        boot = update.bench.csms.received("BootNotification")[-1]
        assert boot["chargingStation"]["firmwareVersion"] == source_tree().version
        await update.bench.until_status("Available")
        assert await update.slots("get-current", "get-primary", "get-state B") == ["A", "A", "bad"]
        assert await asyncio.to_thread(update.bench.station.register_wh) == register_wh


def _moments() -> list[tuple[str, float]]:
    """Ten moments of an installation: a status of the update, and the seconds after it."""
    random = Random(25)
    phases = [("Downloading", 10.0)] + [("Installing", 25.0)] * 5 + [("InstallRebooting", 75.0)] * 4
    return [(status, round(random.uniform(0.0, longest_s), 1)) for status, longest_s in phases]


@pytest.mark.parametrize(("status", "delay_s"), _moments())
async def test_a_power_cut_in_an_update_leaves_a_station_that_starts_and_reports(
    status: str, delay_s: float, maker: Maker, relabelled: Path, tmp_path: Path
) -> None:
    async with _bench(maker, tmp_path) as update:
        bench = update.bench
        register_wh = await asyncio.to_thread(bench.station.register_wh)
        await update.order(relabelled)
        await patiently(lambda: status in update.statuses())
        await asyncio.sleep(delay_s)
        bench.machine.cut_power()
        boots = len(bench.csms.received("BootNotification"))
        await asyncio.to_thread(bench.machine.start)
        await bench.until_booted(boots + 1)
        await patiently(lambda: _ENDS.intersection(update.statuses()))
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

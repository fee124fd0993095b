"""A station that a CSMS updates with bundles of its maker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final

from tests.conformance.firmware import FileServer, Signer, signer, update_request
from tests.conformance.pki import Pki
from tests.machine.bench import Bench, SavedStation, patiently, resumed, save_station
from tests.machine.built_image import BuiltImage
from tests.machine.virtual_machine import HOST_ADDRESS

_PAST: Final = "2020-01-01T00:00:00Z"
INSTALLED: Final = ["Downloading", "Downloaded", "SignatureVerified", "Installing", "InstallRebooting", "Installed"]
"""the statuses of an update that succeeds"""
ENDS: Final = {"Installed", "InstallationFailed", "InstallVerificationFailed", "DownloadFailed", "InvalidSignature"}
"""the statuses that end an update"""


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
        await patiently(lambda: ENDS.intersection(self.statuses()))

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


def save_station_of_maker(image: BuiltImage, folder: Path) -> Maker:
    """A maker in a new folder, and a station with the image that trusts it."""
    folder.mkdir(parents=True, exist_ok=True)
    pki = Pki(folder)
    root = pki.make_root("Manufacturer")

    async def trust(bench: Bench) -> None:
        certificate = {"certificateType": "ManufacturerRootCertificate", "certificate": root.pem}
        assert (await bench.csms.call("InstallCertificate", certificate))["status"] == "Accepted"
        await bench.run("sync")

    return Maker(asyncio.run(save_station(image, folder, trust)), signer(pki, root))


@asynccontextmanager
async def update_bench(maker: Maker, folder: Path) -> AsyncGenerator[UpdateBench]:
    """The station of the maker as it was saved, with its CSMS and file server, until the end of the block."""
    async with resumed(maker.saved, folder) as bench, FileServer() as files:
        yield UpdateBench(bench, files, maker)

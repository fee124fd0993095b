"""Updates of the station image over OCPP: RAUC bundles, the other slot, the trial, and the way back."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import pytest

from tests.conformance.firmware import FileServer, Signer, signer, update_request
from tests.conformance.pki import Pki
from tests.csms import Csms, running_csms
from tests.machine.bundles import empty_bundle, newer_bundle, next_version
from tests.machine.conftest import BuiltImage
from tests.machine.guest_station import GuestStation, disk_for
from tests.machine.virtual_machine import GUEST_PATIENCE_S, HOST_ADDRESS, VirtualMachine, free_port, overlay
from tests.patience import until
from tools.delivery.source_tree import source_tree

_PAST: Final = "2020-01-01T00:00:00Z"
_INSTALLED: Final = ["Downloading", "Downloaded", "SignatureVerified", "Installing", "InstallRebooting", "Installed"]


@dataclass(frozen=True)
class RunningState:
    """A machine whose station runs, trusts a maker, and is connected to a CSMS at a fixed port."""

    machine: VirtualMachine
    """switched off"""
    disk: Path
    memory: Path
    """its state, saved"""
    csms_port: int
    signer: Signer
    """the maker's firmware signing certificate"""


@dataclass
class Bench:
    """A machine with its CSMS and the file server of its maker."""

    machine: VirtualMachine
    csms: Csms
    files: FileServer
    state: RunningState

    @property
    def station(self) -> GuestStation:
        """The station in the machine."""
        return GuestStation(self.machine)

    def statuses(self) -> list[str]:
        """The statuses of the update that the CSMS has received, without repetitions."""
        found = self.csms.received("FirmwareStatusNotification")
        return [status for status, _ in groupby(item["status"] for item in found if item.get("requestId") == 1)]

    async def order(self, bundle: Path) -> None:
        """Order an update with a bundle, signed by the maker."""
        content = await asyncio.to_thread(bundle.read_bytes)
        self.files.files["bundle"] = content
        request = update_request(1, self.files.url("bundle").replace("127.0.0.1", HOST_ADDRESS), _PAST)
        request["firmware"] |= {
            "signingCertificate": self.state.signer.pem,
            "signature": await asyncio.to_thread(self.state.signer.sign, content),
        }
        answer = await self.csms.call("UpdateFirmware", request)
        assert answer["status"] == "Accepted", answer

    async def wait_until_ended(self) -> None:
        """Wait until the CSMS has received the last status of the update."""
        ends = {"Installed", "InstallationFailed", "InstallVerificationFailed", "DownloadFailed", "InvalidSignature"}
        await _until(lambda: ends.intersection(self.statuses()))

    def booted_slot(self) -> str:
        """The slot that runs."""
        return self.machine.run("/usr/lib/borne/boot-slots get-current").strip()


async def _until(condition: Callable[[], object]) -> None:
    await until(condition, within_s=2 * GUEST_PATIENCE_S)


async def _connected(csms: Csms) -> None:
    await _until(lambda: csms.connected and csms.received("BootNotification"))


@pytest.fixture(scope="module")
def state(image: BuiltImage, tmp_path_factory: pytest.TempPathFactory) -> RunningState:
    """The state from which each test goes on."""
    return asyncio.run(_saved_state(image, tmp_path_factory.mktemp("updates")))


async def _saved_state(image: BuiltImage, folder: Path) -> RunningState:
    pki = Pki(folder)
    root = pki.make_root("Manufacturer")
    csms_port = free_port()
    disk = disk_for(image.files.disk, folder, f"ws://{HOST_ADDRESS}:{csms_port}/ocpp")
    with VirtualMachine(folder / "vm", disk) as machine:
        async with running_csms(Csms(port=csms_port)) as csms:
            machine.start()
            await _connected(csms)
            certificate = {"certificateType": "ManufacturerRootCertificate", "certificate": root.pem}
            assert (await csms.call("InstallCertificate", certificate))["status"] == "Accepted"
            await asyncio.to_thread(machine.run, "rauc status && sync")
            await asyncio.to_thread(machine.save, folder / "memory")
        saved = folder / "saved.qcow2"
        shutil.copyfile(disk, saved)
    return RunningState(machine, saved, folder / "memory", csms_port, signer(pki, root))


@asynccontextmanager
async def _bench(state: RunningState, folder: Path) -> AsyncGenerator[Bench]:
    disk = overlay(state.disk, folder / "disk.qcow2")
    with state.machine.twin(folder / "vm", disk) as machine:
        async with running_csms(Csms(port=state.csms_port)) as csms, FileServer() as files:
            await asyncio.to_thread(machine.start, state.memory)
            await _until(lambda: csms.connected)
            yield Bench(machine, csms, files, state)


async def test_a_newer_bundle_is_installed_tried_and_kept(
    image: BuiltImage, state: RunningState, tmp_path: Path
) -> None:
    bundle = await asyncio.to_thread(newer_bundle, image, tmp_path)
    async with _bench(state, tmp_path) as bench:
        await bench.order(bundle)
        await bench.wait_until_ended()
        assert bench.statuses() == _INSTALLED
        boot = bench.csms.received("BootNotification")[-1]
        assert (boot["reason"], boot["chargingStation"]["firmwareVersion"]) == ("FirmwareUpdate", next_version())
        await _until(lambda: _security_events(bench.csms, "FirmwareUpdated"))
        await _until(lambda: bench.csms.received("StatusNotification")[-1]["connectorStatus"] == "Available")
        assert await asyncio.to_thread(bench.booted_slot) == "B"
        shown = "ls /data/slots; cat /data/slots/state; grub-editenv /boot/grub/grubenv list"
        slots = await asyncio.to_thread(bench.machine.run, shown)
        variables = ["ORDER=B", "A", "A_OK=1", "A_TRY=0", "B_OK=1", "B_TRY=0"]
        assert slots.split() == ["state", "kept", "B", *variables]


@pytest.mark.parametrize(
    ("kind", "statuses"),
    [
        ("foreign", [*_INSTALLED[:4], "InstallVerificationFailed"]),
        ("older", [*_INSTALLED[:4], "InstallationFailed"]),
    ],
)
async def test_a_bundle_that_rauc_refuses_changes_nothing(
    kind: str, statuses: list[str], image: BuiltImage, state: RunningState, tmp_path: Path
) -> None:
    version = "0.1.0" if kind == "older" else None
    bundle = empty_bundle(image, tmp_path, version=version, foreign=kind == "foreign")
    async with _bench(state, tmp_path) as bench:
        await bench.order(bundle)
        await bench.wait_until_ended()
        assert bench.statuses() == statuses
        await _until(lambda: bench.csms.received("StatusNotification")[-1]["connectorStatus"] == "Available")
        assert await asyncio.to_thread(bench.machine.run, "/usr/lib/borne/boot-slots get-primary") == "A\n"


async def test_a_bundle_that_does_not_start_is_given_up_by_the_boot_loader(
    image: BuiltImage, state: RunningState, tmp_path: Path
) -> None:
    bundle = empty_bundle(image, tmp_path)
    async with _bench(state, tmp_path) as bench:
        await bench.order(bundle)
        await bench.wait_until_ended()
        assert bench.statuses() == [*_INSTALLED[:5], "InstallVerificationFailed"]
        boot = bench.csms.received("BootNotification")[-1]
        version = boot["chargingStation"]["firmwareVersion"]
        assert (boot["reason"], version) == ("FirmwareUpdate", source_tree().version)
        assert not _security_events(bench.csms, "FirmwareUpdated")
        await _until(lambda: bench.csms.received("StatusNotification")[-1]["connectorStatus"] == "Available")
        assert await asyncio.to_thread(bench.booted_slot) == "A"
        assert await asyncio.to_thread(bench.machine.run, "cat /data/slots/state") == "fell-back B\n"


def _security_events(csms: Csms, kind: str) -> list[dict[str, Any]]:
    return [event for event in csms.received("SecurityEventNotification") if event["type"] == kind]

"""A station in a virtual machine, with a CSMS of the tests that orders and observes, and states to go on from."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.csms import Csms, running_csms
from tests.machine.built_image import BuiltImage
from tests.machine.guest_station import GuestStation, disk_for
from tests.machine.virtual_machine import GUEST_PATIENCE_S, HOST_ADDRESS, Hardware, VirtualMachine, free_port, overlay
from tests.patience import until


@dataclass(frozen=True)
class SavedStation:
    """A machine whose station is connected to the CSMS at a port of the host, as it was at a moment."""

    machine: VirtualMachine
    """switched off"""
    disk: Path
    memory: Path
    """memory and processors"""
    csms_port: int


@dataclass
class Bench:
    """A machine and the CSMS of its station."""

    machine: VirtualMachine
    csms: Csms

    @property
    def station(self) -> GuestStation:
        """The station in the machine."""
        return GuestStation(self.machine)

    async def run(self, command: str) -> str:
        """Run a shell command as root in the guest, and return what it printed."""
        return await asyncio.to_thread(self.machine.run, command)

    async def request(self, method: str, path: str, body: object = None) -> Any:
        """Send a request to the API of the station."""
        return await asyncio.to_thread(self.station.request, method, path, body)

    async def until_booted(self, boots: int = 1) -> dict[str, Any]:
        """Wait until the CSMS has received so many BootNotifications, and return the last one."""
        await patiently(lambda: len(self.csms.received("BootNotification")) >= boots)
        return self.csms.received("BootNotification")[-1]

    async def until_status(self, status: str) -> None:
        """Wait until the last StatusNotification of the station has this status."""
        await patiently(
            lambda: [s["connectorStatus"] for s in self.csms.received("StatusNotification")][-1:] == [status]
        )

    async def restart_with(self, text: str) -> None:
        """Start the station with another installation file, and wait until it is connected and Available.

        Without the records of the one before: its meters were others, and an exchange needs a confirmation.
        """
        await self.run(f"cat > /data/station.toml <<'END'\n{text}\nEND\nchmod 644 /data/station.toml")
        unit = "[Service]\\nBindReadOnlyPaths=/data/station.toml:/etc/borne/station.toml\\n"
        folder = "/run/systemd/system/borne.service.d"
        await self.run(f"mkdir -p {folder} && printf '{unit}' > {folder}/station.conf && systemctl daemon-reload")
        boots = len(self.csms.received("BootNotification"))
        await self.run("systemctl stop borne.service && find /var/lib/borne -mindepth 1 -delete")
        await self.run("systemctl start --no-block borne.service")
        await self.until_booted(boots + 1)
        await self.until_status("Available")

    def events(self) -> list[dict[str, Any]]:
        """The transaction events that the CSMS has received."""
        return self.csms.received("TransactionEvent")


async def patiently(condition: Callable[[], object]) -> None:
    """Wait for something that a guest does, emulated and on a busy machine.

    Raises:
        TimeoutError: it does not come.
    """
    await until(condition, within_s=2 * GUEST_PATIENCE_S)


async def save_station(
    image: BuiltImage,
    folder: Path,
    prepare: Callable[[Bench], Awaitable[None]] | None = None,
    hardware: Hardware | None = None,
) -> SavedStation:
    """Start a machine with the image, prepare its station once it is connected, and save it as it is then."""
    port = free_port()
    disk = disk_for(image.files.disk, folder, f"ws://{HOST_ADDRESS}:{port}/ocpp")
    with VirtualMachine(folder / "vm", disk, hardware or Hardware()) as machine:
        async with running_csms(Csms(port=port)) as csms:
            machine.start()
            bench = Bench(machine, csms)
            await bench.until_booted()
            await asyncio.to_thread(bench.station.status)  # loads the API
            if prepare is not None:
                await prepare(bench)
            await asyncio.to_thread(machine.save, folder / "memory")
        saved = folder / "saved.qcow2"
        shutil.copyfile(disk, saved)
    return SavedStation(machine, saved, folder / "memory", port)


@asynccontextmanager
async def resumed(saved: SavedStation, folder: Path) -> AsyncGenerator[Bench]:
    """Go on from a saved state with a disk of its own, until the end of the block; the station is connected then."""
    disk = overlay(saved.disk, folder / "disk.qcow2")
    with saved.machine.twin(folder / "vm", disk) as machine:
        async with running_csms(Csms(port=saved.csms_port)) as csms:
            await asyncio.to_thread(machine.start, saved.memory)
            await patiently(lambda: csms.connected)
            yield Bench(machine, csms)

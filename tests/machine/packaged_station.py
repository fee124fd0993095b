"""A station with the Debian package in a writable root file system, and a medium with other packages and storages."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.machine.bench import Bench, SavedStation, save_station
from tests.machine.built_image import BuiltImage
from tests.machine.bundles import next_version, run_command
from tests.machine.virtual_machine import Hardware
from tests.stored.storage import all_stored
from tools.delivery.debian_package import build_package
from tools.delivery.source_tree import source_tree

MEDIUM: Final = "/mnt"
"""where the guest has mounted the medium"""


@dataclass(frozen=True)
class PackagedStation:
    """A machine with the package in a writable root file system, and a medium with other packages and storages."""

    saved: SavedStation
    version: str


def save_packaged_station(image: BuiltImage, folder: Path) -> PackagedStation:
    """Start a machine with the package of the image; its station runs in the saved state, and the medium is mounted."""
    medium = _medium(image, folder)
    root = folder / "root"
    run_command("unsquashfs", "-quiet", "-no-progress", "-dest", root, image.files.root)
    kernel, initrd = (Path(shutil.copy(root / "boot" / name, folder / name)) for name in ("vmlinuz", "initrd.img"))
    disk = folder / "root.img"
    run_command("mke2fs", "-q", "-t", "ext4", "-L", "writable", "-d", root, disk, "3G")
    shutil.rmtree(root)
    options = "root=/dev/disk/by-label/writable rootfstype=ext4 rw rauc.slot=A console=ttyS0 quiet panic=10"
    hardware = Hardware(
        second_disk=disk,
        more=(
            *("-kernel", str(kernel), "-initrd", str(initrd), "-append", options),
            *("-drive", f"if=virtio,format=raw,readonly=on,file={medium}"),
        ),
    )

    async def mount(bench: Bench) -> None:
        await bench.run(f"mount /dev/vdc {MEDIUM}")

    saved = asyncio.run(save_station(image, folder, mount, hardware))
    return PackagedStation(saved, source_tree().version)


def _medium(image: BuiltImage, folder: Path) -> Path:
    """A file system with packages (`current`, `next`, `older`; `broken`: its program fails) and stored storages."""
    content = folder / "medium"
    content.mkdir()
    package = build_package(source_tree().with_version(next_version()), "amd64", folder)
    package.rename(content / "next.deb")
    station = f"opt/borne/{next_version()}/lib/python3.13/site-packages/station"
    broken = f'rm -r {station}/__pycache__; echo "raise SystemExit(1)" > {station}/__init__.py'
    _repack(content / "next.deb", content / "broken.deb", broken)
    (current,) = image.files.root.parent.glob("borne_*_amd64.deb")
    shutil.copyfile(current, content / "current.deb")
    _repack(current, content / "older.deb", f"sed -i 's/^Version: .*/Version: 0.1.0/' DEBIAN/control; {_OLDER}")
    for stored in all_stored():
        stored.restore(content / stored.version)
    medium = folder / "medium.squashfs"
    run_command("mksquashfs", content, medium, "-comp", "lzo", "-Xcompression-level", "1", "-no-progress", "-quiet")
    return medium


_OLDER: Final = f"sed -i 's/{source_tree().version}/0.1.0/g' DEBIAN/preinst"


def _repack(package: Path, target: Path, change: str) -> None:
    folder = target.with_suffix(".content")
    run_command("dpkg-deb", "--raw-extract", package, folder)
    subprocess.run(["sh", "-ec", change], cwd=folder, check=True)
    run_command("dpkg-deb", "--build", "--root-owner-group", "-Znone", folder, target)
    shutil.rmtree(folder)

"""Builds the images that the virtual machines and containers of these tests start."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.machine.containers import missing_container_tool
from tests.machine.guest_station import GuestStation, HostCsms, new_disk
from tests.machine.signing import create_bundle_keys
from tests.machine.virtual_machine import VirtualMachine, missing_tool
from tests.project import ROOT
from tools.delivery.disk_image import ImageFiles, ImageOptions, build_images
from tools.delivery.oci_image import build_image
from tools.delivery.source_tree import source_tree

_TOOLS: Final = ("mmdebstrap", "dpkg-buildpackage", "dh", "rauc", "mksquashfs", "grub-mkimage", "sfdisk", "mcopy")
os.environ["DPKG_DEB_COMPRESSOR_LEVEL"] = "1"  # the packages of these tests are installed once and thrown away
_STATION: Final = Path(__file__).parent / "station.toml"
_KERNEL_OPTIONS: Final = "console=ttyS0 quiet mitigations=off initcall_blacklist=jent_mod_init"
"""without what is slow on an emulated processor and of no use there: a self-test of the random numbers takes seconds"""
_UNMOUNT: Final = (
    "systemctl stop borne.service chrony.service && journalctl --relinquish-var &&"
    " umount /var/lib/borne /var/log/journal /var/lib/chrony /data /boot"
)


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """Collect these tests only with the option --machine."""
    return None if config.getoption("machine") else True


@dataclass(frozen=True)
class BuiltImage:
    """The image, its bundle, and the keys that sign bundles."""

    files: ImageFiles
    options: ImageOptions


@pytest.fixture(scope="session")
def image() -> BuiltImage:
    """The image of this source tree, built if it has changed. Skips if this machine cannot build or start it."""
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    reason = missing_tool() or (f"{missing[0]} is not installed" if missing else None)
    if reason is None and os.geteuid() != 0:
        reason = "only root can build a root file system"
    if reason is not None:
        pytest.skip(reason)
    folder = ROOT / "build" / "machine"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _built(folder)


@dataclass(frozen=True)
class SavedStates:
    """Two states of one machine, from which each test goes on instead of starting it."""

    machine: VirtualMachine
    """the machine, switched off"""
    disk: Path
    """the disk of `running`"""
    running: Path
    """the station runs, and has loaded its API"""
    unmounted: Path
    """the station is stopped, and the data partition is not mounted: goes on with any data on it"""
    register_wh: float
    """the register of the station's meter in `running`"""


@pytest.fixture(scope="session")
def csms(tmp_path_factory: pytest.TempPathFactory) -> Generator[HostCsms]:
    """The CSMS on the host."""
    with HostCsms(tmp_path_factory.mktemp("csms")) as running:
        yield running


@pytest.fixture(scope="session")
def states(image: BuiltImage, csms: HostCsms, tmp_path_factory: pytest.TempPathFactory) -> SavedStates:
    """A machine that has started once with the image, in both states."""
    folder = tmp_path_factory.mktemp("machine")
    disk = new_disk(image.files.disk, folder, csms)
    with VirtualMachine(folder / "vm", disk) as machine:
        machine.start()
        station = GuestStation(machine)
        station.wait_until_active()
        register_wh = station.register_wh()
        machine.save(folder / "running")
        saved_disk = folder / "saved.qcow2"
        shutil.copyfile(disk, saved_disk)
        machine.start(folder / "running")
        machine.run(_UNMOUNT)
        machine.save(folder / "unmounted")
    return SavedStates(machine, saved_disk, folder / "running", folder / "unmounted", register_wh)


def note_figure(text: str) -> None:
    """Append a measured figure to build/machine/figures.txt, for whoever reads it."""
    with (ROOT / "build" / "machine" / "figures.txt").open("a", encoding="utf-8") as file:
        file.write(text + "\n")


def _built(folder: Path) -> BuiltImage:
    digest = _digest_of_source()
    target = folder / digest
    options = ImageOptions(
        folder / "bundle.pem",
        folder / "bundle.key",
        folder / "bundle.pem",
        installation_file=_STATION,
        kernel_options=_KERNEL_OPTIONS,
        compression_level=1,
    )
    if not target.exists():
        for old in folder.iterdir():
            if old.is_dir():
                shutil.rmtree(old)
        create_bundle_keys(options.certificate, options.key)
        part = folder / "part"
        build_images(source_tree(), options, part)
        part.rename(target)
    version = source_tree().version
    files = ImageFiles(
        target / f"borne-{version}-disk.img",
        target / f"borne-{version}.raucb",
        target / f"borne-{version}-root.squashfs",
    )
    return BuiltImage(files, options)


def _digest_of_source() -> str:
    """Identifies what an image is built from: the files of the program and its packaging, and the test's own."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    digest = hashlib.sha256()
    for name in listed.split("\0"):
        file = ROOT / name
        if name and not name.startswith(("tests/", "docs/", "bench/")) and file.is_file():
            digest.update(f"{name}\0".encode() + file.read_bytes())
    digest.update(_STATION.read_bytes())
    return digest.hexdigest()[:16]


@pytest.fixture(scope="session")
def container_image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of the image for containers, for amd64. Skips if this machine cannot build it or run it."""
    if (reason := missing_container_tool()) is not None:
        pytest.skip(reason)
    return build_image(source_tree(), "amd64", tmp_path_factory.mktemp("image"))

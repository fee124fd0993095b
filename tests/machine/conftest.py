"""Builds the images that the virtual machines and containers of these tests start."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests.machine.built_image import BuiltImage, built_image, missing_image_tool
from tests.machine.bundles import relabelled_bundle
from tests.machine.containers import missing_container_tool
from tests.machine.guest_station import GuestStation, HostCsms, new_disk
from tests.machine.packaged_station import PackagedStation, save_packaged_station
from tests.machine.update_bench import Maker, save_station_of_maker
from tests.machine.virtual_machine import VirtualMachine
from tools.delivery.oci_image import build_image
from tools.delivery.source_tree import source_tree

_TESTS_OF_STATES: Final = ("/test_boot.py", "/test_power_cuts.py")
_UNMOUNT: Final = (
    "systemctl stop borne.service chrony.service && journalctl --relinquish-var &&"
    " umount /var/lib/borne /var/log/journal /var/lib/chrony /data /boot"
)


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """Collect these tests only with the option --machine."""
    return None if config.getoption("machine") else True


@pytest.fixture(scope="session")
def image() -> BuiltImage:
    """The image of this source tree, built if it has changed. Skips if this machine cannot build or start it."""
    if (reason := missing_image_tool()) is not None:
        pytest.skip(reason)
    return built_image()


class _ByMachine(LoadScopeScheduling):
    """Runs the tests that go on from one saved machine in one process, since each would start it for itself."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        return "states" if file.endswith(_TESTS_OF_STATES) else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Spread the tests over the processes of pytest-xdist."""
    return _ByMachine(config, log)


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


@pytest.fixture(scope="session")
def container_image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of the image for containers, for amd64. Skips if this machine cannot build it or run it."""
    if (reason := missing_container_tool()) is not None:
        pytest.skip(reason)
    return build_image(source_tree(), "amd64", tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="session")
def packaged(image: BuiltImage, tmp_path_factory: pytest.TempPathFactory) -> PackagedStation:
    """The station with the package in a writable root file system, from which each test goes on."""
    return save_packaged_station(image, tmp_path_factory.mktemp("packaged"))


@pytest.fixture(scope="module")
def maker(image: BuiltImage, tmp_path_factory: pytest.TempPathFactory) -> Maker:
    """The maker of the station that each test of updates goes on with."""
    return save_station_of_maker(image, tmp_path_factory.mktemp("maker"))


@pytest.fixture(scope="module")
def relabelled(image: BuiltImage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with the same program under the next version."""
    return relabelled_bundle(image, tmp_path_factory.mktemp("relabelled"))

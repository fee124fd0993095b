"""Power cuts of the whole machine, at random moments of charges: nothing is lost, nothing is billed twice."""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.machine.conftest import BuiltImage
from tests.machine.guest_station import CARD, GuestStation, HostCsms, new_disk
from tests.machine.virtual_machine import GUEST_PATIENCE_S, VirtualMachine
from tests.patience import wait_until

_CUTS: Final = int(os.environ.get("BORNE_TEST_POWER_CUTS", "5"))
_SEED: Final = 25
_DATA_PARTITION: Final = "/dev/vda4"
_UNMOUNT: Final = (
    "systemctl stop borne.service chrony.service && journalctl --relinquish-var &&"
    " umount /var/lib/borne /var/log/journal /var/lib/chrony /data /boot"
)
_MOUNT: Final = (
    "date --set=@$(cat /sys/class/rtc/rtc0/since_epoch) &&"
    f" e2fsck -p {_DATA_PARTITION};"
    " systemctl start data.mount boot.mount var-lib-borne.mount var-log-journal.mount var-lib-chrony.mount &&"
    " journalctl --flush && systemctl start --no-block borne.service chrony.service"
)


@pytest.fixture(scope="module")
def csms(tmp_path_factory: pytest.TempPathFactory) -> Generator[HostCsms]:
    """The CSMS on the host."""
    with HostCsms(tmp_path_factory.mktemp("csms")) as running:
        yield running


@pytest.fixture(scope="module")
def machine(image: BuiltImage, csms: HostCsms, tmp_path_factory: pytest.TempPathFactory) -> Generator[VirtualMachine]:
    """A machine that has started once with the image."""
    folder = tmp_path_factory.mktemp("machine")
    disk = new_disk(image.files.disk, folder, csms)
    with VirtualMachine(folder / "vm", disk) as started:
        started.start()
        GuestStation(started).wait_until_active()
        yield started


def test_a_power_cut_at_any_moment_of_a_charge_loses_nothing_and_bills_nothing_twice(
    machine: VirtualMachine, csms: HostCsms, tmp_path: Path
) -> None:
    """The machine is saved before the data partition is mounted, so that each start after a cut takes seconds."""
    station, draw = GuestStation(machine), random.Random(_SEED)
    first_wh = station.register_wh()
    machine.run(_UNMOUNT)
    state = tmp_path / "state"
    machine.save(state)
    for number in range(_CUTS):
        machine.start(state)
        machine.run(_MOUNT)
        station.wait_until_active()
        if number:
            _check_bills(station, csms, first_wh, number)
        _charge_until_the_cut(station, draw.uniform(0.0, 12.0))
        machine.cut_power()
        _check_file_system(machine.disk, tmp_path)
    machine.start(state)
    machine.run(_MOUNT)
    station.wait_until_active()
    _check_bills(station, csms, first_wh, _CUTS)
    assert "intact" in machine.run("borne journal verify /var/lib/borne")


def _charge_until_the_cut(station: GuestStation, cut_after_s: float) -> None:
    """Play a charge, and return at the moment of the cut, wherever the charge is then."""
    ends_s = time.monotonic() + cut_after_s
    station.request("POST", "/api/sim/evses/1/plug", {})
    if time.monotonic() < ends_s:
        station.request("POST", "/api/token", {"id_token": CARD})
    time.sleep(max(0.0, ends_s - time.monotonic()))


def _check_bills(station: GuestStation, csms: HostCsms, first_wh: float, cuts: int) -> None:
    """Wait until the CSMS has every event of the charges that were cut, and compare its bills with the register."""

    def complete() -> bool:
        known = csms.transactions()
        return bool(known) and all(transaction["ended"] for transaction in known)

    wait_until(complete, within_s=GUEST_PATIENCE_S)
    transactions: list[dict[str, Any]] = csms.transactions()
    assert len(transactions) <= cuts
    assert [transaction for transaction in transactions if transaction["missing"]] == []
    billed_wh = sum(transaction["energy_wh"] for transaction in transactions)
    assert billed_wh == pytest.approx(station.register_wh() - first_wh, abs=0.01)


def _check_file_system(disk: Path, folder: Path) -> None:
    """The data partition needs no repair beside the replay of its journal."""
    raw, partition = folder / "disk.img", folder / "data.img"
    subprocess.run(["qemu-img", "convert", "-O", "raw", disk, raw], check=True)
    table = subprocess.run(["sfdisk", "--dump", raw], check=True, capture_output=True, text=True).stdout
    (line,) = [line for line in table.splitlines() if 'name="data"' in line]
    start, size = (int(part.split("=")[1].strip(" ,")) for part in line.split(":", 1)[1].split(",")[:2])
    subprocess.run(
        [
            "dd",
            f"if={raw}",
            f"of={partition}",
            "bs=512",
            f"skip={start}",
            f"count={size}",
            "status=none",
            "conv=sparse",
        ],
        check=True,
    )
    replayed = subprocess.run(["e2fsck", "-p", partition], check=False, capture_output=True, text=True)
    assert replayed.returncode in (0, 1), replayed.stdout
    checked = subprocess.run(["e2fsck", "-f", "-n", partition], check=False, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout

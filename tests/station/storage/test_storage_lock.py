"""A storage directory, and the register of a simulated meter, belong to one station at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from borne.composition.station_assembly import StartError, host_process
from metering.reading import Phases
from simulator.register import EnergyRegister, RegisterError
from station.storage.storage_lock import StorageLock, StorageLockError
from tests.walk import configuration, walking


def test_a_second_lock_names_the_directory_and_the_process_that_holds_it(tmp_path: Path) -> None:
    storage = tmp_path / "storage"
    with (
        StorageLock(storage),
        pytest.raises(StorageLockError, match=f"^{storage} is in use by process {os.getpid()}$"),
    ):
        StorageLock(storage)


def test_a_released_lock_can_be_taken_again(tmp_path: Path) -> None:
    for _ in range(3):
        with StorageLock(tmp_path):
            pass


def test_a_lock_without_a_readable_process_id_is_a_lock_all_the_same(tmp_path: Path) -> None:
    with StorageLock(tmp_path):
        for text in ("", "no number"):
            (tmp_path / "borne.pid").write_text(text)
            with pytest.raises(StorageLockError, match=r"is in use by another process$"):
                StorageLock(tmp_path)


def test_a_process_that_has_ended_is_not_named(tmp_path: Path) -> None:
    """A disk that has become read-only keeps the number of an earlier one."""
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    with StorageLock(tmp_path):
        (tmp_path / "borne.pid").write_text(f"{ended.pid}\n")
        with pytest.raises(StorageLockError, match=r"is in use by another process$"):
            StorageLock(tmp_path)


def test_a_lock_holds_under_every_name_of_its_directory(tmp_path: Path) -> None:
    (tmp_path / "storage").mkdir()
    (tmp_path / "link").symlink_to("storage")
    with StorageLock(tmp_path / "link"), pytest.raises(StorageLockError, match=f"process {os.getpid()}$"):
        StorageLock(tmp_path / "storage")


def test_a_lock_needs_no_room_on_the_disk(tmp_path: Path) -> None:
    (tmp_path / "borne.pid").mkdir()  # nothing can be written there
    with StorageLock(tmp_path), pytest.raises(StorageLockError, match=r"is in use by another process$"):
        StorageLock(tmp_path)


def test_a_directory_that_cannot_be_is_said_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    with pytest.raises(StorageLockError, match=f"^{tmp_path / 'file' / 'storage'}: "):
        StorageLock(tmp_path / "file" / "storage")


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    program = f"""
import os
from pathlib import Path
from station.storage.storage_lock import StorageLock
held = StorageLock(Path({str(tmp_path)!r}))
print("held", flush=True)
input()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(StorageLockError, match=f"process {process.pid}$"):
            StorageLock(tmp_path)
        process.kill()
        process.wait()
    StorageLock(tmp_path).release()


def test_a_child_of_the_station_does_not_inherit_its_lock(tmp_path: Path) -> None:
    lock = StorageLock(tmp_path)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        lock.release()
        StorageLock(tmp_path).release()
        child.communicate(b"\n")


async def test_two_stations_of_one_process_exclude_each_other(tmp_path: Path) -> None:
    for _ in range(2):  # the next one may have the storage of one that has stopped
        async with walking(tmp_path):
            with pytest.raises(StartError, match=f"^station.storage: {tmp_path} is in use by process {os.getpid()}$"):
                host_process(configuration(tmp_path, None))


async def test_a_power_cut_of_a_station_in_this_process_does_not_give_its_storage_away(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await walk.application.cut_power()
        with pytest.raises(StartError, match=r"is in use by process"):
            host_process(configuration(tmp_path, None))
        await walk.application.restore_power()
        await walk.accepted()


def test_two_simulated_meters_never_count_in_one_register(tmp_path: Path) -> None:
    file = tmp_path / "meter.register"
    first = EnergyRegister(file)
    with pytest.raises(RegisterError, match=f"^{file} is in use by another simulated meter$"):
        EnergyRegister(file)
    first.add(Phases(1.0, 2.0, 3.0))
    first.close()
    second = EnergyRegister(file)
    assert second.energy_wh == 6.0
    second.close()


def test_a_station_whose_register_is_taken_does_not_start_and_keeps_nothing_locked(tmp_path: Path) -> None:
    register = EnergyRegister(tmp_path / "simulated-meter-1.register")
    with pytest.raises(StartError, match=r"simulated-meter-1\.register is in use by another simulated meter$"):
        host_process(configuration(tmp_path, None))
    register.close()
    StorageLock(tmp_path).release()


def test_a_register_in_a_locked_folder_needs_no_descriptor_and_is_refused_to_others(tmp_path: Path) -> None:
    file = tmp_path / "simulated-meter-1.register"
    with StorageLock(tmp_path):
        before = len(os.listdir("/proc/self/fd"))
        register = EnergyRegister(file, folder_locked=True)
        register.add(Phases(1.0, 2.0, 3.0))
        assert len(os.listdir("/proc/self/fd")) == before
        with pytest.raises(RegisterError, match=r"is in use by another simulated meter$"):
            EnergyRegister(file)
        killed = EnergyRegister(file, folder_locked=True)  # nothing was closed
        assert (killed.energy_wh, killed.energies_wh) == (6.0, Phases(1.0, 2.0, 3.0))
    EnergyRegister(file).close()

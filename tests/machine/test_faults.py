"""Whatever fails in the machine of a station, its contactor opens in time, and the next boot names the right reason."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from station.devices.modbus.controllers import TIMEOUT_S
from tests.machine.bench import Bench, patiently
from tests.machine.built_image import BuiltImage, note_figure
from tests.machine.controlled_station import SavedControlledStation, charging_station, now, save_controlled_station

_LIMIT_MEMORY: Final = "systemctl set-property --runtime borne.service MemoryMax"
_BUSY_S: Final = 20.0
"""longer than that a busy host never delays a record of the contactor"""
_OPENS_WITHIN: Final = timedelta(seconds=TIMEOUT_S + _BUSY_S)


@pytest.fixture(scope="module")
def station(image: BuiltImage, tmp_path_factory: pytest.TempPathFactory) -> SavedControlledStation:
    """The station from which each test goes on."""
    return asyncio.run(save_controlled_station(image, tmp_path_factory.mktemp("controlled")))


async def _check_end(bench: Bench, reason: str) -> None:
    """The station has booted for this reason, and the transaction has ended, once and completely."""
    assert (await bench.until_booted())["reason"] == reason
    await patiently(lambda: any(event["eventType"] == "Ended" for event in bench.events()))
    first = bench.events()[0]["transactionInfo"]["transactionId"]
    numbers = {event["seqNo"] for event in bench.events() if event["transactionInfo"]["transactionId"] == first}
    assert numbers == set(range(len(numbers)))
    assert bench.csms.schema_faults == []


@pytest.mark.parametrize(
    ("kind", "command", "reason"),
    [
        ("killed", "systemctl kill --signal=KILL --kill-whom=main borne.service", "ApplicationReset"),
        ("hung", "systemctl kill --signal=STOP --kill-whom=main borne.service", "Watchdog"),
        (
            "out of memory",
            "systemctl set-property --runtime borne.service MemoryMax=16M MemorySwapMax=0",
            "ApplicationReset",
        ),
    ],
)
async def test_the_contactor_opens_when_the_program_fails(
    kind: str, command: str, reason: str, station: SavedControlledStation, tmp_path: Path
) -> None:
    async with charging_station(station, tmp_path) as (bench, circuit):
        await bench.run(command)
        failed_at = now()
        opened_at = await circuit.until_contactor("open")
        note_figure(f"{kind}: contactor open after {(opened_at - failed_at).total_seconds():.1f} s")
        assert opened_at - failed_at < _OPENS_WITHIN
        if kind == "out of memory":
            await bench.run(f"{_LIMIT_MEMORY}=infinity")
        await _check_end(bench, reason)


async def test_the_hardware_watchdog_resets_a_machine_whose_kernel_hangs(
    station: SavedControlledStation, tmp_path: Path
) -> None:
    async with charging_station(station, tmp_path) as (bench, circuit):
        # A panic without the reboot that the image asks for: nobody feeds the watchdog any more.
        await bench.run("echo 0 > /proc/sys/kernel/panic && sync")
        hang = "(sleep 1; echo c > /proc/sysrq-trigger) > /dev/null 2>&1 &"
        await bench.run(hang)
        failed_at = now()
        opened_at = await circuit.until_contactor("open")
        note_figure(f"kernel hangs: contactor open after {(opened_at - failed_at).total_seconds():.1f} s")
        assert opened_at - failed_at < _OPENS_WITHIN
        circuit.connect("A")
        boot = await bench.until_booted()
        assert boot["reason"] == "Watchdog"


async def test_a_full_disk_ends_the_charge_and_a_free_one_lets_it_begin_again(
    station: SavedControlledStation, tmp_path: Path
) -> None:
    async with charging_station(station, tmp_path) as (bench, circuit):
        fill = "dd if=/dev/zero of=/data/{name} bs={size} 2>/dev/null; "
        await bench.run(fill.format(name="full", size="1M") + fill.format(name="rest", size="4k") + "sync; true")
        await circuit.until_contactor("open")
        assert await bench.run("systemctl show --property=NRestarts --value borne.service") == "0\n"
        await bench.run("rm /data/full /data/rest; sync")
        await circuit.until_contactor("closed")
        assert not bench.csms.received("BootNotification")


async def test_a_read_only_disk_ends_the_charge_and_the_service_waits_for_it(
    station: SavedControlledStation, tmp_path: Path
) -> None:
    async with charging_station(station, tmp_path) as (bench, circuit):
        await bench.run("sync; echo u > /proc/sysrq-trigger")  # read-only, as after an error of the disk
        await circuit.until_contactor("open")
        await bench.run("systemctl restart --no-block borne.service")
        restarts = await bench.run("systemctl show --property=NRestarts --value borne.service")

        async def waits() -> bool:
            return "out of service" in await bench.run("systemctl show --property=StatusText --value borne.service")

        await patiently(waits)
        await asyncio.sleep(30.0)  # more than the watchdog of the service, and than many restarts
        assert await bench.run("systemctl show --property=NRestarts --value borne.service") == restarts
        assert await bench.run("systemctl is-active borne.service") == "active\n"
        await bench.run("mount -o remount,rw /data && mount -o remount,rw /var/lib/borne")
        await bench.until_booted()

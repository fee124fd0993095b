"""The Debian package in a machine: upgrades with a running charge, upgrades that are refused, removal."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest

from tests.machine.bench import Bench, patiently, resumed
from tests.machine.built_image import note_figure
from tests.machine.bundles import next_version
from tests.machine.guest_station import CARD
from tests.machine.packaged_station import MEDIUM, PackagedStation
from tests.machine.virtual_machine import HOST_ADDRESS
from tests.stored.storage import BASIC_AUTH, DATABASE, Stored, all_stored

_STORED_STATION: Final = """\
[station]
identity = "BORNE-TEST"
serial_number = "0001"
storage = "/var/lib/borne"
commissioning = "required"

[csms]
url = "{url}"
password = "{password}"

[simulation]
follow_csms_time = true

[prices]
currency = "EUR"
energy_per_kwh = 0.25

[[evse]]
id = 1

[[evse]]
id = 2

[[evse]]
id = 3

[[evse]]
id = 4
"""
_UNMARKED_EVENTS: Final = 64
"""that the CSMS may have answered before a power cut without a mark on disk (`Outbox.settle`): they are sent again"""


async def test_an_upgrade_ends_a_running_charge_in_order_and_loses_nothing(
    packaged: PackagedStation, tmp_path: Path
) -> None:
    async with resumed(packaged.saved, tmp_path) as bench:
        await _start_charge(bench)
        output = await bench.run(f"dpkg --install {MEDIUM}/next.deb")
        boot = await bench.until_booted()
        assert boot["chargingStation"]["firmwareVersion"] == next_version(), output
        await patiently(lambda: _ended(bench))
        _check_transaction(bench.events())
        assert next_version() in await bench.run("borne version")
        assert (await bench.run("ls /opt/borne")).split() == [next_version()]
        ended_wh = _energy_wh(bench.events()[-1])
        assert await asyncio.to_thread(bench.station.register_wh) == pytest.approx(ended_wh, abs=0.1)
        assert "intact" in await bench.run("runuser -u borne -- borne journal verify /var/lib/borne")


@pytest.mark.parametrize(
    ("package", "reason"), [("broken", "does not accept the installation file"), ("older", "is older and may not")]
)
async def test_a_package_that_is_refused_leaves_the_charge_alone(
    package: str, reason: str, packaged: PackagedStation, tmp_path: Path
) -> None:
    async with resumed(packaged.saved, tmp_path) as bench:
        await _start_charge(bench)
        code, output = await asyncio.to_thread(bench.machine.try_run, f"dpkg --install {MEDIUM}/{package}.deb")
        assert code != 0
        assert reason in output
        received = len(bench.events())
        await patiently(lambda: len(bench.events()) >= received + 2)
        assert {event["eventType"] for event in bench.events()[received:]} == {"Updated"}
        assert packaged.version in await bench.run("borne version")
        assert "Status: install ok installed" in await bench.run("dpkg --status borne")
        assert (await bench.run("ls /opt/borne")).split() == [packaged.version]
        assert not bench.csms.received("BootNotification")


async def test_removing_keeps_the_records_and_a_purge_removes_them_if_asked(
    packaged: PackagedStation, tmp_path: Path
) -> None:
    async with resumed(packaged.saved, tmp_path) as bench:
        await bench.run("DEBIAN_FRONTEND=noninteractive dpkg --remove borne")
        await patiently(lambda: not bench.csms.connected)
        left = await bench.run(
            "ls /var/lib/borne/borne.sqlite; ls /opt; command -v borne || systemctl is-active borne; true"
        )
        assert left.split() == ["/var/lib/borne/borne.sqlite", "inactive"]
        await bench.run("DEBIAN_FRONTEND=noninteractive dpkg --purge borne")
        assert await bench.run("ls /var/lib/borne/borne.sqlite") == "/var/lib/borne/borne.sqlite\n"
        await bench.run(f"DEBIAN_FRONTEND=noninteractive dpkg --install {MEDIUM}/next.deb")
        await bench.run("echo borne borne/remove-records boolean true | debconf-set-selections")
        await bench.run("DEBIAN_FRONTEND=noninteractive dpkg --purge borne")
        assert not (await bench.run("ls -A /var/lib/borne; ls /etc/borne 2>/dev/null; true")).split()


@pytest.mark.parametrize("version", [stored.version for stored in all_stored()])
async def test_an_upgrade_takes_over_the_storage_of_a_released_version(
    version: str, packaged: PackagedStation, tmp_path: Path
) -> None:
    """What was open when the power failed is ended, and everything that waited reaches the CSMS once."""
    async with resumed(packaged.saved, tmp_path) as bench:
        open_before = await _install_with_storage(bench, packaged, version, tmp_path)
        await bench.run("systemctl start --no-block borne")
        await _check_taken_over(bench, open_before)


def _moments() -> list[tuple[str, float]]:
    """Moments of the first start with the storage of a released version, in seconds after its order."""
    random = Random(25)
    return [(stored.version, round(random.uniform(3.0, 14.0), 1)) for stored in all_stored() for _ in range(2)]


@pytest.mark.parametrize(("version", "delay_s"), _moments())
async def test_a_power_cut_while_a_storage_is_taken_over_loses_nothing(
    version: str, delay_s: float, packaged: PackagedStation, tmp_path: Path
) -> None:
    async with resumed(packaged.saved, tmp_path) as bench:
        open_before = await _install_with_storage(bench, packaged, version, tmp_path)
        await bench.run("sync")
        await bench.run("systemctl start --no-block borne")
        await asyncio.sleep(delay_s)
        bench.machine.cut_power()
        boots = len(bench.csms.received("BootNotification"))
        await asyncio.to_thread(bench.machine.start)
        await _check_taken_over(bench, open_before, boots)
        assert "intact" in await bench.run("runuser -u borne -- borne journal verify /var/lib/borne")
        note_figure(f"power cut {delay_s} s after the first start with the storage of {version}: nothing lost")


async def _install_with_storage(bench: Bench, packaged: PackagedStation, version: str, folder: Path) -> set[str]:
    """Upgrade the package of a station that has the storage of a released version, without a start.

    Returns the transactions that are open in it.
    """
    (stored,) = [stored for stored in all_stored() if stored.version == version]
    station = _STORED_STATION.format(url=f"ws://{HOST_ADDRESS}:{packaged.saved.csms_port}/ocpp", password=BASIC_AUTH)
    await bench.run("systemctl stop borne && find /var/lib/borne -mindepth 1 -delete && rm -f /data/station.env")
    await bench.run(f"cp -r {MEDIUM}/{version}/. /var/lib/borne && chown -R borne:borne /var/lib/borne")
    await bench.run(f"cat > /etc/borne/station.toml <<'END'\n{station}\nEND")
    await bench.run(f"dpkg --install {MEDIUM}/next.deb")
    open_before = _open_transactions(stored, folder / "stored")
    assert open_before
    return open_before


async def _check_taken_over(bench: Bench, open_before: set[str], earlier_boots: int = 0) -> None:
    boot = await bench.until_booted(earlier_boots + 1)
    assert boot["chargingStation"]["serialNumber"] == "0001"
    assert boot["chargingStation"]["firmwareVersion"] == next_version()
    await patiently(lambda: open_before <= {_identity(event) for event in bench.events() if _is_end(event)})
    events = {(_identity(event), event["seqNo"]): event for event in bench.events()}
    repeated = len(bench.events()) - len(events)
    assert repeated <= earlier_boots * _UNMARKED_EVENTS
    assert all(event == events[_identity(event), event["seqNo"]] for event in bench.events())
    assert not bench.csms.schema_faults


def _open_transactions(stored: Stored, folder: Path) -> set[str]:
    """The ids of the transactions that a storage has without their end."""
    stored.restore(folder)
    with contextlib.closing(sqlite3.connect(folder / DATABASE)) as database:
        rows = database.execute("SELECT transaction_id FROM transactions WHERE ended_at IS NULL").fetchall()
    return {str(identity) for (identity,) in rows}


async def _start_charge(bench: Bench) -> None:
    await bench.request("POST", "/api/sim/evses/1/plug", {})
    await bench.request("POST", "/api/token", {"id_token": CARD})
    await patiently(lambda: any(_charges(event) for event in bench.events()))


def _charges(event: dict[str, Any]) -> bool:
    return event["transactionInfo"].get("chargingState") == "Charging"


def _is_end(event: dict[str, Any]) -> bool:
    return event["eventType"] == "Ended"


def _ended(bench: Bench) -> bool:
    return any(_is_end(event) for event in bench.events())


def _identity(event: dict[str, Any]) -> str:
    return event["transactionInfo"]["transactionId"]


def _check_transaction(events: Sequence[dict[str, Any]]) -> None:
    """One transaction, with each event once and in order."""
    (_,) = {_identity(event) for event in events}
    assert [event["seqNo"] for event in events] == list(range(len(events)))
    assert events[0]["eventType"] == "Started"
    assert [event["eventType"] for event in events].index("Ended") == len(events) - 1


def _energy_wh(event: dict[str, Any]) -> float:
    """The register in the last reading of an event, in Wh."""
    samples = event["meterValue"][-1]["sampledValue"]
    (value,) = [
        sample
        for sample in samples
        if sample.get("measurand", "Energy.Active.Import.Register") == "Energy.Active.Import.Register"
        and "phase" not in sample
    ]
    scale = 1000.0 if value.get("unitOfMeasure", {}).get("unit") == "kWh" else 1.0
    return float(value["value"]) * scale

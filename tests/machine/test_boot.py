"""A machine that has started with the station image: light, service, watchdogs, hardening; and a charge by command."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any, Final

import pytest

from tests.machine.built_image import note_figure
from tests.machine.conftest import SavedStates
from tests.machine.guest_station import CARD, GuestStation, HostCsms
from tests.machine.virtual_machine import GUEST_PATIENCE_S, VirtualMachine, overlay
from tests.patience import wait_until
from tests.project import ROOT

_MIB: Final = 1 << 20
_MOST_MEMORY: Final = 160 * _MIB
"""of the service, with its API loaded"""


def _resumed(states: SavedStates, folder: Path) -> VirtualMachine:
    machine = states.machine.twin(folder / "vm", overlay(states.disk, folder / "disk.qcow2"))
    machine.start(states.running)
    return machine


def _properties(machine: VirtualMachine, unit: str, *names: str) -> dict[str, str]:
    output = machine.run(f"systemctl show {unit} --property={','.join(names)}")
    return dict(line.split("=", 1) for line in output.splitlines())


@pytest.mark.brief
def test_the_light_comes_first_and_both_watchdogs_are_fed(states: SavedStates, tmp_path: Path) -> None:
    with _resumed(states, tmp_path) as machine:
        names = (
            "ActiveState",
            "ExecMainStartTimestampMonotonic",
            "ActiveEnterTimestampMonotonic",
            "NRestarts",
            "MemoryPeak",
            "CPUUsageNSec",
        )
        service = _properties(machine, "borne.service", *names)
        assert (service["ActiveState"], service["NRestarts"]) == ("active", "0")
        started_s, ready_s = (int(service[name]) / 1e6 for name in names[1:3])
        light_s = float(machine.run("cat /run/tests-light"))
        assert started_s < light_s < ready_s
        memory = int(service["MemoryPeak"])
        note_figure(
            f"since the kernel: program {started_s:.1f} s, light {light_s:.1f} s, ready {ready_s:.1f} s;"
            f" memory at most {memory / _MIB:.0f} MiB, processor {int(service['CPUUsageNSec']) / 1e9:.1f} s"
        )
        assert memory < _MOST_MEMORY
        watchdog = machine.run("cd /sys/class/watchdog/watchdog0 && cat identity state timeout").split("\n")
        assert watchdog[:3] == ["i6300ESB timer", "active", "30"]
        fed = _properties(machine, "borne.service", "WatchdogTimestampMonotonic")
        wait_until(
            lambda: _properties(machine, "borne.service", "WatchdogTimestampMonotonic") != fed,
            within_s=GUEST_PATIENCE_S,
        )


def test_the_exposure_of_the_service_is_as_documented(states: SavedStates, tmp_path: Path) -> None:
    documented = re.search(
        r"rates the unit ([0-9.]+) \((\w+)", (ROOT / "docs/host-requirements.md").read_text(encoding="utf-8")
    )
    assert documented is not None
    with _resumed(states, tmp_path) as machine:
        output = machine.run("systemd-analyze security --no-pager borne.service")
    assert f"Overall exposure level for borne.service: {documented[1]} {documented[2]}" in output


def test_only_the_services_of_a_station_can_be_reached_and_no_unit_has_failed(
    states: SavedStates, tmp_path: Path
) -> None:
    with _resumed(states, tmp_path) as machine:
        assert machine.run("systemctl list-units --failed --no-legend --plain") == ""
        assert machine.run("systemctl is-active ssh.service; true") == "inactive\n"
        assert machine.run("nft list set inet station services | grep elements").split("=")[1].split() == [
            "{",
            "8080,",
            "8443",
            "}",
        ]
        assert "ro," in machine.run("findmnt --noheadings --output OPTIONS /") + ","
        options = machine.run("findmnt --noheadings --output OPTIONS /data").strip().split(",")
        assert {"noatime", "data=ordered"} <= set(options)
        assert machine.try_run("touch /usr/lib/borne/other")[0] != 0


def test_a_data_partition_that_comes_late_starts_the_station(states: SavedStates, tmp_path: Path) -> None:
    """Such as on a disk that answers only after systemd has given up to wait for it."""
    with states.machine.twin(tmp_path / "vm", overlay(states.disk, tmp_path / "disk.qcow2")) as machine:
        machine.start(states.unmounted)
        (number,) = re.findall(r"(\d+)$", machine.run("readlink -f /dev/disk/by-partlabel/data").strip())
        machine.run(f"partx --delete --nr {number} /dev/vda")
        assert machine.try_run("systemctl start borne.service", GUEST_PATIENCE_S)[0] != 0
        assert machine.run("systemctl show borne.service data.mount --property=ActiveState").split() == [
            "ActiveState=inactive",
            "ActiveState=inactive",
        ]
        machine.run(f"partx --add --nr {number} /dev/vda")
        GuestStation(machine).wait_until_active()
        assert machine.run("findmnt --noheadings --output SOURCE /data").strip() == f"/dev/vda{number}"
        wait_until(
            lambda: machine.try_run("systemctl is-active --quiet chrony.service")[0] == 0, within_s=GUEST_PATIENCE_S
        )


@pytest.mark.brief
def test_a_charge_by_command_is_billed_over_tls(states: SavedStates, csms: HostCsms, tmp_path: Path) -> None:
    earlier = {bill["id"] for bill in csms.transactions()}
    with _resumed(states, tmp_path) as machine:
        station = GuestStation(machine)
        machine.run("borne sim /api/sim/evses/1/plug '{}'")
        machine.run(f"""borne sim /api/token '{{"id_token": "{CARD}"}}'""")
        station.wait_for_state(charging_state="Charging")
        begun_wh = states.register_wh
        deadline_s = time.monotonic() + GUEST_PATIENCE_S
        while station.register_wh() < begun_wh + 5.0:
            assert time.monotonic() < deadline_s
        machine.run(f"""borne sim /api/token '{{"id_token": "{CARD}"}}'""")
        station.wait_for_state(locked=False)
        machine.run("borne sim /api/sim/evses/1/unplug '{}'")
        wait_until(
            lambda: _bills(csms, earlier) and all(bill["ended"] for bill in _bills(csms, earlier)),
            within_s=GUEST_PATIENCE_S,
        )
        (bill,) = _bills(csms, earlier)
        assert bill["missing"] == 0
        assert bill["energy_wh"] > 5.0
        assert abs(station.register_wh() - begun_wh - bill["energy_wh"]) < 0.01
        machine.shut_down()


def _bills(csms: HostCsms, earlier: set[str]) -> list[dict[str, Any]]:
    return [bill for bill in csms.transactions() if bill["id"] not in earlier]

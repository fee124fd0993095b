"""Power cuts of the whole machine, at random moments of charges: nothing is lost, nothing is billed twice."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import Any, Final

import pytest

from tests.machine.conftest import SavedStates
from tests.machine.data_partition import read_data_partition
from tests.machine.guest_station import CARD, GuestStation, HostCsms
from tests.machine.virtual_machine import GUEST_PATIENCE_S, overlay
from tests.patience import wait_until

_CUTS: Final = int(os.environ.get("BORNE_TEST_POWER_CUTS", "36"))
"""with those of the updates and of the migrations fifty-two in all"""
_BRIEF_CUTS: Final = 5
_SEED: Final = 25
_LONGEST_CHARGE_S: Final = 15.0
_MOUNT: Final = (
    "date --set=@$(cat /sys/class/rtc/rtc0/since_epoch) && { e2fsck -p /dev/disk/by-partlabel/data; true; } &&"
    " systemctl start data.mount boot.mount var-lib-borne.mount var-log-journal.mount var-lib-chrony.mount &&"
    " journalctl --flush && systemctl start --no-block borne.service chrony.service"
)


@pytest.mark.parametrize(
    "number", [pytest.param(number, marks=[pytest.mark.brief] * (number < _BRIEF_CUTS)) for number in range(_CUTS)]
)
def test_a_power_cut_at_any_moment_of_a_charge_loses_nothing_and_bills_nothing_twice(
    number: int, states: SavedStates, csms: HostCsms, tmp_path: Path
) -> None:
    charge_s = random.Random(_SEED + number).uniform(0.0, _LONGEST_CHARGE_S)
    earlier = {transaction["id"] for transaction in csms.transactions()}
    disk = overlay(states.disk, tmp_path / "disk.qcow2")
    with states.machine.twin(tmp_path / "vm", disk) as machine:
        machine.start(states.running)
        _charge(GuestStation(machine), charge_s)
        machine.cut_power()
        cut = read_data_partition(disk, tmp_path / "cut")

        def bills() -> dict[str, dict[str, Any]]:
            return {bill["id"]: bill for bill in csms.transactions() if bill["id"] not in earlier}

        begun = {*bills(), *cut.events}
        machine.start(states.unmounted)
        machine.run(_MOUNT)
        GuestStation(machine).wait_until_active()
        wait_until(
            lambda: begun <= bills().keys() and all(bill["ended"] for bill in bills().values()),
            within_s=GUEST_PATIENCE_S,
        )
        machine.shut_down()
    found = read_data_partition(disk, tmp_path / "recovered")
    found.check_journal()
    assert found.unsettled == 0
    assert bills().keys() == found.events.keys() == begun
    for identity, bill in bills().items():
        assert bill["missing"] == 0
        assert bill["received"] == [[0, found.events[identity] - 1]]
    billed_wh = sum(bill["energy_wh"] for bill in bills().values())
    assert billed_wh == pytest.approx(cut.register_wh - states.register_wh, abs=0.01)
    assert found.register_wh == cut.register_wh


def _charge(station: GuestStation, cut_after_s: float) -> None:
    """Play a charge, and return at the moment of the cut, wherever the charge is then."""
    ends_s = time.monotonic() + cut_after_s
    station.request("POST", "/api/sim/evses/1/plug", {})
    if time.monotonic() < ends_s:
        station.request("POST", "/api/token", {"id_token": CARD})
    time.sleep(max(0.0, ends_s - time.monotonic()))

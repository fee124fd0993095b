"""Firmware on trial: a station tests itself after an update by RAUC, and keeps the new firmware or gives it up.

`rauc` and the boot loader are stood in for by a script; tests/machine has the real ones.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from foundation.clock import SystemClock
from station.core.hardware.updater import ActivationResult, ImageError, InstallError
from station.core.model import Fault
from station.devices.rauc_updater import RaucUpdater
from station.maintenance.firmware.orders import UpdateOrderStatus
from station.maintenance.firmware.state import UpdateOrder
from tests.walk import Walk, walking
from tests.walks.test_firmware import Maker, events, maker, statuses, update

__all__ = ["maker"]  # the fixture

_RAUC: Final = """\
#!/bin/sh
# Stands in for RAUC and for its handler of the boot loader, whose state is in the folder of this script.
cd "${0%/*}"
echo "$*" >> calls
case "$*" in
info*) if grep -q refused "$2"; then echo "signature verification failed" >&2; exit 1; fi ;;
install*) if grep -q unusable "$2"; then echo "no space" >&2; exit 1; fi; rm -f state ;;
"status mark-active other") echo "chosen B" > state ;;
"status mark-active booted") rm -f state ;;
"status mark-good booted") if [ "$(cat state 2>/dev/null)" = "trial B" ]; then echo "kept B" > state; fi ;;
"status mark-bad booted") [ ! -e stuck ] || exit 1 ;;
*) exit 2 ;;
esac
"""


@pytest.fixture
def rauc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the script, which comes first on the path; it has the state of the slots and the calls."""
    folder = tmp_path / "rauc"
    folder.mkdir()
    script = folder / "rauc"
    script.write_text(_RAUC, encoding="utf-8")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def calls(rauc: Path) -> list[str]:
    """What RAUC was asked for, without paths."""
    lines = (rauc / "calls").read_text(encoding="utf-8").splitlines() if (rauc / "calls").exists() else []
    return [line.split(" /")[0] for line in lines]


def start_other_slot(rauc: Path) -> None:
    """What the boot loader's handler does at the first start of the slot that was chosen."""
    state = rauc / "state"
    if state.read_text(encoding="utf-8") == "chosen B\n":
        state.write_text("trial B\n", encoding="utf-8")


def updater(rauc: Path) -> RaucUpdater:
    """An updater as of a new start of the program."""
    return RaucUpdater(rauc / "state", rauc / "reboot", SystemClock())


async def test_a_bundle_is_checked_installed_and_activated_in_this_order(rauc: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    bundle.write_text("good", encoding="utf-8")
    assert await updater(rauc).activation() is ActivationResult.NOT_YET
    await updater(rauc).install(bundle)
    assert await updater(rauc).activation() is ActivationResult.NOT_YET
    assert not (rauc / "reboot").exists()
    await updater(rauc).activate()
    assert (rauc / "reboot").exists()
    assert await updater(rauc).activation() is ActivationResult.NOT_YET  # the previous firmware still runs
    start_other_slot(rauc)
    assert await updater(rauc).activation() is ActivationResult.ON_TRIAL
    await updater(rauc).keep()
    assert await updater(rauc).activation() is ActivationResult.RUNNING
    assert calls(rauc) == ["info", "install", "status mark-active other", "status mark-good booted"]


@pytest.mark.parametrize(
    ("content", "error", "reason"),
    [("refused", ImageError, "signature verification failed"), ("unusable", InstallError, "no space")],
)
async def test_the_reason_of_rauc_is_reported(
    content: str, error: type[Exception], reason: str, rauc: Path, tmp_path: Path
) -> None:
    bundle = tmp_path / "bundle"
    bundle.write_text(content, encoding="utf-8")
    with pytest.raises(error, match=reason) as caught:
        await updater(rauc).install(bundle)
    assert type(caught.value) is error
    assert "status mark-active other" not in calls(rauc)


async def test_a_slot_that_cannot_be_given_up_asks_for_no_reboot(rauc: Path) -> None:
    (rauc / "stuck").touch()
    with pytest.raises(InstallError, match="mark-bad booted"):
        await updater(rauc).give_up()
    assert not (rauc / "reboot").exists()


@pytest.mark.parametrize("state", ["", "nonsense", "chosen B", "trial", "fell-back B"])
async def test_the_state_of_the_slots_is_parsed(state: str, rauc: Path) -> None:
    (rauc / "state").write_text(state, encoding="utf-8")
    expected = {"trial": ActivationResult.ON_TRIAL, "fell-back B": ActivationResult.ROLLED_BACK}
    assert await updater(rauc).activation() is expected.get(state, ActivationResult.NOT_YET)


@asynccontextmanager
async def updating(rauc: Path, tmp_path: Path, maker: Maker, content: bytes = b"good") -> AsyncGenerator[Walk]:
    """A station that has installed a bundle and has asked for the reboot into it."""
    firmware = {"type": "rauc", "state_file": str(rauc / "state"), "reboot_file": str(rauc / "reboot")}
    async with walking(tmp_path / "storage", firmware=firmware) as walk:
        await walk.accepted()
        await walk.until(lambda: calls(rauc) == ["status mark-good booted"])  # a normal start
        await maker.is_trusted(walk)
        assert await update(walk, maker.order(1, content)) == "Accepted"
        yield walk


async def reboot(walk: Walk, rauc: Path) -> None:
    """The machine reboots, as asked."""
    await walk.until(lambda: (rauc / "reboot").exists(), within_s=120.0)
    (rauc / "reboot").unlink()
    await walk.application.cut_power()
    start_other_slot(rauc)
    await walk.application.restore_power()


def availability(walk: Walk) -> str:
    """The last status of the connector that the CSMS has received."""
    return walk.csms.received("StatusNotification")[-1]["connectorStatus"]


async def test_new_firmware_is_kept_after_its_self_test_and_no_car_charges_before(
    rauc: Path, tmp_path: Path, maker: Maker
) -> None:
    async with updating(rauc, tmp_path, maker) as walk:
        await reboot(walk, rauc)
        await walk.until(lambda: walk.evse.connector_status != "Available")
        assert (rauc / "state").read_text(encoding="utf-8") == "trial B\n"
        assert len(walk.csms.received("BootNotification")) == 1  # nothing that may be undone reaches the CSMS
        await walk.until(lambda: len(walk.csms.received("BootNotification")) == 2)
        assert walk.csms.received("BootNotification")[-1]["reason"] == "FirmwareUpdate"
        assert (rauc / "state").read_text(encoding="utf-8") == "kept B\n"
        await walk.until(lambda: "Installed" in statuses(walk, 1))
        await walk.until(lambda: availability(walk) == "Available")
        await walk.until(lambda: events(walk) == ["FirmwareUpdated"])
        assert statuses(walk, 1)[-2:] == ["InstallRebooting", "Installed"]


async def test_firmware_with_which_an_evse_is_faulted_is_given_up(rauc: Path, tmp_path: Path, maker: Maker) -> None:
    async with updating(rauc, tmp_path, maker) as walk:
        await walk.until(lambda: (rauc / "reboot").exists(), within_s=120.0)
        walk.board.raise_fault(Fault.RESIDUAL_MONITOR)
        await reboot(walk, rauc)
        await walk.until(lambda: "status mark-bad booted" in calls(rauc), within_s=200.0)
        assert "Installed" not in statuses(walk, 1)
        (rauc / "state").write_text("fell-back B\n", encoding="utf-8")
        walk.board.clear_fault(Fault.RESIDUAL_MONITOR)
        await reboot(walk, rauc)
        await walk.until(lambda: "InstallVerificationFailed" in statuses(walk, 1))
        await walk.until(lambda: availability(walk) == "Available")
        assert events(walk) == []


async def test_a_fault_from_before_the_update_does_not_prevent_it(rauc: Path, tmp_path: Path, maker: Maker) -> None:
    async with updating(rauc, tmp_path, maker) as walk:
        walk.board.raise_fault(Fault.RESIDUAL_MONITOR)
        await reboot(walk, rauc)
        await walk.until(lambda: "Installed" in statuses(walk, 1), within_s=200.0)
        assert "status mark-bad booted" not in calls(rauc)


async def test_a_cut_between_keeping_the_slot_and_its_record_ends_as_installed(
    rauc: Path, tmp_path: Path, maker: Maker
) -> None:
    async with updating(rauc, tmp_path, maker) as walk:
        await walk.until(lambda: (rauc / "reboot").exists(), within_s=120.0)
        (rauc / "state").write_text("kept B\n", encoding="utf-8")
        await reboot(walk, rauc)
        await walk.until(lambda: "Installed" in statuses(walk, 1))
        assert calls(rauc).count("status mark-active other") == 1


async def test_a_trial_that_no_update_of_the_record_explains_is_decided_all_the_same(
    rauc: Path, tmp_path: Path
) -> None:
    """As after `rauc status mark-active other` at a terminal: no car charges before the slot is kept."""
    (rauc / "state").write_text("trial B\n", encoding="utf-8")
    firmware = {"type": "rauc", "state_file": str(rauc / "state"), "reboot_file": str(rauc / "reboot")}
    async with walking(tmp_path / "storage", firmware={**firmware, "allow_unsigned": True}) as walk:
        await walk.until(lambda: walk.evse.connector_status == "Unavailable")
        assert walk.csms.connections == 0
        order = UpdateOrder(None, None, datetime.now(UTC))  # of an image that was uploaded to the page
        assert (await walk.parts.firmware.order(order)).status is UpdateOrderStatus.ACCEPTED
        assert walk.evse.connector_status == "Unavailable"
        await walk.accepted()
        assert (rauc / "state").read_text(encoding="utf-8") == "kept B\n"
        await walk.until(lambda: availability(walk) == "Available")


async def test_a_machine_that_does_not_reboot_goes_on_with_its_slot(rauc: Path, tmp_path: Path, maker: Maker) -> None:
    async with updating(rauc, tmp_path, maker) as walk:
        await walk.until(lambda: (rauc / "reboot").exists(), within_s=120.0)
        await walk.until(lambda: statuses(walk, 1)[-1] == "InstallationFailed", within_s=700.0)
        assert calls(rauc)[-2:] == ["status mark-active other", "status mark-active booted"]
        assert not (rauc / "state").exists()
        assert not (rauc / "reboot").exists()


async def test_firmware_whose_state_cannot_be_read_is_not_kept_without_a_self_test(rauc: Path) -> None:
    (rauc / "state").mkdir()
    assert await updater(rauc).activation() is ActivationResult.ON_TRIAL


async def test_a_reboot_that_cannot_be_asked_for_takes_the_choice_back(rauc: Path) -> None:
    with pytest.raises(InstallError, match="cannot be asked to reboot"):
        await RaucUpdater(rauc / "state", rauc / "missing" / "reboot", SystemClock()).activate()
    assert calls(rauc) == ["status mark-active other", "status mark-active booted"]
    assert not (rauc / "state").exists()

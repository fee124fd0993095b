"""The updaters: the simulated boot loader with its two slots, and the commands of a machine."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from foundation.clock import SystemClock
from simulator.updater import SimulatedUpdater
from station.core.hardware.updater import ActivationResult, ImageError, InstallError
from station.devices.command_updater import CommandUpdater, UpdaterCommands
from tests.conformance.firmware import image
from tests.patience import PATIENCE_S


def boot(folder: Path) -> SimulatedUpdater:
    """The boot of a simulated station whose flash memory is quick."""
    return SimulatedUpdater(folder, SystemClock(), install_s=0.0)


def write_file(path: Path, content: bytes) -> Path:
    """A file of that content."""
    path.write_bytes(content)
    return path


async def test_what_is_installed_runs_from_the_next_boot_on(tmp_path: Path) -> None:
    folder = tmp_path / "slots"
    updater = boot(folder)
    assert updater.version is None
    await updater.install(write_file(tmp_path / "image", image("1.1")))
    assert boot(folder).version is None  # a boot before the activation
    assert await updater.activation() is ActivationResult.NOT_YET
    await updater.activate()
    booted = boot(folder)
    assert (booted.version, await booted.activation()) == ("1.1", ActivationResult.RUNNING)
    assert boot(folder).version == "1.1"


async def test_the_running_slot_is_never_written(tmp_path: Path) -> None:
    folder = tmp_path / "slots"
    for version in ("1.1", "1.2", "1.3"):
        before = boot(folder)
        running = {path: path.read_bytes() for path in folder.glob("slot-*.bin")}
        await before.install(write_file(tmp_path / "image", image(version)))
        changed = {path for path in folder.glob("slot-*.bin") if running.get(path) != path.read_bytes()}
        assert len(changed) == 1
        await before.activate()
        assert boot(folder).version == version


@pytest.mark.parametrize("boots", [1, 2])
async def test_a_trial_that_fails_leaves_what_ran_before(tmp_path: Path, boots: int) -> None:
    folder = tmp_path / "slots"
    good = boot(folder)
    await good.install(write_file(tmp_path / "image", image("1.1")))
    await good.activate()
    running = boot(folder)
    await running.install(write_file(tmp_path / "image", image("1.2", boots=False)))
    await running.activate()
    for _ in range(boots):
        booted = boot(folder)
        assert (booted.version, await booted.activation()) == ("1.1", ActivationResult.ROLLED_BACK)


async def test_a_slot_that_went_bad_is_not_booted(tmp_path: Path) -> None:
    folder = tmp_path / "slots"
    updater = boot(folder)
    await updater.install(write_file(tmp_path / "image", image("1.1")))
    await updater.activate()
    (slot,) = folder.glob("slot-*.bin")
    slot.write_bytes(slot.read_bytes()[:-1])
    booted = boot(folder)
    assert (booted.version, await booted.activation()) == (None, ActivationResult.ROLLED_BACK)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no image",
        b"borne-firmware nonsense\nx",
        b'borne-firmware {"version": "1"}\nx',
        b'borne-firmware {"version": "", "sha256": ""}\nx',
        b'borne-firmware {"version": "' + b"1" * 51 + b'", "sha256": ""}\nx',
        b"borne-firmware " + b"[" * 1000 + b"\n",
        b"borne-firmware " + b"x" * 5000,
        image(intact=False),
        image()[:-1],
    ],
)
async def test_what_is_no_intact_image_is_not_installed(tmp_path: Path, content: bytes) -> None:
    updater = boot(tmp_path / "slots")
    with pytest.raises(ImageError):
        await updater.install(write_file(tmp_path / "image", content))
    with pytest.raises(InstallError):
        await updater.activate()


async def test_an_image_that_is_gone_is_not_installed(tmp_path: Path) -> None:
    updater = boot(tmp_path / "slots")
    with pytest.raises(InstallError):
        await updater.install(tmp_path / "image")


def python_command(text: str) -> tuple[str, ...]:
    """A command that runs a line of Python."""
    return (sys.executable, "-c", text)


async def test_the_command_gets_the_image_and_its_failure_is_reported(tmp_path: Path) -> None:
    copied = tmp_path / "copied"
    source = write_file(tmp_path / "image", b"firmware")
    copy = python_command(f"import shutil, sys; shutil.copy(sys.argv[1], {str(copied)!r})")
    await CommandUpdater(UpdaterCommands(copy), tmp_path, SystemClock()).install(source)
    assert copied.read_bytes() == b"firmware"
    refuse = python_command("import sys; print('not for this station', file=sys.stderr); sys.exit(65)")
    with pytest.raises(ImageError, match="not for this station"):
        await CommandUpdater(UpdaterCommands(refuse), tmp_path, SystemClock()).install(source)
    with pytest.raises(InstallError, match="status 3"):
        await CommandUpdater(UpdaterCommands(python_command("raise SystemExit(3)")), tmp_path, SystemClock()).install(
            source
        )
    with pytest.raises(InstallError, match="cannot be started"):
        await CommandUpdater(UpdaterCommands(("/nowhere",)), tmp_path, SystemClock()).install(source)
    slow = UpdaterCommands(python_command("import signal; signal.pause()"), timeout_s=0.2)
    with pytest.raises(InstallError, match="longer than"):
        await CommandUpdater(slow, tmp_path, SystemClock()).install(source)


async def test_a_command_that_takes_too_long_ends_with_all_that_it_started(tmp_path: Path) -> None:
    source = write_file(tmp_path / "image", b"firmware")
    slow = UpdaterCommands(("/bin/sh", "-c", "sleep 300; true"), timeout_s=0.2)
    async with asyncio.timeout(PATIENCE_S):  # sooner than the sleep ends
        with pytest.raises(InstallError, match="longer than"):
            await CommandUpdater(slow, tmp_path, SystemClock()).install(source)


async def test_a_command_has_ended_although_what_it_started_lives_on(tmp_path: Path) -> None:
    """As one that lets the machine reboot a moment later."""
    source = write_file(tmp_path / "image", b"firmware")
    leaving = ("/bin/sh", "-c", "sleep 60 & echo said >&2; exit $0")
    await CommandUpdater(UpdaterCommands((*leaving, "0"), timeout_s=30.0), tmp_path, SystemClock()).install(source)
    with pytest.raises(InstallError, match="status 3: said"):
        await CommandUpdater(UpdaterCommands((*leaving, "3"), timeout_s=30.0), tmp_path, SystemClock()).install(source)


async def test_commands_report_whether_the_new_firmware_runs(tmp_path: Path) -> None:
    """Each start of the program has an installer of its own; the mark on disk goes from one to the next."""
    clock, source = SystemClock(), write_file(tmp_path / "image", b"firmware")
    fine, bad = python_command(""), python_command("raise SystemExit(1)")
    for confirm, outcome in (
        ((), ActivationResult.RUNNING),
        (fine, ActivationResult.RUNNING),
        (bad, ActivationResult.ROLLED_BACK),
    ):
        commands = UpdaterCommands(fine, activate=fine, confirm=confirm)
        await CommandUpdater(commands, tmp_path, clock).install(source)
        assert await CommandUpdater(commands, tmp_path, clock).activation() is ActivationResult.NOT_YET
        await CommandUpdater(commands, tmp_path, clock).activate()
        assert await CommandUpdater(commands, tmp_path, clock).activation() is outcome
    with pytest.raises(InstallError, match="activate_command"):
        await CommandUpdater(UpdaterCommands(fine, activate=bad), tmp_path, clock).activate()
    assert CommandUpdater(UpdaterCommands(fine, activate=fine), tmp_path, clock).reboots_by_itself
    assert not CommandUpdater(UpdaterCommands(fine), tmp_path, clock).reboots_by_itself

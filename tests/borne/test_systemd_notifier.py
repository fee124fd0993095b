"""What systemd is notified of over its socket, by a real socket; and why a run begins."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Generator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from borne.systemd_notifier import SystemdNotifier, boot_reason, record_start
from foundation.monitored_task import MonitoredTask
from station.core.model import BootReason
from tests.descriptors import no_free_descriptor
from tests.fakes import clock
from tests.patience import PATIENCE_S


@pytest.fixture(params=["in the file system", "abstract"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[tuple[socket.socket, str]]:
    """A socket as systemd opens one, and its name in NOTIFY_SOCKET."""
    name = str(tmp_path / "notify") if request.param == "in the file system" else f"@borne-{uuid.uuid4()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as wire:
        wire.bind("\0" + name[1:] if name.startswith("@") else name)
        wire.settimeout(PATIENCE_S)
        yield wire, name


def test_what_is_said_arrives_as_one_datagram(listener: tuple[socket.socket, str]) -> None:
    wire, name = listener
    manager = SystemdNotifier.from_environment({"NOTIFY_SOCKET": name})
    assert manager is not None
    with closing(manager):
        manager.notify("READY=1", "STATUS=à l'heure")
    assert wire.recv(1000).decode() == "READY=1\nSTATUS=à l'heure"


def test_a_program_without_a_free_descriptor_says_that_it_is_alive(listener: tuple[socket.socket, str]) -> None:
    wire, name = listener
    manager = SystemdNotifier.from_environment({"NOTIFY_SOCKET": name})
    assert manager is not None
    with closing(manager), no_free_descriptor():
        manager.notify("WATCHDOG=1")
    assert wire.recv(1000).decode() == "WATCHDOG=1"


def test_without_a_service_manager_nothing_is_notified() -> None:
    assert SystemdNotifier.from_environment({}) is None
    assert SystemdNotifier.from_environment({"NOTIFY_SOCKET": ""}) is None
    assert SystemdNotifier.from_environment({"NOTIFY_SOCKET": "vsock:2:1"}) is None, (
        "a kind of address that is not known"
    )


def test_commands_that_the_station_runs_cannot_speak_for_it() -> None:
    environ = {"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "1", "PATH": "/bin"}
    manager = SystemdNotifier.from_environment(environ)
    assert manager is not None
    manager.close()
    assert environ == {"PATH": "/bin"}


@pytest.mark.parametrize(
    ("given", "within_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "20000000"}, 20.0),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": str(os.getpid())}, 20.0),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_time_counts_if_it_is_for_this_process(given: dict[str, str], within_s: float | None) -> None:
    manager = SystemdNotifier.from_environment({"NOTIFY_SOCKET": "/run/notify", **given})
    assert manager is not None
    manager.close()
    assert manager.watchdog_s == within_s


def test_a_service_manager_that_is_gone_stops_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    manager = SystemdNotifier.from_environment({"NOTIFY_SOCKET": str(tmp_path / "gone")})
    assert manager is not None
    with closing(manager):
        manager.notify("WATCHDOG=1")
    assert "WATCHDOG=1 cannot be sent" in caplog.text


@pytest.mark.parametrize(
    ("ended", "reason"),
    [
        ("watchdog\n", BootReason.WATCHDOG),
        ("success", BootReason.LOCAL_RESET),
        ("core-dump", BootReason.UNKNOWN),
        ("", BootReason.UNKNOWN),
        (None, BootReason.POWER_UP),
    ],
)
def test_how_the_last_run_ended_is_the_reason_of_this_boot(
    tmp_path: Path, ended: str | None, reason: BootReason
) -> None:
    if ended is not None:
        (tmp_path / "ended").write_text(ended)
    assert boot_reason({"RUNTIME_DIRECTORY": str(tmp_path)}) is reason


def test_without_a_service_manager_the_boot_reason_is_power_up() -> None:
    assert boot_reason({}) is BootReason.POWER_UP


async def test_a_task_is_overdue_once_it_takes_longer_than_it_may() -> None:
    time = clock()
    task = MonitoredTask("work", time, 10.0)
    await time.advance(60)
    assert not task.overdue, "nothing goes on"
    with task:
        await time.advance(10)
        assert not task.overdue
        await time.advance(0.1)
        assert task.overdue
    assert not task.overdue


@pytest.mark.parametrize("result", ["watchdog", "signal", "core-dump", "oom-kill"])
def test_a_process_that_was_killed_is_known_to_the_next_one_with_its_time(tmp_path: Path, result: str) -> None:
    environ = {"RUNTIME_DIRECTORY": f"{tmp_path}:/run/other"}
    assert record_start(environ) is None, "the first start since power-up"
    (tmp_path / "ended").write_text(f"{result}\n")
    killed = record_start(environ)
    assert killed is not None
    assert timedelta(0) <= killed.lasted < timedelta(minutes=1)
    assert "killed" in killed.cause or "ended" in killed.cause


@pytest.mark.parametrize("result", ["success", "exit-code", "timeout", ""])
def test_a_process_that_ended_by_itself_was_not_killed(tmp_path: Path, result: str) -> None:
    environ = {"RUNTIME_DIRECTORY": str(tmp_path)}
    record_start(environ)
    (tmp_path / "ended").write_text(f"{result}\n")
    assert record_start(environ) is None


def test_without_a_runtime_directory_nobody_knows_of_a_kill(tmp_path: Path) -> None:
    assert record_start({}) is None
    assert record_start({"RUNTIME_DIRECTORY": str(tmp_path / "missing")}) is None


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("32", BootReason.WATCHDOG),
        ("33", BootReason.WATCHDOG),
        ("0", BootReason.POWER_UP),
        ("16", BootReason.POWER_UP),
        ("unreadable", BootReason.POWER_UP),
    ],
)
def test_a_boot_after_a_reset_by_the_hardware_watchdog_is_known(
    status: str, reason: BootReason, tmp_path: Path
) -> None:
    for number, content in enumerate(("0", status)):
        folder = tmp_path / "class" / f"watchdog{number}"
        folder.mkdir(parents=True)
        (folder / "bootstatus").write_text(f"{content}\n", encoding="ascii")
    run = tmp_path / "run"
    run.mkdir()
    assert boot_reason({"RUNTIME_DIRECTORY": str(run)}, tmp_path / "class", up_s=70.0) is reason
    later = boot_reason({"RUNTIME_DIRECTORY": str(run)}, tmp_path / "class", up_s=90_000.0)
    assert later is BootReason.POWER_UP  # the service was stopped and started since
    assert boot_reason({}, tmp_path / "class", up_s=70.0) is BootReason.POWER_UP  # not a service
    (run / "ended").write_text("success\n", encoding="ascii")
    assert boot_reason({"RUNTIME_DIRECTORY": str(run)}, tmp_path / "class") is BootReason.LOCAL_RESET

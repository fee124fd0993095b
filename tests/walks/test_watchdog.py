"""The watchdog: it is fed while the station works, and not by one that hangs."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from borne.service_watchdog import ServiceWatchdog
from borne.systemd_notifier import SystemdNotifier
from station.core.csms import AuthorizationAnswer, AuthorizationRequest
from station.core.hardware.board import Outputs
from station.core.model import IdToken, TransactionEvent
from tests.csms import running_csms
from tests.patience import until
from tests.walk import Walk, walking
from tests.walks.station_process import StationProcess


@contextlib.contextmanager
def watchdog_socket(path: Path) -> Generator[socket.socket]:
    """Open the socket of the service manager, which receives the states of the service."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as wire:
        wire.bind(str(path))
        wire.setblocking(False)
        yield wire


@contextlib.contextmanager
def watchdog_notifier(folder: Path) -> Generator[tuple[socket.socket, SystemdNotifier]]:
    """Open the socket of a service manager with a watchdog, and a notifier that sends to it."""
    with watchdog_socket(folder / "notify") as wire:
        notifier = SystemdNotifier.from_environment(
            {"NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": "20000000"}
        )
        assert notifier is not None
        with contextlib.closing(notifier):
            yield wire, notifier


def received_states(wire: socket.socket) -> list[str]:
    """Return the states received since the last call."""
    states: list[str] = []
    with contextlib.suppress(BlockingIOError):
        while True:
            states += wire.recv(4000).decode().split("\n")
    return states


async def test_a_process_says_that_it_is_ready_alive_and_stopping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "1000000")
    states: list[str] = []
    async with running_csms() as csms:
        station = StationProcess(tmp_path, csms.url)
        with watchdog_socket(tmp_path / "notify") as wire:
            try:
                station.start()
                await station.ready()
                await until(lambda: states.extend(received_states(wire)) or states.count("WATCHDOG=1") >= 3)
                station.signal(signal.SIGTERM)
                assert await station.ended() == 0
                states += received_states(wire)
            finally:
                await station.aclose()
    assert states[0] == "READY=1"
    assert any(word.startswith("STATUS=") and "CSMS" in word for word in states)
    assert "STOPPING=1" in states


async def test_a_process_that_is_stopped_in_its_tracks_is_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "400000")
    async with running_csms() as csms:
        station = StationProcess(tmp_path, csms.url)
        with watchdog_socket(tmp_path / "notify") as wire:
            try:
                station.start()
                await until(lambda: "WATCHDOG=1" in received_states(wire))
                station.signal(signal.SIGSTOP)
                await asyncio.sleep(0.3)
                received_states(wire)
                await asyncio.sleep(0.6)
                assert received_states(wire) == []
            finally:
                station.signal(signal.SIGCONT)
                await station.aclose()


Break = Callable[[Walk, pytest.MonkeyPatch], None]


def board_hangs(walk: Walk, patch: pytest.MonkeyPatch) -> None:
    """Let the board accept a command and never finish it."""

    async def apply(outputs: Outputs) -> None:
        del outputs
        await asyncio.Event().wait()

    patch.setattr(walk.board, "apply", apply)


def disk_hangs(walk: Walk, patch: pytest.MonkeyPatch) -> None:
    """Let the disk never finish to write an event."""

    async def append(event: TransactionEvent) -> TransactionEvent:
        del event
        await asyncio.Event().wait()
        raise AssertionError

    patch.setattr(walk.parts.outbox, "append", append)


def decision_hangs(walk: Walk, patch: pytest.MonkeyPatch) -> None:
    """Let the authorization of a token never finish."""

    async def authorize(request: AuthorizationRequest) -> AuthorizationAnswer:
        del request
        await asyncio.Event().wait()
        raise AssertionError

    patch.setattr(walk.parts.station.csms, "authorize", authorize)


@pytest.mark.parametrize(
    ("breaks", "name"),
    [
        (board_hangs, "the board of EVSE 1"),
        (disk_hangs, "the record of transactions"),
        (decision_hangs, "the decision on a token"),
    ],
)
async def test_a_station_whose_essential_task_hangs_is_not_called_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, breaks: Break, name: str
) -> None:
    with watchdog_notifier(tmp_path) as (wire, notifier):
        async with walking(tmp_path) as walk:
            await walk.accepted()
            watchdog = ServiceWatchdog(notifier, [walk.application])
            watchdog.notify_once()
            assert "WATCHDOG=1" in received_states(wire)
            with monkeypatch.context() as patch:
                breaks(walk, patch)
                await walk.plug(phases=3)
                walk.parts.station.present_token(IdToken("04A3B2C1D5E680", "ISO14443"), 1)
                await walk.advance(5)
                watchdog.notify_once()
                assert "WATCHDOG=1" in received_states(wire), "it may take a while"
                await walk.advance(700)
                watchdog.notify_once()
                assert received_states(wire) == [f"STATUS=overdue tasks: {name}"]


async def test_a_life_that_does_not_end_for_the_next_one_is_not_called_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other settings begin a new life; a board that hangs then has its contactor who knows where."""
    with watchdog_notifier(tmp_path) as (wire, notifier):
        async with walking(tmp_path) as walk:
            await walk.accepted()
            program, restart_finished = walk.application, asyncio.Event()
            watchdog = ServiceWatchdog(notifier, [program])

            async def apply(outputs: Outputs) -> None:
                del outputs
                await restart_finished.wait()

            with monkeypatch.context() as patch:
                patch.setattr(walk.board, "apply", apply)
                program.restart_with(program.configuration)
                await until(lambda: not program.running)
                watchdog.notify_once()
                assert "WATCHDOG=1" in received_states(wire)
                await walk.advance(120)
                watchdog.notify_once()
                assert received_states(wire) == ["STATUS=overdue tasks: shutting down or restarting the station"]
            restart_finished.set()
            await program.wait_until_started()
            watchdog.notify_once()
            assert "WATCHDOG=1" in received_states(wire)


async def test_an_hour_of_rest_and_a_charge_are_no_reason_for_alarm(tmp_path: Path) -> None:
    with watchdog_notifier(tmp_path) as (wire, notifier):
        async with walking(tmp_path) as walk:
            await walk.accepted()
            watchdog = ServiceWatchdog(notifier, [walk.application])
            await walk.advance(3600)
            watchdog.notify_once()
            assert received_states(wire) == [
                "WATCHDOG=1",
                "STATUS=available; 0 of 1 EVSEs in a transaction; CSMS connected",
            ]
            await walk.plug(phases=3)
            await walk.present()
            await walk.charging()
            await walk.advance(1800)
            watchdog.notify_once()
            assert received_states(wire) == [
                "WATCHDOG=1",
                "STATUS=charging; 1 of 1 EVSEs in a transaction; CSMS connected",
            ]

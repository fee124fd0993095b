"""The event loop of the station: a name server that is gone holds up nothing but what needs it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Any, cast

import pytest

from borne.composition import station_assembly
from foundation.event_loop import StationLoop
from foundation.uv_loop import UvLoop
from station.configuration.installation_file import Configuration
from station.storage.storage_lock import StorageLock
from tests.patience import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.foundation.conftest import FakeNameService

_MANY = 100


@pytest.mark.parametrize("loop_class", [StationLoop, UvLoop])
async def test_a_name_server_that_is_gone_keeps_no_thread_from_those_who_measure_or_record(
    name_service: FakeNameService, loop_class: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """A meter is dialled by its name again and again, each time for as long as its patience goes."""
    released = threading.Event()

    def wait(host: str) -> list[Any]:
        released.wait(2 * PATIENCE_S)
        return [host]

    name_service.answer = wait

    async def live() -> int:
        loop = asyncio.get_running_loop()
        for _ in range(_MANY):
            asking = asyncio.ensure_future(loop.getaddrinfo("meter.local", 502, type=socket.SOCK_STREAM))
            await asyncio.sleep(0)
            asking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asking
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.to_thread(lambda: None)
        return sum(thread.name == "address lookup of meter.local" for thread in threading.enumerate())

    def run() -> int:
        with asyncio.Runner(loop_factory=loop_class) as runner:
            return runner.run(live())

    threads = await asyncio.to_thread(run)  # its end waits for no look-up either
    assert not released.is_set()
    released.set()
    assert threads == 1


@pytest.mark.parametrize("loop_class", [StationLoop, UvLoop])
async def test_a_look_up_gives_what_the_machine_gives_and_its_failure_to_everybody_who_asks(
    name_service: FakeNameService, loop_class: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    def answer(host: str) -> list[Any]:
        if host == "nobody.invalid":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [host]

    name_service.answer = answer

    async def live() -> list[object]:
        loop = asyncio.get_running_loop()
        hosts = ("meter.local", "nobody.invalid", "nobody.invalid")
        return await asyncio.gather(*(loop.getaddrinfo(host, 502) for host in hosts), return_exceptions=True)

    def run() -> list[object]:
        with asyncio.Runner(loop_factory=loop_class) as runner:
            return runner.run(live())

    found, *failures = await asyncio.to_thread(run)
    assert found == ["meter.local"]
    assert [type(failure) for failure in failures] == [socket.gaierror] * 2
    assert sorted(name_service.questions) == [("meter.local", 502, 0, 0, 0, 0), ("nobody.invalid", 502, 0, 0, 0, 0)]


@pytest.mark.parametrize(("rate", "loop"), [(1.0, UvLoop), (60.0, StationLoop), (0.0, StationLoop)])
def test_a_station_in_real_time_runs_on_the_fastest_loop_and_another_one_on_one_that_reports_when_it_is_idle(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, rate: float, loop: type
) -> None:
    used: list[object] = []

    class _Process:
        async def run_until_signal(self, ready_file: object) -> None:
            used.append(type(asyncio.get_running_loop()))

    def host_process(*_: object, **__: object) -> _Process:
        return _Process()

    monkeypatch.setattr(station_assembly, "host_process", host_process)
    configuration = Configuration.from_tree(
        {"station": {"identity": "A", "storage": str(tmp_path)}, "simulation": {"rate": rate}}
    )
    station_assembly.run(configuration, http_port=None, ready_file=None, lock=StorageLock(tmp_path))
    assert used == [loop]


async def test_the_loop_is_idle_only_when_a_chain_of_callbacks_has_ended() -> None:
    loop, steps = cast("StationLoop", asyncio.get_running_loop()), 0

    def step() -> None:
        nonlocal steps
        steps += 1
        if steps < _MANY:
            loop.call_soon(step)

    step()
    await loop.wait_until_idle()
    assert steps == _MANY


async def test_the_loop_is_idle_only_when_what_a_peer_in_the_same_process_sent_has_been_read() -> None:
    loop = cast("StationLoop", asyncio.get_running_loop())
    near, far = socket.socketpair()
    received: list[bytes] = []
    near.setblocking(False)
    loop.add_reader(near, lambda: received.append(near.recv(9)))
    try:
        far.send(b"hello")
        await loop.wait_until_idle()
        assert received == [b"hello"]
    finally:
        loop.remove_reader(near)
        near.close()
        far.close()


async def test_a_loop_with_a_timer_that_is_not_due_is_idle() -> None:
    loop = cast("StationLoop", asyncio.get_running_loop())
    timer = loop.call_later(PATIENCE_S, lambda: None)
    began_s = loop.time()
    await loop.wait_until_idle()
    assert loop.time() - began_s < PATIENCE_S
    timer.cancel()


async def test_a_loop_that_never_is_idle_is_not_waited_for_for_ever() -> None:
    loop, stopped = cast("StationLoop", asyncio.get_running_loop()), False

    def spin() -> None:
        if not stopped:
            loop.call_soon(spin)

    spin()
    await loop.wait_until_idle()
    stopped = True

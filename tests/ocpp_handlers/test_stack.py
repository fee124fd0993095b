"""What the stack does on each link, and after it, with parts that are stand-ins."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import cast

import pytest

from foundation.supervision import FollowUpTasks
from ocpp_handlers.connection.boot import BootMessageFilter, BootState, Registration
from ocpp_handlers.connection.connection import Connection
from ocpp_handlers.connection.link import Link
from ocpp_handlers.connection.link_settings import CsmsLinkSettings
from ocpp_handlers.connection.sessions import SessionFactory
from ocpp_handlers.stack import OcppStack
from ocpp_handlers.wire.call_errors import LinkLostError
from ocpp_handlers.wire.edition import V201, Edition
from station.core.csms import VendorMessages
from tests import fakes
from tests.editions import LATER

Serve = Callable[[object, Edition], Awaitable[None]]


class Parts:
    """The collaborators of a stack; they record their calls in order."""

    def __init__(self) -> None:
        self.clock = fakes.clock()
        self.edition = V201
        """of the session"""
        self.noted: list[str] = []
        self.link_task_error: Exception | None = None
        """the error that the link's task raises once"""
        self.gate = BootMessageFilter()
        self.answer_owed = asyncio.Event()
        self.link_ends = asyncio.Event()
        self._websockets: asyncio.Queue[object] = asyncio.Queue()
        self.link = Link(self.gate, CsmsLinkSettings(), self.clock)
        self.link.switched.subscribe(lambda _: self.noted.append("switched"))
        self.link.up.subscribe(lambda up: self.noted.append(f"up, report all: {up.report_all}"))
        self.link.lost.subscribe(lambda _: self.noted.append("lost"))
        self.stack = OcppStack(
            self.link,
            cast("Connection", SimpleNamespace(run=self._dial, switched=False, reconnect=self._reconnect)),
            cast("SessionFactory", SimpleNamespace(open=self._open)),
            cast(
                "Registration",
                SimpleNamespace(
                    obtain_acceptance=self._be_accepted, send_heartbeats=self._beat, reset=self._restart_boot
                ),
            ),
            FollowUpTasks(),
            data_transfer=cast("VendorMessages", None),
            tasks={"task": self._task},
            link_tasks={"link task": self._link_task},
            after_link=self._after_link,
            clock=self.clock,
        )
        self.connection = self.stack._connection  # pyright: ignore[reportPrivateUsage]  # the stand-in of above

    # The connection

    async def _dial(self, serve: Serve) -> None:
        while True:
            await serve(await self._websockets.get(), LATER)

    async def _reconnect(self, why: str) -> None:
        assert why
        self.noted.append("reconnect")

    # The session

    def _open(self, _: object, edition: Edition) -> Parts:
        self.edition = edition
        return self

    async def run(self) -> None:
        await self.link_ends.wait()
        self.link_ends.clear()
        raise LinkLostError("the connection to the CSMS ended")

    async def wait_answered(self) -> None:
        await self.answer_owed.wait()

    # The boot

    def _restart_boot(self) -> None:
        self.gate.set_state(BootState.UNKNOWN)
        self.noted.append("boot restarts")

    async def _be_accepted(self, _: object) -> None:
        self.gate.set_state(BootState.ACCEPTED)

    async def _beat(self, _: object) -> None:
        self.noted.append("heartbeat")

    # Tasks

    async def _task(self) -> None:
        self.noted.append("task")

    async def _link_task(self) -> None:
        self.noted.append("link task")
        if self.link_task_error is not None:
            error, self.link_task_error = self.link_task_error, None
            raise error
        try:
            await asyncio.Event().wait()
        finally:
            self.noted.append("link task ends")

    async def _after_link(self) -> None:
        self.noted.append("after the link")

    # What a test does

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """While the stack runs."""
        task = asyncio.create_task(self.stack.run())
        await self.clock.settle()
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def connect(self) -> list[str]:
        """Open a websocket; the calls that follow."""
        self.noted.clear()
        self._websockets.put_nowait(self)
        await self.clock.settle()
        return list(self.noted)

    async def end_link(self) -> list[str]:
        """End the link; the calls that follow."""
        self.noted.clear()
        self.link_ends.set()
        await self.clock.settle()
        return list(self.noted)


@pytest.fixture
def parts() -> Parts:
    return Parts()


async def test_the_tasks_of_the_stack_run_without_a_link(parts: Parts) -> None:
    async with parts.running():
        assert parts.noted == ["task"]
        assert not parts.link.online


async def test_on_each_link_it_is_published_before_the_tasks_of_the_link_run(parts: Parts) -> None:
    async with parts.running():
        assert await parts.connect() == ["up, report all: True", "heartbeat", "link task"]
        await parts.end_link()
        assert await parts.connect() == ["up, report all: False", "heartbeat", "link task"]


async def test_after_a_link_its_tasks_have_ended_before_others_hear_of_it(parts: Parts) -> None:
    async with parts.running():
        await parts.connect()
        assert parts.link.online
        assert parts.link.edition is LATER, "that of the handshake"
        assert await parts.end_link() == ["link task ends", "lost", "after the link"]
        assert not parts.link.online


async def test_a_link_by_another_network_profile_boots_again(parts: Parts) -> None:
    """B10.FR.10."""
    async with parts.running():
        await parts.connect()
        await parts.end_link()
        vars(parts.connection)["switched"] = True
        happened = await parts.connect()
    assert happened[:3] == ["boot restarts", "switched", "up, report all: True"]


@pytest.mark.parametrize(("uses_password", "happened"), [(True, ["reconnect"]), (False, [])])
async def test_a_new_password_is_used_once_the_answer_has_left(
    parts: Parts, uses_password: bool, happened: list[str]
) -> None:
    """A01.FR.02; a link that shows none goes on."""
    vars(parts.connection)["uses_password"] = uses_password
    async with parts.running():
        await parts.connect()
        parts.noted.clear()
        parts.stack.use_new_password()
        await parts.clock.settle()
        assert parts.noted == []
        parts.answer_owed.set()
        await parts.clock.settle()
        assert parts.noted == happened


async def test_a_task_of_the_link_that_fails_is_restarted_and_ends_neither_the_others_nor_the_link(
    parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    parts.link_task_error = KeyError("a message that cannot be made")
    async with parts.running():
        await parts.connect()
        assert parts.noted == ["up, report all: True", "heartbeat", "link task"]
        assert "link task: 'a message that cannot be made'; restart in 1 s" in caplog.text
        parts.noted.clear()
        await parts.clock.advance(1.5)
        assert parts.noted == ["link task"], "not the stack's own task, which has ended without an error"
        assert parts.link.online
        assert await parts.end_link() == ["link task ends", "lost", "after the link"]

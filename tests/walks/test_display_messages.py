"""Messages of the CSMS for the display: accepted means kept, at any power cut; a hostile CSMS meets their limits."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
import sqlite3
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from foundation.clock import Clock
from station.core.model import MessageContent
from station.display.display_message import DisplayMessage, MessagePriority
from station.display.message_store import MAX_MESSAGES, DisplayMessages
from tests.csms import Csms, Payload, running_csms
from tests.full_disk import FullDisk
from tests.hostile import charging
from tests.patience import until
from tests.programs import ProgramHost
from tests.walk import Walk, configuration, powered, walking
from tests.walks.station_process import StationProcess

_BACK_OFF = """
[[variable]]
component = "OCPPCommCtrlr"
variable = "RetryBackOffWaitMinimum"
value = "1"
[[variable]]
component = "OCPPCommCtrlr"
variable = "RetryBackOffRandomRange"
value = "0"
"""


def message_info(identity: int, content: str = "Welcome", **more: Any) -> Payload:
    """Return a MessageInfoType."""
    return {"id": identity, "priority": "NormalCycle", "message": {"format": "UTF8", "content": content}} | more


def messages_of(walk: Walk) -> DisplayMessages:
    """Return the message store of a running station."""
    return walk.application.parts.get(DisplayMessages)


async def send_display_message(csms: Csms, wire: Payload) -> str:
    """Send SetDisplayMessage; returns the status."""
    return str((await csms.call("SetDisplayMessage", {"message": wire}))["status"])


# Power cuts


class MessageSetter:
    """Sets and clears messages at random, and knows which ones the station must have."""

    def __init__(self, csms: Csms, rng: random.Random) -> None:
        self.csms = csms
        self.rng = rng
        self.stored: dict[int, Payload] = {}
        """the messages that were accepted and not cleared, by id"""
        self.in_flight: tuple[int, Payload | None] | None = None
        """the request without a response: an id and its message, or None if it is to be cleared"""

    async def send_until_cut(self) -> None:
        """Send requests until the connection breaks."""
        while True:
            identity = self.rng.randrange(8)
            if self.rng.random() < 0.25:
                await self._clear(identity)
            else:
                priority = self.rng.choice(["AlwaysFront", "InFront", "NormalCycle"])
                content = f"{self.rng.random()} " + "x" * self.rng.randrange(400)
                await self._set(message_info(identity, content, priority=priority))

    async def _set(self, wire: Payload) -> None:
        self.in_flight = wire["id"], wire
        assert await send_display_message(self.csms, wire) == "Accepted"
        self._apply_response(wire["id"], wire)

    async def _clear(self, identity: int) -> None:
        self.in_flight = identity, None
        answer = await self.csms.call("ClearDisplayMessage", {"id": identity})
        assert answer["status"] == ("Accepted" if identity in self.stored else "Unknown")
        self._apply_response(identity, None)

    def _apply_response(self, identity: int, wire: Payload | None) -> None:
        """Update the expected messages after a response."""
        self.stored = self.messages_after(identity, wire)
        self.in_flight = None

    def messages_after(self, identity: int, wire: Payload | None) -> dict[int, Payload]:
        """Return the messages that the station must have after a request was executed."""
        remaining = {key: stored for key, stored in self.stored.items() if key != identity}
        if wire is None:
            return remaining
        if wire["priority"] == "AlwaysFront":
            remaining = {key: stored for key, stored in remaining.items() if stored["priority"] != "AlwaysFront"}
        return {**remaining, identity: wire}

    async def check(self) -> None:
        """Check that the station has the accepted messages; a request without response is done or not done."""
        possible = [self.stored]
        if self.in_flight is not None:
            possible.append(self.messages_after(*self.in_flight))
        found = await self._reported_messages()
        assert found in possible
        self.stored, self.in_flight = found, None

    async def _reported_messages(self) -> dict[int, Payload]:
        """Return the messages that the station reports."""
        if (await self.csms.call("GetDisplayMessages", {"requestId": 1}))["status"] == "Unknown":
            return {}
        report = await self.csms.expect("NotifyDisplayMessages")
        assert not report["tbc"]
        return {reported["id"]: reported for reported in report["messageInfo"]}


@pytest.mark.parametrize("seed", range(2))
async def test_a_power_cut_at_any_moment_keeps_what_was_accepted(
    tmp_path: Path, seed: int, program_host: ProgramHost
) -> None:
    """O01.FR.10, O06.FR.01: also of two messages of which one replaces the other, one is there, and not both"""
    rng = random.Random(seed)
    async with running_csms() as csms:
        keeper = MessageSetter(csms, rng)
        station = StationProcess(tmp_path, csms.url, more=_BACK_OFF, launch=program_host.launch)
        try:
            for boots in range(1, 8):
                station.start()
                await until(lambda boots=boots: len(csms.received("BootNotification")) == boots and csms.connected)
                await until(lambda boots=boots: len(csms.received("StatusNotification")) >= boots)
                await keeper.check()
                working = asyncio.create_task(keeper.send_until_cut())
                await asyncio.sleep(rng.uniform(0.0, 0.2))
                station.kill()
                assert await station.ended() == -signal.SIGKILL
                await until(lambda: not csms.connected)
                working.cancel()
                with contextlib.suppress(asyncio.CancelledError, AssertionError, OSError, ConnectionClosed):
                    await working
        finally:
            await station.aclose()
    assert keeper.stored, "nothing was ever set"
    assert csms.schema_faults == []


# The disk


async def test_a_message_that_cannot_be_stored_is_refused_and_changes_nothing(tmp_path: Path, disk: FullDisk) -> None:
    async with walking(tmp_path) as walk:
        await walk.accepted()
        assert await send_display_message(walk.csms, message_info(1, priority="AlwaysFront")) == "Accepted"
        with disk.refusing("display_messages"):
            answer = await walk.csms.call("SetDisplayMessage", {"message": message_info(2, priority="AlwaysFront")})
        assert answer == {"status": "Rejected", "statusInfo": {"reasonCode": "OutOfStorage"}}
        assert [stored.id for stored in messages_of(walk).all()] == [1]


async def test_a_message_that_cannot_be_deleted_is_still_there(tmp_path: Path, disk: FullDisk) -> None:
    async with walking(tmp_path) as walk:
        await walk.accepted()
        assert await send_display_message(walk.csms, message_info(1)) == "Accepted"
        with disk.refusing("display_messages"):
            answer = await walk.csms.request("ClearDisplayMessage", {"id": 1})
        assert answer[0] == 4
        assert answer[2] == "InternalError"
        assert [stored.id for stored in messages_of(walk).all()] == [1]
        assert await walk.csms.call("ClearDisplayMessage", {"id": 1}) == {"status": "Accepted"}


async def test_a_message_that_cannot_be_read_is_set_aside_and_the_others_are_shown(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await walk.accepted()
        for identity in (1, 2):
            assert await send_display_message(walk.csms, message_info(identity)) == "Accepted"
    with contextlib.closing(sqlite3.connect(tmp_path / "borne.sqlite")) as database, database:
        database.execute("UPDATE display_messages SET payload = json_set(payload, '$.priority', 'Loud') WHERE id = 1")
    async with walking(tmp_path) as walk:
        await walk.accepted()
        assert [stored.id for stored in messages_of(walk).all()] == [2]
        assert [str(row.address) for row in walk.parts.unreadable.all()] == ["display_messages 1"]
        assert await send_display_message(walk.csms, message_info(1)) == "Accepted"
        assert walk.parts.unreadable.all() == []


# Time


@contextlib.asynccontextmanager
async def without_csms(folder: Path) -> AsyncGenerator[tuple[Walk, DisplayMessages, Clock, list[int]]]:
    """Run a station without a CSMS; yields its messages, its clock, and a list that grows at each change."""
    async with powered(configuration(folder, None), Csms()) as walk:
        messages, changes = messages_of(walk), list[int]()
        messages.changed.subscribe(lambda _: changes.append(1))
        yield walk, messages, walk.application.clock, changes


async def test_starts_and_ends_are_published_at_their_moment(tmp_path: Path) -> None:
    async with without_csms(tmp_path) as (walk, messages, clock, changes):
        now = clock.now()
        content = MessageContent("Happy hour")
        timed = DisplayMessage(
            1,
            MessagePriority.IN_FRONT,
            content,
            starts_at=now + timedelta(hours=1),
            ends_at=now + timedelta(hours=2),
        )
        assert await messages.put(timed) is None
        assert len(changes) == 1
        await walk.advance(3599.0)
        assert (len(changes), messages.visibilities()) == (1, {1: "waiting"})
        await walk.advance(1.5)
        assert (len(changes), messages.visibilities()) == (2, {1: "shown"})
        await walk.advance(3600.0)
        assert (len(changes), messages.visibilities()) == (3, {})
        await until(lambda: stored_ids(tmp_path) == [])


async def test_a_clock_that_is_set_ends_a_message_at_once(tmp_path: Path) -> None:
    async with without_csms(tmp_path) as (walk, messages, clock, changes):
        ends_at = clock.now() + timedelta(days=1)
        assert (
            await messages.put(DisplayMessage(1, MessagePriority.IN_FRONT, MessageContent("x"), ends_at=ends_at))
            is None
        )
        clock.adjust(timedelta(days=2))
        assert messages.all() == []
        messages.clock_corrected()
        await walk.settle()
        assert len(changes) == 2
        await until(lambda: stored_ids(tmp_path) == [])


def stored_ids(folder: Path) -> list[int]:
    """The ids of the messages on disk."""
    with contextlib.closing(sqlite3.connect(folder / "borne.sqlite")) as database:
        return [identity for (identity,) in database.execute("SELECT id FROM display_messages")]


# A hostile CSMS


async def test_messages_at_their_limits_do_not_disturb_a_charge(tmp_path: Path) -> None:
    """O01.FR.11: the number is limited, a message is, and so are the reports that are under way"""
    async with charging(tmp_path) as (walk, csms):
        longest = "\N{ELECTRIC PLUG}" * 512
        statuses = [
            await send_display_message(csms, message_info(number, longest)) for number in range(MAX_MESSAGES + 20)
        ]
        assert statuses == ["Accepted"] * MAX_MESSAGES + ["Rejected"] * 20
        for _ in range(300):
            assert await send_display_message(csms, message_info(0, longest, priority="AlwaysFront")) == "Accepted"
        answer = await csms.request("SetDisplayMessage", {"message": message_info(1, longest + "!")})
        assert answer[:1] + answer[2:3] == [4, "PropertyConstraintViolation"]
        request = {"requestId": 1, "id": list(range(MAX_MESSAGES + 1))}
        assert (await csms.request("GetDisplayMessages", request))[2] == "OccurrenceConstraintViolation"
        csms.slow = True  # it asks for reports and takes none
        report_statuses = [(await csms.call("GetDisplayMessages", {"requestId": 1}))["status"] for _ in range(50)]
        assert report_statuses == ["Accepted"] * 4 + ["Unknown"] * 46
        csms.slow = False
        await csms.release()
        await walk.until(lambda: len(csms.received("NotifyDisplayMessages")) >= 4 * MAX_MESSAGES // 10, within_s=600)
        sizes = [len(json.dumps(part)) for part in csms.received("NotifyDisplayMessages")]
        assert max(sizes) < 100_000
        assert (tmp_path / "borne.sqlite").stat().st_size < 4_000_000


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", -1),
        ("id", 1e300),
        ("startDateTime", "soon"),
        ("endDateTime", "2026-13-01T00:00:00Z"),
        ("display", {"name": "Display", "evse": {"id": 1e300}}),
    ],
)
async def test_a_malformed_field_is_answered_with_an_error_that_names_it(
    tmp_path: Path, field: str, value: object
) -> None:
    async with walking(tmp_path) as walk:
        await walk.accepted()
        answer = await walk.csms.request("SetDisplayMessage", {"message": message_info(1) | {field: value}})
        assert answer[:1] + answer[2:3] == [4, "PropertyConstraintViolation"]
        assert f"message.{field}" in answer[3]
        assert messages_of(walk).all() == []

"""A transaction event that cannot be read: the others are delivered, and owner, installer and CSMS learn of it."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from station.security.access.accounts import Role
from tests.walk import Walk, walking
from tests.walks.steps import Event, charge, transaction_id
from tests.walks.test_access import away, enter, give_password
from tests.walks.test_offline import cut_network

RENAME = (
    "UPDATE events SET payload = replace(payload, '\"trigger\"', '\"cause\"') WHERE settled_at IS NULL AND seq_no = "
)
RENAME_BACK = "UPDATE events SET payload = replace(payload, '\"cause\"', '\"trigger\"')"


async def restart(walk: Walk, storage: Path, sql: str) -> None:
    """Cut the power, execute SQL on the storage, and restore the power."""
    await walk.application.cut_power()
    with contextlib.closing(sqlite3.connect(storage / "borne.sqlite")) as database:
        assert database.execute(sql).rowcount > 0
        database.commit()
    await walk.application.restore_power()


def events_of(walk: Walk, identity: str) -> list[Event]:
    """Return the received events of a transaction."""
    return [sent_event for sent_event in walk.events() if sent_event["transactionInfo"]["transactionId"] == identity]


async def test_the_csms_gets_all_others_and_a_security_event_and_later_the_row_itself(tmp_path: Path) -> None:
    """Its number is the one that was missing; the transaction was ended in between."""
    async with walking(tmp_path) as walk:
        identity = await charge(walk)
        events_before = len(walk.events())
        await cut_network(walk)
        await walk.advance(190)
        await restart(walk, tmp_path, RENAME + str(events_before + 1))
        await walk.until(lambda: any(sent_event["eventType"] == "Ended" for sent_event in events_of(walk, identity)))
        numbers = [sent_event["seqNo"] for sent_event in events_of(walk, identity)]
        assert numbers == [number for number in range(numbers[-1] + 1) if number != events_before + 1]
        event = await walk.csms.expect(
            "SecurityEventNotification", lambda notification: notification["type"] == "UnreadableRecord"
        )
        sentence = f"of transaction {identity}, event {events_before + 1}: trigger: is missing; cause: is not known"
        assert event["techInfo"].endswith(sentence)
        await restart(walk, tmp_path, RENAME_BACK)
        await walk.until(lambda: events_of(walk, identity)[-1]["seqNo"] == events_before + 1)
        assert events_of(walk, identity)[-1]["offline"]
        assert walk.parts.unreadable.all() == []


async def test_the_status_lists_such_rows_for_owner_and_installer_only(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await charge(walk)
        identity = transaction_id(walk)
        await cut_network(walk)
        await walk.advance(70)
        await give_password(walk, Role.DRIVER, Role.OWNER, Role.INSTALLER)
        await restart(walk, tmp_path, RENAME + "(SELECT MAX(seq_no) FROM events)")
        await walk.until(lambda: walk.parts.unreadable.all())
        async with away(walk) as visitor:
            assert "unreadable_rows" not in (await visitor.get("/api/status")).json()
        for role in (Role.DRIVER, Role.OWNER, Role.INSTALLER):
            async with away(walk) as client:
                await enter(client, role.label)
                status = (await client.get("/api/status")).json()
                if role is Role.DRIVER:
                    assert "unreadable_rows" not in status
                    continue
                assert status["unreadable_rows"]["count"] == 1
                (row,) = status["unreadable_rows"]["rows"]
                assert (row["table"], row["transaction_id"]) == ("events", identity)
                assert row["problem"] == "trigger: is missing; cause: is not known"

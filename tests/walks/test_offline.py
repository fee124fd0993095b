"""Transactions while the CSMS is out of reach: queued, flagged, and sent in order afterwards (E04, E08, E11, E12)."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from station.charging.tokens.admission import TokenOutcome
from tests.csms import NO_ANSWER, Answer, Csms, Rule, running_csms
from tests.walk import Walk, configuration, powered, walking
from tests.walks.steps import Event, charge, event, request_stop, transaction_id, tx_points, variables


async def cut_network(walk: Walk) -> None:
    """Cut the network, and wait until the station has noticed."""
    walk.stack.cut_network()
    await walk.until(lambda: not walk.csms.connected and not walk.stack.connected)


async def restore_network(walk: Walk) -> None:
    """Restore the network, and wait until the queue is empty."""
    walk.stack.restore_network()
    await walk.until(lambda: walk.csms.connected)
    await queue_empty(walk)


async def queue_empty(walk: Walk) -> None:
    """Wait until the CSMS has answered all events."""
    while await walk.parts.outbox.count_waiting():
        await walk.advance(0.5)


def check_order(events: list[Event]) -> None:
    """Check that the events are numbered without gaps, and that their times do not fall."""
    assert [sent_event["seqNo"] for sent_event in events] == list(range(len(events)))
    times = [sent_event["timestamp"] for sent_event in events]
    assert times == sorted(times)


async def test_a_transaction_that_goes_on_offline_is_reported_afterwards(tmp_path: Path) -> None:
    """TC_E_40_CS, E11.FR.02, E11.FR.03: Updated with meter values, offline is true, in order."""
    async with walking(tmp_path) as walk:
        identity = await charge(walk)
        before = len(walk.events())
        await cut_network(walk)
        await walk.advance(190)
        assert len(walk.events()) == before
        await restore_network(walk)
        missed = walk.events()[before:]
        assert [sent_event["triggerReason"] for sent_event in missed] == ["MeterValuePeriodic"] * 3
        assert all(
            sent_event["eventType"] == "Updated" and sent_event["offline"] and sent_event["meterValue"]
            for sent_event in missed
        )
        check_order(walk.events())
        assert transaction_id(walk) == identity
        await walk.advance(65)
        assert "offline" not in walk.events()[-1]


async def test_a_transaction_that_began_and_ended_offline_is_reported_whole(tmp_path: Path) -> None:
    """TC_E_43_CS, E04.FR.01, E04.FR.03, E12.FR.01: Started and Ended are among it, all of it offline."""
    async with walking(tmp_path, variable=variables(AuthCtrlr__OfflineTxForUnknownIdEnabled=True)) as walk:
        await walk.accepted()
        await cut_network(walk)
        await walk.plug()
        assert await walk.present() is TokenOutcome.AUTHORIZED
        await walk.charging()
        await walk.advance(70)
        assert await walk.present() is TokenOutcome.STOPPED
        await walk.advance(10)
        await walk.unplug()
        await restore_network(walk)
        assert walk.types_and_triggers() == [
            ("Started", "CablePluggedIn"),
            ("Updated", "Authorized"),
            ("Updated", "ChargingStateChanged"),
            ("Updated", "MeterValuePeriodic"),
            ("Ended", "StopAuthorized"),
        ]
        assert all(sent_event["offline"] for sent_event in walk.events())
        check_order(walk.events())
        assert walk.csms.received("Authorize") == []


async def test_a_transaction_that_ends_offline_is_reported_as_ended(tmp_path: Path) -> None:
    """TC_E_44_CS, E08.FR.02, E08.FR.05: the messages wait, all are offline, one is Ended."""
    async with walking(tmp_path) as walk:
        await charge(walk)
        before = len(walk.events())
        await cut_network(walk)
        assert await walk.present() is TokenOutcome.STOPPED
        await walk.advance(10)
        assert sum(walk.board.currents_a) == 0
        await walk.unplug()
        await restore_network(walk)
        missed = walk.events()[before:]
        assert [sent_event["eventType"] for sent_event in missed] == ["Ended"]
        assert all(sent_event["offline"] for sent_event in missed)
        assert missed[-1]["transactionInfo"]["stoppedReason"] == "Local"
        check_order(walk.events())


async def test_what_the_csms_had_not_taken_when_the_link_broke_becomes_offline(tmp_path: Path) -> None:
    """E11.FR.07: every message that is still in the queue is set offline; nothing is lost or sent twice."""
    async with walking(tmp_path) as walk:
        await charge(walk)
        answer = walk.csms.answers
        answer["TransactionEvent"] = rule_dropping_link(walk.csms)
        assert walk.board.vehicle is not None
        walk.board.vehicle.suspend()
        await walk.until(lambda: not walk.stack.connected)
        del answer["TransactionEvent"]
        await walk.until(lambda: walk.csms.connected, within_s=120)
        await queue_empty(walk)
        suspended = [
            sent_event
            for sent_event in walk.events()
            if sent_event["transactionInfo"].get("chargingState") == "SuspendedEV"
        ]
        assert [sent_event.get("offline", False) for sent_event in suspended] == [False, True]
        assert len({sent_event["seqNo"] for sent_event in suspended}) == 1


async def test_what_the_csms_had_not_taken_when_the_power_failed_becomes_offline(tmp_path: Path) -> None:
    """E11.FR.07: without power there is no link either, and nobody has had the time to note that."""
    async with running_csms() as csms:
        csms.answers["TransactionEvent"] = lambda _: NO_ANSWER
        config = configuration(tmp_path, csms.url)
        async with powered(config, csms) as walk:
            await walk.accepted()
            await walk.plug()
            await walk.until(walk.events)
            assert "offline" not in walk.events()[0]
        with contextlib.closing(sqlite3.connect(tmp_path / "borne.sqlite")) as database, database:
            database.execute("UPDATE events SET offline = 0")  # as a power cut leaves them
        del csms.answers["TransactionEvent"]
        before = len(csms.received("TransactionEvent"))
        async with powered(config, csms) as walk:
            await walk.until(lambda: len(walk.events()) > before)
            await queue_empty(walk)
            left = [sent_event for sent_event in walk.events()[before:] if sent_event["seqNo"] <= 1]
            assert [sent_event.get("offline") for sent_event in left[:2]] == [True, True]


async def test_two_transactions_offline_come_one_after_the_other(tmp_path: Path) -> None:
    """E04.FR.04, E13.FR.04: transaction-related messages are sent in the order in which they happened."""
    async with walking(tmp_path, variable=variables(AuthCtrlr__OfflineTxForUnknownIdEnabled=True)) as walk:
        await walk.accepted()
        await cut_network(walk)
        for _ in range(2):
            await walk.plug()
            await walk.present()
            await walk.charging()
            await walk.present()
            await walk.advance(10)
            await walk.unplug()
        await restore_network(walk)
        ids = [sent_event["transactionInfo"]["transactionId"] for sent_event in walk.events()]
        assert len(set(ids)) == 2
        first = ids.index(next(identity for identity in ids if identity != ids[0]))
        assert set(ids[:first]).isdisjoint(ids[first:])
        check_order(walk.events()[:first])
        check_order(walk.events()[first:])


async def test_status_of_an_ongoing_transaction(tmp_path: Path) -> None:
    """TC_E_30_CS, TC_E_34_CS, TC_E_28_CS, E14.FR.01–FR.08: with and without id, and of an id that never was."""
    async with walking(tmp_path) as walk:
        identity = await charge(walk)
        await queue_empty(walk)
        assert await transaction_status(walk, identity) == {"ongoingIndicator": True, "messagesInQueue": False}
        assert await transaction_status(walk, None) == {"messagesInQueue": False}
        assert await transaction_status(walk, "never-was") == {"ongoingIndicator": False, "messagesInQueue": False}


async def test_status_with_messages_in_the_queue(tmp_path: Path) -> None:
    """TC_E_29_CS, TC_E_33_CS, E14.FR.04, E14.FR.07: asked before the queue is empty."""
    async with walking(tmp_path) as walk:
        identity = await charge(walk)
        await cut_network(walk)
        await walk.advance(70)
        refusing = {"on": True}
        walk.csms.answers["TransactionEvent"] = lambda _: NO_ANSWER if refusing["on"] else {}
        walk.stack.restore_network()
        await walk.until(lambda: walk.csms.connected and walk.stack.connected)
        assert await transaction_status(walk, identity) == {"ongoingIndicator": True, "messagesInQueue": True}
        assert await transaction_status(walk, None) == {"messagesInQueue": True}
        refusing["on"] = False
        await queue_empty(walk)
        missed = [sent_event for sent_event in walk.events() if sent_event.get("offline")]
        assert missed
        assert all(sent_event["eventType"] == "Updated" and sent_event["meterValue"] for sent_event in missed)


async def test_status_of_a_transaction_that_ended_offline(tmp_path: Path) -> None:
    """TC_E_31_CS, TC_E_32_CS, E14.FR.03, E14.FR.05: ended, first with, then without messages in the queue."""
    async with walking(tmp_path) as walk:
        identity = await charge(walk)
        await cut_network(walk)
        await walk.present()
        await walk.advance(10)
        await walk.unplug()
        refusing = {"on": True}
        walk.csms.answers["TransactionEvent"] = lambda _: NO_ANSWER if refusing["on"] else {}
        walk.stack.restore_network()
        await walk.until(lambda: walk.csms.connected and walk.stack.connected)
        assert await transaction_status(walk, identity) == {"ongoingIndicator": False, "messagesInQueue": True}
        refusing["on"] = False
        await queue_empty(walk)
        assert await transaction_status(walk, identity) == {"ongoingIndicator": False, "messagesInQueue": False}


async def test_a_remote_stop_that_comes_after_the_outage_ends_the_transaction(tmp_path: Path) -> None:
    """E11, F03.FR.07: the transaction is still the same."""
    async with walking(tmp_path, variable=tx_points("Authorized", "Authorized")) as walk:
        identity = await charge(walk)
        await cut_network(walk)
        await walk.advance(20)
        await restore_network(walk)
        assert await request_stop(walk, identity) == "Accepted"
        ended = await event(walk, "Ended", "RemoteStop")
        assert ended["transactionInfo"]["transactionId"] == identity
        assert "offline" not in ended


def rule_dropping_link(csms: Csms) -> Rule:
    """Return an answer rule that aborts the connection in place of answering."""

    def drop(_: Event) -> Answer:
        csms.drop()
        return NO_ANSWER

    return drop


async def transaction_status(walk: Walk, identity: str | None) -> dict[str, object]:
    """Send GetTransactionStatus; returns the response."""
    request = {"transactionId": identity} if identity is not None else {}
    return await walk.csms.call("GetTransactionStatus", request)

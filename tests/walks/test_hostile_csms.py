"""A CSMS that answers late, twice, wrongly or not at all, and hangs up: a charge survives it all."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import pytest

from station.charging.tokens.admission import TokenOutcome
from station.core.csms import VendorAnswer
from tests.csms import NO_ANSWER, CallErrorAnswer
from tests.hostile import HostileCsms, charging, variable
from tests.patience import PATIENCE_S
from tests.walk import OTHER_CARD, walking

# One at a time (part 4 §4.1.1, GEN.FR.01)


async def test_never_is_a_second_call_open_and_ids_never_repeat(tmp_path: Path) -> None:
    csms = HostileCsms()
    async with walking(tmp_path, csms) as walk:
        await walk.accepted()
        csms.slow = True
        await walk.plug()  # a status and an event, and then a card asks as well
        outcome = walk.parts.station.present_token(OTHER_CARD, 1)
        while not outcome.done() or len(csms.ids) < 6:
            await walk.until(lambda: csms.held)
            await csms.release()
            await walk.settle()
        assert csms.most_open == 1
        csms.slow = False
        await walk.charging()
    assert len(csms.ids) == len(set(csms.ids))  # part 4 §4.1.4
    assert max(len(identity) for identity in csms.ids) <= 36


async def test_a_call_of_the_csms_is_answered_while_ours_is_open(tmp_path: Path) -> None:
    """Part 4 §4.1.1, note: calls cross each other."""
    csms = HostileCsms()
    async with charging(tmp_path, csms) as (walk, _):
        csms.slow = True
        await walk.until(lambda: csms.held, within_s=120)
        answer = await csms.call("GetVariables", {"getVariableData": [variable("HeartbeatInterval")]})
        assert answer["getVariableResult"][0]["attributeStatus"] == "Accepted"
        assert len(csms.held) == 1
        csms.slow = False
        await csms.release()


# Answers that are late, double, strange or missing


async def test_without_an_answer_the_next_call_goes_out_after_the_message_timeout(tmp_path: Path) -> None:
    async with charging(tmp_path) as (walk, csms):
        silent_since_s = walk.application.clock.monotonic()
        csms.answers["Heartbeat"] = csms.answers["TransactionEvent"] = lambda _: NO_ANSWER
        count = len(walk.events())
        await walk.until(lambda: len(walk.events()) >= count + 2, within_s=300)
        first, second = walk.events()[count : count + 2]
        assert first["seqNo"] == second["seqNo"]  # E13: the same event again, once it has timed out
        assert walk.application.clock.monotonic() - silent_since_s >= 30
        del csms.answers["TransactionEvent"]


async def test_a_late_answer_is_not_taken_for_the_answer_to_the_next_call(tmp_path: Path) -> None:
    async with charging(tmp_path) as (walk, csms):
        late: list[str] = []

        def frames(identity: str, action: str, _payload: dict[str, Any]) -> list[str] | None:
            if action != "TransactionEvent":
                return None
            if not late:
                late.append(identity)
                return []
            # the refusal of the first call comes when the second is open
            return [json.dumps([4, late[0], "InternalError", "", {}]), json.dumps([3, identity, {}])]

        csms.frames = frames
        count = len(walk.events())
        await walk.until(lambda: len(walk.events()) >= count + 3, within_s=300)
        first, second, third = walk.events()[count : count + 3]
        assert first["seqNo"] == second["seqNo"]  # not answered in time
        assert third["seqNo"] == second["seqNo"] + 1  # accepted, whatever came late


async def test_of_two_answers_the_first_counts_and_unknown_ids_are_ignored(tmp_path: Path) -> None:
    async with charging(tmp_path) as (walk, csms):

        def frames(identity: str, action: str, _payload: dict[str, Any]) -> list[str] | None:
            if action != "TransactionEvent":
                return None
            return [
                json.dumps([4, "nobody", "InternalError", "", {}]),
                json.dumps([4, "-1", "GenericError", "", {}]),
                json.dumps([3, "nobody", []]),
                json.dumps([3, identity, {}]),
                json.dumps([3, identity, []]),
                json.dumps([4, identity, "InternalError", "", {}]),
            ]

        csms.frames = frames
        count = len(walk.events())
        await walk.until(lambda: len(walk.events()) >= count + 2, within_s=300)
        first, second = walk.events()[count : count + 2]
        assert second["seqNo"] == first["seqNo"] + 1  # accepted at the first answer, not repeated
        assert csms.errors == []  # an answer is never answered


@pytest.mark.parametrize("payload", [[], None, 7, "x", {"idTokenInfo": {"status": "Splendid"}}, {"totalCost": "1e999"}])
async def test_an_answer_of_the_wrong_schema_counts_as_none(tmp_path: Path, payload: object) -> None:
    """E13: the event is sent again."""
    async with charging(tmp_path) as (walk, csms):
        wrong_answers_left = 1

        def frames(identity: str, action: str, _payload: dict[str, Any]) -> list[str] | None:
            nonlocal wrong_answers_left
            if action != "TransactionEvent" or wrong_answers_left == 0:
                return None
            wrong_answers_left -= 1
            return [json.dumps([3, identity, payload])]

        csms.frames = frames
        count = len(walk.events())
        await walk.until(lambda: len(walk.events()) >= count + 2, within_s=300)
        first, second = walk.events()[count : count + 2]
        assert first["seqNo"] == second["seqNo"]


@pytest.mark.parametrize(
    "surplus", [{"foreign": {"a": None}}, {"idTokenInfo": None}, {"updatedPersonalMessage": None, "totalCost": None}]
)
async def test_an_answer_with_a_null_or_a_foreign_field_counts(tmp_path: Path, surplus: dict[str, Any]) -> None:
    """Real CSMSs differ: what is too much is left out."""
    csms = HostileCsms()
    csms.answers["TransactionEvent"] = lambda _: surplus
    csms.answers["BootNotification"] = lambda _: {
        "currentTime": csms.now().isoformat(),
        "interval": 300,
        "status": "Accepted",
        "statusInfo": None,
    }
    async with walking(tmp_path, csms) as walk:
        await walk.accepted()
        await walk.plug()
        await walk.advance(120)
        numbers = [sent_event["seqNo"] for sent_event in walk.events()]
        assert len(numbers) >= 2
        assert numbers == sorted(set(numbers))  # none is sent twice


async def test_a_csms_that_refuses_everything_does_not_end_a_charge(tmp_path: Path) -> None:
    async with charging(tmp_path) as (walk, csms):
        refused = ("TransactionEvent", "Heartbeat", "StatusNotification", "Authorize", "MeterValues")
        for action in refused:
            csms.answers[action] = lambda _: CallErrorAnswer("InternalError", "no \ud800")
        await walk.advance(900)
        assert walk.board.outputs.contactor
        for action in refused:
            del csms.answers[action]


async def test_a_boot_that_is_answered_with_errors_is_asked_again_and_again(tmp_path: Path) -> None:
    csms = HostileCsms()
    csms.answers["BootNotification"] = lambda _: CallErrorAnswer("InternalError")
    async with walking(tmp_path, csms) as walk:
        await walk.until(lambda: len(csms.received("BootNotification")) >= 3)
        assert {received.action for received in csms.calls} == {"BootNotification"}  # B01.FR.08
        del csms.answers["BootNotification"]
        await walk.accepted()


# Connections that end


@pytest.mark.parametrize("seed", range(4))
async def test_the_csms_may_close_at_any_moment(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    async with charging(tmp_path) as (walk, csms):
        for _ in range(8):
            await walk.advance(rng.uniform(0, 40))
            for _ in range(rng.randrange(4)):
                await asyncio.sleep(0)
            if rng.random() < 0.5:
                csms.drop()
            elif csms.connected:
                await csms.close(rng.choice([1000, 1001, 1002, 1008, 1011, 1012, 4000]))
            assert walk.board.outputs.contactor
        await walk.until(lambda: csms.connected, within_s=600)
        assert len(csms.received("BootNotification")) == 1  # part 4 §5.3: not after a mere reconnect


async def test_with_the_close_frame_the_link_is_down_though_tcp_stands(tmp_path: Path) -> None:
    """RFC 6455 5.5.1: nothing can be sent any more, so offline rules hold at once; then the station ends TCP."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        server = walk.csms._websocket  # pyright: ignore[reportPrivateUsage]  # a close frame, and no more
        assert server is not None
        server.transport.pause_reading()
        server.transport.write(bytes([0x88, 0x02, 0x03, 0xE8]))
        await walk.settle()
        assert not walk.stack.connected
        assert not walk.stack.link.online
        outcome = walk.parts.station.present_token(OTHER_CARD, 1)
        async with asyncio.timeout(PATIENCE_S):  # the closing is real, and virtual time must not run ahead of it
            assert await outcome is TokenOutcome.NOT_CHECKED
        server.transport.resume_reading()
        async with asyncio.timeout(60):
            await server.wait_closed()
        await walk.until(lambda: walk.csms.connections == 2)
        await walk.settle()
        await walk.plug()
        assert await walk.present() is TokenOutcome.AUTHORIZED


# Opaque data


OPAQUE: dict[str, Any] = {
    "vendorId": "com.example",
    "association": "associationId",
    "snake_case": {"camelCase": 1, "evse_id": [None, True, 1.5, "é🚗", {}, []]},
    "V2X": 2**53,
    "": "",
}


async def test_custom_data_comes_back_untouched(tmp_path: Path) -> None:
    """Part 4 §9; B05.FR.02, B06.FR.02: the same component and variable."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        item: dict[str, Any] = variable("HeartbeatInterval")
        item["component"]["customData"] = OPAQUE
        item["variable"]["customData"] = OPAQUE
        response = await walk.csms.call("GetVariables", {"getVariableData": [item], "customData": OPAQUE})
        result = response["getVariableResult"][0]
        assert result["component"] == item["component"]
        assert result["variable"] == item["variable"]
        written = await walk.csms.call("SetVariables", {"setVariableData": [{**item, "attributeValue": "77"}]})
        assert written["setVariableResult"][0]["component"] == item["component"]
        assert written["setVariableResult"][0]["variable"] == item["variable"]


async def test_data_of_a_data_transfer_is_never_altered(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await walk.accepted()
        csms = walk.csms
        walk.stack.data_transfer.set_response("com.example", "echo", VendorAnswer("Accepted", OPAQUE, OPAQUE))
        answer = await csms.call("DataTransfer", {"vendorId": "com.example", "messageId": "echo", "data": OPAQUE})
        assert answer == {"status": "Accepted", "data": OPAQUE, "customData": OPAQUE}
        # P01.FR.05, P01.FR.06
        assert await csms.call("DataTransfer", {"vendorId": "com.example", "messageId": "x"}) == {
            "status": "UnknownMessageId"
        }
        assert await csms.call("DataTransfer", {"vendorId": "org.other"}) == {"status": "UnknownVendorId"}

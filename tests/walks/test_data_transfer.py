"""Messages of a vendor's own, both ways: what is sent is sent once, and data is never touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.csms import NO_ANSWER, Answer, CallErrorAnswer, Csms
from tests.walk import walking
from tests.walks.visit import visiting

PATH = "/api/sim/data-transfer"
DATA: tuple[Any, ...] = (
    {"associationId": 7, "snake_case": {"evseID": [1, 2.5, None, True]}, "empty": {}},
    [],
    "text",
    0,
    False,
    None,
)


@pytest.mark.parametrize("data", DATA)
async def test_data_goes_out_and_comes_back_as_it_is(tmp_path: Path, data: object) -> None:
    """P02.FR.04"""
    csms = Csms()
    csms.answers["DataTransfer"] = lambda request: {"status": "Accepted", "data": request["data"]}
    async with walking(tmp_path, csms) as walk, visiting(walk) as api:
        await walk.accepted()
        sent = {"vendor_id": "org.example", "message_id": "m", "data": data}
        assert await api.post(PATH, sent, status=200) == {"status": "Accepted", "data": data}
        assert walk.csms.received("DataTransfer") == [{"vendorId": "org.example", "messageId": "m", "data": data}]
        assert await api.post(PATH, {"vendor_id": "org.example", "data": data}, status=200) is not None
        assert walk.csms.received("DataTransfer")[1] == {"vendorId": "org.example", "data": data}


async def test_custom_data_goes_along_both_ways(tmp_path: Path) -> None:
    custom = {"vendorId": "org.example", "associationId": {"evse_id": [1.5, None]}}
    csms = Csms()
    csms.answers["DataTransfer"] = lambda request: {"status": "Rejected", "customData": request["customData"]}
    async with walking(tmp_path, csms) as walk, visiting(walk) as api:
        await walk.accepted()
        sent = {"vendor_id": "org.example", "custom_data": custom}
        assert await api.post(PATH, sent, status=200) == {"status": "Rejected", "custom_data": custom}
        assert walk.csms.received("DataTransfer") == [{"vendorId": "org.example", "customData": custom}]


async def test_without_data_there_is_none(tmp_path: Path) -> None:
    """P02"""
    csms = Csms()
    csms.answers["DataTransfer"] = lambda _: {"status": "UnknownVendorId"}
    async with walking(tmp_path, csms) as walk, visiting(walk) as api:
        await walk.accepted()
        assert await api.post(PATH, {"vendor_id": "org.example"}, status=200) == {"status": "UnknownVendorId"}
        assert walk.csms.received("DataTransfer") == [{"vendorId": "org.example"}]


@pytest.mark.parametrize("answer", [CallErrorAnswer("NotImplemented"), CallErrorAnswer("NotSupported"), NO_ANSWER])
async def test_a_message_that_is_not_taken_is_not_sent_again(tmp_path: Path, answer: Answer) -> None:
    csms = Csms()
    csms.answers["DataTransfer"] = lambda _: answer
    async with walking(tmp_path, csms, csms={"message_timeout_s": 1.0}) as walk, visiting(walk) as api:
        await walk.accepted()
        walk.world.clock.set_rate(100.0)
        refusal = await api.post(PATH, {"vendor_id": "org.example"}, status=409)
        assert refusal["detail"].startswith(
            "no response to DataTransfer" if answer is NO_ANSWER else str(getattr(answer, "code", ""))
        )
        walk.world.clock.set_rate(0.0)
        await walk.advance(600)
        assert len(walk.csms.received("DataTransfer")) == 1


@pytest.mark.parametrize("data", DATA)
async def test_a_message_of_the_csms_gets_the_answer_that_is_set(tmp_path: Path, data: object) -> None:
    """P01.FR.05, P01.FR.06"""
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        request = {"vendorId": "org.example", "messageId": "m", "data": DATA[0]}
        assert await walk.csms.call("DataTransfer", request) == {"status": "UnknownVendorId"}
        answer = {"vendor_id": "org.example", "message_id": "m", "status": "Rejected", "data": data}
        assert (await api.client.put(PATH, json=answer)).status_code == 202
        assert await walk.csms.call("DataTransfer", request) == {"status": "Rejected", "data": data}
        unknown_message = await walk.csms.call("DataTransfer", request | {"messageId": "n"})
        assert unknown_message == {"status": "UnknownMessageId"}


async def test_answers_have_a_bound(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk, visiting(walk) as api:
        for number in range(100):
            answer = {"vendor_id": "org.example", "message_id": str(number)}
            assert (await api.client.put(PATH, json=answer)).status_code == 202
        assert (await api.client.put(PATH, json={"vendor_id": "org.example"})).status_code == 409
        second_answer = {"vendor_id": "org.example", "message_id": "0", "status": "Rejected"}
        assert (await api.client.put(PATH, json=second_answer)).status_code == 202

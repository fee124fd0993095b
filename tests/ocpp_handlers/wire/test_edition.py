"""The edition of a session: chosen by the subprotocol, and ordered, so that additions can name their first one."""

from __future__ import annotations

from importlib.resources import files

import pytest

from ocpp_handlers.wire import frame
from ocpp_handlers.wire.edition import EDITIONS, V21, V201, Edition, chosen_edition
from ocpp_handlers.wire.frame import CallResultError, InvalidFrame, Send
from tests.editions import LATER


@pytest.mark.parametrize(
    ("subprotocol", "expected"), [("ocpp2.0.1", V201), ("ocpp9.9", LATER), ("ocpp1.6", None), ("", None), (None, None)]
)
def test_the_csms_chooses_the_edition_by_its_subprotocol(subprotocol: str | None, expected: Edition | None) -> None:
    assert chosen_edition((LATER, V201), subprotocol) is expected


def test_a_later_edition_has_what_an_earlier_one_has_and_not_the_other_way_round() -> None:
    assert LATER.includes(V201)
    assert LATER.includes(LATER)
    assert not V201.includes(LATER)


def test_the_actions_of_each_edition_are_those_with_schemas() -> None:
    for edition in EDITIONS:
        names = {file.name for file in (files("ocpp") / edition.schema_folder / "schemas").iterdir()}
        names.discard("NotifyPeriodicEventStream.json")  # a SEND
        assert names == {f"{action}{kind}.json" for action in edition.actions for kind in ("Request", "Response")}


def test_a_frame_of_a_kind_that_the_edition_does_not_have_is_refused() -> None:
    refused = frame.decode('[9, "1", "Heartbeat", {}]', V201)
    assert isinstance(refused, InvalidFrame)
    assert refused.reason == "the message type is not 2, 3 or 4"
    assert refused.reply is not None
    refused = frame.decode('[7, "1", "Heartbeat", {}]', LATER)
    assert isinstance(refused, InvalidFrame)
    assert refused.reason == "the message type is not 2, 3, 4, 5 or 6"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[5, "1", "InternalError", "what", {}]', CallResultError("1", "InternalError", "what")),
        ('[5, "1", "InternalError", 7, {}]', CallResultError("1", "InternalError")),
        ('[6, "1", "NotifyPeriodicEventStream", {"id": 1}]', Send("1", "NotifyPeriodicEventStream", {"id": 1})),
    ],
)
def test_a_session_of_21_reads_the_frames_that_came_with_it(text: str, expected: object) -> None:
    assert frame.decode(text, V21) == expected


@pytest.mark.parametrize(
    "text",
    [
        '[5, "1", "InternalError", ""]',
        '[5, "1"]',
        '[5, 1, "InternalError", "", {}]',
        '[6, "1", "NotifyPeriodicEventStream"]',
        '[6, "1", 7, {}]',
        "[6, 1]",
        '[6, "1", "NotifyPeriodicEventStream", "\\ud800"]',
    ],
)
def test_nothing_that_is_wrong_with_them_is_answered(text: str) -> None:
    refused = frame.decode(text, V21)
    assert isinstance(refused, InvalidFrame)
    assert refused.reply is None

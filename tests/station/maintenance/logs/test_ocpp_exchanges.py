"""OCPP messages as requests with their answers, searched, and exported for other programs."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from station.maintenance.logs.frame_exports import har, json_lines, pcapng
from station.maintenance.logs.frame_log import LoggedFrame
from station.maintenance.logs.frame_store import StoredFrame
from station.maintenance.logs.ocpp_exchanges import FrameFilter, OcppExchange, ParsedFrame, exchanges
from tests import fakes

AT = fakes.clock().now()
MESSAGES = (
    ("out", '[2,"a","BootNotification",{"reason":"PowerUp"}]', ""),
    ("in", '[2,"b","GetVariables",{}]', ""),
    ("in", '[3,"a",{"status":"Accepted"}]', ""),
    ("out", '[4,"b","InternalError","é","{}"]', ""),
    ("in", '[3,"nobody",{}]', ""),
    ("out", "Hello", ""),
    ("out", '[2,"b","Heartbeat",{}]', ""),
    ("out", '[2,"b","Heartbeat",{}]', "Heartbeat request b: sent twice"),
    ("out", "", "Heartbeat request b: dropped"),
)
FRAMES = [
    LoggedFrame(number, AT + timedelta(seconds=number), StoredFrame(direction, text, note))
    for number, (direction, text, note) in enumerate(MESSAGES, start=1)
]
FOUND = exchanges(FRAMES)


def parsed() -> list[ParsedFrame]:
    return [parsed for exchange in FOUND for parsed in exchange.frames]


def row(exchange: OcppExchange) -> tuple[Any, ...]:
    return exchange.first.frame.number, exchange.first.action, exchange.outcome, exchange.duration_s


def test_a_request_and_its_answer_are_one_row_with_its_duration() -> None:
    assert [row(exchange) for exchange in FOUND] == [
        (1, "BootNotification", "result", 2.0),
        (2, "GetVariables", "error", 2.0),
        (5, "", "none", None),
        (6, "", "none", None),
        (7, "Heartbeat", "open", None),  # the id of a request of the other side is not mistaken
        (8, "Heartbeat", "none", None),  # a note is no request
        (9, "", "none", None),
    ]


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        (FrameFilter(), [1, 2, 5, 6, 7, 8, 9]),
        (FrameFilter(action="bootnotification"), [1]),
        (FrameFilter(direction="in"), [2, 5]),
        (FrameFilter(message_id="b"), [2, 7, 8]),
        (FrameFilter(text="ACCEPTED"), [1]),
        (FrameFilter(text="dropped"), [9]),
        (FrameFilter(begin=AT + timedelta(seconds=5), end=AT + timedelta(seconds=7)), [5, 6]),
    ],
)
def test_exchanges_are_searched(wanted: FrameFilter, numbers: list[int]) -> None:
    assert [exchange.first.frame.number for exchange in FOUND if wanted.accepts(exchange)] == numbers


def test_json_lines_have_every_message_with_the_action_that_it_answers() -> None:
    rows = [json.loads(line) for line in json_lines(parsed()).splitlines()]
    assert [(row["number"], row["action"], row["direction"]) for row in rows[:4]] == [
        (1, "BootNotification", "out"),
        (3, "BootNotification", "in"),
        (2, "GetVariables", "in"),
        (4, "GetVariables", "out"),
    ]
    assert rows[3]["text"] == MESSAGES[3][1]


def test_a_har_has_the_messages_of_one_websocket() -> None:
    (entry,) = json.loads(har(parsed(), "ws://csms/CS-1", "1.0"))["log"]["entries"]
    assert (entry["response"]["status"], entry["request"]["url"]) == (101, "ws://csms/CS-1")
    messages = entry["_webSocketMessages"]
    assert [message["type"] for message in messages[:2]] == ["send", "receive"]
    assert messages[0] | {"time": 0} == {
        "type": "send",
        "time": 0,
        "opcode": 1,
        "data": MESSAGES[0][1],
        "_action": "BootNotification",
        "_note": "",
    }
    assert json.loads(har([], "", ""))["log"]["entries"][0]["_webSocketMessages"] == []


def blocks(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The blocks of a capture file; each has its length at both ends."""
    while data:
        kind, length = struct.unpack_from("<II", data)
        assert length % 4 == 0
        assert struct.unpack_from("<I", data, length - 4)[0] == length
        yield kind, data[8 : length - 4]
        data = data[length:]


def test_a_capture_file_has_one_packet_for_each_message() -> None:
    (section, head), (interface, link), *packets = blocks(pcapng(parsed()))
    assert (section, struct.unpack_from("<I", head)[0]) == (0x0A0D0D0A, 0x1A2B3C4D)
    assert (interface, struct.unpack_from("<H", link)[0]) == (1, 252)
    assert len(packets) == len(FRAMES)
    for (kind, packet), message in zip(packets, parsed(), strict=True):
        _, high, low, captured, original = struct.unpack_from("<IIIII", packet)
        assert (kind, captured) == (6, original)
        assert ((high << 32) + low) / 1e6 == message.frame.at.timestamp()
        data = packet[20 : 20 + captured]
        assert data.startswith(b"\0\x0c\0\x04json")
        assert data.endswith(b"\0\0\0\0" + message.frame.text.encode())
        options = packet[20 + captured + -captured % 4 :]
        assert (b"BootNotification" in options) is (message.action == "BootNotification")
        assert message.frame.note.encode() in options


def test_an_unpaired_surrogate_breaks_no_export() -> None:
    frame = LoggedFrame(1, AT, StoredFrame("in", '[2,"x","\ud800",{}]'))
    for data in (json_lines(exchanges([frame])[0].frames), pcapng(exchanges([frame])[0].frames)):
        assert b"\\ud800" in data
    assert b"ud800" in har(list(exchanges([frame])[0].frames), "", "")


@pytest.mark.parametrize(
    "text",
    ['[2,"\\ud800","Reset",{}]', '[2,"a"]', "[2", '[2,"a","Reset",{"x":', "[" * 100_000, '{"a":1}', '[5,"a","b",{}]'],
)
def test_what_is_no_request_has_no_action_that_no_response_could_have(text: str) -> None:
    (exchange,) = exchanges([LoggedFrame(1, AT, StoredFrame("in", text))])
    assert exchange.outcome == "none" or not exchange.first.message_id
    json.dumps([exchange.first.action, exchange.first.message_id]).encode()


def test_what_a_bench_has_sent_is_a_request_with_its_answer() -> None:
    sent = LoggedFrame(1, AT, StoredFrame("out", '[ 2, "x", "NoSuchAction", {} ]', "sent by the bench"))
    answer = LoggedFrame(2, AT, StoredFrame("in", '[4,"x","NotSupported","",{}]'))
    (exchange,) = exchanges([sent, answer])
    assert (exchange.first.action, exchange.outcome) == ("NoSuchAction", "error")

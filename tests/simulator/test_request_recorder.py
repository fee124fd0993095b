"""What a recording keeps: no secrets, no more than it may, and the order of things whatever the clock does."""

from __future__ import annotations

from datetime import timedelta

from simulator.request_recorder import HIDDEN, RequestRecorder, without_secrets
from simulator.scenarios.recorded_scenario import RecordedExchange, scenario_text
from station.maintenance.logs.frame_log import LoggedFrame
from station.maintenance.logs.frame_store import StoredFrame
from tests import fakes


def test_secrets_are_left_out_wherever_they_stand() -> None:
    body = {
        "password": "a",
        "url": "ws://csms",
        "payload": {"connectionData": {"password": "b"}, "list": [{"apnPassword": "c"}]},
        "pem": "-----BEGIN PRIVATE KEY-----\nd",
    }
    assert without_secrets(body) == {
        "password": HIDDEN,
        "url": "ws://csms",
        "payload": {"connectionData": {"password": HIDDEN}, "list": [{"apnPassword": HIDDEN}]},
        "pem": HIDDEN,
    }
    variable = {"component": "SecurityCtrlr", "variable": "BasicAuthPassword", "value": "e"}
    assert without_secrets(variable) == {**variable, "value": HIDDEN}
    assert without_secrets([1, "x", None]) == [1, "x", None]


def test_bodies_and_requests_are_bounded() -> None:
    recorder = RequestRecorder(fakes.clock())
    recorder.add(0.0, "POST", "/api/sim/reader", {}, 2)
    assert recorder.requests == []
    recorder.begin(0)
    for _ in range(30):
        recorder.add(0.0, "POST", "/api/sim/reader", {}, 200_000)
    assert len(recorder.requests) == 20
    recorder.begin(0)
    for _ in range(3000):
        recorder.add(0.0, "POST", "/api/sim/reader", {}, 2)
    assert len(recorder.requests) == 2000


def test_messages_are_bounded_and_their_time_does_not_follow_a_clock_that_jumps() -> None:
    clock = fakes.clock()
    recorder = RequestRecorder(clock)
    recorder.begin(4)
    recorder.keep([LoggedFrame(5, clock.now() + timedelta(seconds=3), StoredFrame("out", "[]"))])
    clock.adjust(timedelta(hours=-2))
    recorder.add(clock.monotonic(), "POST", "/api/sim/clock", {"jump_s": -7200}, 20)
    recorder.keep([LoggedFrame(6, clock.now() + timedelta(seconds=4), StoredFrame("out", "[]"))])
    assert [(entry.at_s, entry.frame.number) for entry in recorder.frames] == [(3.0, 5), (4.0, 6)]
    assert recorder.last_number == 6
    recorder.keep([LoggedFrame(7, clock.now(), StoredFrame("out", "x" * 5_000_000))])
    assert len(recorder.frames) == 2


def test_what_toml_cannot_have_is_left_out_with_a_comment_and_a_jump_of_the_clock_is_a_step() -> None:
    recorder = RequestRecorder(fakes.clock())
    recorder.begin(0)
    for body in ({"advance_s": 60}, {"jump_s": -7200.0}):
        recorder.add(0.0, "POST", "/api/sim/clock", body, 20)
    recorder.add(1.0, "DELETE", "/api/sim/misbehaviour", [1], 3)
    deep: object = {}
    for _ in range(2000):
        deep = {"a": deep}
    calls = [
        RecordedExchange(2.0, False, "DataTransfer", {"vendorId": "\ud800"}, {"status": "Accepted"}),
        RecordedExchange(3.0, False, "DataTransfer", {"vendorId": "a", "data": deep}, None),
        RecordedExchange(4.0, False, "DataTransfer", {"vendorId": "a", "data": float("inf")}, None),
    ]
    text = scenario_text(recorder.requests, calls, name="a", end_s=5.0)
    assert text.count("# a step is missing here") == 3
    assert "clock_jump.jump_s = -7200.0" in text
    assert "behave = {}" in text
    assert "advance_s" not in text

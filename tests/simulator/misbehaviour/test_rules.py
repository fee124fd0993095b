"""What a rule of misbehaviour makes of a message, and which rules contradict themselves."""

from __future__ import annotations

import json
from datetime import date

import pytest

from simulator.misbehaviour.message_line import MessageLine
from simulator.misbehaviour.rules import MAX_RULES, Effect, Rule, effect_of, rule_errors, wire_message
from simulator.misbehaviour.station_misbehaviour import StationMisbehaviour
from tests import fakes

EVENT = '[2,"e1","TransactionEvent",{"eventType":"Updated","seqNo": 3,"meterValue":1.50}]'
ANSWER = '[3,"c1",{"status":"Accepted"}]'


def effect(rule: Rule, text: str = EVENT) -> Effect:
    message = wire_message(rule.sender, text, {"c1": "Reset"})
    assert rule.matches(message)
    assert not list(rule_errors(rule))
    return effect_of(rule, message)


def test_a_message_is_dropped_delayed_repeated_or_cut_in_half() -> None:
    assert effect(Rule("drop")).passed == ()
    assert (effect(Rule("delay", seconds=4.0)).passed, effect(Rule("delay", seconds=4.0)).delay_s) == ((EVENT,), 4.0)
    assert effect(Rule("duplicate")).passed == (EVENT, EVENT)
    assert effect(Rule("corrupt")).passed == (EVENT[: len(EVENT) // 2],)


def test_a_repeated_request_may_have_an_id_of_its_own() -> None:
    first, second = effect(Rule("duplicate", new_id=True)).passed
    assert first == EVENT
    assert json.loads(second)[1] != "e1"
    assert json.loads(second)[2:] == json.loads(EVENT)[2:]


@pytest.mark.parametrize(("offset", "number"), [(-1, 2), (1, 4), (-9, 0)])
def test_a_sequence_number_changes_and_nothing_else_of_its_event(offset: int, number: int) -> None:
    text = EVENT.replace('"seqNo": 3', f'"seqNo": {number}')
    assert effect(Rule("sequence-number", offset=offset)).passed == (text,)


@pytest.mark.parametrize(
    ("rule", "text", "expected"),
    [
        (Rule("replace", text='[9,"{id}"]'), EVENT, ['[9,"e1"]']),
        (Rule("replace", payload={"seqNo": "x"}), EVENT, ['[2, "e1", "TransactionEvent", {"seqNo": "x"}]']),
        (Rule("replace", message="answer", action="Reset", payload={}), ANSWER, ['[3, "c1", {}]']),
        (Rule("replace", message="answer", error="E", description="d"), ANSWER, ['[4, "c1", "E", "d", {}]']),
    ],
)
def test_a_message_is_replaced(rule: Rule, text: str, expected: list[str]) -> None:
    assert list(effect(rule, text).passed) == expected


def test_a_request_of_the_csms_is_answered_in_place_of_the_station() -> None:
    rule, text = Rule("answer", sender="csms", action="Reset", error="InternalError"), '[2,"r","Reset",{}]'
    assert (effect(rule, text).passed, effect(rule, text).returned) == ((), '[4, "r", "InternalError", "", {}]')


def test_a_request_that_comes_late_is_answered_before_so_that_the_next_one_overtakes_it() -> None:
    found = effect(Rule("reorder", action="TransactionEvent", seconds=9.0))
    assert (found.passed, found.held_s, found.returned) == ((), 9.0, '[3, "e1", {}]')
    assert effect(Rule("reorder", message="answer"), ANSWER).returned is None


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        (Rule("answer", payload={}), "sender"),
        (Rule("answer", sender="csms"), "way"),
        (Rule("answer", sender="csms", message="answer", payload={}), "message"),
        (Rule("sequence-number", sender="csms"), "sender"),
        (Rule("sequence-number", action="Heartbeat"), "action"),
        (Rule("half-frame", sender="csms"), "sender"),
        (Rule("drop", text="x"), "text"),
        (Rule("drop", payload={}), "payload"),
        (Rule("drop", error="E"), "error"),
        (Rule("replace"), "way"),
        (Rule("replace", payload={"at": date(2026, 1, 1)}), "payload"),
        (Rule("replace", text="x", payload={}), "way"),
        (Rule("replace", error="E"), "error"),
        (Rule("duplicate", message="answer", new_id=True), "new_id"),
        (Rule("reorder"), "action"),
        (Rule("reorder", action="BootNotification"), "action"),
        (Rule("reorder", action="NoSuchAction"), "action"),
    ],
)
def test_fields_that_contradict_each_other_are_named(rule: Rule, field: str) -> None:
    assert field in [name for name, _ in rule_errors(rule)]


@pytest.mark.parametrize("text", ["", "Hello!", "[]", "[2]", "{}", "[2,1,2]", "[[[[", '[5,"x",{}]'])
def test_what_is_no_message_matches_no_rule(text: str) -> None:
    assert not Rule("drop").matches(wire_message("station", text, {}))


def test_a_rule_counts_the_messages_that_it_skips_and_changes() -> None:
    station = StationMisbehaviour(fakes.clock())
    station.add(Rule("drop", action="Heartbeat", skip=1, times=2))
    station.add(Rule("corrupt", times=0))
    heartbeat = wire_message("station", '[2,"h","Heartbeat",{}]', {})
    notes = [found.note if (found := station.next_effect(heartbeat)) else None for _ in range(5)]
    half = "only its first 11 of 22 characters were sent"
    assert notes == [half, "dropped", "dropped", half, half]
    assert [active.rule.way for active in station.rules] == ["corrupt"]
    station.clear()
    assert not station.active
    assert station.next_effect(heartbeat) is None


def test_rules_are_bounded() -> None:
    station = StationMisbehaviour(fakes.clock())
    for _ in range(MAX_RULES):
        station.add(Rule("drop"))
    with pytest.raises(ValueError, match="100 rules"):
        station.add(Rule("drop"))


def test_later_messages_wait_behind_a_delayed_one_but_overtake_a_held_one() -> None:
    line = MessageLine()
    line.put("a", 0.0, 5.0)
    line.put("b", 1.0)
    assert (line.take_due(4.9), line.due_s, line.take_due(5.0)) == ([], 5.0, ["a", "b"])
    assert line.hold("c", 20.0) == []
    assert line.hold("d", 30.0) == ["c"]
    line.put("e", 10.0)
    assert line.take_due(10.0) == ["e", "d"]
    assert line.is_empty
    line.hold("f", 15.0)
    assert (line.take_due(14.9), line.take_due(15.0)) == ([], ["f"])


def test_a_frame_with_text_that_cannot_be_written_matches_no_rule() -> None:
    assert wire_message("csms", '[2,"\\ud800","Reset",{}]', {}).kind is None
    assert wire_message("csms", '[3,"\\ud800",{}]', {}).kind is None


def test_a_line_says_when_it_is_full() -> None:
    line = MessageLine()
    while not line.is_full:
        line.put("a", 0.0, 1.0)
    assert len(line.take_due(1.0)) == 200

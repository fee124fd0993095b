"""Which messages a display shows: by time, state, transaction, priority, display and language."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from station.core.model import MessageContent
from station.display.display_message import (
    MAIN_DISPLAY,
    DisplayAddress,
    DisplayMessage,
    MessagePriority,
    MessageState,
)
from station.display.message_visibility import (
    EvseCondition,
    MessageVisibility,
    choose_languages,
    visibilities,
    visible_messages,
)
from tests.fakes import NOON

IDLE = EvseCondition(MessageState.IDLE)
CHARGING = EvseCondition(MessageState.CHARGING, "tx-1")
SECOND = DisplayAddress("Display", evse_id=2)
LATER = NOON + timedelta(minutes=1)


def message(identity: int = 1, language: str | None = None, **more: Any) -> DisplayMessage:
    content = MessageContent(f"message {identity}", language=language)
    return replace(DisplayMessage(identity, MessagePriority.NORMAL_CYCLE, content), **more)


def visibility(message: DisplayMessage, *conditions: EvseCondition, now: datetime = NOON) -> MessageVisibility:
    return visibilities([message], now, dict(enumerate(conditions, start=1)))[message.id]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "shown"),
        ({"starts_at": NOON}, "shown"),
        ({"starts_at": LATER}, "waiting"),
        ({"ends_at": LATER}, "shown"),
        ({"ends_at": NOON}, "ended"),
        ({"state": MessageState.IDLE}, "shown"),
        ({"state": MessageState.CHARGING}, "other-state"),
        ({"state": MessageState.CHARGING, "starts_at": LATER}, "waiting"),
        ({"transaction_id": "tx-1"}, "ended"),
    ],
)
def test_at_an_idle_evse(given: dict[str, Any], expected: str) -> None:
    assert visibility(message(**given), IDLE) == expected


@pytest.mark.parametrize(
    ("state", "conditions", "expected"),
    [
        (MessageState.IDLE, (IDLE, IDLE), "shown"),
        (MessageState.IDLE, (IDLE, CHARGING), "other-state"),
        (MessageState.CHARGING, (IDLE, CHARGING), "shown"),
        (MessageState.FAULTED, (IDLE, EvseCondition(MessageState.FAULTED)), "shown"),
        (MessageState.IDLE, (IDLE, EvseCondition(MessageState.FAULTED)), "shown"),
        (MessageState.IDLE, (EvseCondition(MessageState.UNAVAILABLE),) * 2, "other-state"),
        (MessageState.UNAVAILABLE, (EvseCondition(MessageState.UNAVAILABLE), CHARGING), "shown"),
    ],
)
def test_the_main_display_is_in_the_states_of_all_evses(
    state: MessageState, conditions: tuple[EvseCondition, ...], expected: str
) -> None:
    assert visibility(message(state=state), *conditions) == expected


def test_a_message_of_a_transaction_follows_the_state_of_its_evse_only() -> None:
    of_idle = EvseCondition(MessageState.IDLE, "tx-2")
    assert visibility(message(transaction_id="tx-2", state=MessageState.IDLE), CHARGING, of_idle) == "shown"
    assert visibility(message(transaction_id="tx-1", state=MessageState.IDLE), CHARGING, of_idle) == "other-state"
    assert visibility(message(transaction_id="tx-1", display=SECOND), CHARGING, of_idle) == "other-state"


def test_messages_with_a_higher_priority_cover_those_of_their_display_only() -> None:
    normal, front = message(1), message(2, priority=MessagePriority.IN_FRONT)
    always = message(3, priority=MessagePriority.ALWAYS_FRONT, display=SECOND)
    covered, waiting = message(4, display=SECOND), message(5, priority=MessagePriority.ALWAYS_FRONT, starts_at=LATER)
    messages, both = [normal, front, always, covered, waiting], {1: IDLE, 2: IDLE}
    assert visibilities(messages, NOON, both) == {1: "covered", 2: "shown", 3: "shown", 4: "covered", 5: "waiting"}
    assert visible_messages(messages, NOON, both, MAIN_DISPLAY) == [front]
    assert visible_messages(messages, NOON, both, replace(SECOND, name="DISPLAY")) == [always]
    assert visible_messages(messages, LATER, both, MAIN_DISPLAY) == [waiting]


@given(
    st.lists(
        st.builds(
            DisplayMessage,
            id=st.integers(0, 50),
            priority=st.sampled_from(MessagePriority),
            content=st.just(MessageContent("x")),
            state=st.none() | st.sampled_from(MessageState),
            starts_at=st.none() | st.sampled_from([NOON, LATER]),
            ends_at=st.none() | st.sampled_from([NOON, LATER]),
            transaction_id=st.none() | st.sampled_from(["tx-1", "tx-2"]),
            display=st.none() | st.just(SECOND),
        ),
        unique_by=lambda displayed: displayed.id,
        max_size=8,
    ),
    st.lists(st.builds(EvseCondition, st.sampled_from(MessageState), st.sampled_from([None, "tx-1"])), max_size=3),
)
def test_a_display_shows_messages_of_one_priority_and_none_before_its_time(
    messages: list[DisplayMessage], conditions: list[EvseCondition]
) -> None:
    evses = dict(enumerate(conditions, start=1))
    for display in (MAIN_DISPLAY, SECOND):
        displayed = visible_messages(messages, NOON, evses, display)
        assert len({displayed_message.priority for displayed_message in displayed}) <= 1
        for displayed_message in displayed:
            assert displayed_message.starts_at is None or displayed_message.starts_at <= NOON
            assert displayed_message.ends_at is None or displayed_message.ends_at > NOON
            assert displayed_message.transaction_id in {None, *(condition.transaction_id for condition in conditions)}
            assert displayed_message.state in {None, *(condition.state for condition in conditions)}


# Languages (O01.FR.08, O01.FR.09)

ENGLISH, FRENCH, GERMAN = message(1, "en-GB"), message(2, "fr"), message(3, "de-CH")
NEUTRAL = message(4)


@pytest.mark.parametrize(
    ("preferred", "expected_ids"),
    [
        ([], [1, 2, 3, 4]),
        (["fr"], [2, 4]),
        (["fr-CA"], [2, 4]),
        (["de"], [3, 4]),
        (["it", "de"], [3, 4]),
        (["it"], [1, 4]),
    ],
)
def test_of_translations_the_driver_sees_one(preferred: list[str], expected_ids: list[int]) -> None:
    chosen = choose_languages([ENGLISH, FRENCH, GERMAN, NEUTRAL], preferred)
    assert [displayed_message.id for displayed_message in chosen] == expected_ids


def test_messages_that_are_no_translations_of_each_other_are_all_kept() -> None:
    """They differ in more than id and content, or are in the same language"""
    idle_only = replace(GERMAN, state=MessageState.IDLE)
    second = message(5, "fr")
    assert choose_languages([FRENCH, idle_only, second], ["de"]) == [FRENCH, idle_only, second]


def test_a_message_without_a_translation_is_kept_with_those_of_its_language() -> None:
    second = message(5, "en")
    assert choose_languages([ENGLISH, GERMAN, second], ["de"]) == [ENGLISH, GERMAN, second]
    assert choose_languages([ENGLISH, GERMAN, second], ["en"]) == [ENGLISH, second]


def test_without_english_all_translations_are_kept() -> None:
    assert choose_languages([FRENCH, GERMAN], ["it"]) == [FRENCH, GERMAN]

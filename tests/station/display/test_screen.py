"""What a display shows, as a pure function: precedence, language, the station's own texts, character displays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from station.billing.price import PeriodPrice, PriceList
from station.core.languages import LANGUAGES, LanguageCode
from station.core.light_patterns import LightReason
from station.core.model import Fault, MessageContent
from station.core.screen import CharacterSet, LineReason, Screen, TextSize
from station.display.display_message import DisplayAddress, DisplayMessage, MessagePriority, MessageState
from station.display.screen import screen, screen_cycle, without_personal_lines
from station.display.screen_inputs import (
    DisplayedEvse,
    DisplayProfile,
    ScreenInputs,
    ShownCost,
    ShownFigures,
    ShownNeeds,
    ShownTariff,
    StartMethod,
)

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
LCD = TextSize(20, 4)
PAGE = DisplayProfile()
PRICES = PriceList(energy_per_kwh=Decimal("0.30"), idle_per_hour=Decimal(6), idle_after_s=900)
SECRET = "04A3B2C1D5E680"


def cycle_texts(*evses: DisplayedEvse, display: DisplayProfile = PAGE, **more: Any) -> list[list[str]]:
    """The texts of all screens of the cycle."""
    inputs = ScreenInputs(NOW, evses or (DisplayedEvse(1),), **more)
    return [[line.text for line in page_screen.lines] for page_screen in screen_cycle(display, inputs)]


def message(number: int, priority: MessagePriority, text: str = "text", **more: Any) -> DisplayMessage:
    """A message of the CSMS."""
    return DisplayMessage(number, priority, MessageContent(text), **more)


CHARGING = DisplayedEvse(
    1,
    LightReason.CHARGING,
    MessageState.CHARGING,
    authorized=True,
    connected=True,
    transaction_id="T1",
    figures=ShownFigures(12_340.0, 7_400.0, timedelta(minutes=65)),
    cost=ShownCost(Decimal("3.70")),
)


# --- what the vehicle wants


@pytest.mark.parametrize(
    ("needs", "language", "text"),
    [
        (
            ShownNeeds(22_000.0, NOW + timedelta(hours=2)),
            "en",
            f"Wants 22.00 kWh until {NOW + timedelta(hours=2):%H:%M}",
        ),
        (ShownNeeds(22_000.0), "de", "Möchte 22,00 kWh"),
    ],
)
def test_what_the_vehicle_wants_is_a_line_of_its_charge(needs: ShownNeeds, language: LanguageCode, text: str) -> None:
    display = DisplayProfile(languages=(language,))
    assert text in cycle_texts(replace(CHARGING, needs=needs), display=display)[0]
    ended = replace(CHARGING, needs=needs, transaction_id=None)
    assert text not in cycle_texts(ended, display=display)[0]


# --- precedence


def test_a_message_with_always_front_is_shown_alone_O01_FR_15() -> None:
    messages = (
        message(1, MessagePriority.NORMAL_CYCLE),
        message(2, MessagePriority.IN_FRONT),
        message(3, MessagePriority.ALWAYS_FRONT, "closed"),
    )
    for evse in (DisplayedEvse(1), CHARGING, DisplayedEvse(1, LightReason.CARD_REJECTED)):
        assert cycle_texts(evse, messages=messages) == [["closed"]]


def test_messages_in_front_are_shown_in_turn_without_the_normal_cycle_O01_FR_13_14() -> None:
    messages = (
        message(1, MessagePriority.NORMAL_CYCLE, "normal"),
        message(2, MessagePriority.IN_FRONT, "first"),
        message(3, MessagePriority.IN_FRONT, "second"),
    )
    assert cycle_texts(CHARGING, messages=messages) == [["first"], ["second"]]


def test_the_answer_to_a_card_is_shown_before_messages_in_front() -> None:
    """It ends by itself after some seconds."""
    evse = DisplayedEvse(1, LightReason.CARD_REJECTED)
    assert cycle_texts(evse, messages=(message(2, MessagePriority.IN_FRONT),)) == [
        ["Card not accepted", "Please try another card."]
    ]


def test_the_normal_cycle_has_the_own_texts_and_the_messages_in_turn_O01_FR_12() -> None:
    messages = (message(1, MessagePriority.NORMAL_CYCLE, "offer"), message(2, MessagePriority.NORMAL_CYCLE, "news"))
    assert cycle_texts(messages=messages) == [["Ready to charge", "Present your card."], ["offer"], ["news"]]


def test_however_many_messages_there_are_a_driver_soon_reads_about_their_charge() -> None:
    messages = tuple(message(number, MessagePriority.NORMAL_CYCLE, f"{number}") for number in range(9))
    begins = [lines[0] for lines in cycle_texts(CHARGING, messages=messages)]
    own = "Charging 7.4 kW"
    assert begins == [own, "0", "1", "2", "3", own, "4", "5", "6", "7", own, "8"]


def test_each_screen_is_shown_for_its_time_and_then_the_next_one() -> None:
    messages = (message(1, MessagePriority.NORMAL_CYCLE, "offer"),)
    pages: list[tuple[str, int, int]] = []
    for cycle_s in (0.0, 7.9, 8.0, 15.9, 16.0):
        current = screen(PAGE, ScreenInputs(NOW, (DisplayedEvse(1),), messages, cycle_s))
        pages.append((current.lines[0].text, current.page, current.pages))
    ready, offer = ("Ready to charge", 1, 2), ("offer", 2, 2)
    assert pages == [ready, ready, offer, offer, ready]


def test_every_line_says_which_rule_or_message_put_it_there() -> None:
    evse = replace(CHARGING, tariff=ShownTariff(PRICES), session_page="https://charge.example/1")
    messages = (message(7, MessagePriority.NORMAL_CYCLE),)
    own, of_csms = screen_cycle(PAGE, ScreenInputs(NOW, (evse,), messages))
    assert [line.reason for line in own.lines] == [
        LineReason.STATE,
        LineReason.ENERGY,
        LineReason.ENERGY,
        LineReason.COST,
        LineReason.TARIFF,
        LineReason.SESSION_PAGE,
    ]
    assert {line.evse_id for line in own.lines} == {1}
    assert [(line.reason, line.message_id) for line in of_csms.lines] == [(LineReason.NORMAL_CYCLE, 7)]


def test_a_message_for_another_display_is_not_shown_O01_FR_23() -> None:
    there = DisplayAddress("Display", evse_id=1)
    messages = (message(1, MessagePriority.ALWAYS_FRONT, "there", display=there),)
    assert cycle_texts(messages=messages) == [["Ready to charge", "Present your card."]]
    assert cycle_texts(messages=messages, display=DisplayProfile(there)) == [["there"]]


def test_a_message_is_shown_in_its_state_and_time_only() -> None:
    messages = (
        message(1, MessagePriority.IN_FRONT, "charging", state=MessageState.CHARGING),
        message(2, MessagePriority.IN_FRONT, "later", starts_at=NOW + timedelta(seconds=1)),
        message(3, MessagePriority.IN_FRONT, "over", ends_at=NOW),
        message(4, MessagePriority.IN_FRONT, "other transaction", transaction_id="T2"),
        message(5, MessagePriority.IN_FRONT, "this transaction", transaction_id="T1"),
    )
    assert cycle_texts(messages=messages) == [["Ready to charge", "Present your card."]]
    assert cycle_texts(CHARGING, messages=messages) == [["charging"], ["this transaction"]]


def test_a_uri_is_text_and_a_qr_code() -> None:
    uri = DisplayMessage(1, MessagePriority.IN_FRONT, MessageContent("https://operator.example/offers", "URI"))
    inputs = ScreenInputs(NOW, (DisplayedEvse(1),), (uri,))
    on_page = screen(PAGE, inputs)
    assert ([line.text for line in on_page.lines], on_page.qr_text) == (
        ["https://operator.example/offers"],
        "https://operator.example/offers",
    )
    (on_lcd,) = screen_cycle(DisplayProfile(size=LCD), inputs)
    assert "".join(line.text for line in on_lcd.lines) == "https://operator.example/offers"
    assert on_lcd.qr_text is None


# --- language


def test_texts_and_messages_are_in_the_language_of_the_driver_O01_FR_08() -> None:
    messages = tuple(
        DisplayMessage(number, MessagePriority.NORMAL_CYCLE, MessageContent(text, language=language))
        for number, (text, language) in enumerate([("Welcome", "en"), ("Willkommen", "de"), ("Welkom", "nl")])
    )
    german = cycle_texts(replace(CHARGING, languages=("de-AT", "fr")), messages=messages)
    assert [lines[0] for lines in german] == ["Lädt 7,4 kW", "Willkommen"]
    assert german[0][1:] == ["Energie 12,34 kWh", "Dauer 1:05 h", "Kosten 3,70 €"]


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        (DisplayedEvse(2, languages=("nl",)), ["Willkommen", "Welkom"]),
        (DisplayedEvse(2, languages=("de",)), ["Willkommen"]),
        (DisplayedEvse(2), ["Welcome", "Willkommen", "Welkom"]),
    ],
)
def test_each_of_two_drivers_finds_messages_in_their_language(second: DisplayedEvse, expected: list[str]) -> None:
    """One whose language is not known may not speak that of the other."""
    messages = tuple(
        DisplayMessage(number, MessagePriority.IN_FRONT, MessageContent(text, language=language))
        for number, (text, language) in enumerate([("Welcome", "en"), ("Willkommen", "de"), ("Welkom", "nl")])
    )
    both = replace(CHARGING, languages=("de",)), second
    assert [line for lines in cycle_texts(*both, messages=messages) for line in lines] == expected


def test_a_driver_whose_languages_the_station_does_not_speak_reads_english_O01_FR_09() -> None:
    assert (
        cycle_texts(replace(CHARGING, languages=("fi",)), display=DisplayProfile(languages=("nl",)))[0][0]
        == "Charging 7.4 kW"
    )


def test_without_a_driver_the_languages_of_the_display_follow_each_other() -> None:
    display = DisplayProfile(languages=("nl", "fr"))
    assert cycle_texts(display=display) == [
        ["Klaar om te laden", "Houd uw kaart voor de lezer."],
        ["Prête à charger", "Présentez votre carte."],
    ]


# --- own texts


@pytest.mark.parametrize(
    ("evse", "lines"),
    [
        (DisplayedEvse(1, start=StartMethod.PLUG), ["Ready to charge", "Plug in your vehicle."]),
        (DisplayedEvse(1, start=StartMethod.BUTTON), ["Ready to charge", "Press the start button."]),
        (DisplayedEvse(1, authorized=True), ["Plug in your vehicle", "Charging starts by itself."]),
        (DisplayedEvse(1, LightReason.PLUGGED_IN, connected=True), ["Plugged in", "Present your card."]),
        (
            DisplayedEvse(1, LightReason.OFFLINE),
            ["Ready to charge", "Present your card.", "Offline: Known cards can still charge."],
        ),
        (
            DisplayedEvse(
                1,
                LightReason.NOT_AUTHENTICATED,
                connected=True,
                transaction_id="tx",
                figures=ShownFigures(0.0, None, timedelta(0)),
                tariff=ShownTariff(content=MessageContent("30 ct/kWh")),
            ),
            ["Not authorized", "Please present another card, or put the connector back in its holder.", "30 ct/kWh"],
        ),
        (
            DisplayedEvse(1, LightReason.NOT_AUTHENTICATED, connected=True, open_to_all=False),
            ["Not authorized", "Please put the connector back in its holder."],
        ),
        (
            DisplayedEvse(1, LightReason.CARD_NOT_CHECKED),
            ["Card not checked", "It cannot be checked now: no connection to the operator."],
        ),
        (DisplayedEvse(1, LightReason.OUT_OF_SERVICE), ["Out of service", "Please use another charging point."]),
        (
            DisplayedEvse(1, LightReason.OUT_OF_SERVICE, faults=frozenset({Fault.GROUND_FAULT})),
            ["Out of order", "Please do not use this charging point."],
        ),
        (
            DisplayedEvse(1, LightReason.OUT_OF_SERVICE, faults=frozenset({Fault.DIODE})),
            ["Vehicle fault", "Please unplug the vehicle."],
        ),
        (
            DisplayedEvse(1, LightReason.OUT_OF_SERVICE, faults=frozenset({Fault.EMERGENCY_STOP, Fault.LOCK})),
            ["Emergency stop", "The emergency stop is pressed."],
        ),
        (
            DisplayedEvse(1, tariff=ShownTariff(PRICES)),
            ["Ready to charge", "Present your card.", "Price €0.30/kWh + €6.00/h when not charging (15 min free)"],
        ),
        (
            DisplayedEvse(1, tariff=ShownTariff(content=MessageContent("<b>30 ct</b>/kWh", "HTML"))),
            ["Ready to charge", "Present your card.", "30 ct/kWh"],
        ),
        (
            DisplayedEvse(
                1,
                LightReason.CHARGE_PAUSED,
                connected=True,
                figures=ShownFigures(10_000.0, None, timedelta(hours=2)),
                tariff=ShownTariff(PRICES),
                cost=ShownCost(Decimal(3), final=True),
            ),
            [
                "Charging finished",
                "You may unplug now. Have a good trip!",
                "Energy 10.00 kWh",
                "Time 2:00 h",
                "Total cost €3.00",
            ],
        ),
    ],
)
def test_the_state_of_the_evse_is_put_into_words(evse: DisplayedEvse, lines: list[str]) -> None:
    assert cycle_texts(evse) == [lines]


def test_a_reservation_names_its_end_in_local_time_and_nobody() -> None:
    evse = DisplayedEvse(1, LightReason.RESERVED, reserved_until=NOW + timedelta(hours=5, minutes=30))
    paris = ZoneInfo("Europe/Paris")
    assert cycle_texts(evse, zone=paris) == [["Reserved until 18:30", "Your reservation? Present your card."]]
    tomorrow = DisplayedEvse(1, LightReason.RESERVED, reserved_until=NOW + timedelta(days=1))
    assert cycle_texts(tomorrow, zone=paris)[0][0] == "Reserved until 29/11 13:00"


def test_free_evses_share_a_screen_and_each_one_in_use_has_its_own() -> None:
    evses = (DisplayedEvse(1), CHARGING, DisplayedEvse(3))
    inputs = [
        DisplayedEvse(2, LightReason.PLUGGED_IN, connected=True) if evse.transaction_id else evse for evse in evses
    ]
    assert [lines[:2] for lines in cycle_texts(*inputs)] == [
        ["Charging point 2", "Plugged in"],
        ["Charging points 1, 3", "Ready to charge"],
    ]


def test_the_qr_code_of_the_session_is_shown_during_a_charge_only() -> None:
    page = "https://charge.example/1"
    assert screen(PAGE, ScreenInputs(NOW, (replace(CHARGING, session_page=page),))).qr_text == page
    assert screen(PAGE, ScreenInputs(NOW, (DisplayedEvse(1, session_page=page),))).qr_text is None


# --- character displays


def test_a_long_text_is_wrapped_and_its_pages_follow_each_other() -> None:
    text = "The car park closes at ten o’clock tonight. Please fetch your vehicle before, thank you."
    pages = cycle_texts(messages=(message(1, MessagePriority.IN_FRONT, text),), display=DisplayProfile(size=LCD))
    assert pages == [
        ["The car park closes", "at ten o'clock", "tonight. Please", "fetch your vehicle"],
        ["before, thank you."],
    ]


# --- properties

TIMES = st.none() | st.integers(-100, 100).map(lambda minutes: NOW + timedelta(minutes=minutes))
TEXTS = st.text(max_size=60) | st.sampled_from(
    ["<b>bold</b><script>x</script>", "https://operator.example/" + "x" * 200]
)
CONTENTS = st.builds(
    MessageContent, TEXTS, st.sampled_from(["ASCII", "UTF8", "HTML", "URI"]), st.sampled_from([None, "en", "de", "fi"])
)
AMOUNTS = st.decimals(0, 10_000, places=2, allow_nan=False)
TARIFFS = st.none() | st.builds(
    ShownTariff,
    st.none()
    | st.builds(
        PriceList,
        st.sampled_from(["EUR", "CHF", "JPY"]),
        AMOUNTS,
        st.just(()) | st.just((PeriodPrice("HC", Decimal("0.1234")),)),
        AMOUNTS,
        AMOUNTS,
        st.integers(0, 3600),
    ),
    st.none() | CONTENTS,
    st.booleans(),
)
EVSES = st.builds(
    DisplayedEvse,
    st.integers(1, 8),
    st.sampled_from(LightReason),
    st.sampled_from(MessageState),
    st.frozensets(st.sampled_from(Fault), max_size=2),
    st.sampled_from(StartMethod),
    st.booleans(),
    st.booleans(),
    st.sampled_from([None, "T1", "T2"]),
    st.none()
    | st.builds(
        ShownFigures,
        st.none() | st.floats(0, 1e6),
        st.none() | st.floats(0, 22e3),
        st.none() | st.integers(-5, 10**6).map(lambda seconds: timedelta(seconds=seconds)),
    ),
    st.none() | st.builds(ShownNeeds, st.floats(0, 1e7), TIMES),
    TARIFFS,
    st.none() | st.builds(ShownCost, st.none() | AMOUNTS, st.just("EUR"), st.booleans(), st.none() | CONTENTS),
    st.sampled_from([(), ("de",), ("fi", "nl-BE"), ("xx",)]),
    TIMES,
    st.none() | st.just("https://charge.example/1"),
    st.booleans(),
)
MESSAGES = st.builds(
    DisplayMessage,
    st.integers(0, 9),
    st.sampled_from(MessagePriority),
    CONTENTS,
    st.none() | st.sampled_from(MessageState),
    TIMES,
    TIMES,
    st.sampled_from([None, "T1", "T3"]),
    st.sampled_from([None, DisplayAddress("display"), DisplayAddress("Display", evse_id=1)]),
)
INPUTS = st.builds(
    ScreenInputs,
    st.just(NOW),
    st.lists(EVSES, max_size=4, unique_by=lambda evse: evse.evse_id).map(tuple),
    st.lists(MESSAGES, max_size=5, unique_by=lambda displayed_message: displayed_message.id).map(tuple),
    st.floats(0, 1e5),
)
SIZES = st.none() | st.builds(TextSize, st.integers(8, 40), st.sampled_from([1, 2, 4]), st.sampled_from(CharacterSet))
DISPLAYS = st.builds(
    DisplayProfile,
    st.sampled_from([DisplayAddress("Display"), DisplayAddress("Display", evse_id=1)]),
    st.lists(st.sampled_from(sorted(LANGUAGES)), min_size=1, max_size=4, unique=True).map(tuple),
    st.floats(2, 600),
    SIZES,
)


@given(DISPLAYS, INPUTS)
def test_any_inputs_give_a_screen_and_equal_inputs_the_same_one(display: DisplayProfile, inputs: ScreenInputs) -> None:
    cycle = screen_cycle(display, inputs)
    assert cycle == screen_cycle(display, inputs)
    current = screen(display, inputs)
    assert 1 <= current.page <= current.pages == len(cycle)
    assert current.lines == cycle[current.page - 1].lines


@given(DISPLAYS, INPUTS)
def test_every_text_fits_its_display(display: DisplayProfile, inputs: ScreenInputs) -> None:
    if display.size is None:
        return
    for current in screen_cycle(display, inputs):
        assert len(current.lines) <= display.size.rows
        assert all(0 < len(line.text) <= display.size.columns for line in current.lines)


@given(DISPLAYS, INPUTS)
def test_always_front_is_never_beside_another_reason(display: DisplayProfile, inputs: ScreenInputs) -> None:
    reasons = {line.reason for current in screen_cycle(display, inputs) for line in current.lines}
    if LineReason.ALWAYS_FRONT in reasons:
        assert reasons == {LineReason.ALWAYS_FRONT}
    if LineReason.IN_FRONT in reasons:
        assert reasons == {LineReason.IN_FRONT}


@given(DISPLAYS, INPUTS, TEXTS.filter(bool))
def test_what_is_meant_for_one_driver_is_not_seen_by_visitors(
    display: DisplayProfile, inputs: ScreenInputs, secret: str
) -> None:
    """A price for this driver, and a message of a transaction."""
    personal = ShownTariff(content=MessageContent(f"{SECRET} {secret}"), personal=True)
    driver_message = DisplayMessage(
        99, MessagePriority.NORMAL_CYCLE, MessageContent(f"{SECRET}", "URI"), transaction_id="T9"
    )
    evse = replace(CHARGING, tariff=personal, transaction_id="T9")
    other_evses = tuple(evse for evse in inputs.evses if evse.evse_id != 1)
    for current in screen_cycle(display, ScreenInputs(NOW, (evse, *other_evses), (*inputs.messages, driver_message))):
        public_screen = without_personal_lines(current)
        assert all(not line.personal for line in public_screen.lines)
        assert SECRET not in "".join(line.text for line in public_screen.lines)
        assert public_screen.qr_text is None or SECRET not in public_screen.qr_text


def test_a_screen_without_personal_lines_stays_as_it_is() -> None:
    current = screen(PAGE, ScreenInputs(NOW, (replace(CHARGING, session_page="https://charge.example/1"),)))
    assert without_personal_lines(current) is current
    assert without_personal_lines(Screen()) == Screen()

"""The texts of the display: the same in each language, and amounts and times in its notation."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from station.billing.price import PeriodPrice, PriceList
from station.core.languages import DEFAULT_LANGUAGE, LANGUAGES, LanguageCode
from station.core.light_patterns import LightReason
from station.core.screen import LineReason
from station.display.screen import screen_cycle
from station.display.screen_inputs import DisplayedEvse, DisplayProfile, ScreenInputs, StartMethod
from station.display.screen_texts import (
    amount_text,
    duration_text,
    energy_text,
    moment_text,
    price_text,
    screen_catalogue,
)
from tests.rows import each_row

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_WIDEST = 20
"""columns of the usual character display"""


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_the_same_texts_with_the_same_values_in_them(language: LanguageCode) -> None:
    usual, texts = screen_catalogue(DEFAULT_LANGUAGE), screen_catalogue(language)
    assert list(texts) == list(usual)
    for key, text in texts.items():
        assert text.strip(), key
        assert not {"'", '"'} & set(text), key
        assert sorted(_PLACEHOLDER.findall(text)) == sorted(_PLACEHOLDER.findall(usual[key])), key


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_heading_fits_one_row_of_a_usual_character_display(language: LanguageCode) -> None:
    headings = {key for key in screen_catalogue(language) if f"{key}.text" in screen_catalogue(language)}
    too_long = [text for key in headings if len(text := screen_catalogue(language)[key]) > _WIDEST]
    assert too_long == []


@each_row("language", LANGUAGES)
@each_row("light", LightReason)
@each_row("start", StartMethod)
def test_every_state_and_way_to_start_has_its_text(
    language: LanguageCode, light: LightReason, start: StartMethod
) -> None:
    display = DisplayProfile(languages=(language,))
    for authorized, connected in ((False, False), (True, False), (True, True), (False, True)):
        evse = DisplayedEvse(1, light, start=start, authorized=authorized, connected=connected)
        (current,) = screen_cycle(display, ScreenInputs(NOW, (evse,)))
        assert current.language == language
        assert {line.reason for line in current.lines} <= {LineReason.STATE, LineReason.CARD, LineReason.RESERVATION}
        assert current.lines[0].text


@pytest.mark.parametrize(
    ("amount", "currency", "language", "text"),
    [
        ("12.3", "EUR", "en", "€12.30"),
        ("12.3", "EUR", "de", "12,30 €"),
        ("12.3", "EUR", "fr", "12,30 €"),
        ("12.3", "EUR", "nl", "€ 12,30"),
        ("12.345", "GBP", "en", "£12.35"),
        ("12.3", "CHF", "de", "12,30 CHF"),
        ("12", "JPY", "en", "12 JPY"),
        ("0", "EUR", "fr", "0,00 €"),
    ],
)
def test_an_amount_is_in_the_notation_of_the_language(
    amount: str, currency: str, language: LanguageCode, text: str
) -> None:
    assert amount_text(Decimal(amount), currency, language) == text


def test_a_price_list_is_one_line_with_all_digits_of_its_prices() -> None:
    prices = PriceList(
        energy_per_kwh=Decimal("0.2516"),
        period=(PeriodPrice("HC", Decimal("0.2")),),
        time_per_hour=Decimal("1"),
        idle_per_hour=Decimal("6.5"),
    )
    assert price_text(prices, "de") == "0,2516 €/kWh (HC 0,20 €) + 1,00 €/h + 6,50 €/h Standzeit"
    assert price_text(PriceList(), "fr") == "gratuit"
    assert price_text(PriceList(energy_per_kwh=Decimal("1E+1")), "en") == "€10.00/kWh"


def test_energy_duration_and_moments_are_short() -> None:
    assert energy_text(12_344.0, "nl") == "12,34 kWh"
    assert duration_text(timedelta(hours=26, minutes=5, seconds=59)) == "26:05 h"
    assert duration_text(timedelta(seconds=-3)) == "0:00 h"
    assert moment_text(NOW + timedelta(hours=1), NOW, "de") == "13:00"
    assert moment_text(NOW + timedelta(days=1), NOW, "fr") == "29/11 12:00"
    assert moment_text(NOW + timedelta(days=1), NOW, "de") == "29.11. 12:00"
    assert moment_text(NOW + timedelta(days=1), NOW, "nl") == "29-11 12:00"

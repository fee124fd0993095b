"""Text in the columns and characters of a character display."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from station.core.screen import CharacterSet
from station.display.text_layout import fold, wrap


@pytest.mark.parametrize(
    ("text", "japanese", "european"),
    [
        ("Größe: 5 €", "Grösse: 5 EUR", "Größe: 5 EUR"),
        ("Présentez l’appli…", "Presentez l'appli...", "Présentez l'appli..."),
        ("„Hallo“ – 12:00", '"Hallo" - 12:00', '"Hallo" - 12:00'),
        ("a\\b~c", "a/b-c", "a\\b~c"),
        ("Œuvre Ærø", "OEuvre AEro", "OEuvre Ærø"),
        ("Łódź", "?odz", "?ódz"),
        ("日本", "??", "??"),
        ("e\u0301", "e", "e"),
    ],
)
def test_what_a_display_lacks_is_written_otherwise(text: str, japanese: str, european: str) -> None:
    assert fold(text, CharacterSet.A00) == japanese
    assert fold(text, CharacterSet.A02) == european


def test_a_text_is_broken_between_words_and_a_long_word_where_it_must() -> None:
    assert wrap("Please use another charging point.", 20) == ["Please use another", "charging point."]
    assert wrap("https://operator.example/offers", 20) == ["https://operator.exa", "mple/offers"]
    assert wrap("", 20) == []


@given(st.text(), st.integers(8, 40))
def test_no_row_is_longer_than_the_display_and_nothing_is_lost(text: str, columns: int) -> None:
    rows = wrap(text, columns)
    assert all(0 < len(row) <= columns for row in rows)
    assert "".join("".join(rows).split()) == "".join(text.split())

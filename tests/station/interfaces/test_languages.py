"""The languages of the page: the same texts in each, and the one that a browser asks for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from energy.grid_explanation import GridHold
from energy.limit import LimitSource
from energy.tariff import PriceSignal
from station.core.languages import DEFAULT_LANGUAGE, LANGUAGES, LanguageCode
from station.core.light_patterns import LightReason
from station.core.model import Fault
from station.interfaces.languages import best_language, catalogue
from station.maintenance.commissioning.problems import ProblemCause
from station.maintenance.commissioning.steps import CommissioningStep

_WEB = Path(__file__).parents[3] / "station" / "interfaces" / "page"
_LANGUAGE_FILES = Path(__file__).parents[3] / "station" / "languages"
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


def test_the_table_of_languages_has_a_row_for_each_code_and_each_file_of_texts() -> None:
    assert get_args(LanguageCode) == tuple(LANGUAGES)
    assert {file.stem for file in _LANGUAGE_FILES.iterdir()} == LANGUAGES.keys()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_the_same_texts_with_the_same_values_in_them(language: LanguageCode) -> None:
    """None is empty."""
    usual, texts = catalogue(DEFAULT_LANGUAGE), catalogue(language)
    assert texts.keys() == usual.keys()
    for key, text in texts.items():
        assert text.strip(), key
        assert sorted(_PLACEHOLDER.findall(text)) == sorted(_PLACEHOLDER.findall(usual[key])), key


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_has_the_marks_of_print(language: LanguageCode) -> None:
    """An apostrophe is one, not the stroke of a typewriter; nor are quotation marks."""
    assert [key for key, text in catalogue(language).items() if "'" in text or '"' in text] == []


def test_every_text_that_a_page_or_script_names_is_there() -> None:
    """Whole keys; those that are put together begin with something that is there."""
    keys = catalogue(DEFAULT_LANGUAGE).keys()
    for file in [*_WEB.glob("templates/*.html"), *_WEB.rglob("static/js/**/*.js")]:
        source = file.read_text(encoding="utf-8")
        for key in re.findall(r"""\bt\(\s*["']([a-z0-9._-]+)["']\s*[,)]""", source):
            assert key in keys, (file.name, key)
        for start in re.findall(r"""\bt\(\s*(?:`([a-z0-9._-]+)\$\{|["']([a-z0-9._-]+\.)["'] ~)""", source):
            beginning = "".join(start)
            assert any(key.startswith(beginning) for key in keys), (file.name, beginning)


def test_every_step_of_commissioning_and_everything_that_can_be_wrong_there_has_a_text() -> None:
    """Those that always apply are never absent."""
    always = {
        CommissioningStep.IDENTITY,
        CommissioningStep.SITE,
        CommissioningStep.BREAKER,
        CommissioningStep.WIRING,
        CommissioningStep.RESIDUAL,
        CommissioningStep.TEST_SESSION,
    }
    expected = {f"step.{step}" for step in CommissioningStep} | {
        f"absent.{step}" for step in CommissioningStep if step not in always
    }
    assert expected | {f"cause.{cause}" for cause in ProblemCause} <= catalogue(DEFAULT_LANGUAGE).keys()


def test_every_reason_why_a_schedule_cannot_wait_for_better_prices_has_a_text() -> None:
    reasons = set(PriceSignal) - {PriceSignal.KNOWN}
    assert {f"schedule.signal-{reason}" for reason in reasons} <= catalogue(DEFAULT_LANGUAGE).keys()


def test_every_fault_reason_of_the_light_and_source_of_a_limit_has_its_texts() -> None:
    """A fault is a sentence for drivers, and a name among the inputs and outputs."""
    faults = {start + fault for fault in Fault for start in ("fault.", "fault-name.")}
    limits = {start + source for source in LimitSource for start in ("limit.", "why.")}
    assert faults | limits | {f"state.{reason}" for reason in LightReason} <= catalogue(DEFAULT_LANGUAGE).keys()


def test_whatever_holds_the_current_that_the_house_leaves_has_its_text() -> None:
    assert {f"why.hold-{hold}" for hold in GridHold} <= catalogue(DEFAULT_LANGUAGE).keys()


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", "en"),
        ("fr-BE,fr;q=0.9,en;q=0.8", "fr"),
        ("es, nl;q=0.3, de;q=0.7", "de"),
        ("nl-NL", "nl"),
        ("*", "en"),
        ("de;q=broken, fr;q=0.1", "fr"),
        ("fr;q=0, de;q=0", "en"),
        ("x" * 10_000, "en"),
    ],
)
def test_the_best_language_that_is_asked_for_is_spoken(accepted: str, language: str) -> None:
    """And English where none of them is spoken."""
    assert best_language(accepted) == language

"""The report of a commissioning on paper: what was signed, in the reader's language."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from station.billing.documents.document_context import DocumentContext, Issuer
from station.core.languages import LANGUAGES, LanguageCode
from station.interfaces.languages import catalogue
from station.maintenance.commissioning.report import HEAD, SignedReport
from station.maintenance.commissioning.report_document import commissioning_report
from station.maintenance.commissioning.steps import CommissioningStep
from tests.station.billing.documents.test_documents import pages, texts

AT = "2026-01-30T09:15:20+00:00"
FOUND: dict[str, dict[str, Any]] = {
    "breaker": {"breaker_a": 16.0, "curve": "C", "selector_a": 16.0},
    "wiring": {"cross_section_mm2": 6.0, "torque_nm": 2.82, "cover_tightened": True},
    "residual": {"evse_1": "passed", "external_type_b": False},
    "limits": {"safe_current_a": 6.0, "sharing": "fair"},
    "grid-contact": {"dimmed": {"at": AT, "seen": True}, "without": {"raw": 1}},
}


def report(settings: int = 0) -> SignedReport:
    """Report data with passed, skipped and inapplicable steps, and this number of further settings."""
    steps: list[dict[str, Any]] = [
        {
            "step": step.value,
            "inapplicable": "no current transformers are configured" if step is CommissioningStep.CLAMPS else None,
            "outcome": "skipped" if step is CommissioningStep.TEST_SESSION else "passed",
            "reason": "no vehicle at hand" if step is CommissioningStep.TEST_SESSION else None,
            "evidence": FOUND.get(step.value, {}),
            "at": AT,
            "by": "A. Installer (installer)",
        }
        for step in CommissioningStep
    ]
    report_data = {
        "station": {
            "identity": "BORNE-0001",
            "vendor": "borne",
            "model": "flex",
            "serial_number": "0001",
            "program": "0.1",
            "firmware": "3.1.4",
        },
        "made_at": AT,
        "time_status": "S",
        "selector_a": 16.0,
        "evses": [{"id": 1, "phases": 3, "max_current_a": 32.0, "meter_serial": "M-77"}],
        "settings": {
            "grid": {"safe_current_a": 6.0},
            "evse": [{"phase_rotation": "STR"}],
            "further": {f"number_{number}": number for number in range(settings)},
        },
        "steps": steps,
    }
    return SignedReport(HEAD + json.dumps(report_data), "30" * 70, "3059" * 20)


def document(language: LanguageCode, settings: int = 0) -> bytes:
    """The report as a PDF."""
    issuer = Issuer("BORNE-0001", "borne flex", "0001", "borne 0.1")
    occasion = DocumentContext(language, ZoneInfo("Europe/Paris"), datetime(2026, 1, 31, 9, tzinfo=UTC), {})
    return commissioning_report(report(settings), issuer, occasion, catalogue(language))


def drawn(language: LanguageCode) -> str:
    """All text of the PDF, joined by spaces."""
    return " ".join(texts(document(language)))


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_report_says_what_was_found_in_the_readers_language(language: LanguageCode) -> None:
    words, text = catalogue(language), drawn(language)
    for key in ("paper.title", "standing.skipped", "step.breaker", "field.breaker_a", "field.torque_nm", "value.fair"):
        assert words[key] in text, key
    assert f"A. Installer ({words['role.installer']})" in text
    assert words["charge.evse"].format(number=1) in text
    assert ("2.82 Nm" if language == "en" else "2,82 Nm") in text
    assert "16 A" in text
    assert "no vehicle at hand" in text


def test_moments_are_those_of_the_stations_clock_and_what_only_machines_read_is_left_out() -> None:
    text = drawn("de")
    assert "30.01.2026 10:15" in text
    assert "raw" not in text
    assert "evse.1.phase_rotation STR" in text, "settings are named by their place in the installation file"


@pytest.mark.parametrize("language", [code for code in LANGUAGES if code != "en"])
def test_nothing_of_it_is_left_in_english(language: LanguageCode) -> None:
    """Words of the English report that no other language has."""
    text = drawn(language)
    for word in ("passed", "skipped", "Commissioning", "yes", "does not apply", "Settings", "current transformers"):
        assert word not in text, word


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_installer_signs_on_the_page_that_has_the_signature_of_the_station(language: LanguageCode) -> None:
    """However long the list of settings is."""
    texts = catalogue(language)
    for settings in range(0, 48, 3):
        *_, last = pages(document(language, settings))
        assert last.index(texts["paper.signature"]) < last.index(texts["paper.installer-signs"]), settings

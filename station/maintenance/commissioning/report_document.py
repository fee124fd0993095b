"""The commissioning report as PDF in the reader's language, with its signature and public key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from foundation.frozen import Frozen
from foundation.json_values import is_list, is_object, object_of, objects_of
from station.billing.documents.layout import SIGNING_LINE_MM, Column, Imprint, Sheet

if TYPE_CHECKING:
    from station.billing.documents.document_context import DocumentContext, Issuer
    from station.maintenance.commissioning.report import SignedReport

Table = dict[str, object]

_UNITS: Final = {"_a": "A", "_v": "V", "_w": "W", "_va": "VA", "_s": "s", "_nm": "Nm", "_mm2": "mm²"}
"""unit by suffix of the name"""
_SIGNATURE_MM: Final = 64.0
"""height of the section on the station's signature"""
_ONLY_IN_SIGNED_TEXT: Final = frozenset({"frames", "jumpers_mismatch", "without", "step"})
"""evidence for machines only; it is in the attached signed text"""
_BY = re.compile(r"(?:(?P<name>.*) \()?(?P<role>owner|installer|service|this machine)\)?")
"""format of the person recorded with a step"""


def commissioning_report(
    report: SignedReport, issuer: Issuer, context: DocumentContext, texts: Mapping[str, str]
) -> bytes:
    """Draw a signed report as PDF, with the signed text and the signature attached; verifies no signature.

    `texts` are those of the page, in the language of `context`.
    """
    content, localizer = report.content, _Localizer(context, texts)
    steps = objects_of(content["steps"])
    made_at = datetime.fromisoformat(str(content["made_at"]))
    imprint = Imprint(
        title=texts["paper.title"],
        language=context.language,
        aside=[issuer.identity, f"{issuer.name} {issuer.serial_number or ''}".strip()],
        foot=issuer.program,
        page=context.words.page,
        created=made_at,
    )
    sheet = Sheet(imprint, context.words.moment(made_at.astimezone(context.zone)))
    sheet.section(texts["io.station"])
    sheet.facts(_station_facts(content, localizer))
    sheet.section(texts["commissioning.steps"])
    headings = (("paper.step", 3.2), ("paper.result", 1.6), ("paper.when", 1.8), ("paper.by", 2.4))
    sheet.table([Column(texts[key], share) for key, share in headings], [_step_row(step, localizer) for step in steps])
    for step in steps:
        if facts := _findings(step, localizer):
            sheet.section(texts[f"step.{step['step']}"])
            sheet.facts(facts)
    sheet.section(texts["paper.settings"])
    sheet.facts(localizer.facts(_flattened(object_of(content["settings"]))) or [("–", texts["shell.none"])])
    sheet.section(texts["paper.signature"], required_mm=_SIGNATURE_MM + SIGNING_LINE_MM)
    sheet.qr_code(
        texts["paper.signed"],
        report.public_key.upper(),
        [(texts["paper.public-key"], report.public_key), (texts["paper.signature"], report.signature)],
    )
    sheet.attach("commissioning.txt", report.text.encode(), "what was signed")
    sheet.attach("signature.txt", report.signature.encode(), "its signature")
    sheet.signing_line(texts["paper.installer-signs"])
    return sheet.to_pdf()


def _station_facts(content: Table, localizer: _Localizer) -> list[tuple[str, str]]:
    station, texts, words = object_of(content["station"]), localizer.texts, localizer.context.words
    facts = [
        (texts["paper.identity"], str(station["identity"])),
        (texts["io.model"], f"{station['vendor']} {station['model']}"),
        (texts["paper.serial"], localizer.value("", station["serial_number"])),
        (texts["io.version"], f"{station['firmware']} (borne {station['program']})"),
        (texts["io.selector"], localizer.value("_a", content["selector_a"])),
        (words.clock, words.clocks.get(str(content["time_status"]), str(content["time_status"]))),
    ]
    for evse in objects_of(content["evses"]):
        meter = localizer.value("", evse["meter_serial"])
        parts = [f"{texts['field.phases']}: {evse['phases']}", localizer.value("_a", evse["max_current_a"])]
        facts.append((localizer.evse(evse["id"]), ", ".join([*parts, f"{texts['field.meter_serial']}: {meter}"])))
    return facts


def _step_row(step: Table, localizer: _Localizer) -> tuple[str, ...]:
    title = localizer.texts[f"step.{step['step']}"]
    if step["inapplicable"] is not None:
        return (title, localizer.texts[f"absent.{step['step']}"], "", "")
    if step["outcome"] is None:
        return (title, localizer.texts["standing.open"], "–", "–")
    return (
        title,
        localizer.texts[f"standing.{step['outcome']}"],
        localizer.short(str(step["at"])),
        localizer.person(str(step["by"])),
    )


def _findings(step: Table, localizer: _Localizer) -> list[tuple[str, str]]:
    reason = [(localizer.texts["field.reason"], str(step["reason"]))] if step["reason"] else []
    return [*reason, *localizer.facts(object_of(step["evidence"]))]


def _flattened(table: Table, prefix: str = "") -> Table:
    """Flatten settings to dotted keys of the installation file."""
    flat: Table = {}
    for key, value in table.items():
        entries = {str(index): item for index, item in enumerate(value, 1)} if is_list(value) else value
        if is_object(entries):
            flat |= _flattened(entries, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


class _Localizer(Frozen):
    """Formats names and values in the reader's language."""

    context: DocumentContext
    texts: Mapping[str, str]

    def facts(self, table: Table) -> list[tuple[str, str]]:
        """Labels and formatted values, without unknown and machine-only ones."""
        displayed = [
            (name, value) for name, value in table.items() if name not in _ONLY_IN_SIGNED_TEXT and value is not None
        ]
        return [(self.name(name), self.value(name, value)) for name, value in displayed]

    def name(self, name: str) -> str:
        """The label of a value, without the unit in brackets that the page shows."""
        if (evse := re.fullmatch(r"evse_(\d+)", name)) is not None:
            return self.evse(evse[1])
        text = self.texts["role.installer"] if name == "by" else self.texts.get(f"field.{name}")
        return re.sub(r" \([AW]\)", "", text) if text is not None else name

    def value(self, name: str, value: object) -> str:
        """A value with its unit, on one line."""
        if is_object(value):
            return ", ".join(f"{label}: {text}" for label, text in self.facts(value))
        if value is None:
            return "–"
        if isinstance(value, bool):
            return self.texts["shell.yes" if value else "shell.no"]
        unit = next((f" {unit}" for end, unit in _UNITS.items() if name.endswith(end)), "")
        if is_list(value):
            return " / ".join(self.value("", part) for part in value) + unit
        if isinstance(value, int | float):
            return self.context.words.decimal(Decimal(str(round(value, 2))).normalize()) + unit
        if name == "at" or name.endswith("_at"):
            return self.short(str(value))
        return self.texts.get(f"value.{value}", str(value))

    def evse(self, number: object) -> str:
        """The label of an EVSE, as on the page."""
        return self.texts["charge.evse"].format(number=number)

    def person(self, by: str) -> str:
        """The person who did a step: a name with the role or place in brackets."""
        if (match := _BY.fullmatch(by)) is None:
            return by
        role = self.texts["role.here" if match["role"] == "this machine" else f"role.{match['role']}"]
        return role if match["name"] is None else f"{match['name']} ({role})"

    def short(self, at: str) -> str:
        """A local time, to the minute."""
        local = datetime.fromisoformat(at).astimezone(self.context.zone)
        return f"{local.strftime(self.context.words.date)} {local:%H:%M}"

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
_LEFT_TO_THE_TEXT: Final = frozenset({"frames", "jumpers_mismatch", "without", "step"})
"""evidence for machines only; it is in the attached signed text"""
_BY = re.compile(r"(?:(?P<name>.*) \()?(?P<role>owner|installer|service|this machine)\)?")
"""format of the person recorded with a step"""


def commissioning_report(
    report: SignedReport, issuer: Issuer, context: DocumentContext, texts: Mapping[str, str]
) -> bytes:
    """Draw a signed report as PDF, with the signed text and the signature attached; verifies no signature.

    `texts` are those of the page, in the language of `context`.
    """
    told, say = report.content, _Localizer(context, texts)
    steps = objects_of(told["steps"])
    made_at = datetime.fromisoformat(str(told["made_at"]))
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
    sheet.facts(_station(told, say))
    sheet.section(texts["commissioning.steps"])
    headings = (("paper.step", 3.2), ("paper.result", 1.6), ("paper.when", 1.8), ("paper.by", 2.4))
    sheet.table([Column(texts[key], share) for key, share in headings], [_row(one, say) for one in steps])
    for one in steps:
        if facts := _found(one, say):
            sheet.section(texts[f"step.{one['step']}"])
            sheet.facts(facts)
    sheet.section(texts["paper.settings"])
    sheet.facts(say.facts(_flat(object_of(told["settings"]))) or [("–", texts["shell.none"])])
    sheet.section(texts["paper.signature"], keeps_mm=_SIGNATURE_MM + SIGNING_LINE_MM)
    sheet.qr_code(
        texts["paper.signed"],
        report.public_key.upper(),
        [(texts["paper.public-key"], report.public_key), (texts["paper.signature"], report.signature)],
    )
    sheet.attach("commissioning.txt", report.text.encode(), "what was signed")
    sheet.attach("signature.txt", report.signature.encode(), "its signature")
    sheet.signing_line(texts["paper.installer-signs"])
    return sheet.to_pdf()


def _station(told: Table, say: _Localizer) -> list[tuple[str, str]]:
    who, texts, words = object_of(told["station"]), say.texts, say.context.words
    facts = [
        (texts["paper.identity"], str(who["identity"])),
        (texts["io.model"], f"{who['vendor']} {who['model']}"),
        (texts["paper.serial"], say.value("", who["serial_number"])),
        (texts["io.version"], f"{who['firmware']} (borne {who['program']})"),
        (texts["io.selector"], say.value("_a", told["selector_a"])),
        (words.clock, words.clocks.get(str(told["time_status"]), str(told["time_status"]))),
    ]
    for evse in objects_of(told["evses"]):
        meter = say.value("", evse["meter_serial"])
        parts = [f"{texts['field.phases']}: {evse['phases']}", say.value("_a", evse["max_current_a"])]
        facts.append((say.evse(evse["id"]), ", ".join([*parts, f"{texts['field.meter_serial']}: {meter}"])))
    return facts


def _row(one: Table, say: _Localizer) -> tuple[str, ...]:
    title = say.texts[f"step.{one['step']}"]
    if one["inapplicable"] is not None:
        return (title, say.texts[f"absent.{one['step']}"], "", "")
    if one["outcome"] is None:
        return (title, say.texts["standing.open"], "–", "–")
    return (title, say.texts[f"standing.{one['outcome']}"], say.short(str(one["at"])), say.who(str(one["by"])))


def _found(one: Table, say: _Localizer) -> list[tuple[str, str]]:
    reason = [(say.texts["field.reason"], str(one["reason"]))] if one["reason"] else []
    return [*reason, *say.facts(object_of(one["evidence"]))]


def _flat(table: Table, start: str = "") -> Table:
    """Flatten settings to dotted keys of the installation file."""
    flat: Table = {}
    for key, value in table.items():
        inner = {str(place): item for place, item in enumerate(value, 1)} if is_list(value) else value
        if is_object(inner):
            flat |= _flat(inner, f"{start}{key}.")
        else:
            flat[f"{start}{key}"] = value
    return flat


class _Localizer(Frozen):
    """Formats names and values in the reader's language."""

    context: DocumentContext
    texts: Mapping[str, str]

    def facts(self, table: Table) -> list[tuple[str, str]]:
        """Labels and formatted values, without unknown and machine-only ones."""
        known = [(name, one) for name, one in table.items() if name not in _LEFT_TO_THE_TEXT and one is not None]
        return [(self.name(name), self.value(name, one)) for name, one in known]

    def name(self, name: str) -> str:
        """The label of a value, without the unit in brackets that the page shows."""
        if (evse := re.fullmatch(r"evse_(\d+)", name)) is not None:
            return self.evse(evse[1])
        text = self.texts["role.installer"] if name == "by" else self.texts.get(f"field.{name}")
        return re.sub(r" \([AW]\)", "", text) if text is not None else name

    def value(self, name: str, one: object) -> str:
        """A value with its unit, on one line."""
        if is_object(one):
            return ", ".join(f"{key}: {value}" for key, value in self.facts(one))
        if one is None:
            return "–"
        if isinstance(one, bool):
            return self.texts["shell.yes" if one else "shell.no"]
        unit = next((f" {unit}" for end, unit in _UNITS.items() if name.endswith(end)), "")
        if is_list(one):
            return " / ".join(self.value("", part) for part in one) + unit
        if isinstance(one, int | float):
            return self.context.words.decimal(Decimal(str(round(one, 2))).normalize()) + unit
        if name == "at" or name.endswith("_at"):
            return self.short(str(one))
        return self.texts.get(f"value.{one}", str(one))

    def evse(self, number: object) -> str:
        """The label of an EVSE, as on the page."""
        return self.texts["charge.evse"].format(number=number)

    def who(self, by: str) -> str:
        """The person who did a step: a name with the role or place in brackets."""
        if (noted := _BY.fullmatch(by)) is None:
            return by
        role = self.texts["role.here" if noted["role"] == "this machine" else f"role.{noted['role']}"]
        return role if noted["name"] is None else f"{noted['name']} ({role})"

    def short(self, at: str) -> str:
        """A local time, to the minute."""
        here = datetime.fromisoformat(at).astimezone(self.context.zone)
        return f"{here.strftime(self.context.words.date)} {here:%H:%M}"

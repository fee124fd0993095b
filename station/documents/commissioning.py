"""The report of a commissioning on paper, with its signature and all that it is checked with."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, cast

from station.documents.layout import Column, Imprint, Sheet

if TYPE_CHECKING:
    from station.commissioning.report import SignedReport
    from station.documents.occasion import Issuer

Table = dict[str, object]


def commissioning_report(report: SignedReport, issuer: Issuer) -> bytes:
    """The report as PDF, in English; the signed text is attached."""
    told = report.told
    steps = cast("list[Table]", told["steps"])
    made_at = datetime.fromisoformat(str(told["made_at"]))
    imprint = Imprint(
        title="Commissioning report",
        language="en",
        aside=[issuer.identity, f"{issuer.name} {issuer.serial_number or ''}".strip()],
        foot=issuer.program,
        page="Page {} of {}",
        created=made_at,
    )
    sheet = Sheet(imprint, f"{made_at:%Y-%m-%d %H:%M} UTC")
    sheet.section("Station")
    sheet.facts(_facts(cast("Table", told["station"])))
    sheet.facts([("selector", f"{told['selector_a']} A"), ("time", str(told["time_status"]))])
    for evse in cast("list[Table]", told["evses"]):
        sheet.facts([(f"EVSE {evse['id']}", _flat({key: value for key, value in evse.items() if key != "id"}))])
    sheet.section("Steps")
    columns = [Column("Step", 2), Column("Result", 2), Column("When (UTC)", 2.4), Column("By", 3)]
    sheet.table(columns, [_row(one) for one in steps])
    for one in steps:
        if one["evidence"] or one["reason"]:
            sheet.section(str(one["step"]))
            reason = [("reason", str(one["reason"]))] if one["reason"] else []
            sheet.facts([*reason, *_facts(cast("Table", one["evidence"]))])
    sheet.section("Settings made on site")
    sheet.facts(_facts(cast("Table", told["settings"])) or [("–", "none")])
    sheet.section("Signature", keeps_mm=58.0)
    sheet.coded(
        "Signed by the station over the attached text: ECDSA, secp256r1, SHA-256. The code holds the public key.",
        report.public_key.upper(),
        [("Public key", report.public_key), ("Signature", report.signature)],
    )
    sheet.attach("commissioning.txt", report.text.encode(), "what was signed")
    sheet.attach("signature.txt", report.signature.encode(), "its signature")
    sheet.signing_line("Date and signature of the installer")
    return sheet.made()


def _row(one: Table) -> tuple[str, ...]:
    if one["inapplicable"] is not None:
        return (str(one["step"]), f"does not apply: {one['inapplicable']}", "", "")
    at = f"{datetime.fromisoformat(str(one['at'])):%Y-%m-%d %H:%M}" if one["at"] else "–"
    return (str(one["step"]), str(one["outcome"]), at, str(one["by"]))


def _facts(table: Table) -> list[tuple[str, str]]:
    return [(key.replace("_", " "), _flat(value)) for key, value in table.items()]


def _flat(value: object) -> str:
    """A value on one line."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {_flat(one)}" for key, one in cast("Table", value).items())
    if isinstance(value, list):
        return " / ".join(_flat(one) for one in cast("list[object]", value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return "–" if value is None else str(value)

"""The receipt of a transaction: energy, times, cost, and the signed records to verify it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from station.billing.documents.layout import Column, Imprint, Sheet
from station.billing.documents.words import Words, format_duration, kwh_places

if TYPE_CHECKING:
    from station.billing.documents.document_context import DocumentContext, Issuer, SignatureProof
    from station.billing.logged_transaction import LoggedRegister, LoggedTransaction
    from station.billing.price import BilledItem


def receipt(
    transaction: LoggedTransaction, issuer: Issuer, proof: SignatureProof | None, context: DocumentContext
) -> bytes:
    """Draw the receipt of a transaction and return it as PDF; `proof` None: its registers are not signed."""
    words = context.words
    sheet = Sheet(
        imprint(words.receipt, issuer, context), f"{words.number} {transaction.number} · {transaction.transaction_id}"
    )
    sheet.tiles(
        [
            (words.energy, words.kwh(transaction.energy_wh, _kwh_places(transaction))),
            (words.duration, format_duration(transaction.duration) if transaction.duration is not None else "–"),
            (
                words.cost,
                words.money(transaction.cost.amount, transaction.cost.currency)
                if transaction.cost is not None
                else "–",
            ),
        ]
    )
    if transaction.objection is not None:
        reason = words.objections.get(transaction.objection, transaction.objection)
        sheet.warning(f"{words.not_billable}: {reason}.")
    sheet.section(words.number)
    sheet.facts(_charge_facts(transaction, context))
    if transaction.corrected_s is not None:
        sheet.note(words.corrected.format(f"{transaction.corrected_s:+.0f}"))
    sheet.section(words.cost)
    _draw_cost(sheet, transaction, words)
    sheet.section(words.meter)
    sheet.facts(_meter_facts(transaction, context))
    sheet.section(words.signature, required_mm=58.0)
    _draw_signature(sheet, proof, words)
    if proof is not None and transaction.bill is not None and _unsigned_between(transaction.bill.lines, proof):
        sheet.note(words.unsigned_between)
    return sheet.to_pdf()


def imprint(title: str, issuer: Issuer, context: DocumentContext) -> Imprint:
    """Make the header and footer texts of a document with this title."""
    words = context.words
    serial = f" · {issuer.serial_number}" if issuer.serial_number is not None else ""
    created = words.created.format(words.moment(context.created.astimezone(context.zone)))
    return Imprint(
        title=title,
        language=context.language,
        aside=[issuer.identity, f"{words.station} {issuer.name}{serial}"],
        foot=f"{created} {issuer.program}",
        page=words.page,
        created=context.created,
    )


def _charge_facts(transaction: LoggedTransaction, context: DocumentContext) -> list[tuple[str, str]]:
    words, zone = context.words, context.zone
    facts = [
        (words.place, str(transaction.evse_id)),
        (words.card, context.card(transaction)),
        (words.began, words.moment(transaction.began_at.astimezone(zone))),
    ]
    if transaction.ended_at is None:
        return [*facts, (words.ended, words.still_running)]
    facts.append((words.ended, words.moment(transaction.ended_at.astimezone(zone))))
    if transaction.charging_s is not None:
        facts.append((words.energy_flowed, format_duration(timedelta(seconds=transaction.charging_s))))
    if transaction.stopped_reason is not None:
        facts.append((words.ended_by, words.reasons.get(transaction.stopped_reason, transaction.stopped_reason)))
    return facts


def _draw_cost(sheet: Sheet, transaction: LoggedTransaction, words: Words) -> None:
    if transaction.stated_cost is not None and transaction.cost is not None:
        sheet.facts([(words.total, words.money(transaction.cost.amount, transaction.cost.currency))])
        sheet.note(words.stated_by_csms)
        return
    if transaction.bill is None:
        sheet.note(words.no_price)
        return
    columns = [
        Column(words.what, 3.2),
        Column(words.register, 4),
        Column(words.quantity, 2, "R"),
        Column(words.price, 2.4, "R"),
        Column(words.amount, 2, "R"),
    ]
    currency = transaction.bill.currency
    rows = [_bill_row(line, currency, words, _kwh_places(transaction)) for line in transaction.bill.lines]
    total = words.money(transaction.bill.total, currency) if transaction.objection is None else "–"
    sheet.table(columns, rows, (words.total, "", "", "", total))
    sheet.note(words.taxes)


def _kwh_places(transaction: LoggedTransaction) -> int:
    """The decimals of registers and energy on the receipt."""
    lines = transaction.bill.lines if transaction.bill is not None else ()
    between = [register_wh for line in lines for register_wh in (line.begin_wh, line.end_wh)]
    return kwh_places([transaction.begin.energy_wh, transaction.end.energy_wh, *between])


def _bill_row(line: BilledItem, currency: str, words: Words, places: int) -> tuple[str, ...]:
    name = {"energy": words.energy, "time": words.time, "idle": words.idle}[line.what]
    registers = ""
    if line.begin_wh is not None and line.end_wh is not None:
        registers = f"{words.kwh(line.begin_wh, places)} – {words.kwh(line.end_wh, places)}"
    return (
        f"{name} {line.period}" if line.period is not None else name,
        registers,
        f"{words.decimal(line.quantity)} {line.unit}",
        f"{words.money(line.unit_price, currency)}/{line.unit}",
        words.money(line.amount, currency),
    )


def _meter_facts(transaction: LoggedTransaction, context: DocumentContext) -> list[tuple[str, str]]:
    words = context.words
    facts = [
        (words.meter_serial, transaction.meter_serial or "–"),
        (words.register_begin, _register_text(transaction.begin, context, _kwh_places(transaction))),
    ]
    if transaction.ended_at is not None:
        facts.append((words.register_end, _register_text(transaction.end, context, _kwh_places(transaction))))
    return facts


def _register_text(register: LoggedRegister, context: DocumentContext, places: int) -> str:
    words = context.words
    parts = [words.kwh(register.energy_wh, places)]
    if register.substitute:
        parts.append(words.silent)
    if register.read_at is not None:
        parts.append(words.moment(register.read_at.astimezone(context.zone)))
        parts.append(f"{words.clock}: {words.clocks[register.time or 'none']}")
    return " · ".join(parts)


def _draw_signature(sheet: Sheet, proof: SignatureProof | None, words: Words) -> None:
    if proof is None:
        sheet.note(words.unsigned)
        return
    sheet.attach("record.xml", proof.container, words.signature)
    if (by := proof.signed_by) is not None:
        sheet.qr_code(
            f"{words.signed_by_meter if by.meter else words.signed_by_station} {words.how_to_check}",
            by.public_key.hex().upper(),
            [(words.fingerprint, by.fingerprint), (words.public_key, by.public_key.hex())],
        )
    sheet.long_numbers(
        [(f"{words.signature} {number}", _signed_part(record)) for number, record in enumerate(proof.records, 1)]
    )


def _unsigned_between(lines: Sequence[BilledItem], proof: SignatureProof) -> bool:
    """Return whether a change of the energy price happened at a register that is not in the signed records."""
    energy = [line for line in lines if line.what == "energy"]
    return any(
        before.unit_price != after.unit_price and after.begin_wh not in proof.registers_wh
        for before, after in pairwise(energy)
    )


def _signed_part(record: str) -> str:
    """The signature of an OCMF record (OCMF|data|signature)."""
    return record.rpartition("|")[2]

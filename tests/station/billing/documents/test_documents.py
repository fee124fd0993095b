"""Receipts and monthly reports: that they say what is on record, in every language, and can be checked."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zlib
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
import segno
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from station.billing.documents.counted_charges import CountedCharges, counted_charges
from station.billing.documents.document_context import DocumentContext, Issuer, Month, SignatureProof, SignerKey
from station.billing.documents.monthly import Sums, billable, monthly_report, sums
from station.billing.documents.receipt import receipt
from station.billing.documents.words import Words, format_duration, words
from station.billing.logged_transaction import LoggedTransaction
from station.billing.price import Bill
from station.core.languages import LANGUAGES, LanguageCode, read_texts
from tests.examples import examples
from tests.fakes import CARD, NOON
from tests.station.billing.documents.documents_data import BILL, LINES, transaction

WIDE = "Łódź Zażółć gęślą jaźń Ελληνικά Ω Київ Šťáva ő ₴ ₺ → ≤"
WESTERN = "Crème brûlée Größe één œuvre € £ ¥ ß „“ – …"
ISSUER = Issuer("BORNE-0001", "borne flex", "0001", "borne 0.1")
KEY = bytes(range(91))
PROOF = SignatureProof(
    ('OCMF|{"PG":"T1"}|{"SD":"3044AA"}', 'OCMF|{"PG":"T2"}|{"SD":"3044BB"}'),
    b"<values/>" * 40,
    SignerKey(KEY, "3f:aa", meter=False),
    registers_wh=frozenset(map(Decimal, (1000, 13345, 21000))),
)


def context(language: LanguageCode = "en") -> DocumentContext:
    """A document made at the end of January, in Paris."""
    return DocumentContext(language, ZoneInfo("Europe/Paris"), datetime(2026, 1, 31, 9, tzinfo=UTC), {})


def streams(pdf: bytes) -> list[bytes]:
    """The decompressed streams of a PDF: its pages in order, and its attachments."""
    found: list[bytes] = []
    for stream in re.findall(rb"stream\n(.*?)\nendstream", pdf, re.DOTALL):
        try:
            found.append(zlib.decompress(stream))
        except zlib.error:
            found.append(stream)
    return found


def texts(pdf: bytes) -> list[str]:
    """Every piece of text that is drawn, in order."""
    found = (raw for stream in streams(pdf) for raw in re.findall(rb"\(((?:\\.|[^\\()])*)\) Tj", stream, re.DOTALL))
    return [re.sub(rb"\\(.)", rb"\1", raw).decode("cp1252") for raw in found]


def pages(pdf: bytes) -> list[list[str]]:
    """Every piece of text that is drawn, page by page."""
    drawn = [stream for stream in streams(pdf) if b" Tj" in stream]
    found = (re.findall(rb"\(((?:\\.|[^\\()])*)\) Tj", stream, re.DOTALL) for stream in drawn)
    return [[re.sub(rb"\\(.)", rb"\1", raw).decode("cp1252") for raw in page] for page in found]


def text(pdf: bytes) -> str:
    """All text that is drawn, joined by spaces."""
    return " ".join(texts(pdf))


def embedded_font_text(pdf: bytes) -> str:
    """The text that is drawn in the embedded font, decoded by its glyph-to-character map."""
    glyphs: dict[int, str] = {}
    for stream in streams(pdf):
        if b"beginbfchar" in stream:
            for glyph, unit in re.findall(rb"<([0-9A-F]{4})> <([0-9A-F]{4})>", stream):
                glyphs[int(glyph, 16)] = chr(int(unit, 16))
    drawn = (raw for stream in streams(pdf) for raw in re.findall(rb"\(((?:\\.|[^\\()])*)\) Tj", stream, re.DOTALL))
    encoded = [re.sub(rb"\\(.)", rb"\1", raw.replace(rb"\r", b"\r")) for raw in drawn]
    pairs = [[int.from_bytes(raw[at : at + 2], "big") for at in range(0, len(raw), 2)] for raw in encoded]
    return " ".join("".join(glyphs[code] for code in text) for text in pairs if all(code in glyphs for code in text))


def test_a_price_that_changed_at_a_register_that_is_not_signed_is_said() -> None:
    notice = words("en").unsigned_between
    by_meter = replace(
        PROOF, signed_by=SignerKey(KEY, "3f:aa", meter=True), registers_wh=frozenset(map(Decimal, (1000, 21000)))
    )
    assert notice in text(receipt(transaction(), ISSUER, by_meter, context()))
    assert notice not in text(receipt(transaction(), ISSUER, PROOF, context()))
    equal_price_lines = tuple(replace(line, unit_price=Decimal("0.30")) for line in LINES)
    same = transaction(bill=replace(BILL, lines=equal_price_lines))
    assert notice not in text(receipt(same, ISSUER, by_meter, context())), "it changed nothing"


def test_letters_of_all_europe_and_signs_of_currencies_are_drawn_and_what_no_font_has_is_written_as_its_number() -> (
    None
):
    assert WESTERN in texts(receipt(transaction(meter_serial=WESTERN), ISSUER, None, context()))
    drawn = embedded_font_text(receipt(transaction(meter_serial=f"{WIDE} 中"), ISSUER, None, context()))
    assert WIDE in drawn
    assert "[U+4E2D]" in drawn


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_all_words_and_no_others(language: LanguageCode) -> None:
    given_words = read_texts(language, "documents", dict[str, object])
    assert given_words.keys() == {*Words.__struct_fields__} - {"decimal_mark", "date"}, "these are in LANGUAGES"
    english = words("en")
    assert len(words(language).months) == 12
    for name in ("clocks", "reasons", "objections"):
        assert getattr(words(language), name).keys() == getattr(english, name).keys()
    written = json.dumps(given_words, ensure_ascii=False)
    assert written.encode("cp1252").decode("cp1252") == written, "the fonts that every reader has have these characters"
    assert '""' not in written


def test_numbers_and_moments_are_written_as_people_write_them() -> None:
    german, english = words("de"), words("en")
    assert german.kwh(Decimal("1234567.0")) == "1234,567 kWh"
    assert english.kwh(Decimal("1000")) == "1.000 kWh"
    assert english.kwh(Decimal("1000.25")) == "1.00025 kWh", "no digit of the meter is dropped"
    assert english.kwh(None) == "–"
    assert (english.money(Decimal("3"), "EUR"), english.money(Decimal("0.1234"), "EUR")) == ("3.00 EUR", "0.1234 EUR")
    assert german.moment(NOON.astimezone(ZoneInfo("Europe/Berlin"))) == "15.01.2026 13:00:00 (UTC+01:00)"
    assert english.moment(NOON.astimezone(ZoneInfo("America/St_Johns"))) == "2026-01-15 08:30:00 (UTC-03:30)"
    assert words("fr").month(2026, 8) == "août 2026"
    assert format_duration(timedelta(hours=26, minutes=3, seconds=4.9)) == "26 h 03 min 04 s"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_receipt_says_what_was_charged_when_for_how_much_and_who_measured_it(language: LanguageCode) -> None:
    pdf, labels = receipt(transaction(), ISSUER, PROOF, context(language)), words(language)
    drawn = text(pdf)
    mark = labels.decimal_mark
    for expected in (
        labels.receipt,
        "BORNE-0001",
        "0d9ad6e6-79f4-4b4b-9d0b-0a3f7a3a8d11",
        f"20{mark}000 kWh",
        f"8{mark}23 EUR",
        "1 h 30 min 00 s",
        "1 h 15 min 00 s",
        "13:00:00 (UTC+01:00)",
        "14:30:00 (UTC+01:00)",
        f"{labels.energy} HP",
        f"1{mark}000 kWh – 13{mark}345 kWh",
        f"12{mark}345 kWh",
        f"0{mark}30 EUR/kWh",
        f"3{mark}70 EUR",
        labels.idle,
        "23-1234567",
        labels.clocks["S"],
        labels.reasons["Local"],
        labels.signed_by_station.split()[0],
        "3f:aa",
        "3044AA",
        "3044BB",
        "04A3…80",
    ):
        assert expected in drawn, expected
    assert CARD.value not in drawn
    assert pdf.startswith(b"%PDF-")


def test_the_signed_record_is_attached_and_the_public_key_drawn_as_a_code() -> None:
    pdf = receipt(transaction(), ISSUER, PROOF, context())
    assert PROOF.container in streams(pdf)
    assert b"record.xml" in pdf
    dark = sum(sum(row) for row in segno.make(KEY.hex().upper(), error="m", micro=False).matrix)
    page = streams(pdf)[0] if b" re f" in streams(pdf)[0] else b"".join(streams(pdf))
    squares = re.findall(rb"([\d.]+) [\d.]+ ([\d.]+) -([\d.]+) re f", page)
    assert len([square for square in squares if square[1] == square[2]]) == dark
    assert KEY.hex() in "".join(texts(pdf))


def test_a_receipt_without_a_signature_says_so_and_has_no_code() -> None:
    drawn = text(receipt(transaction(), ISSUER, None, context()))
    assert words("en").unsigned in drawn
    assert words("en").public_key not in drawn


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_cannot_be_billed_says_why_in_the_language_of_the_receipt(language: LanguageCode) -> None:
    labels = words(language)
    for sentence, translated in labels.objections.items():
        objected = transaction(bill=replace(BILL, objection=sentence))
        drawn = text(receipt(objected, ISSUER, None, context(language)))
        assert f"{labels.not_billable}: {translated}." in drawn
        assert labels.money(BILL.total, BILL.currency) not in drawn, "no total that nobody can be asked for"
    unknown = transaction(bill=replace(BILL, objection="the meter was struck by lightning"))
    assert "struck by lightning" in text(receipt(unknown, ISSUER, None, context(language)))


def test_times_that_were_corrected_and_registers_that_are_old_say_so() -> None:
    charge = transaction(corrected_s=43_200.0)
    charge = replace(charge, begin=replace(charge.begin, time="U", substitute=True), end=replace(charge.end, time=None))
    drawn, labels = text(receipt(charge, ISSUER, None, context())), words("en")
    assert labels.corrected.format("+43200") in drawn
    assert labels.clocks["U"] in drawn
    assert labels.clocks["none"] in drawn
    assert "did not answer" in drawn


def test_a_charge_that_goes_on_and_one_that_nobody_priced() -> None:
    running = transaction(ended_at=None, stopped_reason=None, charging_s=None, bill=None)
    drawn, labels = text(receipt(running, ISSUER, None, context())), words("en")
    assert labels.still_running in drawn
    assert labels.no_price in drawn
    assert labels.register_end not in drawn
    unusual = transaction(stopped_reason="SOCLimitReached", token=None, meter_serial=None)
    assert "SOCLimitReached" in text(receipt(unusual, ISSUER, None, context()))


@examples(30)
@given(st.text(max_size=60), st.text(max_size=300))
def test_no_text_breaks_a_receipt(serial: str, reason: str) -> None:
    charge = transaction(meter_serial=serial, stopped_reason=reason)
    assert receipt(charge, replace(ISSUER, name=serial), None, context()).startswith(b"%PDF-")


def test_a_receipt_whose_key_is_spoilt_still_carries_its_records() -> None:
    pdf, labels = receipt(transaction(), ISSUER, replace(PROOF, signed_by=None), context()), words("en")
    assert PROOF.container in streams(pdf)
    assert "3044AA" in text(pdf)
    assert labels.signed_by_station not in text(pdf)
    assert labels.unsigned not in text(pdf)


# The report of a month


def charges(count: int) -> list[LoggedTransaction]:
    """This number of charges of a month, one after the other."""
    transactions: list[LoggedTransaction] = []
    for number in range(count):
        begin = NOON + timedelta(hours=3 * number)
        transactions.append(transaction(number=number + 1, began_at=begin, ended_at=begin + timedelta(hours=2)))
    return transactions


def test_a_month_begins_and_ends_where_clocks_at_the_station_say() -> None:
    paris = ZoneInfo("Europe/Paris")
    march = Month.named("2026-03")
    assert march.begin(paris).astimezone(UTC) == datetime(2026, 2, 28, 23, tzinfo=UTC)
    assert march.end(paris).astimezone(UTC) == datetime(2026, 3, 31, 22, tzinfo=UTC), "summer time"
    assert Month.named("2026-12").end(UTC) == datetime(2027, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("begins", "ends", "moments"),
    [
        (
            "2026-10-25T00:30Z",
            "2026-10-25T01:30Z",
            ("2026-10-25 02:30:00 (UTC+02:00)", "2026-10-25 02:30:00 (UTC+01:00)"),
        ),
        (
            "2026-03-29T00:30Z",
            "2026-03-29T01:30Z",
            ("2026-03-29 01:30:00 (UTC+01:00)", "2026-03-29 03:30:00 (UTC+02:00)"),
        ),
    ],
)
def test_a_receipt_of_a_charge_over_a_change_of_summer_time_has_both_offsets(
    begins: str, ends: str, moments: tuple[str, str]
) -> None:
    """An hour of charging, whatever the clock on the wall makes of it."""
    charge = transaction(began_at=datetime.fromisoformat(begins), ended_at=datetime.fromisoformat(ends))
    drawn = text(receipt(charge, ISSUER, PROOF, context()))
    assert all(moment in drawn for moment in moments)
    assert "1 h 00 min 00 s" in drawn


def test_the_sums_of_a_month_are_those_of_what_can_be_billed() -> None:
    billable_charge = transaction()
    substitute = transaction(end=replace(billable_charge.end, substitute=True))
    objected = transaction(bill=replace(BILL, objection="the register went back"))
    unread = transaction(begin=replace(billable_charge.begin, energy_wh=None))
    francs = transaction(bill=Bill("CHF", LINES[:1], Decimal("3.70")))
    assert [billable(charge) for charge in (billable_charge, substitute, objected, unread, francs)] == [
        True,
        False,
        False,
        False,
        True,
    ]
    assert sums([billable_charge, substitute, objected, unread, francs]) == Sums(
        2,
        Decimal("40000.000"),
        {"EUR": Decimal("8.23"), "CHF": Decimal("3.70")},
        {"HP": Decimal(24690), "HC": Decimal(7655)},
        3,
    )
    assert sums([]) == Sums(0, Decimal(0), {}, {}, 0)


def test_a_register_that_went_back_takes_nothing_from_the_energy_of_a_month() -> None:
    """Without prices there is no bill whose objection would say so."""
    billable_charge = transaction()
    back = transaction(end=replace(billable_charge.end, energy_wh=Decimal("400.000")), bill=None, prices=None)
    assert not billable(back)
    assert (sums([billable_charge, back]).energy_wh, sums([billable_charge, back]).left_out) == (
        Decimal("20000.000"),
        1,
    )


@given(st.lists(st.integers(0, 10**8).map(lambda milli: Decimal(milli) / 1000), max_size=40))
def test_the_energy_of_a_month_is_the_sum_of_its_lines(energies: list[Decimal]) -> None:
    charge = transaction()
    month = [replace(charge, end=replace(charge.end, energy_wh=Decimal(1000) + energy)) for energy in energies]
    assert sums(month).energy_wh == sum(energies, Decimal(0))


def without_energy(charge: LoggedTransaction) -> LoggedTransaction:
    """The same charge with an end register equal to its begin register."""
    return replace(charge, end=replace(charge.end, energy_wh=charge.begin.energy_wh), bill=None)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_report_neither_lists_nor_counts_test_sessions_and_charges_without_energy_and_says_how_many(
    language: LanguageCode,
) -> None:
    transactions, labels = charges(6), words(language)
    transactions[1] = replace(transactions[1], test_session=True)
    transactions[2], transactions[3] = without_energy(transactions[2]), without_energy(transactions[3])
    drawn = texts(monthly_report(Month(2026, 1), transactions, None, ISSUER, context(language)))
    assert [piece for piece in drawn if re.fullmatch(r"\d", piece)][:4] == ["3", "1", "5", "6"], (
        "the number, and its lines"
    )
    assert f"60{labels.decimal_mark}000 kWh" in drawn
    assert labels.tests_left_out.format(1) in drawn
    assert labels.empty_left_out.format(2) in drawn
    text_without_exclusions = " ".join(
        texts(monthly_report(Month(2026, 1), charges(2), None, ISSUER, context(language)))
    )
    assert labels.tests_left_out[:30] not in text_without_exclusions
    assert labels.empty_left_out[:30] not in text_without_exclusions


def test_a_charge_without_energy_that_costs_something_or_cannot_be_billed_is_listed() -> None:
    priced = replace(without_energy(transaction()), bill=Bill("EUR", LINES[2:], Decimal("3.00")))
    objected = replace(priced, bill=replace(BILL, objection="a register was not read"))
    assert counted_charges([priced, objected]) == CountedCharges([priced, objected], 0, 0)
    free = replace(priced, bill=Bill("EUR", (), Decimal("0.00")))
    assert counted_charges([free]) == CountedCharges([], 0, 1)


def test_a_month_of_test_sessions_only_says_that_nobody_charged() -> None:
    drawn = text(monthly_report(Month(2026, 1), [transaction(test_session=True)], None, ISSUER, context()))
    assert words("en").none_in_month in drawn
    assert words("en").tests_left_out.format(1) in drawn


def test_all_energies_of_a_report_and_of_a_receipt_have_the_same_decimals() -> None:
    """A meter that counts milliwatt-hours beside one that counted whole kilowatt-hours."""
    charge = transaction(bill=None)
    full_precision = replace(charge, end=replace(charge.end, energy_wh=Decimal("1017.419")))
    drawn = texts(monthly_report(Month(2026, 1), [charge, full_precision], None, ISSUER, context()))
    energies = [text for text in drawn if re.fullmatch(r"\d+\.\d+( kWh)?", text)]
    assert {len(text.removesuffix(" kWh").partition(".")[2]) for text in energies} == {6}
    assert "20.017419" in energies
    receipt_texts = texts(receipt(full_precision, ISSUER, None, context()))
    assert "0.017419 kWh" in receipt_texts
    assert any(text.startswith("1.000000 kWh") for text in receipt_texts)


def test_a_receipt_of_a_test_session_says_so() -> None:
    charge = transaction(test_session=True, token="", token_type="NoAuthorization")
    assert words("en").test_session in texts(receipt(charge, ISSUER, None, context()))


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_report_lists_every_charge_over_pages_and_their_sums(language: LanguageCode) -> None:
    transactions, labels = charges(60), words(language)
    transactions[7] = replace(transactions[7], begin=replace(transactions[7].begin, substitute=True))
    drawn = texts(monthly_report(Month(2026, 1), transactions, "04A3…80", ISSUER, context(language)))
    foot = labels.page.split("{", maxsplit=1)[0]  # the number of pages is a piece of text of its own
    pieces = [piece for before, piece in pairwise(["", *drawn]) if not before.startswith(foot)]
    numbers = [piece for piece in pieces if re.fullmatch(r"\d+( \*)?", piece)]
    assert numbers == ["59", *(f"{n} *" if n == 8 else str(n) for n in range(1, 61))]
    assert drawn.count(labels.no) >= 2, "the headings are on each page"
    joined = " ".join(drawn)
    assert f"{labels.month(2026, 1)} · 04A3…80" in joined
    assert f"1180{labels.decimal_mark}000 kWh" in joined
    assert f"485{labels.decimal_mark}57 EUR" in joined
    assert f"728{labels.decimal_mark}355 kWh" in joined, "59 times the energy of HP"
    assert labels.left_out in joined
    assert labels.date_and_name in joined


@pytest.mark.parametrize("language", LANGUAGES)
def test_receipt_and_report_name_the_card_as_its_owner_does(language: LanguageCode) -> None:
    """A long name whole on the receipt; a driver who started at the page has no card."""
    named = replace(context(language), labels={CARD.key: "Association of the Rue des Lilas, car 12"})
    own, other = transaction(), transaction(token="04FFFFFFFFFF80")
    at_page = transaction(token="driver", token_type="Local")
    assert "Association of the Rue des Lilas, car 12" in text(receipt(own, ISSUER, PROOF, named))
    drawn = text(monthly_report(Month(2026, 1), [own, other, at_page], None, ISSUER, named))
    assert "Association of" in drawn
    assert "04FF…80" in drawn
    assert words(language).at_page in drawn
    assert "04A3" not in drawn


def test_whoever_signs_the_report_of_a_month_sees_on_the_same_page_what_is_signed() -> None:
    """Whatever the number of charges; a page with a signature only could belong to any report."""
    labels = words("en")
    for count in range(14, 52):
        *_, last = pages(monthly_report(Month(2026, 1), charges(count), None, ISSUER, context()))
        assert last.index(labels.meter) < last.index(labels.date_and_name), count
        assert any(piece.startswith(f"{labels.month(2026, 1)} · {20 * count}.000 kWh · ") for piece in last), count


def test_a_month_in_which_nobody_charged_is_a_report_too() -> None:
    drawn = text(monthly_report(Month(2026, 2), [], None, ISSUER, context()))
    assert words("en").none_in_month in drawn
    assert words("en").all_cards in drawn


def test_the_library_that_draws_is_not_loaded_with_the_api() -> None:
    loaded = "import sys, station.interfaces.api.document, station.interfaces.api.transaction"
    program = f"{loaded}; sys.exit('fpdf' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0

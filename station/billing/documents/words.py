"""The texts of documents in each language, and the formats of numbers and times."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Final

from msgspec import convert

from foundation.frozen import Frozen
from station.billing.currency import minor_unit
from station.core.languages import LANGUAGES, LanguageCode, read_texts

KWH_PLACES: Final = 3
"""decimals of an energy in kWh, if the meter has no more"""
_UNKNOWN = "–"


class SpreadsheetWords(Frozen):
    """The texts of the table of transactions in one language."""

    headings: dict[str, str]
    """heading by the name of the column"""
    values: dict[str, str]
    """text by a word of the table, such as that of the kind"""


class Words(Frozen):
    """The printed texts of PDF documents in one language, and its formats of numbers and times."""

    decimal_mark: str
    date: str
    """date format (strftime)"""
    months: tuple[str, ...]
    receipt: str
    monthly: str
    station: str
    number: str
    place: str
    card: str
    at_page: str
    """shown instead of a card if a signed-in driver started the charge on the page"""
    test_session: str
    """shown instead of a card for the installer's test session"""
    began: str
    ended: str
    duration: str
    energy_flowed: str
    ended_by: str
    still_running: str
    energy: str
    total: str
    cost: str
    what: str
    quantity: str
    price: str
    amount: str
    time: str
    idle: str
    taxes: str
    stated_by_csms: str
    no_price: str
    not_billable: str
    meter: str
    meter_serial: str
    register_begin: str
    register_end: str
    register: str
    silent: str
    clock: str
    corrected: str
    signature: str
    signed_by_meter: str
    signed_by_station: str
    unsigned: str
    unsigned_between: str
    public_key: str
    fingerprint: str
    how_to_check: str
    created: str
    page: str
    no: str
    """heading of the column of transaction numbers"""
    before: str
    """begin register, as the heading of a narrow column"""
    after: str
    all_cards: str
    charges: str
    none_in_month: str
    left_out: str
    tests_left_out: str
    """format with {} for the number of test sessions"""
    empty_left_out: str
    """format with {} for the number of charges without energy and cost"""
    by_period: str
    other_period: str
    date_and_name: str
    clocks: dict[str, str]
    """text of each time status, by its OCMF letter; none: not recorded"""
    reasons: dict[str, str]
    """text of each stop reason; those missing here are shown by their OCPP name"""
    objections: dict[str, str]
    """text of each reason why a bill is not valid, by the recorded English sentence"""

    def decimal(self, number: Decimal) -> str:
        """Format a number with all its digits, and the decimal mark of the language."""
        return f"{number:f}".replace(".", self.decimal_mark)

    def kwh(self, energy_wh: Decimal | None, places: int = KWH_PLACES) -> str:
        """Format a register or an energy as kWh, with its unit; a dash if it is None. See `number_of_kwh`."""
        return f"{self.number_of_kwh(energy_wh, places)} kWh" if energy_wh is not None else _UNKNOWN

    def number_of_kwh(self, energy_wh: Decimal | None, places: int = KWH_PLACES) -> str:
        """Format a register or an energy as kWh without unit: with `places` decimals, more if the meter has them."""
        return self.decimal(exact_kwh(energy_wh, places)) if energy_wh is not None else _UNKNOWN

    def money(self, amount: Decimal, currency: str) -> str:
        """Format an amount of money or a price, with its currency and at least the decimals of it."""
        unit = minor_unit(currency)
        rounded = amount if _decimals(amount) >= _decimals(unit) else amount.quantize(unit)
        return f"{self.decimal(rounded)} {currency}"

    def moment(self, at: datetime) -> str:
        """Format date and time of a moment with their offset from UTC; the caller has converted it to local time."""
        hours, minutes = divmod(abs(int((at.utcoffset() or timedelta()).total_seconds())) // 60, 60)
        sign = "-" if (at.utcoffset() or timedelta()) < timedelta() else "+"
        return f"{at.strftime(self.date)} {at:%H:%M:%S} (UTC{sign}{hours:02d}:{minutes:02d})"

    def month(self, year: int, month: int) -> str:
        """Format a month, 1 to 12, as its name with the year."""
        return f"{self.months[month - 1]} {year}"


def exact_kwh(energy_wh: Decimal, places: int = KWH_PLACES) -> Decimal:
    """Convert a register or an energy to kWh with all its digits, and at least `places` decimals."""
    exact = (energy_wh / 1000).normalize()
    return exact if _decimals(exact) > places else exact.quantize(Decimal(1).scaleb(-places))


def kwh_places(energies_wh: Iterable[Decimal | None]) -> int:
    """Return the number of decimals that a column needs to show each of these energies as kWh with all its digits."""
    return max(
        (_decimals(exact_kwh(energy_wh)) for energy_wh in energies_wh if energy_wh is not None), default=KWH_PLACES
    )


def format_duration(duration: timedelta) -> str:
    """Format a duration as hours, minutes and seconds; a negative one as zero."""
    seconds = max(0, int(duration.total_seconds()))
    return f"{seconds // 3600} h {seconds // 60 % 60:02d} min {seconds % 60:02d} s"


def _decimals(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0


@cache
def words(language: LanguageCode) -> Words:
    """Load the texts of documents in a language from its file; cached."""
    notation = LANGUAGES[language]
    texts = read_texts(language, "documents", dict[str, object])
    return convert(texts | {"decimal_mark": notation.decimal_mark, "date": notation.date}, Words)


@cache
def spreadsheet_words(language: LanguageCode) -> SpreadsheetWords:
    """Load the texts of the table of transactions in a language other than English from its file; cached."""
    return read_texts(language, "spreadsheet", SpreadsheetWords)

"""The texts of documents in each language, and the formats of numbers and times."""

from __future__ import annotations

import tomllib
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Literal

from msgspec import convert

from foundation.frozen import Frozen
from station.billing.currency import minor_unit

_UNKNOWN = "–"
Language = Literal["en", "fr", "de", "nl"]


class Words(Frozen):
    """The printed texts of PDF documents in one language, from words/*.toml, and its formats of numbers and times."""

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
    told_by_csms: str
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

    def kwh(self, energy_wh: Decimal | None) -> str:
        """Format a register or an energy as kWh, with its unit; a dash if it is None."""
        return f"{self.number_of_kwh(energy_wh)} kWh" if energy_wh is not None else _UNKNOWN

    def number_of_kwh(self, energy_wh: Decimal | None) -> str:
        """Format a register or an energy as kWh without unit: three decimals, more if the meter provides them."""
        if energy_wh is None:
            return _UNKNOWN
        exact = (energy_wh / 1000).normalize()
        return self.decimal(exact if _decimals(exact) > 3 else exact.quantize(Decimal("0.001")))

    def money(self, amount: Decimal, currency: str) -> str:
        """Format an amount of money or a price, with its currency and at least the decimals of it."""
        unit = minor_unit(currency)
        shown = amount if _decimals(amount) >= _decimals(unit) else amount.quantize(unit)
        return f"{self.decimal(shown)} {currency}"

    def moment(self, at: datetime) -> str:
        """Format date and time of a moment with their offset from UTC; the caller has converted it to local time."""
        hours, minutes = divmod(abs(int((at.utcoffset() or timedelta()).total_seconds())) // 60, 60)
        sign = "-" if (at.utcoffset() or timedelta()) < timedelta() else "+"
        return f"{at.strftime(self.date)} {at:%H:%M:%S} (UTC{sign}{hours:02d}:{minutes:02d})"

    def month(self, year: int, month: int) -> str:
        """Format a month, 1 to 12, as its name with the year."""
        return f"{self.months[month - 1]} {year}"


def format_duration(duration: timedelta) -> str:
    """Format a duration as hours, minutes and seconds; a negative one as zero."""
    seconds = max(0, int(duration.total_seconds()))
    return f"{seconds // 3600} h {seconds // 60 % 60:02d} min {seconds % 60:02d} s"


def _decimals(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0


@cache
def words(language: Language) -> Words:
    """Load the texts of documents in a language from its file; cached."""
    path = Path(__file__).with_name("words") / f"{language}.toml"
    return convert(tomllib.loads(path.read_text(encoding="utf-8")), Words)

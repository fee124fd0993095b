"""The station's own texts on a display, in the languages of the station, with amounts and times in their notation.

Pure, besides reading each catalogue once.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Final

from station.billing.currency import minor_unit, round_amount
from station.core.languages import LANGUAGES, read_texts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from station.billing.price import PriceList
    from station.core.languages import LanguageCode

_SYMBOLS: Final = {"EUR": "€", "GBP": "£"}


@cache
def screen_catalogue(language: LanguageCode) -> Mapping[str, str]:
    """The texts of the display in a language, by key; `{name}` is the placeholder of a value."""
    return read_texts(language, "display", dict[str, str])


def screen_text(language: LanguageCode, key: str, **values: str) -> str:
    """A text of the display with its values inserted."""
    return screen_catalogue(language)[key].format(**values)


def number_text(number: Decimal | float, decimals: int, language: LanguageCode) -> str:
    """Format a number with so many decimals and the decimal sign of a language."""
    return f"{number:.{decimals}f}".replace(".", LANGUAGES[language].decimal_mark)


def amount_text(amount: Decimal, currency: str, language: LanguageCode) -> str:
    """Format an amount, rounded to the minor unit of its currency, such as €12.30 or 12,30 €."""
    return _money_text(round_amount(amount, currency), currency, language)


def price_text(prices: PriceList, language: LanguageCode) -> str:
    """Format the owner's prices as one line, such as €0.30/kWh (HC €0.20) + €1.00/h parked."""
    parts: list[str] = []
    if prices.energy_per_kwh or prices.period:
        periods = ", ".join(
            f"{period.name} {_unit_price(period.energy_per_kwh, prices.currency, language)}" for period in prices.period
        )
        energy = _unit_price(prices.energy_per_kwh, prices.currency, language)
        parts.append(f"{energy}/kWh" + (f" ({periods})" if periods else ""))
    if prices.time_per_hour:
        price = _unit_price(prices.time_per_hour, prices.currency, language)
        parts.append(screen_text(language, "tariff.time", price=price))
    if prices.idle_per_hour:
        key = "tariff.idle-after" if prices.idle_after_s else "tariff.idle"
        price, minutes = _unit_price(prices.idle_per_hour, prices.currency, language), f"{prices.idle_after_s / 60:g}"
        parts.append(screen_text(language, key, price=price, minutes=minutes))
    return " + ".join(parts) or screen_text(language, "tariff.free")


def energy_text(energy_wh: float, language: LanguageCode) -> str:
    """Format an energy, such as 12.34 kWh."""
    return f"{number_text(energy_wh / 1000, 2, language)} kWh"


def power_text(power_w: float, language: LanguageCode) -> str:
    """Format a power, such as 7.4 kW."""
    return f"{number_text(power_w / 1000, 1, language)} kW"


def duration_text(duration: timedelta) -> str:
    """Format a duration in hours and minutes, such as 1:05 h."""
    minutes = max(0, duration // timedelta(minutes=1))
    return f"{minutes // 60}:{minutes % 60:02} h"


def moment_text(moment: datetime, now: datetime, language: LanguageCode) -> str:
    """Format a moment in local time: the time of day, on another day with its date before. Both in local time."""
    time = f"{moment:%H:%M}"
    return time if moment.date() == now.date() else f"{moment.strftime(LANGUAGES[language].day)} {time}"


def _unit_price(price: Decimal, currency: str, language: LanguageCode) -> str:
    """Format a price per unit with all its digits, at least those of the minor unit of its currency."""
    plain = price.normalize()
    digits = plain.as_tuple().exponent
    minor = minor_unit(currency)
    exact = plain if isinstance(digits, int) and digits < int(minor.as_tuple().exponent) else plain.quantize(minor)
    return _money_text(exact, currency, language)


def _money_text(amount: Decimal, currency: str, language: LanguageCode) -> str:
    notation = LANGUAGES[language]
    number = f"{amount:f}".replace(".", notation.decimal_mark)
    symbol = _SYMBOLS.get(currency)
    return f"{number} {currency}" if symbol is None else notation.amount.format(number=number, symbol=symbol)

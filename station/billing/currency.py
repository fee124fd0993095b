"""Rounding of amounts to the minor unit of a currency (ISO 4217, list one)."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Final

_USUAL: Final = 2
_NONE: Final = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE: Final = "BHD IQD JOD KWD LYD OMR TND"
_FOUR: Final = "CLF UYW"
_OTHER_DECIMALS: Final = {
    code: decimals for decimals, codes in ((0, _NONE), (3, _THREE), (4, _FOUR)) for code in codes.split()
}


def minor_unit(currency: str) -> Decimal:
    """The smallest amount of a currency, such as 0.01 EUR, 1 JPY or 0.001 KWD."""
    return Decimal(1).scaleb(-_OTHER_DECIMALS.get(currency, _USUAL))


def round_amount(amount: Decimal, currency: str) -> Decimal:
    """Round an amount to the minor unit of its currency, halves away from zero."""
    return amount.quantize(minor_unit(currency), ROUND_HALF_UP)


def format_amount(amount: Decimal, currency: str) -> str:
    """Format an amount, rounded to its minor unit, with its currency, such as 12.30 EUR."""
    return f"{round_amount(amount, currency)} {currency}"

"""The owner's price list in TOML and JSON: [prices] of the installation file, and the body of PUT /api/prices."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Final

from msgspec import Meta

from foundation.table import Table
from foundation.table_definition import STRICT, Check
from station.billing.price import PeriodPrice, PriceList, period_name
from station.core.identifiers import check_currency
from station.core.installation_file.document import RuleError

_LARGEST: Final = 10_000
_DECIMALS: Final = 5
Money = Annotated[Decimal, Meta(extra={"ge": 0, "le": _LARGEST, "decimal_places": _DECIMALS})]


def _check_money(amount: Decimal) -> None:
    """Check an amount as pydantic does, too: msgspec has no constraints for decimal numbers."""
    exponent = amount.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -_DECIMALS or not 0 <= amount <= _LARGEST:
        raise ValueError(f"must be 0 to {_LARGEST}, with at most {_DECIMALS} decimals")


class PeriodConfig(Table):
    """[[prices.period]]: the energy price in a tariff period of the grid meter."""

    name: Annotated[str, Meta(min_length=1, max_length=50, examples=["HC"])]
    """as the meter reports it, such as HC; case and the trailing full stops of a Linky do not matter"""
    energy_per_kwh: Annotated[Money, Meta(examples=[0.18])]
    """price of a kilowatt-hour in this period, taxes included"""

    @classmethod
    def field_checks(cls) -> Mapping[str, Check]:
        """Range of the price."""
        return {"energy_per_kwh": _check_money}


class PricesConfig(Table):
    """[prices]: the owner's prices, taxes included, used unless the CSMS sends the cost."""

    currency: str = "EUR"
    """the currency of all prices (ISO 4217)"""
    energy_per_kwh: Money = Decimal(0)
    """price of a kilowatt-hour, taxes included"""
    time_per_hour: Money = Decimal(0)
    """price per hour of the whole transaction"""
    idle_per_hour: Money = Decimal(0)
    """price per hour in which the vehicle is connected but does not draw, although it could"""
    idle_after_s: Annotated[int, Meta(extra=STRICT, ge=0, le=86_400)] = 0
    """seconds of idle time that are free"""
    period: Annotated[tuple[PeriodConfig, ...], Meta(max_length=20)] = ()
    """energy prices in tariff periods of the grid meter, in place of energy_per_kwh"""

    @classmethod
    def field_checks(cls) -> Mapping[str, Check]:
        """Form of the currency, and range of the prices."""
        return {
            "currency": check_currency,
            "energy_per_kwh": _check_money,
            "time_per_hour": _check_money,
            "idle_per_hour": _check_money,
        }

    def check_rules(self) -> None:
        """Check that each tariff period has one price.

        Raises:
            RuleError: a period is used twice.
        """
        names = [period_name(period.name) for period in self.period]
        for position, name in enumerate(names):
            if name in names[:position]:
                raise RuleError(("period", position, "name"), f"{self.period[position].name} is used twice")

    @classmethod
    def from_price_list(cls, prices: PriceList) -> PricesConfig:
        """Convert the price list used for billing to this table, for the API."""
        return cls(
            currency=prices.currency,
            energy_per_kwh=prices.energy_per_kwh,
            time_per_hour=prices.time_per_hour,
            idle_per_hour=prices.idle_per_hour,
            idle_after_s=prices.idle_after_s,
            period=tuple(
                PeriodConfig(name=period.name, energy_per_kwh=period.energy_per_kwh) for period in prices.period
            ),
        )

    def as_list(self) -> PriceList:
        """Convert this table to the price list used for billing."""
        return PriceList(
            self.currency,
            self.energy_per_kwh,
            tuple(PeriodPrice(period.name, period.energy_per_kwh) for period in self.period),
            self.time_per_hour,
            self.idle_per_hour,
            self.idle_after_s,
        )

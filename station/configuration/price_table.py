"""The owner's price list in TOML and JSON: [prices] of the installation file, and the body of PUT /api/prices."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from station.billing.price import PeriodPrice, PriceList, period_name
from station.core.identifiers import check_currency
from station.core.installation_file.document import RuleError
from station.core.installation_file.table import Table

Money = Annotated[Decimal, Field(ge=0, le=10_000, decimal_places=5)]


class PeriodConfig(Table):
    """[[prices.period]]: the energy price in a tariff period of the grid meter."""

    name: Annotated[str, Field(min_length=1, max_length=50)]
    """as the meter reports it, such as HC; case and the trailing full stops of a Linky do not matter"""
    energy_per_kwh: Money
    """price of a kilowatt-hour in this period, taxes included"""


class PricesConfig(Table):
    """[prices]: the owner's prices, taxes included, used unless the CSMS sends the cost."""

    currency: Annotated[str, AfterValidator(check_currency)] = "EUR"
    """the currency of all prices (ISO 4217)"""
    energy_per_kwh: Money = Decimal(0)
    """price of a kilowatt-hour, taxes included"""
    time_per_hour: Money = Decimal(0)
    """price per hour of the whole transaction"""
    idle_per_hour: Money = Decimal(0)
    """price per hour in which the vehicle is connected but does not draw, although it could"""
    idle_after_s: Annotated[int, Field(strict=True, ge=0, le=86_400)] = 0
    """seconds of idle time that are free"""
    period: Annotated[tuple[PeriodConfig, ...], Field(max_length=20)] = ()
    """energy prices in tariff periods of the grid meter, in place of energy_per_kwh"""

    @model_validator(mode="after")
    def _periods_have_names_of_their_own(self) -> PricesConfig:
        names = [period_name(period.name) for period in self.period]
        for position, name in enumerate(names):
            if name in names[:position]:
                raise RuleError(("period", position, "name"), f"{self.period[position].name} is used twice")
        return self

    @classmethod
    def from_price_list(cls, prices: PriceList) -> PricesConfig:
        """Convert the price list used for billing to this table, for the API."""
        return cls(
            currency=prices.currency,
            energy_per_kwh=prices.energy_per_kwh,
            time_per_hour=prices.time_per_hour,
            idle_per_hour=prices.idle_per_hour,
            idle_after_s=prices.idle_after_s,
            period=tuple(PeriodConfig(name=one.name, energy_per_kwh=one.energy_per_kwh) for one in prices.period),
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

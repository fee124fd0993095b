"""Routes for the owner's prices: read, set, remove."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Body, Request
from msgspec.structs import replace
from typing_extensions import TypedDict

from station.billing.price import PriceList
from station.billing.price_settings import PriceSettings
from station.billing.prices import Prices
from station.configuration.price_table import PricesConfig
from station.interfaces.access.roles import require_role
from station.interfaces.api.dependencies import ACCEPTED, Accepted, Settle, part
from station.interfaces.api.routing import api_router
from station.security.access.accounts import Role

router = api_router("prices")

_EXAMPLE: Final = {"currency": "EUR", "energy_per_kwh": "0.30", "idle_per_hour": "2", "idle_after_s": 1800}
_Prices = Annotated[Prices, part(Prices)]


class NewPrices(PricesConfig):
    """Body of PUT /api/prices: the owner's prices, taxes included; the default currency is that of the settings."""


class PeriodPriceShown(TypedDict):
    """The owner's price of energy in one tariff period of the grid meter, in GET /api/prices; taxes included."""

    name: str
    """name of the tariff period, as the grid meter reports it"""
    energy_per_kwh: str
    """price of a kilowatt-hour in this period, as a decimal number"""


class PriceListShown(TypedDict):
    """The owner's prices in GET /api/prices, taxes included; amounts are decimal numbers, as text."""

    currency: str
    """the currency of all prices (ISO 4217)"""
    energy_per_kwh: str
    """price of a kilowatt-hour, outside the tariff periods of `period`"""
    time_per_hour: str
    """price per hour of the whole transaction"""
    idle_per_hour: str
    """price per hour in which current is offered but the vehicle does not charge"""
    idle_after_s: int
    """seconds of idle time that are free"""
    period: list[PeriodPriceShown]
    """energy prices in tariff periods of the grid meter; empty: one price"""


class PricesInForce(TypedDict):
    """Response of GET /api/prices: the prices for charges that begin now."""

    prices: PriceListShown | None
    """the owner's prices; null: charging is free"""


@router.get("/api/prices", dependencies=[require_role(Role.OWNER)], summary="Read the prices")
async def read_prices(prices: _Prices) -> PricesInForce:
    """Returns the prices in force; they apply if no CSMS sends the cost of a charge."""
    current = prices.current
    return {"prices": _prices_to_json(current) if current is not None else None}


@router.put("/api/prices", status_code=202, dependencies=[require_role(Role.OWNER)], summary="Set the prices")
async def set_prices(
    request: Request,
    body: Annotated[NewPrices, Body(examples=[_EXAMPLE])],
    prices: _Prices,
    settings: Annotated[PriceSettings, part(PriceSettings)],
    settle: Settle,
) -> Accepted:
    """Set the prices of charges that begin from now on; a running charge keeps those of its begin."""
    changed = body.as_list()
    if "currency" not in await request.json():  # already parsed, for `body`
        changed = replace(changed, currency=settings.currency)
    await prices.change(changed)
    await settle()
    return ACCEPTED


@router.delete("/api/prices", status_code=202, dependencies=[require_role(Role.OWNER)], summary="Remove the prices")
async def remove_prices(prices: _Prices, settle: Settle) -> Accepted:
    """Make charges that begin from now on free, even if the installation file has prices."""
    await prices.change(None)
    await settle()
    return ACCEPTED


def _prices_to_json(prices: PriceList) -> PriceListShown:
    return {
        "currency": prices.currency,
        "energy_per_kwh": str(prices.energy_per_kwh),
        "time_per_hour": str(prices.time_per_hour),
        "idle_per_hour": str(prices.idle_per_hour),
        "idle_after_s": prices.idle_after_s,
        "period": [{"name": period.name, "energy_per_kwh": str(period.energy_per_kwh)} for period in prices.period],
    }

"""The owner's prices through the local API: what is asked now, and what is asked from now on."""

from __future__ import annotations

from dataclasses import replace

from fastapi import FastAPI
from pydantic import ConfigDict

from station.configuration.price_table import PricesConfig
from station.interfaces.api.route_services import Living, Wait, accepted
from station.interfaces.host import Host
from station.interfaces.json_object import Json


class NewPrices(PricesConfig):
    """What is to be asked from now on; a currency that is not named is that of the settings."""

    model_config = ConfigDict(defer_build=False)  # which the web framework cannot have


def price_routes(api: FastAPI, living: Living, host: Host) -> None:
    """GET, PUT and DELETE of /api/prices."""

    @api.get("/api/prices")
    async def prices() -> Json:
        current = living.life.prices.current
        return {"prices": PricesConfig.of(current).model_dump(mode="json") if current is not None else None}

    @api.put("/api/prices", status_code=202)
    async def change(body: NewPrices, wait: Wait = None) -> Json:
        life = living.life
        prices = body.as_list()
        if "currency" not in body.model_fields_set:
            prices = replace(prices, currency=life.station.settings.currency)
        await life.prices.change(prices)
        return await accepted(host, wait)

    @api.delete("/api/prices", status_code=202)
    async def ask_nothing(wait: Wait = None) -> Json:
        await living.life.prices.change(None)
        return await accepted(host, wait)

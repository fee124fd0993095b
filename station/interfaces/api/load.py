"""Load management through the local API: why which current is offered, limits from outside, cheap hours."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import FastAPI, HTTPException
from pydantic import AfterValidator, Field

from energy.limit import told
from energy.tariff import PriceSignal, TariffMode
from station.core.settings import Settings
from station.interfaces.api.route_services import Command, Living, Wait, accepted, maybe_settle
from station.interfaces.host import Host
from station.interfaces.json_object import Json
from station.load.load_management import LoadManagement
from station.load.priorities import HIGHEST
from station.load.shared_limits import LONGEST_S, USUAL_S, Setter, Wish, readable


class Limiting(Command):
    """A limit for all EVSEs together, for a time or until it is ended."""

    current_a: Annotated[float, Field(strict=True, ge=0, le=1000)] | None = None
    """amperes per phase"""
    power_w: Annotated[float, Field(strict=True, ge=0, le=1e6)] | None = None
    """watts over all phases"""
    for_s: Annotated[float, Field(strict=True, gt=0, le=LONGEST_S)] = USUAL_S
    lasting: Annotated[bool, Field(strict=True)] = False
    """whether the limit holds until it is ended; excludes `for_s`"""
    by: Annotated[str, AfterValidator(readable)] | None = None


class TariffPlan(Command):
    """What is waited for, and until when it has to be done."""

    mode: Literal["none", "off-peak", "avoid-peaks"]
    departure: Annotated[str, Field(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9])?$")] = ""
    """local time, such as 07:30; empty: none"""
    energy_wh: Annotated[int, Field(strict=True, ge=0, le=200_000)] = 0
    """so much by then"""


def _price_signals(load: LoadManagement) -> Json:
    """By tariff mode: whether it can wait for cheap hours, and the reason. If it cannot, vehicles charge at once."""
    tariff = load.tariff
    if tariff is None:
        return {}
    signals = {mode: tariff.price_signal(mode) for mode in TariffMode if mode is not TariffMode.NONE}
    return {
        mode.value: {"usable": signal is PriceSignal.KNOWN, "reason": signal.value} for mode, signal in signals.items()
    }


class Priority(Command):
    """Who is served first where not all can be."""

    priority: Annotated[int, Field(strict=True, ge=0, le=HIGHEST)]
    """the higher comes first"""


def load_routes(api: FastAPI, living: Living, host: Host) -> None:
    """Everything below /api/load-management, and what a driver does about it."""
    _limit_routes(api, living, host)
    _wish_routes(api, living, host)

    @api.get("/api/load-management")
    async def state() -> Json:
        life = living.life
        controller, settings = life.load.controller, life.station.settings
        watch = controller.watch
        return {
            "reasons": {
                str(evse_id): told(reason) if reason is not None else None
                for evse_id, reason in life.load.reasons.items()
            },
            "limits": life.shared_limits.shown(),
            "paused": life.shared_limits.paused,
            "protection_heat": watch.heat if watch is not None else None,
            "sharing": controller.policy.value,
            "priorities": {str(evse_id): life.load.priorities.of(evse_id) for evse_id in life.station.evses},
            "tariff": {
                "mode": settings.tariff_mode,
                "departure": settings.tariff_departure,
                "energy_wh": settings.tariff_energy_wh,
                "price_signals": _price_signals(life.load),
            },
        }


def _limit_routes(api: FastAPI, living: Living, host: Host) -> None:
    @api.put("/api/load-management/limits/{setter}", status_code=202)
    async def limit(setter: Setter, body: Limiting, wait: Wait = None) -> Json:
        if body.current_a is None and body.power_w is None:
            raise HTTPException(422, "current_a or power_w: one of them is needed")
        if body.lasting and "for_s" in body.model_fields_set:
            raise HTTPException(422, "for_s: must be left out with lasting")
        for_s = None if body.lasting else body.for_s
        held = await living.life.shared_limits.put(setter, Wish(body.current_a, body.power_w, for_s, body.by or None))
        await maybe_settle(host, wait)
        return {"accepted": True, "until": held.until.isoformat() if held.until is not None else None}

    @api.delete("/api/load-management/limits/{setter}", status_code=202)
    async def no_limit(setter: Setter, wait: Wait = None) -> Json:
        await living.life.shared_limits.clear(setter)
        return await accepted(host, wait)

    @api.put("/api/load-management/pause", status_code=202)
    async def pause(wait: Wait = None) -> Json:
        await living.life.shared_limits.pause()
        return await accepted(host, wait)

    @api.delete("/api/load-management/pause", status_code=202)
    async def resume(wait: Wait = None) -> Json:
        await living.life.shared_limits.resume()
        return await accepted(host, wait)


def _wish_routes(api: FastAPI, living: Living, host: Host) -> None:
    @api.put("/api/load-management/tariff", status_code=202)
    async def tariff(body: TariffPlan, wait: Wait = None) -> Json:
        settings = living.life.station.settings
        await settings.change(Settings.tariff_departure, body.departure)
        await settings.change(Settings.tariff_energy_wh, str(body.energy_wh))
        await settings.change(Settings.tariff_mode, body.mode)
        living.life.load.poke()
        return await accepted(host, wait) | {"price_signal": _price_signals(living.life.load).get(body.mode)}

    @api.put("/api/load-management/priorities/{evse_id}", status_code=202)
    async def priority(evse_id: int, body: Priority, wait: Wait = None) -> Json:
        load = living.life.load
        await load.priorities.change(living.evse(evse_id).id, body.priority)
        load.poke()
        return await accepted(host, wait)

    @api.post("/api/evses/{evse_id}/charge-now", status_code=202)
    async def charge_now(evse_id: int, wait: Wait = None) -> Json:
        evse = living.evse(evse_id)
        if evse.state.authorization is None:
            raise HTTPException(409, "nobody charges here")
        if living.life.load.tariff is not None:
            living.life.load.tariff.charge_now(evse_id)
        living.life.load.poke()
        return await accepted(host, wait)

"""Commissioning and activation through the local API: how far the station is, its test session, and who is next."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from fastapi import FastAPI, HTTPException

from station.interfaces.api.commissioning import hindrances
from station.interfaces.api.route_services import Command, Living, Wait, accepted, maybe_settle
from station.interfaces.host import Host
from station.interfaces.json_object import Json
from station.maintenance.commissioning.activation import Activation, Stage
from station.maintenance.commissioning.installer_test import begin_test, end_test
from station.maintenance.commissioning.report import write_report
from station.security.access.accounts import Role

if TYPE_CHECKING:
    from borne.life import Life


class TestSession(Command):
    """Where the installer charges to try the station."""

    evse: int = 1


def activation_routes(api: FastAPI, living: Living, host: Host) -> None:
    """The life of a station until it serves the public."""

    @api.get("/api/commissioning")
    async def state() -> Json:
        return _told(living.life.activation)

    @api.post("/api/commissioning", status_code=202)
    async def commissioned(wait: Wait = None) -> Json:
        activation = living.life.activation
        if not activation.activated:  # also once more, after a step was done again: the report tells how it is now
            _require_all_done(living.life, host)
            await write_report(living.life, host.configuration, host.site_settings.shown)
        await activation.commission()
        await living.life.access.close_label(Role.INSTALLER)
        await maybe_settle(host, wait)
        return {"accepted": True} | _told(living.life.activation)

    @api.post("/api/commissioning/test-session", status_code=202)
    async def test_session(body: TestSession | None = None, wait: Wait = None) -> Json:
        evse = living.evse((body or TestSession()).evse)
        if living.life.activation.activated:
            raise HTTPException(409, "the station is activated: charge as everybody does")
        if not begin_test(living.life.station, evse):
            raise HTTPException(409, "the EVSE cannot be used now")
        return await accepted(host, wait)

    @api.delete("/api/commissioning/test-session", status_code=202)
    async def end_of_test(body: TestSession | None = None, wait: Wait = None) -> Json:
        if not end_test(living.life.station, living.evse((body or TestSession()).evse)):
            raise HTTPException(409, "no test session goes on there")
        return await accepted(host, wait)

    @api.post("/api/activation", status_code=202)
    async def activate(wait: Wait = None) -> Json:
        if living.life.activation.stage is Stage.COMMISSIONED:
            _require_all_done(living.life, host)  # a selector that was turned since opens its step again
        if not await living.life.activation.activate():
            raise HTTPException(409, "the station is not commissioned yet")
        await maybe_settle(host, wait)
        return {"accepted": True} | _told(living.life.activation)


def _require_all_done(life: Life, host: Host) -> None:
    """409 while a step is open."""
    if left := hindrances(life, host):
        raise HTTPException(409, f"still to be done: {', '.join(left)}")


def _told(activation: Activation) -> Json:
    return {
        "stage": activation.stage.value,
        "required": activation.required,
        "commissioned_at": _text(activation.commissioned_at),
        "activated_at": _text(activation.activated_at),
    }


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None

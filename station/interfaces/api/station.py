"""The station itself through the local API: its state, what it remembers, and what a person at it may do."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.responses import PlainTextResponse, Response

from station.charging.availability import OrderAnswer
from station.charging.tokens.authorization import shown
from station.core.model import EvseRef, IdToken, IdTokenInfo, StoppedReason, TriggerReason
from station.interfaces.access.visitor import visitor_of
from station.interfaces.access.visitor_view import status_for
from station.interfaces.api.route_services import Command, Living, Wait, accepted, maybe_settle
from station.interfaces.api.status import status
from station.interfaces.host import Host
from station.interfaces.json_object import Json


class Operation(Command):
    """Whether an EVSE may be used."""

    operative: bool


class Unlock(Command):
    """The button that lets a cable go which nobody charges with."""

    evse: int = 1


def station_routes(api: FastAPI, living: Living, host: Host) -> None:
    """Watching it, reading what it remembers, and acting on it."""
    _watching_routes(api, host)
    _reading_routes(api, living)
    _acting_routes(api, living, host)


def _watching_routes(api: FastAPI, host: Host) -> None:
    @api.get("/healthz", response_class=PlainTextResponse)
    async def alive() -> str:
        return "ok\n"

    @api.get("/metrics", response_class=PlainTextResponse)
    async def prometheus() -> Response:
        from station.interfaces.api import metrics

        return Response(await metrics.text(host), media_type=metrics.CONTENT_TYPE)

    @api.get("/api/status")
    async def whole_status(request: Request) -> Json:
        return status_for(visitor_of(request).role, await status(host))


def _reading_routes(api: FastAPI, living: Living) -> None:
    @api.get("/api/variables")
    async def variables() -> list[Json]:
        model = living.life.variables
        return [dataclasses.asdict(row) for row in model.rows()] if model is not None else []

    @api.get("/api/auth/cache")
    async def cache() -> list[Json]:
        entries = living.life.station.tokens.entries()
        return [
            {"token": shown(IdToken(token, kind)), "type": kind, "info": _told_of_token(info)}
            for (token, kind), info in entries
        ]

    @api.get("/api/security-events")
    async def security_events(
        most: Annotated[int, Query(ge=1, le=2000)] = 100,
    ) -> list[Json]:
        return [dataclasses.asdict(event) for event in await living.life.security_events.entries(most=most)]

    @api.get("/api/profiles")
    async def profiles() -> list[Json]:
        return [dataclasses.asdict(profile) for profile in living.life.load.profiles.store.all()]


def _acting_routes(api: FastAPI, living: Living, host: Host) -> None:
    @api.post("/api/evses/{evse_id}/stop", status_code=202)
    async def stop(evse_id: int, wait: Wait = None) -> Json:
        evse = living.evse(evse_id)
        if evse.state.authorization is None:
            raise HTTPException(409, "nobody charges here")
        evse.end_authorization(TriggerReason.STOP_AUTHORIZED, StoppedReason.LOCAL)
        return await accepted(host, wait)

    @api.post("/api/evses/{evse_id}/availability", status_code=202)
    async def availability(evse_id: int, body: Operation, wait: Wait = None) -> Json:
        place = EvseRef(living.evse(evse_id).id)
        answer = await living.life.station.availability.order(place, operative=body.operative)
        await maybe_settle(host, wait)
        return {"accepted": True, "scheduled": answer is OrderAnswer.SCHEDULED}

    @api.post("/api/unlock", status_code=202)
    async def unlock(body: Unlock | None = None, wait: Wait = None) -> Json:
        evse = living.evse((body or Unlock()).evse)
        if evse.state.authorization is not None:
            raise HTTPException(409, "somebody charges here")
        evse.release_lock()
        await maybe_settle(host, wait)
        return {"accepted": True, "locked": evse.state.seen.locked}

    @api.delete("/api/evses/{evse_id}/faults", status_code=202)
    async def begin_anew(evse_id: int, wait: Wait = None) -> Json:
        """Somebody has mended the contactor: latched faults are looked for again, as after power-up."""
        evse = living.evse(evse_id)
        if evse.state.transaction is not None or evse.state.authorization is not None:
            raise HTTPException(409, "somebody charges here")
        evse.forget()
        return await accepted(host, wait)

    @api.delete("/api/tamper", status_code=202)
    async def answer_for_tampering(wait: Wait = None) -> Json:
        try:
            await living.life.tamper.answer_for()
        except ValueError as error:
            raise HTTPException(409, str(error)) from error
        return await accepted(host, wait)


def _told_of_token(info: IdTokenInfo) -> Json:
    group = info.group_id
    short = dataclasses.replace(group, value=shown(group), additional_info=()) if group is not None else None
    return dataclasses.asdict(dataclasses.replace(info, group_id=short))

"""The local API: what the station shows, and what a person at it may do."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from pydantic import BaseModel, ConfigDict

from station.availability import OrderAnswer
from station.evse import Evse
from station.life import Life
from station.model import EvseRef, StoppedReason, TriggerReason
from station.records.database import StorageError
from station.version import package_version
from station.web.gate import Gate
from station.web.host import Host
from station.web.status import Json, hidden, status
from station.web.visitor import visitor_of
from station.web.visitor_view import status_for


class Command(BaseModel):
    """The body of a request that does something. Unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid")


class Operation(Command):
    """Whether an EVSE may be used."""

    operative: bool


class Unlock(Command):
    """The button that lets a cable go which nobody charges with."""

    evse: int = 1


def build(host: Host) -> FastAPI:
    """The ASGI application of a station."""
    from station.web.account_api import account_routes
    from station.web.activation_api import activation_routes
    from station.web.card_api import card_routes
    from station.web.certificate_api import certificate_routes
    from station.web.charge_api import charge_routes
    from station.web.commissioning_api import commissioning_routes
    from station.web.diagnosis_api import diagnosis_routes
    from station.web.document_api import document_routes
    from station.web.event_stream import event_routes
    from station.web.factory_api import factory_routes
    from station.web.firmware_api import firmware_routes
    from station.web.grid_order_api import grid_order_routes
    from station.web.load_api import load_routes
    from station.web.metering_api import metering_routes
    from station.web.pages import page_routes
    from station.web.price_api import price_routes
    from station.web.residual_api import residual_routes
    from station.web.settings_api import settings_routes
    from station.web.token_api import token_routes
    from station.web.transaction_api import transaction_routes

    api = FastAPI(
        title="borne",
        version=package_version(),
        openapi_url="/api/openapi.json",
        docs_url=None,  # the usual page loads scripts from elsewhere; pages.py has one that does not
        redoc_url=None,
    )

    api.add_middleware(Gate, host=host)

    @api.exception_handler(StorageError)
    async def storage_failed(  # pyright: ignore[reportUnusedFunction]  # the decorator registers it
        request: Request, error: Exception
    ) -> JSONResponse:
        del request
        return JSONResponse({"detail": f"the disk refuses: {error}"}, status_code=503)

    living = Living(host)
    account_routes(api, living)
    card_routes(api, living)
    charge_routes(api, living)
    page_routes(api, host)
    diagnosis_routes(api, living)
    event_routes(api, host)
    _watching_routes(api, host)
    _reading_routes(api, living)
    _acting_routes(api, living, host)
    token_routes(api, living, host)
    transaction_routes(api, living)
    document_routes(api, living, host)
    price_routes(api, living, host)
    if host.simulated:
        from station.web.sim_api import simulation_routes

        simulation_routes(api, host, living)
    certificate_routes(api, living)
    load_routes(api, living, host)
    grid_order_routes(api, living)
    activation_routes(api, living, host)
    commissioning_routes(api, living, host)
    settings_routes(api, living, host)
    factory_routes(api, living, host)
    metering_routes(api, living)
    residual_routes(api, host, living)
    firmware_routes(api, living, host)
    return api


class Living:
    """Finds the parts of the living station, or says why there are none."""

    def __init__(self, host: Host) -> None:
        self._host = host

    @property
    def life(self) -> Life:
        """The living station; 409 while its power is cut."""
        if self._host.life is None:
            raise HTTPException(409, "the station has no power")
        return self._host.life

    def evse(self, evse_id: int) -> Evse:
        """An EVSE by its number; 404 when there is none."""
        evse = self.life.station.evses.get(evse_id)
        if evse is None:
            raise HTTPException(404, f"EVSE {evse_id} does not exist")
        return evse


def _watching_routes(api: FastAPI, host: Host) -> None:
    @api.get("/healthz", response_class=PlainTextResponse)
    async def alive() -> str:  # pyright: ignore[reportUnusedFunction]  # the decorators register these
        return "ok\n"

    @api.get("/metrics", response_class=PlainTextResponse)
    async def prometheus() -> Response:  # pyright: ignore[reportUnusedFunction]
        from station.web import metrics

        return Response(await metrics.text(host), media_type=metrics.CONTENT_TYPE)

    @api.get("/api/status")
    async def whole_status(request: Request) -> Json:  # pyright: ignore[reportUnusedFunction]
        return status_for(visitor_of(request).role, await status(host))


def _reading_routes(api: FastAPI, living: Living) -> None:
    @api.get("/api/variables")
    async def variables() -> list[Json]:  # pyright: ignore[reportUnusedFunction]
        model = living.life.variables
        return [dataclasses.asdict(row) for row in model.rows()] if model is not None else []

    @api.get("/api/auth/cache")
    async def cache() -> list[Json]:  # pyright: ignore[reportUnusedFunction]
        entries = living.life.station.tokens.entries()
        return [
            {"token": hidden(token, kind), "type": kind, "info": dataclasses.asdict(info)}
            for (token, kind), info in entries
        ]

    @api.get("/api/security-events")
    async def security_events(  # pyright: ignore[reportUnusedFunction]
        most: Annotated[int, Query(ge=1, le=2000)] = 100,
    ) -> list[Json]:
        return [dataclasses.asdict(event) for event in await living.life.security_events.entries(most=most)]

    @api.get("/api/profiles")
    async def profiles() -> list[Json]:  # pyright: ignore[reportUnusedFunction]
        return [dataclasses.asdict(profile) for profile in living.life.load.profiles.store.all()]


Wait = Annotated[Literal["settled"] | None, Query()]
"""`?wait=settled` answers only when the station has acted on it"""


async def maybe_settle(host: Host, wait: str | None) -> None:
    """Wait until the station has done all that follows from what was asked, where that is wanted."""
    if wait is not None:
        await host.clock.settle()


def _acting_routes(api: FastAPI, living: Living, host: Host) -> None:
    @api.post("/api/evses/{evse_id}/stop", status_code=202)
    async def stop(evse_id: int, wait: Wait = None) -> Json:  # pyright: ignore[reportUnusedFunction]
        evse = living.evse(evse_id)
        if evse.state.authorization is None:
            raise HTTPException(409, "nobody charges here")
        evse.end_authorization(TriggerReason.STOP_AUTHORIZED, StoppedReason.LOCAL)
        await maybe_settle(host, wait)
        return {"accepted": True}

    @api.post("/api/evses/{evse_id}/availability", status_code=202)
    async def availability(evse_id: int, body: Operation, wait: Wait = None) -> Json:  # pyright: ignore[reportUnusedFunction]
        place = EvseRef(living.evse(evse_id).id)
        answer = await living.life.station.availability.order(place, operative=body.operative)
        await maybe_settle(host, wait)
        return {"accepted": True, "scheduled": answer is OrderAnswer.SCHEDULED}

    @api.post("/api/unlock", status_code=202)
    async def unlock(body: Unlock | None = None, wait: Wait = None) -> Json:  # pyright: ignore[reportUnusedFunction]
        evse = living.evse((body or Unlock()).evse)
        if evse.state.authorization is not None:
            raise HTTPException(409, "somebody charges here")
        evse.release_lock()
        await maybe_settle(host, wait)
        return {"accepted": True, "locked": evse.state.seen.locked}

    @api.delete("/api/tamper", status_code=202)
    async def answer_for_tampering(wait: Wait = None) -> Json:  # pyright: ignore[reportUnusedFunction]
        try:
            await living.life.tamper.answer_for()
        except ValueError as error:
            raise HTTPException(409, str(error)) from error
        await maybe_settle(host, wait)
        return {"accepted": True}

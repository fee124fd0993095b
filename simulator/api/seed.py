"""What a test bench puts into a simulated station beforehand, and vendors' messages, through the local API."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import FastAPI, HTTPException
from pydantic import Field

from station.core.csms import Absent, NoAnswerError, VendorAnswer, VendorMessage, VendorMessages
from station.core.model import AuthorizationStatus, IdToken, IdTokenInfo
from station.interfaces.api.route_services import Command, Living
from station.interfaces.api.token import IdTokenText, IdTokenType
from station.interfaces.json_object import Json


class CachedToken(Command):
    """An entry of the authorization cache."""

    token: IdTokenText
    type: IdTokenType = "ISO14443"
    status: AuthorizationStatus = AuthorizationStatus.ACCEPTED
    group: IdTokenText | None = None
    expiry: datetime | None = None
    """cacheExpiryDateTime; without an offset it is UTC"""
    evses: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(max_length=100)] = ()
    """the EVSEs that it may use; none: all"""


class ForgottenToken(Command):
    """A token that the cache is to forget."""

    token: IdTokenText
    type: IdTokenType = "ISO14443"


class Transfer(Command):
    """A message of a vendor's own; `data` is any JSON."""

    vendor_id: Annotated[str, Field(min_length=1, max_length=255)]
    message_id: Annotated[str, Field(max_length=50)] | None = None
    data: object = None
    custom_data: dict[str, object] | None = None


class TransferAnswer(Transfer):
    """What such a message of the CSMS is answered with."""

    status: Literal["Accepted", "Rejected", "UnknownMessageId", "UnknownVendorId"] = "Accepted"


def seed_routes(api: FastAPI, living: Living) -> None:
    """What is put into a station, and messages that only vendors know."""
    _cache_routes(api, living)
    _transfer_routes(api, living)


def _cache_routes(api: FastAPI, living: Living) -> None:
    @api.put("/api/sim/auth/cache", status_code=202)
    async def put(body: CachedToken) -> Json:
        group = IdToken(body.group, "Central") if body.group is not None else None
        expires_at = body.expiry
        if expires_at is not None and expires_at.tzinfo is None:
            expires_at = expires_at.replace(tzinfo=UTC)
        info = IdTokenInfo(body.status, group, expires_at, body.evses)
        await living.life.station.tokens.put(IdToken(body.token, body.type), info)
        return {"accepted": True}

    @api.delete("/api/sim/auth/cache", status_code=202)
    async def forget(body: ForgottenToken) -> Json:
        await living.life.station.tokens.forget(IdToken(body.token, body.type))
        return {"accepted": True}


def _transfer_routes(api: FastAPI, living: Living) -> None:
    def vendors() -> VendorMessages:
        link = living.life.link
        if link is None:
            raise HTTPException(409, "there is no CSMS")
        return link.data_transfer

    @api.post("/api/sim/data-transfer")
    async def send(body: Transfer) -> Json:
        try:
            message = VendorMessage(body.vendor_id, body.message_id, _data(body), body.custom_data)
            answer = await vendors().send(message)
        except NoAnswerError as error:
            raise HTTPException(409, str(error)) from error
        told: Json = {"status": answer.status}
        if answer.data is not Absent.ABSENT:
            told["data"] = answer.data
        return told if answer.custom_data is None else told | {"custom_data": answer.custom_data}

    @api.put("/api/sim/data-transfer", status_code=202)
    async def answer_with(body: TransferAnswer) -> Json:
        try:
            answer = VendorAnswer(body.status, _data(body), body.custom_data)
            vendors().answer_with(body.vendor_id, body.message_id, answer)
        except ValueError as error:
            raise HTTPException(409, str(error)) from error
        return {"accepted": True}


def _data(body: Transfer) -> object:
    return body.data if "data" in body.model_fields_set else Absent.ABSENT

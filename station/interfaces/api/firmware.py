"""Firmware through the local API: an image that service brings to the station, signed as one that the CSMS orders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import FastAPI, HTTPException, Request
from pydantic import Field
from starlette.requests import ClientDisconnect

from station.interfaces.api.route_services import Command, Living, Wait, accepted
from station.interfaces.json_object import Json
from station.maintenance.firmware.orders import OrderAnswer
from station.maintenance.firmware.state import UpdateOrder
from station.maintenance.firmware.upload import OvertakenError, TooLargeError, bring

if TYPE_CHECKING:
    from station.interfaces.host import Host

_Pem = Annotated[str, Field(max_length=5_500)]
_Base64 = Annotated[str, Field(max_length=800)]


class Signed(Command):
    """Who answers for the image that was brought."""

    signing_certificate: _Pem | None = None
    """PEM, issued by the manufacturer's root"""
    signature: _Base64 | None = None
    """base64, over the whole image"""


def firmware_routes(api: FastAPI, living: Living, host: Host) -> None:
    """Everything of /api/firmware."""

    @api.get("/api/firmware")
    async def firmware() -> Json:
        life = living.life
        update = life.firmware.record.update
        return {
            "version": life.firmware.version or host.configuration.station.firmware_version,
            "allow_unsigned": life.firmware.allows_unsigned,
            "most_bytes": life.station.settings.firmware_most_bytes,
            "brought": life.firmware.brought.exists(),
            "update": None
            if update is None
            else {
                "status": update.status,
                "finished": update.finished,
                "ordered_by": "station" if update.order.request_id is None else "csms",
            },
        }

    @api.put("/api/firmware/image", status_code=202)
    async def image(request: Request) -> Json:
        life = living.life
        most = life.station.settings.firmware_most_bytes
        try:
            return {"accepted": True, "bytes": await bring(request.stream(), life.firmware.brought, most)}
        except TooLargeError:
            raise HTTPException(413, f"an image has at most {most} bytes") from None
        except OvertakenError:
            raise HTTPException(409, "another image is being brought in its place") from None
        except ClientDisconnect:
            raise HTTPException(400, "the connection broke before the whole image was there") from None
        except OSError as error:
            raise HTTPException(507, f"the image is not kept: {error.strerror}") from error

    @api.post("/api/firmware", status_code=202)
    async def update(body: Signed, wait: Wait = None) -> Json:
        life = living.life
        if not life.firmware.brought.exists():
            raise HTTPException(409, "bring an image first: PUT /api/firmware/image")
        order = UpdateOrder(
            None, None, life.clock.now(), None, body.signing_certificate or None, body.signature or None
        )
        verdict = await life.firmware.order(order)
        if verdict.then is not None:
            await verdict.then()
        if verdict.answer not in {OrderAnswer.ACCEPTED, OrderAnswer.ACCEPTED_CANCELED}:
            raise HTTPException(409, verdict.info or verdict.answer.value)
        return await accepted(host, wait)

"""Certificates through the local API: what is installed, and what a test bench puts there past all checks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import FastAPI, HTTPException
from pydantic import Field

from station.interfaces.api.route_services import Command, Living
from station.interfaces.json_object import Json
from station.security.certificates.certificate_checks import UnfitError, describe
from station.security.certificates.certificate_store import CertificateUse

if TYPE_CHECKING:
    from collections.abc import Awaitable

_LONGEST_PEM = 20_000
"""a key and a chain of a few certificates"""
_Pem = Annotated[str, Field(min_length=1, max_length=_LONGEST_PEM)]
_OWN = "ChargingStationCertificate"
_Type = Literal["CSMSRootCertificate", "ManufacturerRootCertificate", "ChargingStationCertificate"]


class SeededCertificate(Command):
    """A root, or the private key and chain of the station."""

    type: _Type
    pem: _Pem


class ForgottenCertificate(Command):
    """One root, all of a type, or the station's certificate."""

    type: _Type
    pem: _Pem | None = None


def certificate_routes(api: FastAPI, living: Living) -> None:
    """What the certificate store shows."""

    @api.get("/api/certificates")
    async def certificates() -> list[Json]:
        held = await living.life.certificates.all_pem()
        return [{"type": kind, "fallback": fallback, **describe(pem), "pem": pem} for kind, fallback, pem in held]


def certificate_seeding_routes(api: FastAPI, living: Living) -> None:
    """What a test bench puts into the certificate store, past its rules."""

    @api.put("/api/sim/certificates", status_code=202)
    async def put(body: SeededCertificate) -> Json:
        await _carried_out(living.life.certificates.put(_use(body.type), body.pem))
        return {"accepted": True}

    @api.delete("/api/sim/certificates", status_code=202)
    async def remove(body: ForgottenCertificate) -> Json:
        removed = await _carried_out(living.life.certificates.remove(_use(body.type), body.pem))
        return {"accepted": True, "removed": removed or 0}


def _use(kind: _Type) -> CertificateUse | None:
    return CertificateUse(kind) if kind != _OWN else None


async def _carried_out(change: Awaitable[int | None]) -> int | None:
    try:
        return await change
    except UnfitError as error:
        raise HTTPException(422, f"pem: {error}") from error
    except OSError as error:
        raise HTTPException(503, f"the disk refuses: {error}") from error

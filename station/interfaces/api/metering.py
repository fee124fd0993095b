"""The billing meters through the local API: who signs, what was signed, the register journal, and their exchange."""

from __future__ import annotations

import base64
import io
from typing import Annotated, Literal

from fastapi import FastAPI, HTTPException, Query
from fastapi.responses import PlainTextResponse, Response
from pydantic import Field

from station.charging.billing_meters import ExchangeRefusedError
from station.charging.signing.signatures import UnsignedError
from station.charging.signing.signed_container import signed_container
from station.charging.signing.signed_records import KnownKey
from station.charging.signing.signing import told_key
from station.interfaces.api.route_services import Command, Living
from station.interfaces.json_object import Json


class Exchange(Command):
    """Somebody has put another meter in the place of the one before, and answers for it."""

    by: Annotated[str, Field(min_length=1, max_length=100)]
    reason: Annotated[str, Field(min_length=1, max_length=200)]


def metering_routes(api: FastAPI, living: Living) -> None:
    """What an inspector, a customer and an installer want to know of the meters."""
    _key_routes(api, living)
    _record_routes(api, living)

    @api.post("/api/evses/{evse_id}/meter-exchange")
    async def exchange(evse_id: int, body: Exchange) -> Json:
        evse = living.evse(evse_id)
        try:
            done = await living.life.metrology.meters.exchange(evse, body.by, body.reason)
        except ExchangeRefusedError as error:
            raise HTTPException(409, str(error)) from error
        return {
            "old_serial": done.old_serial,
            "old_register_wh": done.old_register_wh,
            "new_serial": done.new_serial,
            "new_register_wh": done.new_register_wh,
        }

    @api.get("/api/metering/journal")
    async def journal(
        after: Annotated[int, Query(ge=0)] = 0, most: Annotated[int, Query(ge=1, le=5000)] = 500
    ) -> list[Json]:
        return await living.life.books.entries(after, most)


def _key_routes(api: FastAPI, living: Living) -> None:
    @api.get("/api/metering/public-keys")
    async def public_keys() -> list[Json]:
        current = {one.key.fingerprint for one in living.life.metrology.signatures.values() if one.key is not None}
        return [_told(key, current=key.fingerprint in current) for key in await living.life.metrology.records.keys()]

    @api.get("/api/evses/{evse_id}/public-key")
    async def public_key(evse_id: int) -> Json:
        return _told(await _key(living, evse_id), current=True)

    @api.get("/api/evses/{evse_id}/public-key.svg")
    async def public_key_as_qr_code(evse_id: int) -> Response:
        import segno

        key = await _key(living, evse_id)
        code = segno.make(key.spki.hex().upper(), error="m", micro=False)
        picture = io.BytesIO()  # of no size of its own, and with its own white: dark pages show it too
        code.save(picture, kind="svg", xmldecl=False, omitsize=True, light="#fff", svgclass=None, lineclass=None)
        return Response(picture.getvalue(), media_type="image/svg+xml")


async def _key(living: Living, evse_id: int) -> KnownKey:
    living.evse(evse_id)
    signatures = living.life.metrology.signatures.get(evse_id)
    if signatures is None:
        raise HTTPException(404, "nothing is signed here")
    try:
        return await signatures.prepare()
    except UnsignedError as error:
        raise HTTPException(503, f"there is no key: {error}") from error


def _told(key: KnownKey, *, current: bool) -> Json:
    return {
        "evse": key.evse_id,
        "signer": key.signer,
        "fingerprint": key.fingerprint,
        "since": key.since.isoformat() if key.since is not None else None,
        "current": current,
        "hex": key.spki.hex(),
        "base64": base64.b64encode(key.spki).decode(),
        "oca": told_key(key.spki, "oca"),
    }


def _record_routes(api: FastAPI, living: Living) -> None:
    @api.get("/api/transactions/{transaction_id}/record", response_class=Response)
    async def record(transaction_id: str, form: Annotated[Literal["xml", "text"], Query()] = "xml") -> Response:
        found = await living.life.metrology.records.of(transaction_id)
        if not found:
            raise HTTPException(404, "nothing of such a transaction is signed")
        if form == "text":
            return PlainTextResponse("".join(f"{one.text}\n" for one in found))
        keys = {key.fingerprint: key for key in await living.life.metrology.records.keys()}
        return Response(signed_container(found, keys), media_type="application/xml")

"""Routes of the billing meters: public keys, signed records, the register journal, and the exchange of a meter."""

from __future__ import annotations

import base64
import io
from typing import Annotated, Final, Literal, cast

from fastapi import APIRouter, Depends, HTTPException, Query
from fastapi.responses import PlainTextResponse, Response
from pydantic import Field
from typing_extensions import TypedDict

from metering.journal_entry import JournalEvent
from metering.time_quality import TimeSource, TimeStatus
from station.billing.register_journal.journal_writer import JournalWriter
from station.charging.billing_meters import BillingMeters, ExchangeRefusedError
from station.charging.charging_station import ChargingStation
from station.charging.signing.meter_value_signing import format_public_key
from station.charging.signing.reading_signer import SigningError
from station.charging.signing.signed_container import signed_container
from station.charging.signing.signed_records import SignedRecords, SigningPublicKey
from station.interfaces.access.roles import require_role
from station.interfaces.api.dependencies import Command, PathEvse, part
from station.security.access.accounts import Role

router = APIRouter(tags=["metering"])

_Records = Annotated[SignedRecords, part(SignedRecords)]
_TEXT: Final = {"schema": {"type": "string"}}
"""the content of a response that is no JSON, in the OpenAPI document"""


class MeterExchange(Command):
    """Somebody has put another meter in the place of the one before, and answers for it."""

    by: Annotated[str, Field(min_length=1, max_length=100)]
    reason: Annotated[str, Field(min_length=1, max_length=200)]


class MeterExchanged(TypedDict):
    """The meters of an exchange and their registers."""

    old_serial: str | None
    old_register_wh: float | None
    """what the old meter showed last"""
    new_serial: str | None
    new_register_wh: float | None
    """null: the new meter has not been read yet"""


class PublicKeyShown(TypedDict):
    """A public key with which readings of an EVSE are or were signed."""

    evse: int
    signer: str
    """station or meter"""
    fingerprint: str
    since: str | None
    current: bool
    """whether the EVSE signs with it now"""
    hex: str
    """SubjectPublicKeyInfo"""
    base64: str
    oca: str
    """as OCPP sends it (OCA application note on signed meter values)"""


class JournalTime(TypedDict):
    """How far the time of a journal entry can be trusted."""

    status: TimeStatus
    source: TimeSource


class JournalEntryShown(TypedDict):
    """An entry of the register journal; the hashes chain the entries."""

    number: int
    at: str
    time: JournalTime
    boot: int
    """number of the boot in which it was written"""
    since_boot_s: float
    event: JournalEvent
    evse: int | None
    details: dict[str, str | int | float | bool | None]
    """of each event its own"""
    previous: str
    """the hash of the entry before"""
    hash: str
    """SHA-256 of the line in the file up to here, in hexadecimal"""


async def _current_key(evse: PathEvse) -> SigningPublicKey:
    """The key of the EVSE in the path: 404 where nothing is signed, 503 where there is no key."""
    if evse.signing is None:
        raise HTTPException(404, "nothing is signed here")
    try:
        return await evse.signing.signatures.prepare()
    except SigningError as error:
        raise HTTPException(503, f"there is no key: {error}") from error


_CurrentKey = Annotated[SigningPublicKey, Depends(_current_key)]


@router.get(
    "/api/metering/public-keys", dependencies=[require_role(Role.VISITOR)], summary="List the public keys of all EVSEs"
)
async def list_public_keys(
    records: _Records, station: Annotated[ChargingStation, part(ChargingStation)]
) -> list[PublicKeyShown]:
    """All keys that signed records of the station need, also former ones."""
    signings = [evse.signing for evse in station.evses.values() if evse.signing is not None]
    current = {one.signatures.key.fingerprint for one in signings if one.signatures.key is not None}
    return [_shown(key, current=key.fingerprint in current) for key in await records.keys()]


@router.get(
    "/api/evses/{evse_id}/public-key",
    dependencies=[require_role(Role.VISITOR)],
    summary="Read the public key of an EVSE",
)
async def read_public_key(key: _CurrentKey) -> PublicKeyShown:
    """The key with which readings of the EVSE are signed now; it is made if there is none."""
    return _shown(key, current=True)


@router.get(
    "/api/evses/{evse_id}/public-key.svg",
    dependencies=[require_role(Role.VISITOR)],
    response_class=Response,
    responses={200: {"content": {"image/svg+xml": _TEXT}}},
    summary="Draw the public key of an EVSE as a QR code",
)
async def draw_public_key(key: _CurrentKey) -> Response:
    """The SubjectPublicKeyInfo in hexadecimal, as printed on a meter."""
    import segno  # takes about 90 ms to import: only who wants a QR code waits for it

    code = segno.make(key.spki.hex().upper(), error="m", micro=False)
    picture = io.BytesIO()  # of no size of its own, and with its own white: dark pages show it too
    code.save(picture, kind="svg", xmldecl=False, omitsize=True, light="#fff", svgclass=None, lineclass=None)
    return Response(picture.getvalue(), media_type="image/svg+xml")


@router.get(
    "/api/transactions/{transaction_id}/record",
    dependencies=[require_role(Role.OWNER)],
    response_class=Response,
    responses={200: {"content": {"application/xml": _TEXT, "text/plain": _TEXT}}},
    summary="Read the signed records of a transaction",
)
async def read_signed_record(
    transaction_id: str, records: _Records, form: Annotated[Literal["xml", "text"], Query()] = "xml"
) -> Response:
    """The signed readings as XML for the transparency software (S.A.F.E.), or one OCMF record per line."""
    found = await records.of(transaction_id)
    if not found:
        raise HTTPException(404, "nothing of such a transaction is signed")
    if form == "text":
        return PlainTextResponse("".join(f"{one.text}\n" for one in found))
    keys = {key.fingerprint: key for key in await records.keys()}
    return Response(signed_container(found, keys), media_type="application/xml")


@router.post(
    "/api/evses/{evse_id}/meter-exchange",
    dependencies=[require_role(Role.INSTALLER)],
    summary="Confirm a meter exchange",
)
async def exchange_meter(
    evse: PathEvse, body: MeterExchange, meters: Annotated[BillingMeters, part(BillingMeters)]
) -> MeterExchanged:
    """Confirm that another meter is in place, so that the EVSE charges with it; 409 while it is in use."""
    try:
        done = await meters.exchange(evse, body.by, body.reason)
    except ExchangeRefusedError as error:
        raise HTTPException(409, str(error)) from error
    return {
        "old_serial": done.old_serial,
        "old_register_wh": done.old_register_wh,
        "new_serial": done.new_serial,
        "new_register_wh": done.new_register_wh,
    }


@router.get("/api/metering/journal", dependencies=[require_role(Role.OWNER)], summary="Read the register journal")
async def read_register_journal(
    books: Annotated[JournalWriter, part(JournalWriter)],
    after: Annotated[int, Query(ge=0)] = 0,
    most: Annotated[int, Query(ge=1, le=5000)] = 500,
) -> list[JournalEntryShown]:
    """Entries with a number beyond `after`, the newest first."""
    # each is the JSON of its line in the file
    return cast("list[JournalEntryShown]", await books.entries(after, most))


def _shown(key: SigningPublicKey, *, current: bool) -> PublicKeyShown:
    return {
        "evse": key.evse_id,
        "signer": key.signer,
        "fingerprint": key.fingerprint,
        "since": key.since.isoformat() if key.since is not None else None,
        "current": current,
        "hex": key.spki.hex(),
        "base64": base64.b64encode(key.spki).decode(),
        "oca": format_public_key(key.spki, "oca"),
    }

"""Routes for billing meters: public keys, signed records, register journal, and meter exchange."""

from __future__ import annotations

import base64
import io
from typing import Annotated, Final, Literal, cast

from fastapi import Depends, HTTPException, Query
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
from station.core.qr_code import qr_code
from station.interfaces.access.roles import require_role
from station.interfaces.api.dependencies import Command, PathEvse, TransactionId, example, part
from station.interfaces.api.routing import api_router
from station.security.access.accounts import Role

router = api_router("metering")

_Records = Annotated[SignedRecords, part(SignedRecords)]
_TEXT: Final = {"schema": {"type": "string"}}
"""the schema of a text response in the OpenAPI document"""

_RecordForm = Annotated[
    Literal["xml", "text"],
    Query(description="`xml`: for the transparency software (S.A.F.E.); `text`: one OCMF record per line"),
]


class MeterExchange(Command):
    """Body of POST /api/evses/{evse_id}/meter-exchange: who replaced the billing meter, and why."""

    model_config = example(by="A. Martin", reason="end of the calibration period")

    by: Annotated[str, Field(min_length=1, max_length=100)]
    """who replaced the meter, for the register journal"""
    reason: Annotated[str, Field(min_length=1, max_length=200)]
    """why the meter was replaced, for the register journal"""


class MeterExchanged(TypedDict):
    """Response of POST /api/evses/{evse_id}/meter-exchange: old and new meter with their import registers."""

    old_serial: str | None
    """serial number of the old meter; null: not known"""
    old_register_wh: float | None
    """the old meter's import register at its last reading, Wh; null: never read"""
    new_serial: str | None
    """serial number of the new meter; null: it has none, or has not been read yet"""
    new_register_wh: float | None
    """the new meter's import register at its first reading, Wh; null: not read yet"""


class PublicKeyShown(TypedDict):
    """A public key with which anyone can verify signed readings of an EVSE, current or former ones."""

    evse: int
    """the EVSE whose readings it verifies"""
    signer: str
    """`station` or `meter`: which of them signs"""
    fingerprint: str
    """SHA-256 of the SubjectPublicKeyInfo, in hexadecimal; identifies the key"""
    since: str | None
    """when the EVSE began to sign with this key (ISO 8601, UTC); null: not recorded"""
    current: bool
    """whether the EVSE currently signs with this key"""
    hex: str
    """the key as SubjectPublicKeyInfo, in hexadecimal"""
    base64: str
    """the key as SubjectPublicKeyInfo, in base64"""
    oca: str
    """the key as OCPP sends it (OCA application note on signed meter values)"""


class JournalTime(TypedDict):
    """How good the time of a journal entry is: the clock's status and its source."""

    status: TimeStatus
    """quality of the time, as the letter of OCMF"""
    source: TimeSource
    """what last set the clock of the station"""


class JournalEntryShown(TypedDict):
    """An entry of the register journal, the record of all events relevant to billing; hashes chain the entries."""

    number: int
    """consecutive number of the entry, from 1"""
    at: str
    """when the entry was written, by the clock of the station (ISO 8601, UTC)"""
    time: JournalTime
    """how good the time of the entry is"""
    boot: int
    """number of the boot in which the entry was written"""
    since_boot_s: float
    """seconds of the monotonic clock since that boot"""
    event: JournalEvent
    """what happened that concerns billing"""
    evse: int | None
    """the EVSE that it concerns; null: the whole station"""
    details: dict[str, str | int | float | bool | None]
    """the values of the event; their names depend on the event"""
    previous: str
    """the hash of the previous entry"""
    hash: str
    """SHA-256 of the line in the file up to this field, in hexadecimal"""


async def _current_key(evse: PathEvse, station: Annotated[ChargingStation, part(ChargingStation)]) -> SigningPublicKey:
    """The signing key of the EVSE in the path; 404 if it does not sign, 503 if there is no key."""
    if (signing := station.assemblies[evse.id].signing) is None:
        raise HTTPException(404, "readings of this EVSE are not signed")
    try:
        return await signing.signatures.prepare()
    except SigningError as error:
        raise HTTPException(503, f"the public key cannot be read: {error}") from error


_CurrentKey = Annotated[SigningPublicKey, Depends(_current_key)]


@router.get(
    "/api/metering/public-keys", dependencies=[require_role(Role.VISITOR)], summary="List the public keys of all EVSEs"
)
async def list_public_keys(
    records: _Records, station: Annotated[ChargingStation, part(ChargingStation)]
) -> list[PublicKeyShown]:
    """Returns the public keys of all signed records of the station, including former keys."""
    signings = [evse.signing for evse in station.assemblies.values() if evse.signing is not None]
    current = {signing.signatures.key.fingerprint for signing in signings if signing.signatures.key is not None}
    return [_key_to_json(key, current=key.fingerprint in current) for key in await records.keys()]


@router.get(
    "/api/evses/{evse_id}/public-key",
    dependencies=[require_role(Role.VISITOR)],
    summary="Read the public key of an EVSE",
)
async def read_public_key(key: _CurrentKey) -> PublicKeyShown:
    """Returns the public key of the readings that the EVSE signs now; the key is created if there is none.

    404 if readings of this EVSE are not signed.
    """
    return _key_to_json(key, current=True)


@router.get(
    "/api/evses/{evse_id}/public-key.svg",
    dependencies=[require_role(Role.VISITOR)],
    response_class=Response,
    responses={200: {"content": {"image/svg+xml": _TEXT}}},
    summary="Draw the public key of an EVSE as a QR code",
)
async def draw_public_key(key: _CurrentKey) -> Response:
    """Returns a QR code of the SubjectPublicKeyInfo in hexadecimal, as printed on a meter."""
    code = qr_code(key.spki.hex().upper())
    picture = io.BytesIO()  # without a fixed size, and with a white background for dark pages
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
    transaction_id: TransactionId,
    records: _Records,
    form: _RecordForm = "xml",
) -> Response:
    """Returns the signed readings as XML for the transparency software (S.A.F.E.), or as one OCMF record per line."""
    signed = await records.of(transaction_id)
    if not signed:
        raise HTTPException(404, "no signed readings of a transaction with this id are stored")
    if form == "text":
        return PlainTextResponse("".join(f"{record.text}\n" for record in signed))
    keys = {key.fingerprint: key for key in await records.keys()}
    return Response(signed_container(signed, keys), media_type="application/xml")


@router.post(
    "/api/evses/{evse_id}/meter-exchange",
    dependencies=[require_role(Role.INSTALLER)],
    summary="Confirm a meter exchange",
)
async def exchange_meter(
    evse: PathEvse, body: MeterExchange, meters: Annotated[BillingMeters, part(BillingMeters)]
) -> MeterExchanged:
    """Confirm that the billing meter was replaced, so that the EVSE charges with the new one; recorded in the journal.

    409 while a transaction runs, or its end waits for this meter.
    """
    try:
        exchange = await meters.exchange(evse, body.by, body.reason)
    except ExchangeRefusedError as error:
        raise HTTPException(409, str(error)) from error
    return {
        "old_serial": exchange.old_serial,
        "old_register_wh": exchange.old_register_wh,
        "new_serial": exchange.new_serial,
        "new_register_wh": exchange.new_register_wh,
    }


@router.get("/api/metering/journal", dependencies=[require_role(Role.OWNER)], summary="Read the register journal")
async def read_register_journal(
    books: Annotated[JournalWriter, part(JournalWriter)],
    after: Annotated[int, Query(ge=0, description="only entries with a number above this one")] = 0,
    most: Annotated[int, Query(ge=1, le=5000, description="maximum number of entries")] = 500,
) -> list[JournalEntryShown]:
    """Returns at most `most` entries with a number above `after`, the newest first."""
    # each is the JSON of its line in the file
    return cast("list[JournalEntryShown]", await books.entries(after, most))


def _key_to_json(key: SigningPublicKey, *, current: bool) -> PublicKeyShown:
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

"""Routes with which a test bench fills authorization cache and local list, and sends and answers DataTransfers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal, NotRequired, cast

from fastapi import Depends, HTTPException
from pydantic import Field, JsonValue
from typing_extensions import TypedDict

from station.charging.authorization.authorization_cache import AuthorizationCache
from station.charging.authorization.local_list import LocalAuthorizationList, LocalListEntry
from station.charging.charging_station import ChargingStation
from station.core.csms import Absent, NoAnswerError, VendorAnswer, VendorMessage, VendorMessages
from station.core.model import AuthorizationStatus, IdToken, IdTokenInfo
from station.interfaces.access.roles import require_role
from station.interfaces.api.dependencies import ACCEPTED, Accepted, Command, example, optional_part, part
from station.interfaces.api.routing import api_router
from station.interfaces.api.token import IdTokenText, IdTokenType
from station.interfaces.part_keys import VENDOR_MESSAGES
from station.security.access.accounts import Role

router = api_router("simulation")

_Station = Annotated[ChargingStation, part(ChargingStation)]
_Cache = Annotated[AuthorizationCache, part(AuthorizationCache)]
_List = Annotated[LocalAuthorizationList, part(LocalAuthorizationList)]
_Version = Annotated[int, Field(ge=1, le=2**31 - 1)]


class CachedToken(Command):
    """Body of PUT /api/sim/auth/cache: an entry to store in the station's authorization cache."""

    model_config = example(token="04A3B2C1D5E680", type="ISO14443", status="Accepted")

    token: IdTokenText
    """the id token, such as the UID of a card"""
    type: IdTokenType = "ISO14443"
    """what kind of token it is (IdTokenEnumType)"""
    status: AuthorizationStatus = AuthorizationStatus.ACCEPTED
    """AuthorizationStatusEnumType to remember for it"""
    group: IdTokenText | None = None
    """groupIdToken, of type Central; null: none"""
    expiry: datetime | None = None
    """cacheExpiryDateTime; without an offset it is UTC; null: none"""
    evses: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(max_length=100)] = ()
    """the EVSEs that it may use; empty: all"""


class CachedTokenRemoval(Command):
    """Body of DELETE /api/sim/auth/cache: the id token whose entry is removed from the authorization cache."""

    model_config = example(token="04A3B2C1D5E680", type="ISO14443")

    token: IdTokenText
    """the id token, such as the UID of a card"""
    type: IdTokenType = "ISO14443"
    """what kind of token it is (IdTokenEnumType)"""


class TokenToList(CachedToken):
    """Body of PUT /api/sim/auth/list: an entry to store in the station's local authorization list."""

    model_config = example(token="04A3B2C1D5E680", type="ISO14443", status="Accepted", version=2)

    version: _Version | None = None
    """version of the list from then on; null: one more than the present one"""


class TokenToUnlist(CachedTokenRemoval):
    """Body of DELETE /api/sim/auth/list: the id token that is removed from the local authorization list."""

    model_config = example(token="04A3B2C1D5E680", type="ISO14443")

    version: _Version | None = None
    """version of the list from then on; null: one more than the present one"""


class VendorData(Command):
    """Body of POST /api/sim/data-transfer: a DataTransfer to send; `data` and `custom_data` are arbitrary JSON."""

    model_config = example(vendor_id="com.example", message_id="ping", data={"count": 1})

    vendor_id: Annotated[str, Field(min_length=1, max_length=255)]
    """the id of the vendor (vendorId), such as com.example"""
    message_id: Annotated[str, Field(max_length=50)] | None = None
    """the id of the message among those of the vendor (messageId); null: none"""
    data: JsonValue = None
    """the data of the message, any JSON; left out: none is sent; null is sent as null"""
    custom_data: dict[str, JsonValue] | None = None
    """customData of the message, any JSON object; null: none"""


class VendorDataAnswer(VendorData):
    """Body of PUT /api/sim/data-transfer: the response to each later DataTransfer of the CSMS with these ids."""

    model_config = example(vendor_id="com.example", message_id="ping", status="Accepted", data={"count": 2})

    status: Literal["Accepted", "Rejected", "UnknownMessageId", "UnknownVendorId"] = "Accepted"
    """status of the response to the CSMS (DataTransferStatusEnumType)"""


class VendorDataReceived(TypedDict):
    """Response of POST /api/sim/data-transfer: what the CSMS answered; `data` and `custom_data` are arbitrary JSON."""

    status: str
    """status in the response of the CSMS (DataTransferStatusEnumType)"""
    data: NotRequired[JsonValue]
    """missing if the CSMS sent none, as null is valid data"""
    custom_data: NotRequired[dict[str, JsonValue]]
    """customData of the response; missing if the CSMS sent none"""


async def _vendor_messages(
    found: Annotated[VendorMessages | None, optional_part(VENDOR_MESSAGES)],
) -> VendorMessages:
    if found is None:
        raise HTTPException(409, "no CSMS is configured")
    return found


_VendorMessages = Annotated[VendorMessages, Depends(_vendor_messages)]
"""409 if there is no CSMS"""


@router.put(
    "/api/sim/auth/cache",
    status_code=202,
    dependencies=[require_role(Role.SERVICE, logs_changes=False)],
    summary="Store an authorization",
)
async def seed_authorization(body: CachedToken, cache: _Cache) -> Accepted:
    """Store the authorization of an id token in the station's cache, as if the CSMS had sent it."""
    await cache.put(IdToken(body.token, body.type), _token_info(body))
    return ACCEPTED


@router.delete(
    "/api/sim/auth/cache",
    status_code=202,
    dependencies=[require_role(Role.SERVICE, logs_changes=False)],
    summary="Remove an authorization",
)
async def forget_authorization(body: CachedTokenRemoval, cache: _Cache) -> Accepted:
    """Remove the entry of an id token from the station's authorization cache."""
    await cache.forget(IdToken(body.token, body.type))
    return ACCEPTED


@router.put(
    "/api/sim/auth/list",
    status_code=202,
    dependencies=[require_role(Role.SERVICE, logs_changes=False)],
    summary="Add a token to the local authorization list",
)
async def seed_local_list(body: TokenToList, local_list: _List) -> Accepted:
    """Add an id token to the station's local authorization list, or change its entry, as if the CSMS had sent it.

    409 if the list is full or disabled.
    """
    return await _seed_local_list(
        local_list, body.version, LocalListEntry(IdToken(body.token, body.type), _token_info(body))
    )


@router.delete(
    "/api/sim/auth/list",
    status_code=202,
    dependencies=[require_role(Role.SERVICE, logs_changes=False)],
    summary="Remove a token from the local authorization list",
)
async def unlist_token(body: TokenToUnlist, local_list: _List) -> Accepted:
    """Remove an id token from the station's local authorization list, as if the CSMS had sent it.

    409 if the list is disabled.
    """
    return await _seed_local_list(local_list, body.version, LocalListEntry(IdToken(body.token, body.type)))


@router.post(
    "/api/sim/data-transfer",
    dependencies=[require_role(Role.SERVICE, logs_changes=False)],
    summary="Send a DataTransfer to the CSMS",
)
async def send_vendor_data(body: VendorData, vendors: _VendorMessages) -> VendorDataReceived:
    """Send a DataTransfer to the CSMS and return its response.

    409 if no CSMS is configured, or it does not answer.
    """
    try:
        answer = await vendors.send(
            VendorMessage(body.vendor_id, body.message_id, _data_or_absent(body), body.custom_data)
        )
    except NoAnswerError as error:
        raise HTTPException(409, str(error)) from error
    received: VendorDataReceived = {"status": answer.status}
    if answer.data is not Absent.ABSENT:
        received["data"] = cast("JsonValue", answer.data)  # as it came on the wire
    if answer.custom_data is not None:
        received["custom_data"] = cast("dict[str, JsonValue]", answer.custom_data)
    return received


@router.put(
    "/api/sim/data-transfer",
    status_code=202,
    dependencies=[require_role(Role.SERVICE, logs_changes=False)],
    summary="Set the response to a DataTransfer of the CSMS",
)
async def set_vendor_response(body: VendorDataAnswer, vendors: _VendorMessages) -> Accepted:
    """Set the response to every later DataTransfer of the CSMS with this vendorId and messageId; not stored on disk.

    409 if no CSMS is configured, or too many responses are set.
    """
    try:
        answer = VendorAnswer(body.status, _data_or_absent(body), body.custom_data)
        vendors.set_response(body.vendor_id, body.message_id, answer)
    except ValueError as error:
        raise HTTPException(409, str(error)) from error
    return ACCEPTED


def _token_info(body: CachedToken) -> IdTokenInfo:
    group = IdToken(body.group, "Central") if body.group is not None else None
    expires_at = body.expiry
    if expires_at is not None and expires_at.tzinfo is None:
        expires_at = expires_at.replace(tzinfo=UTC)
    return IdTokenInfo(body.status, group, expires_at, body.evses)


async def _seed_local_list(local_list: LocalAuthorizationList, version: int | None, entry: LocalListEntry) -> Accepted:
    if (refusal := await local_list.seed(version, [entry])) is not None:
        raise HTTPException(409, refusal.sentence)
    return ACCEPTED


def _data_or_absent(body: VendorData) -> JsonValue | Absent:
    return body.data if "data" in body.model_fields_set else Absent.ABSENT

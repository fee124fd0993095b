"""Block D: receives the local authorization list of the CSMS, and reports its version (D01, D02)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from ocpp_handlers.translate.message_size import size_bytes
from ocpp_handlers.translate.translate import (
    id_token_from_wire,
    id_token_info_from_wire,
    parse_date_time,
    parse_integer,
)
from ocpp_handlers.variables.variable import Component, DataType, Variable, read_only_variable
from ocpp_handlers.wire import actions
from ocpp_handlers.wire.session import HandlerResult, Handlers, PayloadError
from station.charging.authorization.local_list import LocalListEntry, LocalListRefusal
from station.storage.database import StorageError

if TYPE_CHECKING:
    from ocpp_handlers.variables.request_settings import VariableRequestSettings
    from ocpp_handlers.wire import messages as m
    from station.charging.authorization.local_list import LocalAuthorizationList

_log = logging.getLogger(__name__)

_ENTRIES_PER_TURN: Final = 50
"""entries that are translated before other tasks get their turn"""
_COMPONENT: Final = Component("LocalAuthListCtrlr")


def local_list_variables(local_list: LocalAuthorizationList) -> Iterator[Variable]:
    """Yield Entries (number of tokens in the list) and Storage (its bytes), each with the limit as maxLimit."""
    for name, read, most, unit in (
        ("Entries", lambda: str(local_list.entries), local_list.most_entries, None),
        ("Storage", lambda: str(local_list.size_bytes), local_list.most_bytes, "B"),
    ):
        yield read_only_variable(
            _COMPONENT, name, DataType.INTEGER, read, unit=unit, maximum=most, changes=local_list.changed
        )


class LocalListBlock:
    """Handles SendLocalList and GetLocalListVersion."""

    def __init__(self, local_list: LocalAuthorizationList, settings: VariableRequestSettings) -> None:
        """`settings`: how large a SendLocalListRequest may be."""
        self._local_list = local_list
        self._settings = settings

    def register(self, handlers: Handlers) -> None:
        """Register the handlers of SendLocalList and GetLocalListVersion."""
        handlers.on(actions.SEND_LOCAL_LIST, self.send_local_list)
        handlers.on(actions.GET_LOCAL_LIST_VERSION, self.get_local_list_version)

    async def send_local_list(self, request: m.SendLocalListRequest) -> HandlerResult[m.SendLocalListResponse]:
        """Replace or change the list and answer once it is on disk; a refused update changes nothing (D01.FR.02).

        Raises:
            PayloadError: a field is malformed.
        """
        items = request.get("localAuthorizationList", [])
        if (refusal := self._size_refusal(request, len(items))) is not None:
            return _refused(refusal)
        version = parse_integer(request["versionNumber"], "versionNumber")
        update = self._local_list.replace if request["updateType"] == "Full" else self._local_list.change
        try:
            refusal = await update(version, await _entries(items))
        except StorageError as error:
            _log.error("the local authorization list could not be stored: %s", error)
            refusal = LocalListRefusal("OutOfStorage", "the list could not be stored")
        return HandlerResult({"status": "Accepted"}) if refusal is None else _refused(refusal)

    async def get_local_list_version(
        self, _: m.GetLocalListVersionRequest
    ) -> HandlerResult[m.GetLocalListVersionResponse]:
        """Answer the version of the list, 0 if there is none or it is disabled (D02.FR.01, D02.FR.02, D02.FR.03).

        Raises:
            PayloadError: the list cannot be read.
        """
        try:
            return HandlerResult({"versionNumber": await self._local_list.version()})
        except StorageError as error:
            _log.error("the local authorization list cannot be read: %s", error)
            raise PayloadError("InternalError", "the local authorization list cannot be read") from error

    def _size_refusal(self, request: m.SendLocalListRequest, items: int) -> LocalListRefusal | None:
        """Reason to reject a request as too large (D01.FR.11); None: it is not."""
        most_items, most_bytes = self._settings.send_local_list_items, self._settings.send_local_list_bytes
        if items > most_items:
            return LocalListRefusal("TooManyElements", f"localAuthorizationList has more than {most_items} items")
        if size_bytes(request) > most_bytes:
            return LocalListRefusal("TooLargeElement", f"the request is larger than {most_bytes} bytes")
        return None


async def _entries(items: Sequence[m.AuthorizationData]) -> list[LocalListEntry]:
    """Translate the items of a request; other tasks run in between."""
    entries: list[LocalListEntry] = []
    for start in range(0, len(items), _ENTRIES_PER_TURN):
        some = items[start : start + _ENTRIES_PER_TURN]
        entries += [_entry(item, number) for number, item in enumerate(some, start)]
        await asyncio.sleep(0)
    return entries


def _entry(item: m.AuthorizationData, number: int) -> LocalListEntry:
    """Translate the item with this index; a malformed expiry is refused, since ignoring it would extend the entry."""
    info = item.get("idTokenInfo")
    if info is not None and (expiry := info.get("cacheExpiryDateTime")) is not None:
        parse_date_time(expiry, f"localAuthorizationList[{number}].idTokenInfo.cacheExpiryDateTime")
    return LocalListEntry(
        id_token_from_wire(item["idToken"]), id_token_info_from_wire(info) if info is not None else None
    )


def _refused(refusal: LocalListRefusal) -> HandlerResult[m.SendLocalListResponse]:
    return HandlerResult(
        {
            "status": "VersionMismatch" if refusal.version_mismatch else "Failed",
            "statusInfo": {"reasonCode": refusal.reason_code, "additionalInfo": refusal.sentence[:512]},
        }
    )

"""Block C: authorizes id tokens with the CSMS, and clears the authorization cache at its request."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ocpp_handlers.translate.translate import id_token_info_from_wire, id_token_to_wire, ocsp_request_to_wire
from ocpp_handlers.variables.variable import Component, DataType, Variable, read_only_variable
from ocpp_handlers.wire import actions
from ocpp_handlers.wire.session import HandlerResult, Handlers
from station.core.csms import AuthorizationAnswer
from station.core.model import MAX_ADDITIONAL_INFO
from station.storage.database import StorageError

if TYPE_CHECKING:
    from ocpp_handlers.connection.link import Link
    from ocpp_handlers.wire import messages as m
    from station.charging.authorization.authorization_cache import AuthorizationCache
    from station.charging.authorization.authorization_settings import AuthorizationSettings
    from station.core.csms import AuthorizationRequest

_log = logging.getLogger(__name__)

_AUTH, _CACHE = Component("AuthCtrlr"), Component("AuthCacheCtrlr")
ID_TOKEN_TYPES = ("Central", "eMAID", "ISO14443", "ISO15693", "KeyCode", "Local", "MacAddress", "NoAuthorization")
"""supported types of id tokens; eMAID only where vehicles may present contracts"""


def authorization_variables(tokens: AuthorizationCache, *, contracts: bool) -> Iterator[Variable]:
    """Yield AdditionalInfoItemsPerMessage, SupportedIdTokenTypes and Storage (bytes of the authorization cache).

    `contracts`: whether vehicles may present contracts.
    """
    supported = tuple(kind for kind in ID_TOKEN_TYPES if contracts or kind != "eMAID")
    items, types = str(MAX_ADDITIONAL_INFO), ",".join(supported)
    yield read_only_variable(
        _AUTH, "AdditionalInfoItemsPerMessage", DataType.INTEGER, lambda: items, constant=True, fixed=True
    )
    yield read_only_variable(
        _AUTH, "SupportedIdTokenTypes", DataType.MEMBER_LIST, lambda: types, values=supported, constant=True
    )
    yield read_only_variable(
        _CACHE,
        "Storage",
        DataType.INTEGER,
        lambda: str(tokens.size_bytes),
        unit="B",
        maximum=tokens.most_bytes,
        changes=tokens.size_changed,
    )


class AuthorizationBlock:
    """Sends Authorize for the station's authorization, and handles ClearCache (`station.core.csms.Csms`)."""

    def __init__(self, link: Link, tokens: AuthorizationCache, settings: AuthorizationSettings) -> None:
        self._link = link
        self._tokens = tokens
        self._settings = settings

    def register(self, handlers: Handlers) -> None:
        """Register the handler of ClearCache."""
        handlers.on(actions.CLEAR_CACHE, self.clear_cache)

    @property
    def online(self) -> bool:
        """Whether the websocket is open and the CSMS has accepted the station."""
        return self._link.online

    @property
    def accepted(self) -> bool:
        """Whether the CSMS has accepted the station, connected or not; False again after a change of CSMS."""
        return self._link.accepted

    async def authorize(self, request: AuthorizationRequest) -> AuthorizationAnswer:
        """Send Authorize for an id token and return the content of the response (C01.FR.02); stores nothing.

        Raises:
            NoAnswerError: there is no answer of the CSMS.
        """
        payload: m.AuthorizeRequest = {"idToken": id_token_to_wire(request.id_token)}
        if (contract := request.contract) is not None:
            if contract.chain is not None:  # C07.FR.06
                payload["certificate"] = contract.chain
            if contract.hashes:  # C07.FR.02
                payload["iso15118CertificateHashData"] = [ocsp_request_to_wire(each) for each in contract.hashes]
        response = await self._link.call(actions.AUTHORIZE, payload)
        info = id_token_info_from_wire(response["idTokenInfo"])
        return AuthorizationAnswer(info, response.get("certificateStatus"))

    async def clear_cache(self, _: m.ClearCacheRequest) -> HandlerResult[m.ClearCacheResponse]:
        """Delete all entries of the authorization cache; Rejected if the cache is disabled or cannot be stored.

        C11.FR.01, C11.FR.03, C11.FR.04, C11.FR.05.
        """
        if not self._settings.auth_cache_enabled:
            return HandlerResult({"status": "Rejected"})
        try:
            await self._tokens.clear()
        except StorageError as error:
            _log.error("the authorization cache could not be cleared on disk: %s", error)
            return HandlerResult({"status": "Rejected"})
        return HandlerResult({"status": "Accepted"})

"""Block C, authorization: the CSMS is asked, and may clear the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocpp_handlers import actions
from ocpp_handlers.session import Answer, Handlers
from ocpp_handlers.translate import id_token_info_from_wire, id_token_to_wire

if TYPE_CHECKING:
    from ocpp_handlers import messages as m
    from ocpp_handlers.link import Link
    from station.model import IdToken, IdTokenInfo
    from station.settings import Settings
    from station.token_store import TokenStore


class Authorization:
    """The CSMS, as the station asks it (station.ports.Csms)."""

    def __init__(self, link: Link, tokens: TokenStore, settings: Settings) -> None:
        self._link = link
        self._tokens = tokens
        self._settings = settings

    def register(self, handlers: Handlers) -> None:
        """Answer what the CSMS asks of this block."""
        handlers.on(actions.CLEAR_CACHE, self.clear_cache)

    @property
    def online(self) -> bool:
        """Whether the CSMS is connected and has accepted the station."""
        return self._link.online

    @property
    def accepted_once(self) -> bool:
        """Whether the CSMS has accepted the station since it started."""
        return self._link.accepted

    async def authorize(self, id_token: IdToken) -> IdTokenInfo:
        """C01.FR.02.

        Raises:
            NoAnswerError: nothing is known.
        """
        answer = await self._link.call(actions.AUTHORIZE, {"idToken": id_token_to_wire(id_token)})
        return id_token_info_from_wire(answer["idTokenInfo"])

    async def clear_cache(self, request: m.ClearCacheRequest) -> Answer[m.ClearCacheResponse]:
        """C11.FR.01, C11.FR.03, C11.FR.04."""
        del request
        if not self._settings.auth_cache_enabled:
            return Answer({"status": "Rejected"})
        await self._tokens.clear()
        return Answer({"status": "Accepted"})

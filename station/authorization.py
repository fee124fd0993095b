"""Whether an id token may charge: what the cache says, what the CSMS says, and what holds offline (block C)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from station.model import AuthorizationStatus, IdToken, IdTokenInfo
from station.ports import Csms, NoAnswerError

if TYPE_CHECKING:
    from station.settings import Settings
    from station.token_store import TokenStore

_log = logging.getLogger(__name__)


class Authorizer:
    """Decides about id tokens."""

    def __init__(self, csms: Csms, tokens: TokenStore, settings: Settings) -> None:
        self._csms = csms
        self._tokens = tokens
        self._settings = settings

    async def decide(self, id_token: IdToken) -> IdTokenInfo:
        """What is to be believed of a token now. Takes as long as the CSMS takes to answer."""
        cached = self._tokens.find(id_token)
        if self._csms.online:
            # C10.FR.03, C12.FR.05: a token that was refused is asked for again.
            if self._settings.local_pre_authorize and cached is not None and cached.accepted:
                return cached
            try:
                info = await self._csms.authorize(id_token)
            except NoAnswerError as error:
                _log.warning("no answer to an authorization: %s", error)
            else:
                await self._tokens.remember(id_token, info)
                return info
        return self._offline(cached)

    def group_of(self, id_token: IdToken) -> IdToken | None:
        """The group of a token that is known and valid without asking (C01.FR.03 b)."""
        cached = self._tokens.find(id_token)
        return cached.group_id if cached is not None and cached.accepted else None

    def _offline(self, cached: IdTokenInfo | None) -> IdTokenInfo:
        """C13, C15: what holds while nobody can be asked."""
        if self._settings.local_authorize_offline and cached is not None:
            return cached
        if cached is None and self._settings.offline_tx_for_unknown_id_enabled:
            return IdTokenInfo(AuthorizationStatus.ACCEPTED)  # C15.FR.08; not cached (C15.FR.01)
        return IdTokenInfo(AuthorizationStatus.UNKNOWN)

"""Whether an id token may charge: what the cache says, what the CSMS says, and what holds offline (block C)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from foundation.events import Event
from station.core.csms import Csms, NoAnswerError
from station.core.identifiers import shorten_token
from station.core.model import AuthorizationStatus, IdToken, IdTokenInfo

if TYPE_CHECKING:
    from station.charging.tokens.authorization_cache import AuthorizationCache
    from station.core.setting_groups import AuthorizationSettings

_log = logging.getLogger(__name__)


class KnownCards(Protocol):
    """Cards about which nobody need be asked."""

    def find(self, id_token: IdToken) -> IdTokenInfo | None:
        """What is known of a token; None: nothing."""
        ...


class Authorizer:
    """Decides about id tokens."""

    def __init__(
        self, csms: Csms, tokens: AuthorizationCache, own_cards: KnownCards | None, settings: AuthorizationSettings
    ) -> None:
        """`own_cards` are the owner's at a station that stands alone; None: the CSMS decides."""
        self.unanswered = Event[IdToken]()
        """the CSMS was asked about a token and did not answer"""
        self._csms = csms
        self._tokens = tokens
        self._own_cards = own_cards
        self._settings = settings

    async def authorize(self, id_token: IdToken) -> IdTokenInfo:
        """What is to be believed of a token now. Takes as long as the CSMS takes to answer."""
        if not self._settings.auth_enabled:  # AuthCtrlr.Enabled: whoever comes may charge
            return IdTokenInfo(AuthorizationStatus.ACCEPTED, self.group_of(id_token))
        if self._own_cards is not None and (own := self._own_cards.find(id_token)) is not None:
            return own
        cached = self._tokens.use(id_token)
        if not self._csms.online:
            return self._offline(cached)
        if (known := self._without_asking(id_token, cached)) is not None:
            return known
        try:
            info = await self._csms.authorize(id_token)  # C01.FR.02, C09.FR.05
        except NoAnswerError as error:
            _log.warning("no answer to an authorization: %s", error)
            self.unanswered.publish(id_token)
            return self._offline(cached)
        await self._tokens.update(id_token, info)
        return info

    def group_of(self, id_token: IdToken) -> IdToken | None:
        """The group of a token that is known and valid without asking (C01.FR.03 b)."""
        cached = self._tokens.find(id_token)
        return cached.group_id if cached is not None and cached.accepted else None

    def is_master_pass(self, group_id: IdToken | None) -> bool:
        """Whether a group is that of those who stop transactions and start none (C12.FR.09, C16.FR.03)."""
        wanted = self._settings.master_pass_group_id
        return bool(wanted) and group_id is not None and group_id.value.casefold() == wanted.casefold()

    def _without_asking(self, id_token: IdToken, cached: IdTokenInfo | None) -> IdTokenInfo | None:
        """What need not, or must not, be asked of a CSMS that could be; None: ask."""
        if self._settings.disable_remote_authorization:  # overrules C01.FR.02 and C01.FR.05
            return cached if cached is not None else IdTokenInfo(AuthorizationStatus.UNKNOWN)
        # C06.FR.02: a local id was made for one visit; only the CSMS knows whether that is over.
        if cached is None or not self._settings.local_pre_authorize or id_token.type == "Local":
            return None
        # C10.FR.03, C12.FR.05: a token that was refused is asked for again, unless that is switched off.
        return cached if cached.accepted or self._settings.auth_cache_disable_post_authorize else None

    def _offline(self, cached: IdTokenInfo | None) -> IdTokenInfo:
        """C13, C15: what holds while nobody can be asked."""
        if self._settings.local_authorize_offline and cached is not None:
            return cached
        if cached is None and self._settings.offline_tx_for_unknown_id_enabled:
            return IdTokenInfo(AuthorizationStatus.ACCEPTED)  # C15.FR.08; not cached (C15.FR.01)
        return IdTokenInfo(AuthorizationStatus.UNKNOWN)


def loggable_token(id_token: IdToken) -> str:
    """An id token as a log or a page may show it; of a key code nothing (C04.FR.04)."""
    return "…" if id_token.type == "KeyCode" else shorten_token(id_token.value)

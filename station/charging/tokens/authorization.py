"""Authorization of id tokens by owner's cards, cache, CSMS or offline rules (block C)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from foundation.events import Event
from station.core.csms import Csms, NoAnswerError
from station.core.identifiers import shorten_token
from station.core.model import AuthorizationStatus, IdToken, IdTokenInfo

if TYPE_CHECKING:
    from station.charging.tokens.authorization_cache import AuthorizationCache
    from station.charging.tokens.authorization_settings import AuthorizationSettings

_log = logging.getLogger(__name__)


class KnownCards(Protocol):
    """The cards that the station authorizes without asking the CSMS: the owner's cards (`OwnerCards`)."""

    def find(self, id_token: IdToken) -> IdTokenInfo | None:
        """Return the authorization of a token; None: it is none of these cards."""
        ...


class Authorizer:
    """Decides whether an id token may charge: by owner's cards, authorization cache, CSMS, or the offline rules.

    It changes no EVSE; `TokenAdmission` and remote starts act on the result.
    """

    def __init__(
        self, csms: Csms, tokens: AuthorizationCache, own_cards: KnownCards | None, settings: AuthorizationSettings
    ) -> None:
        """`tokens`: the cache; `own_cards`: the owner's cards of a station without a CSMS, None: the CSMS decides."""
        self.unanswered = Event[IdToken]()
        """published when the CSMS did not answer an AuthorizeRequest for this token"""
        self._csms = csms
        self._tokens = tokens
        self._own_cards = own_cards
        self._settings = settings

    async def authorize(self, id_token: IdToken, *, reserved: bool = False) -> IdTokenInfo:
        """Return the authorization of a presented token; sends an AuthorizeRequest if local data do not suffice.

        The CSMS's response is cached; without a response the offline rules decide. `reserved`: there is a reservation
        for this very token, which authorizes it where the CSMS cannot be asked (H03.FR.01–H03.FR.03).
        """
        if not self._settings.auth_enabled:  # AuthCtrlr.Enabled: no authorization needed
            return IdTokenInfo(AuthorizationStatus.ACCEPTED, self.group_of(id_token))
        if self._own_cards is not None:
            if (own := self._own_cards.find(id_token)) is not None:
                return own
            reserved = False  # of a card that was removed since
        cached = self._tokens.find_and_count_use(id_token)
        if reserved and (not self._csms.online or self._settings.disable_remote_authorization):
            return IdTokenInfo(AuthorizationStatus.ACCEPTED, self.group_of(id_token))
        if not self._csms.online:
            return self._offline(cached)
        if (known := self._without_asking(id_token, cached)) is not None:
            return known
        try:
            info = await self._csms.authorize(id_token)  # C01.FR.02, C09.FR.05
        except NoAnswerError as error:
            _log.warning("the CSMS did not answer an AuthorizeRequest: %s", error)
            if reserved:
                return IdTokenInfo(AuthorizationStatus.ACCEPTED, self.group_of(id_token))
            self.unanswered.publish(id_token)
            return self._offline(cached)
        await self._tokens.update(id_token, info)
        return info

    def group_of(self, id_token: IdToken) -> IdToken | None:
        """The group of a token according to the cache, if it is accepted there; else None (C01.FR.03 b)."""
        cached = self._tokens.find(id_token)
        return cached.group_id if cached is not None and cached.accepted else None

    def is_master_pass(self, group_id: IdToken | None) -> bool:
        """Whether this is MasterPassGroupId, whose tokens stop transactions and start none (C12.FR.09, C16.FR.03)."""
        wanted = self._settings.master_pass_group_id
        return bool(wanted) and group_id is not None and group_id.value.casefold() == wanted.casefold()

    def _without_asking(self, id_token: IdToken, cached: IdTokenInfo | None) -> IdTokenInfo | None:
        """The authorization if the online CSMS need not or must not be asked; None: ask."""
        if self._settings.disable_remote_authorization:  # overrules C01.FR.02 and C01.FR.05
            return cached if cached is not None else IdTokenInfo(AuthorizationStatus.UNKNOWN)
        # C06.FR.02: a Local id is issued for one visit; only the CSMS knows whether it is still valid.
        if cached is None or not self._settings.local_pre_authorize or id_token.type == "Local":
            return None
        # C10.FR.03, C12.FR.05: a rejected token is authorized again, unless DisablePostAuthorize.
        return cached if cached.accepted or self._settings.auth_cache_disable_post_authorize else None

    def _offline(self, cached: IdTokenInfo | None) -> IdTokenInfo:
        """The authorization while the CSMS cannot be asked (C13, C15)."""
        if self._settings.local_authorize_offline and cached is not None:
            return cached
        if cached is None and self._settings.offline_tx_for_unknown_id_enabled:
            return IdTokenInfo(AuthorizationStatus.ACCEPTED)  # C15.FR.08; not cached (C15.FR.01)
        return IdTokenInfo(AuthorizationStatus.UNKNOWN)


def loggable_token(id_token: IdToken) -> str:
    """Shorten an id token for logs and pages; a key code is hidden completely (C04.FR.04)."""
    return "…" if id_token.type == "KeyCode" else shorten_token(id_token.value)

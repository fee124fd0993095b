"""Authorization of id tokens by owner's cards, local list, cache, CSMS or offline rules (block C)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from msgspec.structs import replace

from foundation.events import Event
from station.core.csms import Csms, NoAnswerError
from station.core.model import AuthorizationStatus, IdToken, IdTokenInfo

if TYPE_CHECKING:
    from station.charging.tokens.authorization_cache import AuthorizationCache
    from station.charging.tokens.authorization_settings import AuthorizationSettings
    from station.charging.tokens.local_list import ListedToken

_log = logging.getLogger(__name__)


class KnownCards(Protocol):
    """The cards that the station authorizes without asking the CSMS: the owner's cards (`OwnerCards`)."""

    def find(self, id_token: IdToken) -> IdTokenInfo | None:
        """Return the authorization of a token; None: it is none of these cards."""
        ...


class LocalList(Protocol):
    """The local authorization list, as far as an authorization needs it (`LocalAuthorizationList`)."""

    async def find(self, id_token: IdToken) -> ListedToken | None:
        """Return what the list says of a token; None: it is not in the list, or the list is disabled."""
        ...


class Authorizer:
    """Decides whether an id token may charge: by owner's cards, local list, cache, CSMS, or the offline rules.

    An entry of the local authorization list has priority over one of the cache (C13.FR.01, C14.FR.01).

    It changes no EVSE; `TokenAdmission` and remote starts act on the result.
    """

    def __init__(
        self,
        csms: Csms,
        tokens: AuthorizationCache,
        local_list: LocalList,
        own_cards: KnownCards | None,
        settings: AuthorizationSettings,
    ) -> None:
        """`tokens`: the cache; `own_cards`: the owner's cards of a station without a CSMS, None: the CSMS decides."""
        self.unanswered: Event[IdToken] = Event()
        """published when the CSMS did not answer an AuthorizeRequest for this token"""
        self.unchecked: Event[IdToken] = Event()
        """published when the CSMS cannot be asked about this token or does not answer, and nothing stored decides"""
        self._csms = csms
        self._tokens = tokens
        self._local_list = local_list
        self._own_cards = own_cards
        self._settings = settings

    async def authorize(self, id_token: IdToken, *, reserved: bool = False) -> IdTokenInfo:
        """Return the authorization of a presented token; sends an AuthorizeRequest if local data do not suffice.

        The CSMS's response is cached; without a response the offline rules decide. `reserved`: there is a reservation
        for this very token, which authorizes it where the CSMS cannot be asked (H03.FR.01–H03.FR.03).
        """
        if not self._settings.auth_enabled:  # AuthCtrlr.Enabled: no authorization needed
            return IdTokenInfo(AuthorizationStatus.ACCEPTED, await self.group_of(id_token))
        if self._own_cards is not None and (own := self._own_cards.find(id_token)) is not None:
            return own
        reserved = reserved and self._own_cards is None  # else of a card that was removed since
        listed, cached = await self._local_list.find(id_token), self._tokens.find_and_count_use(id_token)
        stored = listed.info if listed is not None else cached
        if reserved and (not self._csms.online or self._settings.disable_remote_authorization):
            return _by_reservation(stored)
        if not self._csms.online:
            return self._offline(id_token, stored)
        if (known := self._without_asking(id_token, listed, cached)) is not None:
            return known
        try:
            info = await self._csms.authorize(id_token)  # C01.FR.02, C09.FR.05
        except NoAnswerError as error:
            _log.warning("the CSMS did not answer an AuthorizeRequest: %s", error)
            if reserved:
                return _by_reservation(stored)
            self.unanswered.publish(id_token)
            return self._offline(id_token, stored)
        await self._tokens.update(id_token, info)
        return info

    async def group_of(self, id_token: IdToken) -> IdToken | None:
        """The group of a token according to local list or cache, if it is accepted there; else None (C01.FR.03 b)."""
        listed = await self._local_list.find(id_token)
        stored = listed.info if listed is not None else self._tokens.find(id_token)
        return stored.group_id if stored is not None and stored.accepted else None

    def is_master_pass(self, group_id: IdToken | None) -> bool:
        """Whether this is MasterPassGroupId, whose tokens stop transactions and start none (C12.FR.09, C16.FR.03)."""
        wanted = self._settings.master_pass_group_id
        return bool(wanted) and group_id is not None and group_id.value.casefold() == wanted.casefold()

    def _without_asking(
        self, id_token: IdToken, listed: ListedToken | None, cached: IdTokenInfo | None
    ) -> IdTokenInfo | None:
        """The authorization if the online CSMS need not or must not be asked; None: ask."""
        stored = listed.info if listed is not None else cached
        if self._settings.disable_remote_authorization:  # overrules C01.FR.02 and C01.FR.05
            return stored if stored is not None else IdTokenInfo(AuthorizationStatus.UNKNOWN)
        # C06.FR.02: a Local id is issued for one visit; only the CSMS knows whether it is still valid.
        if stored is None or not self._settings.local_pre_authorize or id_token.type == "Local":
            return None
        if stored.accepted:  # C12.FR.02, C14.FR.02, C14.FR.04
            return stored
        # C10.FR.03, C12.FR.05, C14.FR.03: a rejected token is authorized again, unless DisablePostAuthorize.
        if listed is None:
            return stored if self._settings.auth_cache_disable_post_authorize else None
        final = self._settings.local_list_disable_post_authorize and not listed.must_ask  # C14.FR.05
        return stored if final else None

    def _offline(self, id_token: IdToken, stored: IdTokenInfo | None) -> IdTokenInfo:
        """The authorization while the CSMS cannot be asked, from the entry of local list or cache (C13, C15)."""
        if self._settings.local_authorize_offline and stored is not None:
            return stored
        if stored is None and self._settings.offline_tx_for_unknown_id_enabled:
            return IdTokenInfo(AuthorizationStatus.ACCEPTED)  # C15.FR.08; not cached (C15.FR.01)
        if self._own_cards is None:  # else there is nobody to ask: it is not a card of the owner
            self.unchecked.publish(id_token)
        return IdTokenInfo(AuthorizationStatus.UNKNOWN)


def _by_reservation(stored: IdTokenInfo | None) -> IdTokenInfo:
    """The authorization by a reservation: with what is stored of an accepted token, but at the reserved EVSE."""
    if stored is None or not stored.accepted:
        return IdTokenInfo(AuthorizationStatus.ACCEPTED)
    return replace(stored, evse_ids=())


def loggable_token(id_token: IdToken) -> str:
    """Shorten an id token for logs and pages; a key code is hidden completely (C04.FR.04)."""
    return id_token.loggable

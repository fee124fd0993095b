"""Authorization of id tokens by owner's cards, local list, cache, CSMS or offline rules (block C)."""

from __future__ import annotations

import logging
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, Protocol

from msgspec.structs import replace

from foundation.frozen import Frozen
from station.core.csms import AuthorizationRequest, Csms, NoAnswerError
from station.core.model import AuthorizationStatus, IdToken, IdTokenInfo

if TYPE_CHECKING:
    from station.charging.authorization.authorization_cache import AuthorizationCache
    from station.charging.authorization.authorization_settings import AuthorizationSettings
    from station.charging.authorization.local_list import ListedToken

_log = logging.getLogger(__name__)


class KnownCards(Protocol):
    """The cards that the station authorizes without asking the CSMS: the owner's cards (`OwnerCards`)."""

    def find(self, id_token: IdToken) -> IdTokenInfo | None:
        """Return the authorization of a token; None: it is none of these cards."""
        ...


class LocalList(Protocol):
    """The local authorization list, as far as an authorization needs it (`LocalAuthorizationList`)."""

    async def find(self, id_token: IdToken) -> ListedToken | None:
        """Return the entry of a token in the list; None: it is not in the list, or the list is disabled."""
        ...


class AuthorizedBy(Enum):
    """Who or what decided on an id token."""

    NOT_NEEDED = auto()
    """AuthCtrlr.Enabled is false: nobody"""
    OWNER = auto()
    """the owner's cards of a station without a CSMS"""
    LOCAL_LIST = auto()
    CACHE = auto()
    CSMS = auto()
    RESERVATION = auto()
    """the reservation of this very token, while the CSMS cannot be asked (H03.FR.01)"""
    LOCAL_RULES = auto()
    """OfflineTxForUnknownIdEnabled (C15.FR.08) or DisableRemoteAuthorization, for a token of which nothing is stored"""
    NOBODY = auto()
    """the CSMS cannot be asked or did not answer, and nothing that is stored decides"""


class TokenAuthorization(Frozen):
    """The authorization of an id token, and who decided on it."""

    info: IdTokenInfo
    decided_by: AuthorizedBy
    unanswered: bool = False
    """whether the CSMS did not answer an AuthorizeRequest"""
    certificate_status: str | None = None
    """certificateStatus in the answer of the CSMS"""

    @property
    def checked(self) -> bool:
        """Whether anything decided on the token; otherwise its status is only a guess."""
        return self.decided_by is not AuthorizedBy.NOBODY


_UNDECIDED: Final = TokenAuthorization(IdTokenInfo(AuthorizationStatus.UNKNOWN), AuthorizedBy.NOBODY)
"""nothing decides about a token: it may not charge"""


class Authorizer:
    """Decides whether an id token may charge: by owner's cards, local list, cache, CSMS, or the offline rules.

    An entry of the local authorization list has priority over one of the cache (C13.FR.01, C14.FR.01).

    It changes no EVSE; `ChargeStarter` acts on the result.
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
        self._csms = csms
        self._cache = tokens
        self._local_list = local_list
        self._own_cards = own_cards
        self._settings = settings

    async def authorize(self, request: AuthorizationRequest, *, reserved: bool = False) -> TokenAuthorization:
        """Return the authorization of a presented token; sends an AuthorizeRequest if local data do not suffice.

        The CSMS's response is cached; without a response the offline rules decide. `reserved`: there is a reservation
        for this very token, which authorizes it where the CSMS cannot be asked (H03.FR.01–H03.FR.03).

        A contract is authorized without the CSMS only if it is valid and may be validated offline (C07.FR.07 to
        C07.FR.12).
        """
        id_token, contract = request.id_token, request.contract
        if not self._settings.auth_enabled:  # AuthCtrlr.Enabled: no authorization needed
            info = IdTokenInfo(AuthorizationStatus.ACCEPTED, await self.group_of(id_token))
            return TokenAuthorization(info, AuthorizedBy.NOT_NEEDED)
        offline_allowed = contract is None or contract.valid_offline  # C07.FR.07
        if (
            self._own_cards is not None
            and offline_allowed
            and (owner_info := self._own_cards.find(id_token)) is not None
        ):
            return TokenAuthorization(owner_info, AuthorizedBy.OWNER)
        reserved = reserved and self._own_cards is None  # else of a card that was removed since
        listed, cached = await self._local_list.find(id_token), self._cache.find_and_count_use(id_token)
        stored = _stored_authorization(listed, cached)
        if not self._csms.online and not offline_allowed:
            return _UNDECIDED
        if reserved and (not self._csms.online or self._settings.disable_remote_authorization):
            return _by_reservation(stored)
        if not self._csms.online:
            return self._decide_offline(stored)
        # C07.FR.01: the CSMS is asked about a contract, whatever is stored of its eMAID.
        if contract is None and (decided := self._decide_locally(id_token, listed, stored)) is not None:
            return decided
        if contract is not None and self._settings.disable_remote_authorization:
            return self._decide_offline(stored) if offline_allowed else _UNDECIDED
        try:
            answer = await self._csms.authorize(request)  # C01.FR.02, C09.FR.05
        except NoAnswerError as error:
            _log.warning("the CSMS did not answer an AuthorizeRequest: %s", error)
            if not offline_allowed:
                return replace(_UNDECIDED, unanswered=True)
            return replace(
                _by_reservation(stored) if reserved else self._decide_offline(stored), unanswered=not reserved
            )
        info = answer.token_info
        if info.accepted and answer.certificate_status not in {None, "Accepted"}:  # its certificate is not
            info = replace(info, status=AuthorizationStatus.INVALID)
        await self._cache.update(id_token, info)
        return TokenAuthorization(info, AuthorizedBy.CSMS, certificate_status=answer.certificate_status)

    async def group_of(self, id_token: IdToken) -> IdToken | None:
        """The group of a token according to local list or cache, if it is accepted there; else None (C01.FR.03 b)."""
        listed = await self._local_list.find(id_token)
        stored = listed.info if listed is not None else self._cache.find(id_token)
        return stored.group_id if stored is not None and stored.accepted else None

    def is_master_pass(self, group_id: IdToken | None) -> bool:
        """Whether this is MasterPassGroupId, whose tokens stop transactions and start none (C12.FR.09, C16.FR.03)."""
        master_group = self._settings.master_pass_group_id
        return bool(master_group) and group_id is not None and group_id.value.casefold() == master_group.casefold()

    def _decide_locally(
        self, id_token: IdToken, listed: ListedToken | None, stored: TokenAuthorization | None
    ) -> TokenAuthorization | None:
        """The authorization if the online CSMS need not or must not be asked; None: it must be asked."""
        if self._settings.disable_remote_authorization:  # overrules C01.FR.02 and C01.FR.05
            return stored or TokenAuthorization(IdTokenInfo(AuthorizationStatus.UNKNOWN), AuthorizedBy.LOCAL_RULES)
        # C06.FR.02: a Local id is issued for one visit; only the CSMS knows whether it is still valid.
        if stored is None or not self._settings.local_pre_authorize or id_token.type == "Local":
            return None
        if stored.info.accepted:  # C12.FR.02, C14.FR.02, C14.FR.04
            return stored
        # C10.FR.03, C12.FR.05, C14.FR.03: a rejected token is authorized again, unless DisablePostAuthorize.
        if listed is None:
            return stored if self._settings.auth_cache_disable_post_authorize else None
        final = self._settings.local_list_disable_post_authorize and not listed.requires_csms  # C14.FR.05
        return stored if final else None

    def _decide_offline(self, stored: TokenAuthorization | None) -> TokenAuthorization:
        """The authorization while the CSMS cannot be asked, from the entry of local list or cache (C13, C15)."""
        if self._settings.local_authorize_offline and stored is not None:
            return stored
        if stored is None and self._settings.offline_tx_for_unknown_id_enabled:  # C15.FR.08; not cached (C15.FR.01)
            return TokenAuthorization(IdTokenInfo(AuthorizationStatus.ACCEPTED), AuthorizedBy.LOCAL_RULES)
        # Without a CSMS there is nobody to ask: it is not a card of the owner.
        decided_by = AuthorizedBy.NOBODY if self._own_cards is None else AuthorizedBy.OWNER
        return TokenAuthorization(IdTokenInfo(AuthorizationStatus.UNKNOWN), decided_by)


def _stored_authorization(listed: ListedToken | None, cached: IdTokenInfo | None) -> TokenAuthorization | None:
    """The authorization by the local list, else by the cache; None: neither knows the token."""
    if listed is not None:
        return TokenAuthorization(listed.info, AuthorizedBy.LOCAL_LIST)
    return TokenAuthorization(cached, AuthorizedBy.CACHE) if cached is not None else None


def _by_reservation(stored: TokenAuthorization | None) -> TokenAuthorization:
    """The authorization by a reservation: with what is stored of an accepted token, but at the reserved EVSE."""
    if stored is None or not stored.info.accepted:
        return TokenAuthorization(IdTokenInfo(AuthorizationStatus.ACCEPTED), AuthorizedBy.RESERVATION)
    return TokenAuthorization(replace(stored.info, evse_ids=()), AuthorizedBy.RESERVATION)


def loggable_token(id_token: IdToken) -> str:
    """Shorten an id token for logs and pages; a key code is hidden completely (C04.FR.04)."""
    return id_token.loggable

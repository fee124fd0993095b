"""Whether a token may charge: by the cache, by the CSMS, and while the CSMS cannot answer."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from station.charging.authorization.authorization_cache import AuthorizationCache
from station.charging.authorization.authorization_settings import AuthorizationSettings
from station.charging.authorization.authorizer import AuthorizedBy, Authorizer, TokenAuthorization, loggable_token
from station.charging.authorization.local_list import ListedToken
from station.core.csms import AuthorizationRequest
from station.core.model import AuthorizationStatus, IdToken, IdTokenInfo
from tests import fakes
from tests.rows import each_row

ACCEPTED = IdTokenInfo(AuthorizationStatus.ACCEPTED, group_id=IdToken("GROUP", "Central"))
BLOCKED = IdTokenInfo(AuthorizationStatus.BLOCKED)
LAPSED = ListedToken(IdTokenInfo(AuthorizationStatus.EXPIRED, group_id=ACCEPTED.group_id), requires_csms=True)
UNREADABLE = ListedToken(IdTokenInfo(AuthorizationStatus.UNKNOWN), requires_csms=True)


class FakeLocalList(dict[tuple[str, str], ListedToken]):
    """A local authorization list in memory."""

    async def find(self, id_token: IdToken) -> ListedToken | None:
        """Look up a token."""
        return self.get(id_token.key)


class NoOwnerCards:
    """An owner's card list that is empty."""

    def find(self, id_token: IdToken) -> IdTokenInfo | None:
        """Return None."""
        del id_token


class AuthorizerWithFakes:
    """An authorizer with its cache, local list and fake CSMS."""

    def __init__(self, *, online: bool = True, **settings: bool) -> None:
        self.settings = AuthorizationSettings()
        for name, value in settings.items():
            setting = next(known for known in AuthorizationSettings.all() if known.name == name)
            self.settings.override(setting, value)
        self.csms = fakes.FakeCsms(online=online)
        self.tokens = AuthorizationCache(None, self.settings, fakes.clock())
        self.listed = FakeLocalList()
        self.authorizer = Authorizer(self.csms, self.tokens, self.listed, None, self.settings)

    async def authorize(self, id_token: IdToken = fakes.CARD, *, reserved: bool = False) -> TokenAuthorization:
        """Authorize a token; by default the card."""
        return await self.authorizer.authorize(AuthorizationRequest(id_token), reserved=reserved)

    async def status(self) -> AuthorizationStatus:
        """The authorization status of the card."""
        return (await self.authorize()).info.status


@pytest.mark.parametrize("known", [None, ACCEPTED, BLOCKED])
async def test_online_the_word_of_the_csms_counts_and_is_remembered(known: IdTokenInfo | None) -> None:
    """C01.FR.01, C10.FR.04"""
    setup = AuthorizerWithFakes()
    if known is not None:
        await setup.tokens.update(fakes.CARD, known)
    setup.csms.answers[fakes.CARD.key] = ACCEPTED
    assert (await setup.authorize()).info == ACCEPTED
    assert setup.csms.requested_tokens == [fakes.CARD]
    assert setup.tokens.find(fakes.CARD) == ACCEPTED


async def test_with_pre_authorization_a_known_accepted_token_need_not_be_asked_for() -> None:
    """C12"""
    setup = AuthorizerWithFakes(local_pre_authorize=True)
    await setup.tokens.update(fakes.CARD, ACCEPTED)
    assert await setup.status() is AuthorizationStatus.ACCEPTED
    assert setup.csms.requested_tokens == []


async def test_with_pre_authorization_a_refused_token_is_asked_for_again() -> None:
    """C10.FR.03, C12.FR.05"""
    setup = AuthorizerWithFakes(local_pre_authorize=True)
    await setup.tokens.update(fakes.CARD, BLOCKED)
    setup.csms.answers[fakes.CARD.key] = ACCEPTED
    assert await setup.status() is AuthorizationStatus.ACCEPTED
    assert setup.csms.requested_tokens == [fakes.CARD]


@pytest.mark.parametrize("silent", [True, False])
@pytest.mark.parametrize(
    ("known", "local", "unknown", "status"),
    [
        (ACCEPTED, True, False, AuthorizationStatus.ACCEPTED),
        (BLOCKED, True, False, AuthorizationStatus.BLOCKED),
        (BLOCKED, True, True, AuthorizationStatus.BLOCKED),  # C15.FR.06: known and refused is not unknown
        (ACCEPTED, False, False, AuthorizationStatus.UNKNOWN),
        (BLOCKED, False, True, AuthorizationStatus.UNKNOWN),
        (None, True, False, AuthorizationStatus.UNKNOWN),
        (None, True, True, AuthorizationStatus.ACCEPTED),  # C15.FR.08
        (None, False, True, AuthorizationStatus.ACCEPTED),
    ],
)
async def test_while_nobody_answers_the_offline_rules_hold(
    silent: bool, known: IdTokenInfo | None, local: bool, unknown: bool, status: AuthorizationStatus
) -> None:
    """C13, C15; offline, or online without an answer"""
    setup = AuthorizerWithFakes(online=silent, local_authorize_offline=local, offline_tx_for_unknown_id_enabled=unknown)
    setup.csms.fails = True
    if known is not None:
        await setup.tokens.update(fakes.CARD, known)
    assert await setup.status() is status
    assert setup.csms.requested_tokens == ([fakes.CARD] if silent else [])
    assert setup.tokens.find(fakes.CARD) == known, "C15.FR.01: what was only believed is not cached"


async def test_the_group_is_that_of_a_token_which_is_known_and_valid() -> None:
    """C01.FR.03 b"""
    setup = AuthorizerWithFakes()
    assert await setup.authorizer.group_of(fakes.CARD) is None
    await setup.tokens.update(fakes.CARD, ACCEPTED)
    assert await setup.authorizer.group_of(fakes.CARD) == ACCEPTED.group_id
    await setup.tokens.update(fakes.CARD, IdTokenInfo(AuthorizationStatus.EXPIRED, group_id=ACCEPTED.group_id))
    assert await setup.authorizer.group_of(fakes.CARD) is None


async def test_the_group_of_the_local_list_goes_before_that_of_the_cache() -> None:
    """C09.FR.07, C13.FR.01, C14.FR.01"""
    setup, family = AuthorizerWithFakes(), IdToken("FAMILY", "Central")
    await setup.tokens.update(fakes.CARD, ACCEPTED)
    setup.listed[fakes.CARD.key] = ListedToken(IdTokenInfo(AuthorizationStatus.ACCEPTED, group_id=family))
    assert await setup.authorizer.group_of(fakes.CARD) == family
    for refused in (ListedToken(BLOCKED), LAPSED):
        setup.listed[fakes.CARD.key] = refused
        assert await setup.authorizer.group_of(fakes.CARD) is None


@pytest.mark.parametrize("cached", [None, ACCEPTED, BLOCKED])
async def test_a_token_that_the_local_list_accepts_need_not_be_asked_for(cached: IdTokenInfo | None) -> None:
    """C14.FR.01, C14.FR.02, C14.FR.04"""
    setup = AuthorizerWithFakes(local_pre_authorize=True)
    if cached is not None:
        await setup.tokens.update(fakes.CARD, cached)
    setup.listed[fakes.CARD.key] = ListedToken(ACCEPTED)
    assert (await setup.authorize()).info == ACCEPTED
    assert setup.csms.requested_tokens == []


@pytest.mark.parametrize("cached", [None, ACCEPTED])
@pytest.mark.parametrize(
    ("listed", "disabled", "requested"),
    [
        (ListedToken(BLOCKED), False, True),  # C14.FR.03
        (LAPSED, False, True),  # C14.FR.05
        (ListedToken(BLOCKED), True, False),  # LocalAuthListCtrlr.DisablePostAuthorize
        (LAPSED, True, True),  # which is about another status than Accepted
        (UNREADABLE, True, True),  # nobody knows its status
    ],
)
async def test_a_token_that_the_local_list_refuses_is_asked_for(
    listed: ListedToken, disabled: bool, requested: bool, cached: IdTokenInfo | None
) -> None:
    setup = AuthorizerWithFakes(local_pre_authorize=True, local_list_disable_post_authorize=disabled)
    if cached is not None:
        await setup.tokens.update(fakes.CARD, cached)
    setup.listed[fakes.CARD.key] = listed
    setup.csms.answers[fakes.CARD.key] = ACCEPTED
    assert await setup.status() is (AuthorizationStatus.ACCEPTED if requested else AuthorizationStatus.BLOCKED)
    assert setup.csms.requested_tokens == ([fakes.CARD] if requested else [])


async def test_without_pre_authorization_a_listed_token_is_asked_for_too() -> None:
    """AuthCtrlr.LocalPreAuthorize; C01.FR.05"""
    setup = AuthorizerWithFakes(local_pre_authorize=False)
    setup.listed[fakes.CARD.key] = ListedToken(ACCEPTED)
    setup.csms.answers[fakes.CARD.key] = BLOCKED
    assert await setup.status() is AuthorizationStatus.BLOCKED
    assert setup.tokens.find(fakes.CARD) == BLOCKED, "C10.FR.01: what was answered is cached"


@each_row("silent", [True, False])
@each_row("cached", [None, ACCEPTED, BLOCKED])
@each_row(
    ("listed", "local", "unknown", "status"),
    [
        (ListedToken(ACCEPTED), True, False, AuthorizationStatus.ACCEPTED),  # C13.FR.02, C13.FR.05
        (ListedToken(BLOCKED), True, False, AuthorizationStatus.BLOCKED),
        (ListedToken(BLOCKED), True, True, AuthorizationStatus.BLOCKED),  # C13.FR.04: it is not unknown
        (LAPSED, True, False, AuthorizationStatus.EXPIRED),  # C13.FR.05
        (LAPSED, True, True, AuthorizationStatus.EXPIRED),  # C13.FR.06: it is not unknown
        (ListedToken(ACCEPTED), False, True, AuthorizationStatus.UNKNOWN),
    ],
)
async def test_while_nobody_answers_the_local_list_goes_before_the_cache(
    silent: bool,
    cached: IdTokenInfo | None,
    listed: ListedToken,
    local: bool,
    unknown: bool,
    status: AuthorizationStatus,
) -> None:
    """C13.FR.01; offline, or online without an answer"""
    setup = AuthorizerWithFakes(online=silent, local_authorize_offline=local, offline_tx_for_unknown_id_enabled=unknown)
    setup.csms.fails = True
    if cached is not None:
        await setup.tokens.update(fakes.CARD, cached)
    setup.listed[fakes.CARD.key] = listed
    assert await setup.status() is status


@pytest.mark.parametrize(
    ("listed", "status"),
    [
        (ListedToken(ACCEPTED), AuthorizationStatus.ACCEPTED),
        (ListedToken(BLOCKED), AuthorizationStatus.BLOCKED),
        (LAPSED, AuthorizationStatus.EXPIRED),
    ],
)
async def test_the_local_list_decides_where_the_csms_is_never_asked(
    listed: ListedToken, status: AuthorizationStatus
) -> None:
    """AuthCtrlr.DisableRemoteAuthorization"""
    setup = AuthorizerWithFakes(disable_remote_authorization=True)
    await setup.tokens.update(fakes.CARD, ACCEPTED)
    setup.listed[fakes.CARD.key] = listed
    assert await setup.status() is status
    assert setup.csms.requested_tokens == []


async def test_without_authorization_whoever_comes_may_charge() -> None:
    """AuthCtrlr.Enabled"""
    setup = AuthorizerWithFakes(auth_enabled=False)
    assert await setup.status() is AuthorizationStatus.ACCEPTED
    assert setup.csms.requested_tokens == []
    assert setup.tokens.entries() == []


@pytest.mark.parametrize("pre_authorize", [True, False])
@pytest.mark.parametrize(
    ("known", "status"),
    [
        (ACCEPTED, AuthorizationStatus.ACCEPTED),
        (BLOCKED, AuthorizationStatus.BLOCKED),
        (None, AuthorizationStatus.UNKNOWN),
    ],
)
async def test_the_csms_is_never_asked_where_that_is_switched_off(
    known: IdTokenInfo | None, status: AuthorizationStatus, pre_authorize: bool
) -> None:
    """AuthCtrlr.DisableRemoteAuthorization"""
    setup = AuthorizerWithFakes(
        disable_remote_authorization=True,
        local_pre_authorize=pre_authorize,
        offline_tx_for_unknown_id_enabled=True,  # which is about being offline
    )
    if known is not None:
        await setup.tokens.update(fakes.CARD, known)
    assert await setup.status() is status
    assert setup.csms.requested_tokens == []


async def test_a_refused_token_is_not_asked_for_again_where_that_is_switched_off() -> None:
    """AuthCacheCtrlr.DisablePostAuthorize"""
    setup = AuthorizerWithFakes(local_pre_authorize=True, auth_cache_disable_post_authorize=True)
    setup.csms.answers[fakes.CARD.key] = ACCEPTED
    await setup.tokens.update(fakes.CARD, BLOCKED)
    assert await setup.status() is AuthorizationStatus.BLOCKED
    assert setup.csms.requested_tokens == []
    await setup.tokens.forget(fakes.CARD)
    assert await setup.status() is AuthorizationStatus.ACCEPTED, "one that nobody knows is asked for"


async def test_a_local_id_is_always_asked_for() -> None:
    """C06.FR.02"""
    setup, ticket = AuthorizerWithFakes(local_pre_authorize=True), IdToken("TICKET-1", "Local")
    await setup.tokens.update(ticket, ACCEPTED)
    setup.csms.answers[ticket.key] = BLOCKED
    assert (await setup.authorize(ticket)).info.status is AuthorizationStatus.BLOCKED
    assert setup.csms.requested_tokens == [ticket]


@pytest.mark.parametrize(
    ("configured", "group", "is_master_pass"),
    [
        ("", IdToken("", "Central"), False),
        ("", None, False),
        ("POLICE", None, False),
        ("POLICE", IdToken("police", "Central"), True),
        ("POLICE", IdToken("FIRE", "Central"), False),
    ],
)
def test_a_master_pass_is_of_the_group_that_is_configured(
    configured: str, group: IdToken | None, is_master_pass: bool
) -> None:
    """C16"""
    setup = AuthorizerWithFakes()
    setup.settings.override(AuthorizationSettings.master_pass_group_id, configured)
    assert setup.authorizer.is_master_pass(group) is is_master_pass


def test_of_a_key_code_nothing_is_shown() -> None:
    """C04.FR.04"""
    assert loggable_token(IdToken("1234567890", "KeyCode")) == "…"
    assert loggable_token(fakes.CARD) == "04A3…80"


@pytest.mark.parametrize("known", [None, ACCEPTED, BLOCKED])
@pytest.mark.parametrize("silent", [True, False])
async def test_a_reservation_authorizes_its_token_where_the_csms_cannot_be_asked(
    silent: bool, known: IdTokenInfo | None
) -> None:
    """H03.FR.01: offline, or online without an answer"""
    setup = AuthorizerWithFakes(online=silent)
    setup.csms.fails = True
    if known is not None:
        await setup.tokens.update(fakes.CARD, known)
    token = await setup.authorize(reserved=True)
    assert token.info.status is AuthorizationStatus.ACCEPTED


async def test_the_csms_may_still_reject_a_token_with_a_reservation() -> None:
    """H03, remark: the identifier should be validated before the start."""
    setup = AuthorizerWithFakes()
    setup.csms.answers[fakes.CARD.key] = BLOCKED
    assert (await setup.authorize(reserved=True)).info.status is AuthorizationStatus.BLOCKED


async def test_a_removed_card_of_the_owner_is_not_authorized_by_its_reservation() -> None:
    setup = AuthorizerWithFakes(online=False)
    authorizer = Authorizer(setup.csms, setup.tokens, setup.listed, NoOwnerCards(), setup.settings)
    assert (
        await authorizer.authorize(AuthorizationRequest(fakes.CARD), reserved=True)
    ).info.status is AuthorizationStatus.UNKNOWN


async def test_what_is_stored_of_the_holder_of_a_reservation_counts_offline_too() -> None:
    """Group, languages and priority; at the EVSE that the CSMS has reserved, whatever EVSEs are stored."""
    setup = AuthorizerWithFakes(online=False)
    known = replace(ACCEPTED, evse_ids=(2,), charging_priority=5, languages=("de",))
    await setup.tokens.update(fakes.CARD, known)
    assert (await setup.authorize(reserved=True)).info == replace(known, evse_ids=())


@pytest.mark.parametrize(
    ("online", "silent", "stored", "decided_by", "unanswered"),
    [
        (True, False, None, AuthorizedBy.CSMS, False),
        (True, True, None, AuthorizedBy.NOBODY, True),
        (True, True, "cache", AuthorizedBy.CACHE, True),
        (False, False, None, AuthorizedBy.NOBODY, False),
        (False, False, "cache", AuthorizedBy.CACHE, False),
        (False, False, "list", AuthorizedBy.LOCAL_LIST, False),
    ],
)
async def test_an_authorization_says_who_decided_and_whether_the_csms_was_silent(
    online: bool, silent: bool, stored: str | None, decided_by: AuthorizedBy, unanswered: bool
) -> None:
    setup = AuthorizerWithFakes(online=online, local_authorize_offline=True)
    setup.csms.fails = silent
    if stored == "cache":
        await setup.tokens.update(fakes.CARD, BLOCKED)
    elif stored == "list":
        setup.listed[fakes.CARD.key] = ListedToken(BLOCKED)
    token = await setup.authorize()
    assert (token.decided_by, token.unanswered) == (decided_by, unanswered)
    assert token.checked is (decided_by is not AuthorizedBy.NOBODY)


async def test_a_token_that_offline_rules_accept_is_said_to_be_accepted_by_them() -> None:
    """C15.FR.08"""
    setup = AuthorizerWithFakes(online=False, offline_tx_for_unknown_id_enabled=True)
    assert (await setup.authorize()).decided_by is AuthorizedBy.LOCAL_RULES


async def test_what_the_csms_says_of_a_certificate_is_passed_on() -> None:
    setup = AuthorizerWithFakes()
    setup.csms.certificate_status = "CertChainError"
    assert (await setup.authorize()).certificate_status == "CertChainError"

"""Requests to start a charge become decisions: which tokens are authorized, what is refused, what follows."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from station.charging.authorization.authorization_cache import AuthorizationCache
from station.charging.authorization.authorization_settings import AuthorizationSettings
from station.charging.authorization.authorizer import Authorizer
from station.charging.authorization.local_list import LocalAuthorizationList
from station.charging.evse_state import Authorization
from station.charging.reservations.reservation import Reservation
from station.charging.reservations.reservation_settings import ReservationSettings
from station.charging.reservations.reservation_store import ReservationStore
from station.charging.reservations.reservations import Reservations
from station.charging.restart import RestartController
from station.charging.starts.charge_starter import ChargeStarter
from station.charging.starts.served_vehicles import ServedVehicles
from station.charging.starts.start_permission import StartPermission
from station.charging.starts.start_request import StartDecision, StartRefusal, StartRequest, StartSource
from station.charging.starts.start_rules import authorization_of
from station.core.csms import AuthorizationAnswer, AuthorizationRequest
from station.core.model import (
    NO_TOKEN,
    AuthorizationStatus,
    IdToken,
    IdTokenInfo,
    PilotState,
    StoppedReason,
    TriggerReason,
)
from tests import fakes
from tests.station.evse_fixture import EvseFixture, evse_fixture

FAMILY = IdToken("FAMILY", "Central")
ACCEPTED = IdTokenInfo(AuthorizationStatus.ACCEPTED)
BY_CARD = StartRequest(StartSource.CARD, fakes.CARD, 1)
WITHOUT_TOKEN = frozenset({StartSource.BUTTON, StartSource.PLUG_IN, StartSource.INSTALLER})
"""the only sources that have no token of a customer"""


class AskedCsms(fakes.FakeCsms):
    """A fake CSMS; something may change while it is asked about a token."""

    while_asked: Callable[[], None] | None = None

    async def authorize(self, request: AuthorizationRequest) -> AuthorizationAnswer:
        """Make the change, then answer."""
        if self.while_asked is not None:
            self.while_asked()
        return await super().authorize(request)


class StarterFixture:
    """A `ChargeStarter` with one EVSE at work and a fake CSMS, which accepts `CARD`."""

    def __init__(self, evse: EvseFixture) -> None:
        self.evse, self.clock, self.activated = evse.evse, evse.clock, True
        self.observe = evse.observe
        self.settings, self.csms = AuthorizationSettings(), AskedCsms()
        self.csms.answers[fakes.CARD.key] = ACCEPTED
        evses, transactions = {1: self.evse}, evse.settings.transactions
        local_list = LocalAuthorizationList(evse.database, self.settings, self.clock)
        cache = AuthorizationCache(None, self.settings, self.clock)
        restart = RestartController(evses, evse.outbox, self.csms, transactions, self.clock, lambda _: None)
        store = ReservationStore(evse.database)
        self.reservations = Reservations(evses, store, ReservationSettings(), self.clock, reports_ends=True)
        self.starter = ChargeStarter(
            evses,
            Authorizer(self.csms, cache, local_list, None, self.settings),
            StartPermission(restart, self, self.csms, transactions),
            self.reservations,
            ServedVehicles(evses.values()),
            self.settings,
        )

    async def reserve(self, id_token: IdToken, group_id: IdToken | None = None) -> None:
        """Reserve the EVSE for a token or its group, for an hour, with the id 7."""
        expires_at = self.clock.now() + timedelta(hours=1)
        assert (await self.reservations.reserve(Reservation(7, id_token, expires_at, group_id, 1))).accepted
        self.reservations.update_evses()

    async def start_while(self, request: StartRequest, change: Callable[[], None]) -> StartDecision:
        """Request a start, and make a change while the CSMS is asked about the token."""
        self.csms.while_asked = change
        return await self.starter.start(request)


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncGenerator[StarterFixture]:
    async with evse_fixture(tmp_path) as evse:
        yield StarterFixture(evse)


@pytest.mark.parametrize("source", StartSource)
async def test_every_source_authorizes_its_token_unless_it_has_none(
    harness: StarterFixture, source: StartSource
) -> None:
    """C01.FR.02, C02, F01.FR.01; a source that is added later authorizes, or is listed here expressly."""
    has_token = source not in WITHOUT_TOKEN
    harness.activated = source is not StartSource.INSTALLER
    harness.settings.override(AuthorizationSettings.auth_enabled, has_token)
    harness.settings.override(AuthorizationSettings.authorize_remote_start, True)
    decision = await harness.starter.start(StartRequest(source, fakes.CARD if has_token else NO_TOKEN, 1))
    assert decision.refusal is None
    assert harness.csms.requested_tokens == ([fakes.CARD] if has_token else [])
    assert (decision.token is not None) == has_token


async def test_a_decision_names_the_group_and_the_reservation_with_which_the_charge_starts(
    harness: StarterFixture,
) -> None:
    """H03.FR.07, H03.FR.09: the card uses the reservation of its group, which the CSMS names."""
    harness.csms.answers[fakes.CARD.key] = replace(ACCEPTED, group_id=FAMILY, charging_priority=3, languages=("fr",))
    await harness.reserve(fakes.OTHER_CARD, FAMILY)
    decision = await harness.starter.start(BY_CARD)
    assert (decision.evse_id, decision.group_id, decision.reservation_id) == (1, FAMILY, 7)
    expected = Authorization(fakes.CARD, FAMILY, reservation_id=7, charging_priority=3, languages=("fr",))
    assert authorization_of(BY_CARD, decision) == expected
    assert harness.evse.state.authorization == expected


async def test_a_vehicle_starts_by_itself_once_until_it_is_plugged_in_again(harness: StarterFixture) -> None:
    """C02, remark"""
    harness.settings.override(AuthorizationSettings.auth_enabled, False)
    plug_in = StartRequest(StartSource.PLUG_IN, evse_id=1)
    await harness.observe(pilot=PilotState.B, cable_plugged=True)
    assert (await harness.starter.start(plug_in)).refusal is None
    harness.evse.end_authorization(TriggerReason.STOP_AUTHORIZED, StoppedReason.LOCAL, ends_transaction=True)
    await harness.clock.advance(10)
    assert (await harness.starter.start(plug_in)).refusal is StartRefusal.VEHICLE_SERVED
    await harness.observe(pilot=PilotState.A, cable_plugged=False)
    await harness.observe(pilot=PilotState.B, cable_plugged=True)
    assert (await harness.starter.start(plug_in)).refusal is None


async def test_an_evse_that_was_authorized_while_the_token_was_checked_stays_with_that_authorization(
    harness: StarterFixture,
) -> None:
    other = Authorization(fakes.OTHER_CARD)
    decision = await harness.start_while(BY_CARD, lambda: harness.evse.authorize(other, TriggerReason.REMOTE_START))
    assert (decision.evse_id, decision.refusal) == (1, StartRefusal.EVSE_CHANGED)
    assert decision.reason == "the authorization of EVSE 1 changed while the token was checked"
    assert harness.evse.authorized_token == fakes.OTHER_CARD


async def test_an_evse_that_was_freed_while_the_token_was_checked_starts_nothing(harness: StarterFixture) -> None:
    harness.evse.authorize(Authorization(fakes.OTHER_CARD), TriggerReason.AUTHORIZED)
    decision = await harness.start_while(
        BY_CARD, lambda: harness.evse.end_authorization(TriggerReason.STOP_AUTHORIZED, StoppedReason.LOCAL)
    )
    assert (decision.evse_id, decision.refusal) == (1, StartRefusal.EVSE_CHANGED)
    assert harness.evse.authorized_token is None


async def test_a_rejected_token_loses_its_reservation_and_that_of_others_stays(harness: StarterFixture) -> None:
    """H03.FR.09"""
    harness.csms.answers[fakes.CARD.key] = IdTokenInfo(AuthorizationStatus.BLOCKED)
    await harness.reserve(fakes.CARD)
    stranger = await harness.starter.start(StartRequest(StartSource.CARD, fakes.OTHER_CARD, 1))
    assert stranger.refusal is StartRefusal.NO_EVSE
    assert [reservation.reservation_id for reservation in harness.reservations.pending] == [7]
    decision = await harness.starter.start(BY_CARD)
    assert (decision.refusal, decision.reservation_id) == (StartRefusal.TOKEN_REJECTED, None)
    assert harness.reservations.pending == ()
    assert harness.evse.authorized_token is None

"""Decides whether and where a requested charge starts, and starts it; the one way for all that can request a start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from station.charging.reservations.allocation import Claim
from station.charging.starts.start_request import StartDecision, StartRefusal, StartSource, refused
from station.charging.starts.start_rules import (
    EvseChoice,
    Obstacle,
    StartableEvse,
    authorization_of,
    choose_evse,
    group_charge,
    is_open_to_all,
)
from station.core.csms import AuthorizationRequest
from station.core.model import CSMS_TOKEN_TYPES, IdToken, TriggerReason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from station.charging.authorization.authorization_settings import AuthorizationSettings
    from station.charging.authorization.authorizer import Authorizer, TokenAuthorization
    from station.charging.evse import Evse
    from station.charging.evse_state import Authorization
    from station.charging.reservations.reservations import Reservations
    from station.charging.starts.served_vehicles import ServedVehicles
    from station.charging.starts.start_permission import StartPermission
    from station.charging.starts.start_request import StartRequest


_WITHOUT_TOKEN: Final = frozenset({StartSource.BUTTON, StartSource.PLUG_IN, StartSource.INSTALLER})
"""sources whose requests have no token of a customer; the tokens of all others are authorized"""
_WITHOUT_AUTHORIZATION: Final = _WITHOUT_TOKEN - {StartSource.INSTALLER}
"""sources that may start a charge only while AuthCtrlr.Enabled is false"""


class ChargeStarter:
    """Decides on requests to start a charge, and authorizes the EVSE where one starts.

    Whoever requests a start gets the same decision by the same rules; the requesters differ only in what they do with
    it.
    """

    def __init__(
        self,
        evses: Mapping[int, Evse],
        authorizer: Authorizer,
        permission: StartPermission,
        reservations: Reservations,
        served: ServedVehicles,
        settings: AuthorizationSettings,
    ) -> None:
        self._evses = evses
        self._authorizer = authorizer
        self._permission = permission
        self._reservations = reservations
        self._served_vehicles = served
        self._settings = settings

    # Remote starts: an accepted one keeps its EVSE until it is executed

    def hold(self, evse_id: int) -> None:
        """Keep an EVSE for an accepted remote start, so that no second one is accepted meanwhile."""
        self._reservations.starting.add(evse_id)

    def release(self, evse_id: int) -> None:
        """Undo `hold`; starts nothing."""
        self._reservations.starting.discard(evse_id)

    # Decisions

    def is_possible(self, evse: Evse) -> bool:
        """Whether an accepted token of anybody could start a charge at an EVSE now, apart from reservations."""
        return self._permission.refusal(StartSource.CARD) is None and is_open_to_all(evse.state)

    def refusal(self, source: StartSource) -> str | None:
        """Why no charge of this source can start at any EVSE, in English without final period; None: one may."""
        if source in _WITHOUT_AUTHORIZATION and self._settings.auth_enabled:  # C01.FR.01
            return "charging needs a token"
        return self._permission.refusal(source)

    def expects(self, request: StartRequest, group_id: IdToken | None) -> bool:
        """Whether an EVSE waits for the token of this request; `group_id`: its group as far as it is known."""
        if self.refusal(request.source) is not None:
            return False
        return choose_evse(request, self._startable_evses(request, group_id, group_unknown=group_id is None)).expected

    async def check(self, request: StartRequest) -> StartDecision:
        """Decide whether a charge could start and where, without asking the CSMS; changes nothing.

        Where the token will be authorized by `start`, a group that is not known yet is left to that (H03.FR.08).
        """
        return self._check(request, await self._known_group(request), executes=False)

    async def start(self, request: StartRequest, *, authorize_anyway: bool = False) -> StartDecision:
        """Decide on a request, asking the CSMS about the token if needed; start the charge if nothing prevents it.

        `authorize_anyway`: authorize the token even if no charge can start, because it may stop one.
        """
        authorizations_before = {evse.id: evse.state.authorization for evse in self._evses.values()}
        group_id, token = await self._known_group(request), None
        provisional_decision = self._check(request, group_id, executes=True)
        if (
            provisional_decision.refusal is not None
            and not authorize_anyway
            and not _is_authorized_anyway(request, provisional_decision.refusal)
        ):
            return provisional_decision
        if self._needs_authorization(request):
            token = await self._authorize(request, provisional_decision.evse_id)
            if not token.info.accepted:  # C09.FR.11
                return _rejected_token(token)
            group_id = token.info.group_id or group_id
        if self._authorizer.is_master_pass(group_id):  # C16.FR.03
            return refused(StartRefusal.MASTER_PASS, "it is a master pass", token=token)
        # Nothing waits from here on: the decision is executed in the state that it was made for.
        choice = self._choose(request, group_id, token)
        if (changed := self._changed_since(authorizations_before, request, choice)) is not None:
            return changed
        if choice.evse_id is None or choice.obstacle is not None:
            return _refused_by_obstacle(choice, token)
        return self._execute(request, self._evses[choice.evse_id], group_id, token)

    def _check(self, request: StartRequest, group_id: IdToken | None, *, executes: bool) -> StartDecision:
        """Decide without the authorization of the token; `executes`: the EVSE may be held for this very start."""
        if (reason := self.refusal(request.source)) is not None:
            return refused(StartRefusal.NOT_PERMITTED, reason)
        group_unknown = group_id is None and self._needs_authorization(request)
        choice = choose_evse(
            request, self._startable_evses(request, group_id, group_unknown=group_unknown, executes=executes)
        )
        return StartDecision(choice.evse_id) if choice.obstacle is None else _refused_by_obstacle(choice, None)

    def _choose(self, request: StartRequest, group_id: IdToken | None, token: TokenAuthorization | None) -> EvseChoice:
        """Choose the EVSE with all that is known of the token; a card may also belong to the group of a charge."""
        evses = self._startable_evses(request, group_id, executes=True)
        if (reason := self.refusal(request.source)) is not None:
            choice = EvseChoice(None, Obstacle(StartRefusal.NOT_PERMITTED, reason))
        else:
            choice = choose_evse(request, evses, allowed=token.info.evse_ids if token is not None else ())
        if request.source is not StartSource.CARD or choice.expected:
            return choice
        return group_charge(request, evses, group_id) or choice

    def _startable_evses(
        self, request: StartRequest, group_id: IdToken | None, *, group_unknown: bool = False, executes: bool = False
    ) -> list[StartableEvse]:
        """The EVSEs as the rules see them. `group_unknown`: the group may still become known by the authorization."""
        return [
            StartableEvse(
                evse.id,
                evse.state,
                *self._claim(evse.id, request.id_token, group_id, group_unknown=group_unknown),
                observed=evse.observed,
                vehicle_served=self._served_vehicles.at(evse.id),
                vehicle_stopped=self._served_vehicles.stopped_at(evse.id),
                remote_start_pending=not executes and evse.id in self._reservations.starting,
            )
            for evse in self._evses.values()
        ]

    def _claim(
        self, evse_id: int, id_token: IdToken, group_id: IdToken | None, *, group_unknown: bool
    ) -> tuple[Claim, bool]:
        """The claim of a token on an EVSE by reservations, and whether its group, not known yet, may decide it."""
        claim = self._reservations.claim(evse_id, id_token, group_id)
        if claim.admitted or not group_unknown or not self._reservations.might_admit(evse_id, id_token):
            return claim, False
        return Claim(True, claim.reservation), True

    # Authorization of the token

    async def _known_group(self, request: StartRequest) -> IdToken | None:
        """The group of the token of a remote start, as it was requested or as local list and cache know it."""
        if request.source is not StartSource.REMOTE:
            return None
        return request.group_id or await self._authorizer.group_of(request.id_token)

    def _needs_authorization(self, request: StartRequest) -> bool:
        """Whether the token of a request is authorized before the start (C01, F01.FR.01).

        C03.FR.01, C05.FR.01: token types that the CSMS issues itself need no AuthorizeRequest.
        """
        if request.source is StartSource.REMOTE:
            return self._settings.authorize_remote_start and request.id_token.type not in CSMS_TOKEN_TYPES
        return request.source not in _WITHOUT_TOKEN

    async def _authorize(self, request: StartRequest, evse_id: int | None) -> TokenAuthorization:
        """Authorize the token of a request; a rejected one loses its reservation of the EVSE that it is meant for."""
        reservation = self._reservations.claim(evse_id, request.id_token).reservation if evse_id is not None else None
        token = await self._authorizer.authorize(
            AuthorizationRequest(request.id_token, request.contract), reserved=reservation is not None
        )
        if reservation is not None and not token.info.accepted:
            self._reservations.remove(reservation)  # H03.FR.09: presenting the token uses it
        return token

    # Execution

    def _changed_since(
        self, authorizations_before: Mapping[int, Authorization | None], request: StartRequest, choice: EvseChoice
    ) -> StartDecision | None:
        """The refusal if an EVSE of the choice was authorized or freed while the token was checked; else None."""
        if choice.obstacle is not None and choice.obstacle.refusal is StartRefusal.NOT_PERMITTED:
            return None
        evse_id = request.evse_id if choice.evse_id is None else choice.evse_id
        if (
            evse_id is None
            or evse_id not in authorizations_before
            or _is_same_authorization(self._evses[evse_id].state.authorization, authorizations_before[evse_id])
        ):
            return None
        reason = f"the authorization of EVSE {evse_id} changed while the token was checked"
        return refused(StartRefusal.EVSE_CHANGED, reason, evse_id=evse_id)

    def _execute(
        self, request: StartRequest, evse: Evse, group_id: IdToken | None, token: TokenAuthorization | None
    ) -> StartDecision:
        """Use the reservation of the token and authorize the EVSE, which starts the charge."""
        reservation_id = self._reservations.use(evse.id, request.id_token, group_id)  # H03.FR.09
        decision = StartDecision(evse.id, token=token, group_id=group_id, reservation_id=reservation_id)
        remote = request.source is StartSource.REMOTE
        trigger = TriggerReason.REMOTE_START if remote else TriggerReason.AUTHORIZED
        evse.authorize(authorization_of(request, decision), trigger)
        return decision


def _is_authorized_anyway(request: StartRequest, refusal: StartRefusal) -> bool:
    """Whether a token is authorized although no charge can start: a card presented at an EVSE that is in use."""
    return request.source is StartSource.CARD and refusal in {StartRefusal.IN_USE, StartRefusal.HELD}


def _rejected_token(token: TokenAuthorization) -> StartDecision:
    """The refusal of a token that was not accepted."""
    if token.checked:
        return refused(StartRefusal.TOKEN_REJECTED, f"its authorization status is {token.info.status}", token=token)
    return refused(StartRefusal.NOT_CHECKED, "the CSMS cannot be asked about it", token=token)


def _refused_by_obstacle(choice: EvseChoice, token: TokenAuthorization | None) -> StartDecision:
    """The refusal because of what prevents the start."""
    obstacle = choice.obstacle or Obstacle(StartRefusal.NO_EVSE, "there is no EVSE")
    return refused(obstacle.refusal, obstacle.reason, evse_id=choice.evse_id, token=token)


def _is_same_authorization(first: Authorization | None, second: Authorization | None) -> bool:
    """Whether both are the same authorization; the group is ignored, since it may have been set meanwhile."""
    if first is None or second is None:
        return first is second
    return (first.id_token, first.since_s) == (second.id_token, second.since_s)

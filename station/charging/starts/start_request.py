"""A request to start a charge, and the decision on it."""

from __future__ import annotations

from enum import Enum, auto

from foundation.frozen import Frozen
from station.charging.authorization.authorizer import TokenAuthorization
from station.core.csms import ContractCertificate
from station.core.model import NO_TOKEN, IdToken


class StartSource(Enum):
    """Who requests the start of a charge."""

    CARD = auto()
    """an id token presented at a reader, the display or the API (C01)"""
    BUTTON = auto()
    """the start button of an EVSE, without a token (C02)"""
    PLUG_IN = auto()
    """a vehicle that is plugged in while no authorization is needed (C02, remark)"""
    REMOTE = auto()
    """RequestStartTransaction of the CSMS (F01, F02)"""
    CONTRACT = auto()
    """a vehicle that presents its contract certificate: Plug & Charge (C07)"""
    VEHICLE = auto()
    """a vehicle that is recognized by its EVCCID: Autocharge"""
    INSTALLER = auto()
    """the test session of an installer, before the station is activated"""


class StartRequest(Frozen):
    """A request to start a charge: who asks, for which token, where, and what is known already."""

    source: StartSource
    id_token: IdToken = NO_TOKEN
    """the token to charge with; `NO_TOKEN`: the charge needs none"""
    evse_id: int | None = None
    """where to charge; None: the station chooses an EVSE"""
    group_id: IdToken | None = None
    """the group of the token, if the requester named one; None: the local list, the cache or the CSMS may know it"""
    remote_start_id: int | None = None
    """remoteStartId of RequestStartTransaction"""
    contract: ContractCertificate | None = None
    """the certificate with which a vehicle presents the token; None: it is presented otherwise"""


class StartRefusal(Enum):
    """Why a charge cannot start."""

    NOT_PERMITTED = auto()
    """the station lets no charge start now"""
    NO_EVSE = auto()
    """no EVSE is able to, or all are kept for others"""
    TOKEN_REJECTED = auto()
    """the authorization status of the token is not Accepted"""
    NOT_CHECKED = auto()
    """the CSMS cannot be asked about the token, or did not answer, and nothing that is stored decides"""
    MASTER_PASS = auto()
    """a master pass starts no charge (C16.FR.03)"""
    IN_USE = auto()
    """the EVSE is authorized for another token"""
    HELD = auto()
    """the cable or transaction of the EVSE belongs to another token"""
    IN_USE_BY_GROUP = auto()
    """the EVSE is authorized for a token of the same group, whose charge this token may stop (C09.FR.03)"""
    VEHICLE_SERVED = auto()
    """the vehicle has been authorized since it was connected, so that it does not start by itself again"""
    EVSE_CHANGED = auto()
    """the authorization of the EVSE changed while the token was checked"""


class StartDecision(Frozen):
    """Where a charge starts and for whom, or why none does."""

    evse_id: int | None
    """where the charge starts; with a refusal the EVSE that it is about. None: no EVSE in particular"""
    refusal: StartRefusal | None = None
    """None: the charge may start"""
    reason: str | None = None
    """the refusal as a sentence in English without its final period; None: the charge may start"""
    token: TokenAuthorization | None = None
    """the authorization of the token, and who decided on it; None: it was not requested, or not needed"""
    group_id: IdToken | None = None
    """the group for which the charge starts, whose tokens may also stop it; None: no group, or nothing starts"""
    reservation_id: int | None = None
    """the reservation that the start has used; None: no reservation, or nothing has started"""


def refused(
    refusal: StartRefusal, reason: str, *, evse_id: int | None = None, token: TokenAuthorization | None = None
) -> StartDecision:
    """The decision that no charge starts: why, also as a sentence in English, and at which EVSE."""
    return StartDecision(evse_id, refusal, reason, token)

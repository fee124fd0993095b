"""The installer's test session: a charge without id token, at a station that is not activated yet."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from station.charging.evse_state import Authorization
from station.charging.tokens.admission import can_charge, is_anonymous
from station.core.model import NO_TOKEN, StoppedReason, TriggerReason

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.charging.charging_station import ChargingStation
    from station.charging.evse import Evse

_log = logging.getLogger(__name__)

LONGEST_S: Final = 900.0
"""a forgotten test session ends after this time"""


def start_test(station: ChargingStation, evse: Evse, clock: Clock) -> bool:
    """Authorize an EVSE without id token, for the installer's test session; it ends by itself after 15 minutes.

    False, and nothing has changed: the EVSE is not available, or the station is activated.
    """
    state = evse.state
    ordered_off = not state.in_service or state.withheld or station.restart.refuses_starts
    if state.authorization is not None or ordered_off or not can_charge(evse) or station.activated:
        return False
    _log.info("EVSE %d: test session started", evse.id)
    evse.authorize(Authorization(NO_TOKEN, tests=True), TriggerReason.AUTHORIZED)
    begun = evse.state.authorization
    since_s = begun.since_s if begun is not None else None

    def forgotten() -> None:
        running = evse.state.authorization
        if running is not None and running.since_s == since_s:
            evse.end_authorization(TriggerReason.STOP_AUTHORIZED, StoppedReason.TIMEOUT)

    clock.call_later(LONGEST_S, forgotten)
    return True


def end_test(station: ChargingStation, evse: Evse) -> bool:
    """End the authorization of a test session, also after an activation; False if none is running."""
    running = evse.state.authorization
    if running is None or not is_anonymous(running.id_token) or (station.activated and not running.tests):
        return False  # at an activated station an anonymous charge is not a test
    evse.end_authorization(TriggerReason.STOP_AUTHORIZED, StoppedReason.LOCAL)
    return True

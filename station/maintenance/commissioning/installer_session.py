"""The installer's test session: a charge without id token, at a station that is not activated yet."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from station.charging.starts.start_request import StartRequest, StartSource
from station.charging.starts.start_rules import is_anonymous
from station.core.model import StoppedReason, TriggerReason

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.charging.charging_station import ChargingStation
    from station.charging.evse import Evse

_log = logging.getLogger(__name__)

LONGEST_S: Final = 900.0
"""a forgotten test session ends after this time"""


async def start_session(station: ChargingStation, evse: Evse, clock: Clock) -> str | None:
    """Authorize an EVSE without id token, for the installer's test session; it ends by itself after 15 minutes.

    Returns why no session starts, in English without final period; None: it has started.
    """
    decision = await station.starter.start(StartRequest(StartSource.INSTALLER, evse_id=evse.id))
    if decision.refusal is not None:
        return decision.reason
    _log.info("EVSE %d: test session started", evse.id)
    begun = evse.state.authorization
    since_s = begun.since_s if begun is not None else None

    def end_forgotten() -> None:
        running = evse.state.authorization
        if running is not None and running.since_s == since_s:
            evse.end_authorization(TriggerReason.STOP_AUTHORIZED, StoppedReason.TIMEOUT)

    clock.call_later(LONGEST_S, end_forgotten)
    return None


def end_session(station: ChargingStation, evse: Evse) -> bool:
    """End the authorization of a test session, also after an activation; False if none is running."""
    running = evse.state.authorization
    if running is None or not is_anonymous(running.id_token) or (station.activated and not running.tests):
        return False  # at an activated station an anonymous charge is not a test
    evse.end_authorization(TriggerReason.STOP_AUTHORIZED, StoppedReason.LOCAL)
    return True

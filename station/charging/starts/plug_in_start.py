"""Starts a charge at each plug-in while no authorization is needed (C02, remark)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from station.charging.evse_state import ev_connected
from station.charging.starts.start_request import StartRefusal, StartRequest, StartSource

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.charging.authorization.authorization_settings import AuthorizationSettings
    from station.charging.evse import Evse
    from station.charging.starts.charge_starter import ChargeStarter

_log = logging.getLogger(__name__)

_RETRY_S: Final = 5.0
"""retry interval while the station does not accept new sessions: the CSMS's acceptance changes no EVSE (B02.FR.03)"""


class PlugInStart:
    """Starts a charge without a token when a vehicle is connected, while AuthCtrlr.Enabled is false.

    Only at EVSEs without a start button.
    """

    def __init__(self, starter: ChargeStarter, settings: AuthorizationSettings, clock: Clock) -> None:
        self._starter = starter
        self._settings = settings
        self._clock = clock

    async def run(self, evse: Evse) -> None:
        """Task of one EVSE until cancelled: start a charge at each plug-in."""
        while True:
            count_before = evse.changed.count
            if not self._is_due(evse):
                await evse.changed.wait(count_before)
                continue
            decision = await self._starter.start(StartRequest(StartSource.PLUG_IN, evse_id=evse.id))
            if decision.refusal is None:
                _log.info("EVSE %d: charging is authorized without a token", evse.id)
            elif decision.refusal is StartRefusal.VEHICLE_SERVED:  # until it is unplugged
                await evse.changed.wait(count_before)
            else:
                await evse.changed.wait_for(count_before, self._clock, _RETRY_S)

    def _is_due(self, evse: Evse) -> bool:
        """Whether a vehicle is connected without authorization, and no token or button is needed."""
        waiting = ev_connected(evse.state) and evse.state.authorization is None
        return waiting and not evse.layout.start_button and not self._settings.auth_enabled

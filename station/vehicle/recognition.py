"""Autocharge: recognizes a vehicle by its EVCCID, and requests the start of a charge for it.

An EVCCID is a MAC address that a vehicle sends unencrypted, and that anybody can imitate: it identifies, and proves
nothing.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Final

from station.charging.starts.start_request import StartRequest, StartSource
from station.core.model import IdToken

if TYPE_CHECKING:
    from station.charging.starts.charge_starter import ChargeStarter

_log = logging.getLogger(__name__)

_SEPARATORS: Final = r"[\s:\-.]"
_MAC_ADDRESS: Final = r"[0-9A-F]{12}"


def token_of_evccid(evccid: str) -> IdToken | None:
    """The id token of a vehicle: its MAC address in capitals without separators; None: the EVCCID is none."""
    digits = re.sub(_SEPARATORS, "", evccid).upper()
    return IdToken(digits, "MacAddress") if re.fullmatch(_MAC_ADDRESS, digits) else None


class VehicleRecognition:
    """Requests a start for a vehicle by its EVCCID, by the usual order of decision: owner, list, cache, CSMS."""

    def __init__(self, starter: ChargeStarter, *, enabled: bool) -> None:
        self._starter = starter
        self._enabled = enabled

    async def authorize(self, evse_id: int, evccid: str) -> bool:
        """Request a start for the vehicle; returns whether its charge has started. A refusal leaves it to a card."""
        token = token_of_evccid(evccid)
        if not self._enabled or token is None:
            return False
        decision = await self._starter.start(StartRequest(StartSource.VEHICLE, token, evse_id))
        if decision.refusal is not None:
            _log.info("EVSE %d: the vehicle %s is not recognized: %s", evse_id, token.loggable, decision.reason)
            return False
        _log.info("EVSE %d: charging is authorized for the vehicle %s", evse_id, token.loggable)
        return True

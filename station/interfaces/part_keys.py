"""Keys of the parts that are not registered by their class (see `parts`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from foundation.clock import Clock
from station.charging.tokens.rate_limit import RateLimiter
from station.core.csms import CsmsLink, Variables, VendorMessages
from station.core.station_control import StationControl
from station.interfaces.parts import PartKey

if TYPE_CHECKING:
    from station.interfaces.status_report import StatusSource

CLOCK: Final = PartKey[Clock]("clock")
"""the clock of the station; always available"""
STATION_CONTROL: Final = PartKey[StationControl]("station control")
"""restarts the station; always available"""
CSMS_LINK: Final = PartKey[CsmsLink]("CSMS link")
"""the link to the CSMS; available once it is set up, never without a CSMS"""
DEVICE_MODEL: Final = PartKey[Variables]("device model")
"""the variables of the device model; available while the station runs"""
VENDOR_MESSAGES: Final = PartKey[VendorMessages]("vendor messages")
"""sends and receives DataTransfer; available as CSMS_LINK is"""
TOKEN_RATE: Final = PartKey[RateLimiter]("token rate of the API")
"""always available; limits how often drivers may present tokens through the API"""
STATION_STATUS: Final[PartKey[StatusSource]] = PartKey("station status")
"""the source of GET /api/status; always available, also while the station is off"""

"""The keys of the parts whose types are Protocols (see `parts`)."""

from __future__ import annotations

from typing import Final

from foundation.clock import Clock
from station.core.csms import CsmsLink, Variables, VendorMessages
from station.core.station_control import StationControl
from station.interfaces.parts import PartKey

CLOCK: Final = PartKey[Clock]("clock")
"""always there"""
STATION_CONTROL: Final = PartKey[StationControl]("station control")
"""always there"""
CSMS_LINK: Final = PartKey[CsmsLink]("CSMS link")
"""only where the installation has a CSMS, once its link was set up"""
DEVICE_MODEL: Final = PartKey[Variables]("device model")
"""while the station runs"""
VENDOR_MESSAGES: Final = PartKey[VendorMessages]("vendor messages")
"""as CSMS_LINK"""

"""Which settings and which steps are explored: some of them in every test run, all of them by `make explore`."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Final

from tests.exploration.machine import STEPS, EvseSetup

_START: Final = ("ParkingBayOccupancy", "EVConnected", "Authorized", "DataSigned", "PowerPathClosed", "EnergyTransfer")
_STOP: Final = ("ParkingBayOccupancy", "EVConnected", "Authorized", "PowerPathClosed", "EnergyTransfer", None)

PAIRS: Final = tuple(
    EvseSetup(start=(start,), stop=(stop,) if stop is not None else (), signs=start == "DataSigned")
    for start, stop in itertools.product(_START, _STOP)
)
"""every start point with every stop point, and with none"""
USUAL: Final = EvseSetup()
SETTINGS: Final = (
    USUAL,
    replace(USUAL, attached_cable=True),
    replace(USUAL, signs=True),
    replace(USUAL, stops_on_disconnection=False),
    replace(USUAL, unlocks_on_disconnection=False),
    replace(USUAL, meter_failure_ends=True),
    replace(USUAL, start=("EVConnected", "EnergyTransfer"), stop=("ParkingBayOccupancy", "EVConnected")),
    replace(USUAL, stop=("EVConnected",), stops_on_disconnection=False, unlocks_on_disconnection=False),
)
"""the usual points with the settings that matter, and some combinations"""

CHARGING: Final = (
    "plug", "C", "B", "ev-gone", "bay", "authorize", "stop", "invalid", "recorded", "signed", "obey", "fb-flip", "time",
    "weld+", "out-of-service", "in-service",
)  # fmt: skip
"""what can happen to a charge, with one fault"""
MOST: Final = tuple(
    step
    for step in STEPS
    if step not in {"D", "E", "F", "lock-flip", "remote-start", "load", "read"}
    and step.rstrip("+-") not in {"monitor", "diode", "estop", "lock"}
)
"""everything but what is rare in a vehicle, and faults that are like others"""
COMMON: Final = tuple(
    step for step in MOST if step not in {"nothing", "board+", "board-", "pause", "energy", "no-load", "refuse"}
)
"""fewer of them, for every test run"""
ALL: Final = tuple(STEPS)

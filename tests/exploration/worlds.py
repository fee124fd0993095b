"""Which settings and which steps are explored: some of them in every test run, all of them by `make explore`."""

from __future__ import annotations

import itertools
from typing import Final

from msgspec.structs import replace

from tests.exploration.machine import STEPS, EvseSetup

_START: Final = ("ParkingBayOccupancy", "EVConnected", "Authorized", "DataSigned", "PowerPathClosed", "EnergyTransfer")
_STOP: Final = ("ParkingBayOccupancy", "EVConnected", "Authorized", "PowerPathClosed", "EnergyTransfer", None)

PAIRS: Final = tuple(
    EvseSetup(start=(start,), stop=(stop,) if stop is not None else (), signs=start == "DataSigned")
    for start, stop in itertools.product(_START, _STOP)
)
"""every start point with every stop point, and with none"""
DEFAULT_SETUP: Final = EvseSetup()
SETTINGS: Final = (
    DEFAULT_SETUP,
    replace(DEFAULT_SETUP, attached_cable=True),
    replace(DEFAULT_SETUP, signs=True),
    replace(DEFAULT_SETUP, stops_on_disconnection=False),
    replace(DEFAULT_SETUP, unlocks_on_disconnection=False),
    replace(DEFAULT_SETUP, meter_failure_ends=True),
    replace(DEFAULT_SETUP, switches_phases=True),
    replace(DEFAULT_SETUP, start=("EVConnected", "EnergyTransfer"), stop=("ParkingBayOccupancy", "EVConnected")),
    replace(DEFAULT_SETUP, stop=("EVConnected",), stops_on_disconnection=False, unlocks_on_disconnection=False),
)
"""the usual points with the settings that matter, and some combinations"""

DATA_SIGNED: Final = replace(DEFAULT_SETUP, signs=True, start=("DataSigned",), stop=("EVConnected",))

CHARGING: Final = (
    "plug", "C", "B", "ev-gone", "bay", "authorize", "stop", "invalid", "recorded", "signed", "apply", "fb-flip",
    "time", "weld+", "out-of-service", "in-service",
)  # fmt: skip
"""what can happen to a charge, with one fault"""
EVENTS: Final[dict[str, tuple[str, ...]]] = {
    "a silent board": ("silent+", "silent-"),
    "storage that fails": ("storage+", "storage-", "no-load", "load"),
    "a vehicle that draws too much": ("draw+", "F", "reset", "reset-done"),
    "a connection that is about to trip": ("cut", "energy", "no-load", "load"),
    "an EVSE that is kept from use": ("withhold", "reset", "reset-done", "reset-evse", "release"),
    "a station that is not activated": ("sleep", "wake"),
    "a refused token with energy left": ("refuse-later", "used-up"),
    "a program that stops and starts": ("halt", "restart", "read", "reset"),
    "a vehicle that communicates": (
        "linked", "link-lost", "session", "contract", "contract-refused", "deliver", "deliver-stop", "session-end",
        "session-pause", "session-fail",
    ),
    "phases that are switched": ("one-phase", "three-phases", "pause", "energy"),
}  # fmt: skip
"""what is explored together with a charge, each by itself: all of it together would take days"""
_OF_THEIR_OWN: Final = frozenset(itertools.chain.from_iterable(EVENTS.values())) - {
    "no-load", "load", "energy", "pause", "reset", "reset-done", "read", "F", "release"
}  # fmt: skip
ALL: Final = tuple(step for step in STEPS if step not in _OF_THEIR_OWN)
"""every step that is not explored by itself"""
MOST: Final = tuple(
    step
    for step in ALL
    if step not in {"D", "E", "F", "lock-flip", "remote-start", "load", "read"}
    and step.rstrip("+-") not in {"monitor", "diode", "estop", "lock"}
)
"""everything but what is rare in a vehicle, and faults that are like others"""
COMMON: Final = tuple(
    step for step in MOST if step not in {"nothing", "board+", "board-", "pause", "energy", "no-load", "refuse"}
)
"""fewer of them, for every test run"""


def with_events(setup: EvseSetup, events: str) -> tuple[EvseSetup, tuple[str, ...]]:
    """A charge together with some of `EVENTS`: the settings and the steps."""
    setup = replace(setup, switches_phases="phases" in events, linked="communicates" in events)
    return setup, tuple(dict.fromkeys((*CHARGING, *EVENTS[events])))

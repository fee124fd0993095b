"""Leaves a station that runs already as a scenario has found it: idle, powered, linked, with its own rate of time."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

from foundation.json_values import object_of, objects_of
from simulator.scenarios.under_test import StationError, status_of

if TYPE_CHECKING:
    from simulator.scenarios.under_test import StationUnderTest

_END_OF_CHARGE_S: Final = 10.0
"""seconds of the station after which a charge that was stopped has ended, and the cable is unlocked"""

_SETTLED_S: Final = 2.0
"""seconds of the station after which it has read its boards since the last step, or since a start"""


@asynccontextmanager
async def left_as_found(station: StationUnderTest) -> AsyncGenerator[dict[str, object]]:
    """Yield the status of a running station; at the end of the block end its charges, unplug, restore power and link.

    Raises:
        StationError: it does not answer at the begin.
    """
    status = await status_of(station)
    rate = object_of(status["clock"])["rate"]
    try:
        yield status
    finally:
        with suppress(StationError):  # a station that has ended needs nothing
            await _restore(station, rate)


async def _restore(station: StationUnderTest, rate: object) -> None:
    if not (await status_of(station))["powered"]:
        await station.request("POST", "/api/sim/power", {"action": "restore"})
    await station.request("POST", "/api/sim/csms-link", {"state": "up"})
    await station.advance(_SETTLED_S)
    status = await status_of(station)
    evses = [evse["id"] for evse in objects_of(status["evses"]) if evse["plugged"] or evse["charging_state"] != "Idle"]
    for evse in evses:
        await station.request("POST", f"/api/evses/{evse}/stop")
    if evses:
        await station.advance(_END_OF_CHARGE_S)
    for evse in evses:
        await station.request("POST", f"/api/sim/evses/{evse}/unplug", {})
    await station.request("POST", "/api/sim/clock", {"rate": rate})

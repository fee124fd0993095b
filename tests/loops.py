"""The event loop of a test that is no coroutine itself, such as a property that plays a scenario for each example."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from foundation.event_loop import StationLoop

_Result = TypeVar("_Result")


def run_on_station_loop(scenario: Coroutine[Any, Any, _Result]) -> _Result:
    """Run a coroutine on an event loop of its own, which notifies a virtual clock when it is idle; returns its result.

    On another loop each step of a virtual clock takes a hundred turns (`VirtualClock.settle`).
    """
    with asyncio.Runner(loop_factory=StationLoop) as runner:
        return runner.run(scenario)

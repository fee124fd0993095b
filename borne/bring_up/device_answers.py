"""What each device of an installation file answers, for `borne check --here`; no output is set."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from foundation.clock import Clock
from foundation.expected_error import ExpectedError
from foundation.frozen import Frozen

DEFAULT_WITHIN_S: Final = 30.0
"""longest time of the check of one device: a P1 meter sends every ten seconds, and two speeds are tried"""

Answer = Mapping[str, str]
"""what a device has answered, in words by what it is, such as model, serial number, line, values"""


class DeviceCheck(Frozen):
    """A check of one device, not run yet."""

    key: str
    """its place in the installation file, such as evse[0].meter"""
    device: str
    """what it is, and where"""
    ask: Callable[[], Awaitable[Answer]]
    """opens the device, and returns what it answers; raises OSError, ValueError or ExpectedError if it does not"""
    held_by_station: bool = True
    """whether a running station uses the device, so that it must not be opened beside it"""


class DeviceAnswer(Frozen):
    """The result of a check."""

    key: str
    device: str
    answer: Answer
    """empty if it has not answered"""
    reason: str | None
    """why it has not answered; None: it has"""


async def ask_devices(
    checks: Sequence[DeviceCheck], clock: Clock, within_s: float, station: str | None
) -> list[DeviceAnswer]:
    """Ask all devices at the same time, each for at most `within_s` seconds; the answers have the order of the checks.

    `station`: the process of the running station, whose devices are not opened; None: none runs.
    """
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(_ask(check, clock, within_s, station)) for check in checks]
    return [task.result() for task in asked]


async def _ask(check: DeviceCheck, clock: Clock, within_s: float, station: str | None) -> DeviceAnswer:
    def refused(reason: str) -> DeviceAnswer:
        return DeviceAnswer(check.key, check.device, {}, reason)

    if station is not None and check.held_by_station:
        return refused(f"not opened: the running station ({station}) uses it")
    try:
        async with clock.timeout(within_s):
            return DeviceAnswer(check.key, check.device, await check.ask(), None)
    except TimeoutError:
        return refused(f"no answer within {within_s:g} s")
    except OSError as error:
        return refused(error.strerror or str(error))
    except (ValueError, ExpectedError) as error:
        return refused(str(error))

"""Limits that grid operator or owner set for all EVSEs together, through the API or MQTT; kept across restarts."""

from __future__ import annotations

import json
import logging
import math
import re
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace
from typing_extensions import TypedDict

from energy.demand import SharedLimit
from energy.limit import LimitSource
from foundation.change_signal import ChangeSignal
from foundation.frozen import Frozen
from foundation.json_values import is_object, object_of
from station.storage.database import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from energy.station_limits import StationLimits
    from foundation.clock import Clock
    from station.storage.fact_store import FactStore

_log = logging.getLogger(__name__)

USUAL_S = 900.0
"""default duration of a limit, since its setter may disappear"""
LONGEST_S = 86_400.0
_LONGEST_NAME: Final = 50
_NO_NAME: Final = f"must be a text of at most {_LONGEST_NAME} characters"
_CLOCK_CORRECTION_S = 1.0
"""a difference between wall time and elapsed time above this is a correction of the clock"""


class LimitSetter(StrEnum):
    """Who sets a limit for all EVSEs together; each has at most one."""

    OPERATOR = "operator"
    """the grid operator"""
    USER = "user"
    """the owner, or an energy management system"""


_SOURCES = {LimitSetter.OPERATOR: LimitSource.OPERATOR, LimitSetter.USER: LimitSource.USER}


class SharedLimitValues(TypedDict):
    """A limit for all EVSEs together: in amperes, in watts or both."""

    current_a: float | None
    """amperes per phase; null: not limited in amperes"""
    power_w: float | None
    """watts over all phases; null: not limited in watts"""
    until: str | None
    """when the limit ends (ISO 8601, UTC); null: it holds until it is removed"""
    by: str | None
    """who set it; null: not known"""


class LimitRequest(Frozen):
    """A limit for all EVSEs together, as a client of the API or MQTT requests it: in amperes, in watts or both."""

    current_a: float | None = None
    """amperes per phase; None: not limited in amperes"""
    power_w: float | None = None
    """watts of all EVSEs together; None: not limited in watts"""
    for_s: float | None = USUAL_S
    """seconds until the limit ends; None: until it is cleared"""
    by: str | None = None
    """who requests it, as text for people"""


def check_requester(by: str) -> str:
    """Validate the name of a requester and return it unchanged: printable, no-break spaces of French allowed.

    Raises:
        ValueError: the name is too long or not printable.
    """
    if len(by) > _LONGEST_NAME or not re.sub("[\u00a0\u202f]", " ", by).isprintable():
        raise ValueError(_NO_NAME)
    return by


def parse_limit_request(value: object) -> LimitRequest:
    """Parse a requested limit from a JSON value, as MQTT receives it: current_a, power_w, for_s or lasting, by.

    Without `for_s` it lasts `USUAL_S`; with `lasting` true until it is cleared.

    Raises:
        ValueError: the value is invalid; the message says why.
    """
    if not is_object(value):
        raise ValueError("must be an object with current_a or power_w")
    if unknown := value.keys() - {"current_a", "power_w", "for_s", "lasting", "by"}:
        name = min(unknown)
        raise ValueError(f"{name if name.isprintable() else ascii(name)}: is not a known key")
    by = value.get("by")
    if by is not None:
        if not isinstance(by, str):
            raise ValueError(f"by: {_NO_NAME}")
        try:
            check_requester(by)
        except ValueError as error:
            raise ValueError(f"by: {error}") from None
    current_a, power_w = _number(value, "current_a", 1000.0), _number(value, "power_w", 1e6)
    if current_a is None and power_w is None:
        raise ValueError("current_a or power_w: one of them is needed")
    return LimitRequest(current_a, power_w, _duration(value), by)


def _duration(fields: dict[str, object]) -> float | None:
    lasting, for_s = fields.get("lasting"), _number(fields, "for_s", LONGEST_S)
    if lasting is not None and not isinstance(lasting, bool):
        raise ValueError("lasting: must be true or false")
    if for_s == 0.0:
        raise ValueError("for_s: must be more than 0")
    if lasting and for_s is not None:
        raise ValueError("for_s: must be left out with lasting")
    if lasting:
        return None
    return USUAL_S if for_s is None else for_s


_PAUSE: Final = "pause"
"""name of the stored fact"""
_PAUSED: Final = SharedLimit(LimitSource.USER, current_a=0.0, by="paused")


class SharedLimits:
    """The limits that grid operator and owner have set for all EVSEs together: applied by load control, kept on disk.

    A pause is a limit of 0 A in place of the owner's own one, which applies again when the pause ends. Limits end by
    elapsed time; their wall time of end is for display and storage.
    """

    def __init__(self, limits: StationLimits, facts: FactStore, clock: Clock, changed: Callable[[], None]) -> None:
        self._limits = limits
        self._facts = facts
        self._clock = clock
        self._changed = changed
        self._active: dict[LimitSetter, tuple[SharedLimit, float]] = {}
        """each limit with its end (Clock.monotonic); infinite: until it is cleared"""
        self._expired: dict[LimitSetter, tuple[SharedLimit, float]] = {}
        """limits that had expired by wall time when they were loaded, with their latest end (Clock.monotonic)"""
        self._paused = False
        self._end_times_changed = ChangeSignal()

    async def load(self) -> None:
        """Load and apply the limits that have not ended.

        Raises:
            StorageError: the disk cannot be read.
        """
        for name, text in (await self._facts.load()).items():
            if name == _PAUSE:
                self._paused = text == "true"
                self._apply(LimitSetter.USER)
                continue
            parsed = self._facts.read(name, partial(self._parse, name), text)
            if parsed is None:
                _log.error("the stored limit of %s cannot be read and is ignored", name)
                continue
            setter, limit, max_s = parsed
            if limit is None:
                continue
            if (left_s := min(_remaining_s(limit, self._clock.now()), max_s)) > 0.0:
                self._activate(setter, limit, left_s)
            elif max_s > 0.0:  # the clock may be ahead, and corrected soon
                self._expired[setter] = (limit, self._clock.monotonic() + max_s)

    @staticmethod
    def _parse(name: str, text: str) -> tuple[LimitSetter, SharedLimit | None, float]:
        """Parse a stored limit: its setter, the limit (None: removed), and the seconds that it applies at most."""
        setter, stored = LimitSetter(name), json.loads(text)
        return setter, _parse_limit(setter, stored), _stored_remaining_s(stored)

    async def run(self) -> None:
        """Save limits again whose wall time of end has moved with a corrected clock; until cancelled."""
        count_before = 0  # saves changes from before this task started too
        while True:
            count_before = await self._end_times_changed.wait(count_before)
            for setter in LimitSetter:
                if setter not in self._active:
                    continue
                try:
                    await self._facts.save(setter, self._stored_text(setter))
                except StorageError as error:
                    _log.error("the limit of %s cannot be stored with its corrected end time: %s", setter, error)

    def process_timeouts(self) -> None:
        """Release limits that have ended; update the wall times of end after a correction of the clock.

        A stored limit that had expired by a clock that was ahead applies again once the clock is corrected.

        Called before each decision of load management.
        """
        now, now_s = self._clock.now(), self._clock.monotonic()
        for setter, (limit, ends_s) in list(self._expired.items()):
            if ends_s <= now_s:
                del self._expired[setter]
            elif (left_s := _remaining_s(limit, now)) > 0.0:  # the clock was ahead at the start
                self._activate(setter, limit, min(left_s, ends_s - now_s))
                self._end_times_changed.notify()
        for setter, (limit, ends_s) in list(self._active.items()):
            if ends_s == math.inf:
                continue
            until = now + timedelta(seconds=ends_s - now_s)
            if ends_s <= now_s:
                self._release(setter)
            elif limit.until is None or abs((until - limit.until).total_seconds()) >= _CLOCK_CORRECTION_S:
                self._activate(setter, replace(limit, until=until), ends_s - now_s)
                self._end_times_changed.notify()

    @property
    def paused(self) -> bool:
        """Whether the owner has paused all charging, or set a limit of 0 A."""
        limit = self._limits.shared.get(LimitSetter.USER)
        return limit is not None and limit.current_a == 0.0

    async def pause(self) -> None:
        """Pause all charging until `resume`.

        Raises:
            StorageError: not saved; the pause applies until a restart.
        """
        await self._change_pause(True)

    async def resume(self) -> None:
        """End a pause; the owner's own limit applies again, unless it is 0 A, which ends too.

        Raises:
            StorageError: not saved; the pause would return with a restart.
        """
        await self._change_pause(False)
        if self.paused:
            await self.clear_limit(LimitSetter.USER)

    async def set_limit(self, setter: LimitSetter, request: LimitRequest) -> SharedLimit:
        """Apply and store a limit in place of the setter's previous one, and return it; a pause continues.

        Raises:
            StorageError: not saved; the limit applies until a restart.
        """
        until = self._clock.now() + timedelta(seconds=request.for_s) if request.for_s is not None else None
        limit = SharedLimit(_SOURCES[setter], request.current_a, request.power_w, until=until, by=request.by)
        self._activate(setter, limit, request.for_s if request.for_s is not None else math.inf)
        self._changed()
        end = f"until {until}" if until is not None else "until it is cleared"
        _log.info("%s sets a limit for all EVSEs: %s A, %s W, %s", setter, request.current_a, request.power_w, end)
        await self._facts.save(setter, self._stored_text(setter))
        return limit

    async def clear_limit(self, setter: LimitSetter) -> None:
        """End the limit of a setter, also on disk; for the owner, the pause too.

        Raises:
            StorageError: not saved; the limit would return with a restart.
        """
        self._release(setter)
        if setter is LimitSetter.USER and self._paused:
            await self._change_pause(False)
        self._changed()
        _log.info("%s clears its limit for all EVSEs", setter)
        await self._facts.save(setter, "null")

    async def _change_pause(self, paused: bool) -> None:
        if paused is self._paused:
            return
        self._paused = paused
        self._apply(LimitSetter.USER)
        self._changed()
        _log.info("charging is paused" if paused else "charging is resumed")
        await self._facts.save(_PAUSE, json.dumps(paused))

    def _activate(self, setter: LimitSetter, limit: SharedLimit, for_s: float) -> None:
        self._active[setter] = (limit, self._clock.monotonic() + for_s)
        self._expired.pop(setter, None)
        self._apply(setter)

    def _stored_text(self, setter: LimitSetter) -> str:
        """The stored form of a limit, with its remaining seconds, since a clock may lose its time in a power cut."""
        limit, ends_s = self._active[setter]
        if ends_s == math.inf:
            return json.dumps(_to_values(limit) | {"lasting": True})
        left_s = min(max(0.0, ends_s - self._clock.monotonic()), LONGEST_S)
        return json.dumps(_to_values(limit) | {"left_s": left_s})

    def _release(self, setter: LimitSetter) -> None:
        self._active.pop(setter, None)
        self._expired.pop(setter, None)
        self._apply(setter)

    def _apply(self, setter: LimitSetter) -> None:
        active = self._active.get(setter)
        pauses = setter is LimitSetter.USER and self._paused
        self._limits.set_shared(setter, _PAUSED if pauses else active[0] if active is not None else None)

    def to_json(self) -> dict[str, SharedLimitValues]:
        """The limits in force for all EVSEs together in plain JSON values, by the name of their setter or `grid-order`.

        The latter is the order of the grid operator's contacts. A pause is shown as the user's limit of 0 A.
        """
        return {name: _to_values(limit) for name, limit in self._limits.shared.items()}


def _number(fields: dict[str, object], key: str, maximum: float) -> float | None:
    value = fields.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= maximum:
        raise ValueError(f"{key}: must be a number from 0 to {maximum:g}")
    return float(value)


def _to_values(limit: SharedLimit) -> SharedLimitValues:
    return {
        "current_a": limit.current_a,
        "power_w": limit.power_w,
        "until": limit.until.isoformat() if limit.until is not None else None,
        "by": limit.by,
    }


def _remaining_s(limit: SharedLimit | None, now: datetime) -> float:
    """Remaining seconds of a saved limit by wall time; infinite if it lasts until cleared."""
    if limit is None:
        return 0.0
    return (limit.until - now).total_seconds() if limit.until is not None else math.inf


def _stored_remaining_s(stored: object) -> float:
    """Remaining seconds when a limit was saved; the longest possible for rows of older versions."""
    if stored is None:
        return LONGEST_S
    fields = object_of(stored)
    if fields.get("lasting") is True:
        return math.inf
    left_s = _number(fields, "left_s", LONGEST_S)
    return LONGEST_S if left_s is None else left_s


def _parse_limit(setter: LimitSetter, stored: object) -> SharedLimit | None:
    if stored is None:
        return None
    fields = object_of(stored)
    request = parse_limit_request({key: fields[key] for key in ("current_a", "power_w", "by")})
    until = None if fields.get("lasting") is True else datetime.fromisoformat(str(fields["until"]))
    return SharedLimit(_SOURCES[setter], request.current_a, request.power_w, until=until, by=request.by)

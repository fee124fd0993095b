"""The time of a station, as a CSMS knows it from the timestamps of what the station sends, and from asking it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, cast

from ocpp_handlers import timestamps

_NAMES: Final = ("timestamp", "generatedAt")
"""the fields that tell when something happened at the station, mostly just now"""


class StationTime:
    """The newest time that is known of one station, and the real time that has passed since it was heard."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        """`now`: real time."""
        self._now = now
        self._newest: datetime | None = None
        self._ahead = timedelta(0)
        """of the station, from real time"""
        self._booted = False

    def now(self) -> datetime:
        """The time of the station; real time before it has sent any."""
        return self._now() + self._ahead

    def hear(self, action: str, payload: Mapping[str, object]) -> None:
        """Take note of the timestamps of a CALL. Events of a time without a link are old, and tell nothing.

        Others may be older than what was heard already (a status that has not changed for a while), except after a
        boot, when the station may have another clock.
        """
        if action == "BootNotification":
            self._booted = True
        if payload.get("offline") is True:
            return
        told = max(_timestamps(payload), default=None)
        if told is not None and (self._booted or self._newest is None or told >= self._newest):
            self.put(told)

    def put(self, moment: datetime) -> None:
        """This is what the clock of the station shows now."""
        self._newest, self._ahead, self._booted = moment, moment - self._now(), False


def _timestamps(payload: Mapping[str, object]) -> Iterator[datetime]:
    values = cast("Sequence[object]", found) if isinstance(found := payload.get("meterValue"), list) else ()
    for part in (payload, *values):
        if not isinstance(part, dict):
            continue
        for name in _NAMES:
            text = cast("dict[str, object]", part).get(name)
            if isinstance(text, str):
                try:
                    yield timestamps.decode(text)
                except ValueError:
                    continue  # the schema check of the library answers it

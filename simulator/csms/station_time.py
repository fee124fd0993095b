"""The time of a station, as a CSMS estimates it from the timestamps of its messages and from reading its clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

from foundation.json_values import is_list, is_object
from ocpp_handlers.wire import timestamps

_TIME_FIELDS: Final = ("timestamp", "generatedAt")
"""fields that hold the time of an event at the station, usually the present time"""


class EstimatedStationTime:
    """A CSMS's estimate of the present time at one station: the latest time it knows, plus the real time since then.

    Used by the simulated CSMS; the station's own clock is not involved.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        """`now` returns real time."""
        self._now = now
        self._newest_timestamp: datetime | None = None
        self._offset = timedelta(0)
        """time of the station minus real time"""
        self._booted = False

    def now(self) -> datetime:
        """The estimated present time at the station; real time as long as none is known."""
        return self._now() + self._offset

    def update_from(self, action: str, payload: Mapping[str, object]) -> None:
        """Update the estimate with the newest timestamp in a CALL of the station, unless it was queued offline.

        A timestamp before the latest known one is ignored (a status that has not changed for a while), except after a
        boot, when the station may have another clock.
        """
        if action == "BootNotification":
            self._booted = True
        if payload.get("offline") is True:
            return
        newest = max(_timestamps(payload), default=None)
        if newest is not None and (self._booted or self._newest_timestamp is None or newest >= self._newest_timestamp):
            self.note_time(newest)

    def note_time(self, moment: datetime) -> None:
        """Note what time it is at the station now, for example after reading its clock; the station is not changed."""
        self._newest_timestamp, self._offset, self._booted = moment, moment - self._now(), False


def _timestamps(payload: Mapping[str, object]) -> Iterator[datetime]:
    values = found if is_list(found := payload.get("meterValue")) else ()
    for part in (payload, *values):
        if not is_object(part):
            continue
        for name in _TIME_FIELDS:
            text = part.get(name)
            if isinstance(text, str):
                try:
                    yield timestamps.decode(text)
                except ValueError:
                    continue  # the schema check of the library responds to it

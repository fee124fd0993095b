"""The time zone of the station, for the scripts of the page."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING

from station.core.local_time import in_zone, zone

if TYPE_CHECKING:
    from station.core.clock_settings import ClockSettings


def wall_clock(settings: ClockSettings | None, now: datetime) -> str:
    """Describe the station's time zone to the page, as JSON: `zone` (name or null), `offset_min` (minutes from UTC).

    `next` is the next change of the offset, with the new one, or null.

    The offsets are for zones without a name, and for browsers that do not know the name. UTC without `settings`,
    while the station starts.
    """
    time_zone = zone(settings) if settings is not None else UTC
    next_change = settings.next_time_offset_transition if settings is not None else None
    changes = (
        next_change is not None
        and next_change > now
        and _offset_min(next_change, time_zone) != _offset_min(now, time_zone)
    )
    return json.dumps(
        {
            "zone": (settings.time_zone or None) if settings is not None else None,
            "offset_min": _offset_min(now, time_zone),
            "next": {"at": next_change.isoformat(), "offset_min": _offset_min(next_change, time_zone)}
            if next_change is not None and changes
            else None,
        }
    )


def _offset_min(moment: datetime, time_zone: tzinfo) -> int:
    return (in_zone(moment, time_zone).utcoffset() or timedelta()) // timedelta(minutes=1)

"""The time zone of the station as the scripts of the page need it to show moments in it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING

from station.local_time import zone

if TYPE_CHECKING:
    from station.settings import Settings


def wall_clock(settings: Settings | None, now: datetime) -> str:
    """A JSON object: the name of the zone or null, its offset now in minutes, and the next change of that or null.

    The offsets are for zones without a name, and for browsers that do not know the name. Without `settings`, while
    the station starts, it is UTC.
    """
    here = zone(settings) if settings is not None else UTC
    due = settings.next_time_offset_transition if settings is not None else None
    changes = due is not None and due > now and _minutes(due, here) != _minutes(now, here)
    return json.dumps(
        {
            "zone": (settings.time_zone or None) if settings is not None else None,
            "offset_min": _minutes(now, here),
            "next": {"at": due.isoformat(), "offset_min": _minutes(due, here)} if due is not None and changes else None,
        }
    )


def _minutes(moment: datetime, here: tzinfo) -> int:
    return (moment.astimezone(here).utcoffset() or timedelta()) // timedelta(minutes=1)

"""The limit while stored limits cannot be used, so that nobody knows how much the station may draw.

Charging profiles are set aside by a safe start, or the settings of the site are lost.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from energy.demand import SharedLimit
from energy.limit import LimitSource
from foundation.constants import MINIMUM_CURRENT_A, NOMINAL_VOLTAGE_V
from station.storage.database import StorageError
from station.storage.payloads import READABLE

if TYPE_CHECKING:
    from station.storage.database import Database

_log = logging.getLogger(__name__)

LIMIT_NAME: Final = "safe-start"
"""the name of the shared limit"""
_FIND_LOWER_LIMIT: Final = f"""
    SELECT 1 FROM (SELECT {READABLE} AS profile FROM aside_charging_profiles),
        json_each(profile, '$.schedule.periods') AS period
    WHERE json_extract(period.value, '$.limit')
        < CASE json_extract(profile, '$.schedule.unit') WHEN 'W' THEN ? ELSE ? END
    LIMIT 1
"""
"""a row that is no JSON was not in force before, and restricts nothing"""
_MINIMUM_W: Final = MINIMUM_CURRENT_A * NOMINAL_VOLTAGE_V * 3


def limit_for_lost_settings() -> SharedLimit:
    """Return the limit of all EVSEs together while the settings of the site are lost: the lowest charging current."""
    return SharedLimit(LimitSource.SAFE_START, MINIMUM_CURRENT_A)


async def limit_without_profiles(database: Database) -> SharedLimit:
    """Return the limit of all EVSEs together while charging profiles are set aside: the lowest charging current.

    0 A if one of the profiles has a period with a lower limit, or if that cannot be found out: it might apply now.
    """
    try:
        lower = await database.rows(_FIND_LOWER_LIMIT, (_MINIMUM_W, MINIMUM_CURRENT_A))
    except StorageError as error:
        _log.error("the charging profiles that are set aside cannot be read: %s", error)
        lower = [()]
    return SharedLimit(LimitSource.SAFE_START, 0.0 if lower else MINIMUM_CURRENT_A)

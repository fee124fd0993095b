"""Who may use the routes of the simulated hardware."""

from __future__ import annotations

from typing import Final

from station.interfaces.access.permissions import Permission
from station.security.access.accounts import Role

SIMULATION: Final = (
    # a simulated meter in a process of its own reads it
    Permission("GET", "/api/sim/evses/*/circuit", Role.VISITOR, logs_changes=False),
    Permission("*", "/api/sim/**", Role.SERVICE, logs_changes=False),
)

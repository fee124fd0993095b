"""Who may do what through the local API and page: one table of the station's own routes, and rows of further routes.

The first row that fits counts; whatever no row names is for service only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from foundation.frozen import frozen
from station.security.access.accounts import Role

_VISITOR, _DRIVER, _OWNER, _INSTALLER, _SERVICE = Role

LEAST_ROLES: Final[tuple[tuple[str, str, Role], ...]] = (
    # What anybody may see, and the door
    ("GET", "/healthz", _VISITOR),
    ("GET", "/", _VISITOR),
    ("GET", "/sign-in", _VISITOR),
    ("GET", "/starting", _VISITOR),
    ("GET", "/first-password", _VISITOR),
    ("GET", "/language/*", _VISITOR),
    ("GET", "/static/**", _VISITOR),
    ("GET", "/words/*", _VISITOR),
    ("GET", "/favicon.ico", _VISITOR),
    ("GET", "/api/status", _VISITOR),  # who is less than a driver sees less of it (visitor_view.py)
    ("GET", "/api/events", _VISITOR),  # the same
    ("GET", "/api/charges", _VISITOR),  # as a display at the station shows it
    ("GET", "/api/docs", _VISITOR),
    ("GET", "/api/openapi.json", _VISITOR),
    ("*", "/api/session", _VISITOR),
    ("POST", "/api/accounts/*/first-password", _VISITOR),
    # Driver
    ("GET", "/metrics", _DRIVER),
    ("GET", "/api/history", _DRIVER),
    ("POST", "/api/token", _DRIVER),
    ("POST", "/api/master-pass", _DRIVER),
    ("POST", "/api/evses/*/token", _DRIVER),
    ("POST", "/api/evses/*/start-button", _DRIVER),
    ("POST", "/api/evses/*/stop", _DRIVER),
    ("PUT", "/api/accounts/*/password", _DRIVER),  # one's own, and those of lesser roles
    # Owner
    ("GET", "/owner", _OWNER),
    ("GET", "/api/accounts", _OWNER),
    ("POST", "/api/accounts/*/code", _OWNER),
    ("*", "/api/access-tokens/**", _OWNER),
    ("*", "/api/access-tokens", _OWNER),
    ("GET", "/api/transactions", _OWNER),
    ("GET", "/api/transactions.*", _OWNER),
    ("GET", "/api/transactions/**", _OWNER),
    ("GET", "/api/monthly-report.*", _OWNER),
    ("GET", "/api/auth/*", _OWNER),
    ("POST", "/api/evses/*/availability", _OWNER),
    ("POST", "/api/unlock", _OWNER),
    # Installer
    ("GET", "/installer", _INSTALLER),
    ("GET", "/commissioning", _INSTALLER),
    ("GET", "/api/commissioning/report.pdf", _INSTALLER),
    ("GET", "/api/logs/*", _INSTALLER),
    ("GET", "/api/variables", _INSTALLER),
    ("GET", "/api/profiles", _INSTALLER),
    ("GET", "/api/messages", _INSTALLER),
    ("GET", "/api/security-events", _INSTALLER),
    ("DELETE", "/api/tamper", _INSTALLER),
    # Service
    ("DELETE", "/api/evses/*/faults", _SERVICE),
)
"""method, path and the least role; `*` is one part of a path, `**` all that follows"""


@frozen
class Permission:
    """The least role that a request needs, by its method and path."""

    method: str
    """`*` stands for any"""
    path: str
    """with `*` and `**` as above"""
    least: Role
    logs_changes: bool = True
    """whether the security log notes a successful change, where the role is at least the owner's"""


class Permissions:
    """The permissions of one API: those of the station's own routes, then those of further routes."""

    def __init__(self, further: Sequence[Permission] = (), declared: Iterable[Permission] = ()) -> None:
        """`declared` are those that routes declare beside themselves; they count before the table."""
        self._rows = (
            *((row, _pattern(row.path)) for row in declared),
            *_OWN,
            *((row, _pattern(row.path)) for row in further),
        )

    def of(self, method: str, path: str) -> Permission:
        """The first permission that fits a request; `OTHERS` if none does."""
        wanted = "GET" if method == "HEAD" else method
        for permission, pattern in self._rows:
            if permission.method in {"*", wanted} and pattern.fullmatch(path):
                return permission
        return OTHERS


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"(\*\*?)", path)
    return re.compile("".join({"*": "[^/]+", "**": ".+"}.get(part, re.escape(part)) for part in parts))


_OWN: Final = tuple((Permission(*row), _pattern(row[1])) for row in LEAST_ROLES)
OTHERS: Final = Permission("*", "anything else", Role.SERVICE)
"""what nobody thought of"""
OWN_ROUTES: Final = Permissions()
"""those of the station's own routes alone"""

"""The least role for each request, by method and path, as the routes of an API declare it (see `roles`)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from foundation.frozen import Frozen
from station.security.access.accounts import Role


class Permission(Frozen):
    """One row of `Permissions`: the least role that requests with this method and path need."""

    method: str
    path: str
    """`*` matches one path segment, `**` the rest of the path"""
    required_role: Role
    logs_changes: bool = True
    """whether a successful change is written to the security log, if the role is at least owner"""


class Permissions:
    """Looks up the least role that a request needs; the first matching row counts, as with the routes."""

    def __init__(self, declared: Iterable[Permission]) -> None:
        self._rows = [(row, _pattern(row.path)) for row in declared]
        without_parameters = [(row.method, row.path) for row, _ in self._rows if "*" not in row.path]
        self._without_parameters = {request: self._first_match(*request) for request in without_parameters}
        """permissions of paths without parameters, by method and path: a cache for most requests"""

    def of(self, method: str, path: str) -> Permission:
        """The permission of a request, HEAD as GET; `DEFAULT_PERMISSION` (role service) if no row matches."""
        read_as = "GET" if method == "HEAD" else method
        return self._without_parameters.get((read_as, path)) or self._first_match(read_as, path)

    def _first_match(self, method: str, path: str) -> Permission:
        for permission, pattern in self._rows:
            if permission.method == method and pattern.fullmatch(path):
                return permission
        return DEFAULT_PERMISSION


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"(\*\*?)", path)
    return re.compile("".join({"*": "[^/]+", "**": ".+"}.get(part, re.escape(part)) for part in parts))


DEFAULT_PERMISSION: Final = Permission("any", "anything else", Role.SERVICE)
"""permission of a request without a route that declares a role"""

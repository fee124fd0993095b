"""The pages that the navigation leads to."""

from __future__ import annotations

from foundation.frozen import Frozen
from station.security.access.accounts import Role


class NavigationPlace(Frozen):
    """An entry of the navigation: a page and the least role that may open it."""

    path: str
    name: str
    """name of its template, script and text"""
    role: Role
    """the least role that can open it"""

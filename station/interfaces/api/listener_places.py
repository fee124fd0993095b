"""Limits the number of listeners of `/api/events`: in total, of anonymous visitors, and of one network."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from station.interfaces.http.open_connections import is_loopback, network_of
from station.security.access.accounts import Role

if TYPE_CHECKING:
    from station.interfaces.access.visitor import Visitor

_MAX_LISTENERS: Final = 32
_MAX_ANONYMOUS: Final = 8
"""limit of listeners that are not signed in, so that places remain for the others"""
_MAX_ANONYMOUS_PER_SOURCE: Final = 4
"""limit for one IPv4 address or IPv6 network; not for this machine, which may be a proxy for all visitors"""


class ListenerPlaces:
    """Counts the listeners of /api/events, of all and of anonymous visitors, and refuses those beyond the limits."""

    def __init__(self) -> None:
        self._listeners = self._anonymous = 0
        self._anonymous_by_source: Counter[str] = Counter()

    def take(self, visitor: Visitor) -> str | None:
        """Count a new listener; returns None, or the reason why there is no place for it, and then counts nothing."""
        if (refusal := self._refusal(visitor)) is not None:
            return refusal
        self._count(visitor, 1)
        return None

    def release(self, visitor: Visitor) -> None:
        """Remove from the counts a listener that `take` has counted, once its event stream has ended."""
        self._count(visitor, -1)

    def _refusal(self, visitor: Visitor) -> str | None:
        if visitor.role is Role.VISITOR:
            of_source = self._anonymous_by_source[_source(visitor)]
            if of_source >= _MAX_ANONYMOUS_PER_SOURCE and not is_loopback(visitor.address):
                return f"{_MAX_ANONYMOUS_PER_SOURCE} listeners of your network are not signed in; sign in"
            if self._anonymous >= _MAX_ANONYMOUS:
                return f"{_MAX_ANONYMOUS} listeners are not signed in; sign in"
        return (
            f"{_MAX_LISTENERS} listeners are already connected; try again later"
            if self._listeners >= _MAX_LISTENERS
            else None
        )

    def _count(self, visitor: Visitor, number: int) -> None:
        self._listeners += number
        if visitor.role is Role.VISITOR:
            self._anonymous += number
            self._anonymous_by_source[_source(visitor)] += number
            self._anonymous_by_source = +self._anonymous_by_source  # drops zero counts


def _source(visitor: Visitor) -> str:
    return network_of(visitor.address) if visitor.address else ""

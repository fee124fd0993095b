"""The open connections of the local API, counted by source address, and the memory of their requests."""

from __future__ import annotations

import ipaddress
import logging
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from station.web.connection_limits import ConnectionLimits

_log = logging.getLogger(__name__)

_LOOPBACK: Final = ("127.0.0.1", "::1")
"""the addresses by which programs of this machine reach the station"""
_A_MINUTE_S: Final = 60.0
_MOST_SOURCES_LOGGED: Final = 20
"""source addresses in a minute"""


class ConnectionPlace:
    """The place of one open connection; return it with `release`."""

    def __init__(self, connections: OpenConnections, source: str) -> None:
        self.source = source
        """address of the peer"""
        self._connections = connections
        self._bytes = 0
        self._released = False

    def hold(self, size: int) -> bool:
        """Set the memory of this connection's unfinished request, in bytes; returns False if there is no room."""
        if not self._connections.add_bytes(self.source, size - self._bytes):
            return False
        self._bytes = size
        return True

    def release(self) -> None:
        """Return the place and its memory; further calls do nothing."""
        if not self._released:
            self._released = True
            self.hold(0)
            self._connections.remove(self.source)

    def refused(self, reason: str) -> None:
        """Log why this connection is closed."""
        self._connections.log.refused(self.source, reason)


class OpenConnections:
    """Counts connections, and refuses those beyond the limits."""

    def __init__(self, limits: ConnectionLimits, now_s: Callable[[], float]) -> None:
        self._limits = limits
        self._by_source: Counter[str] = Counter()
        self._bytes = {True: 0, False: 0}
        """of unfinished requests: True for this machine, False for all others"""
        self.log = RefusalLog(now_s)

    def admit(self, address: str) -> ConnectionPlace | None:
        """Take a place for a connection from this IP address; logs the reason and returns None if there is none."""
        source = normalized(address)
        if (reason := self._full(source)) is not None:
            self.log.refused(source, reason)
            return None
        self._by_source[source] += 1
        return ConnectionPlace(self, source)

    def _full(self, source: str) -> str | None:
        loopback = sum(self._by_source[one] for one in _LOOPBACK)
        if source in _LOOPBACK:
            return "too many connections of this machine" if loopback >= self._limits.from_loopback else None
        if self._by_source[source] >= self._limits.per_source:
            return "too many connections of one machine"
        if self._by_source.total() - loopback >= self._limits.from_network:
            return "too many connections"
        return None

    def remove(self, source: str) -> None:
        """Count a connection that has ended."""
        self._by_source[source] -= 1
        if self._by_source[source] <= 0:
            del self._by_source[source]

    def add_bytes(self, source: str, size: int) -> bool:
        """Count bytes of unfinished requests; a negative size frees them. Returns False if there is no room.

        This machine has as much room of its own as all others together.
        """
        is_loopback = source in _LOOPBACK
        if size > 0 and self._bytes[is_loopback] + size > self._limits.unfinished_bytes:
            return False
        self._bytes[is_loopback] += size
        return True


class RefusalLog:
    """Logs refused connections: one line for each source in a minute, for a limited number of sources."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._logged_at_s: dict[str, float] = {}
        """when each source was logged; only the last minute, the oldest first"""

    def refused(self, source: str, reason: str) -> None:
        """Log that a connection is refused or closed."""
        now_s = self._now_s()
        for known, logged_at_s in list(self._logged_at_s.items()):
            if now_s - logged_at_s < _A_MINUTE_S:
                break
            del self._logged_at_s[known]
        if source in self._logged_at_s or len(self._logged_at_s) >= _MOST_SOURCES_LOGGED:
            return
        self._logged_at_s[source] = now_s
        _log.warning("local API: a connection from %s is closed: %s", source, reason)


def normalized(address: str) -> str:
    """An IP address without its scope; an IPv4-mapped IPv6 address becomes the IPv4 address."""
    bare = ipaddress.ip_address(address.partition("%")[0])
    mapped = bare.ipv4_mapped if isinstance(bare, ipaddress.IPv6Address) else None
    return str(mapped or bare)

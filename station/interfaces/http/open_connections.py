"""The open connections of the local API, counted by source address, and the memory of their requests."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from foundation.frozen import Frozen

if TYPE_CHECKING:
    from station.interfaces.http.connection_limits import ConnectionLimits

_log = logging.getLogger(__name__)

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1"})
_A_MINUTE_S: Final = 60.0
_MAX_SOURCES_LOGGED: Final = 20
"""source addresses in a minute"""


class _Group(Frozen):
    """Peers that share a limit of connections and memory."""

    name: str
    most_connections: int
    most_bytes: int
    refusal: str
    """the reason in the log when the limit is reached"""


class ConnectionSlot:
    """The place of one open connection in the counts of `OpenConnections`; to be returned with `release`."""

    def __init__(self, connections: OpenConnections, source: str, groups: tuple[_Group, ...]) -> None:
        self._connections = connections
        self._source = source
        self._groups = groups
        self._bytes = 0
        self._released = False

    def reserve_memory(self, size: int) -> bool:
        """Set the bytes counted for this connection's unfinished request; False, and unchanged, beyond a limit."""
        if not self._connections.add_bytes(self._groups, size - self._bytes):
            return False
        self._bytes = size
        return True

    def release(self) -> None:
        """Return the place and its memory to the counts, once the connection has ended; further calls do nothing."""
        if not self._released:
            self._released = True
            self.reserve_memory(0)
            self._connections.remove(self._groups)

    def log_refusal(self, reason: str) -> None:
        """Log why this connection is closed (at most one line a minute for each source); closes nothing."""
        self._connections.log.log_refusal(self._source, reason)


class OpenConnections:
    """Counts open connections and the bytes of their requests, by source, and refuses those beyond the limits."""

    def __init__(self, limits: ConnectionLimits, now_s: Callable[[], float]) -> None:
        self._limits = limits
        self._connection_counts: Counter[str] = Counter()
        self._byte_counts: Counter[str] = Counter()
        """each by name of the group; groups without any are removed"""
        self.log = RefusalLog(now_s)

    def admit(self, address: str) -> ConnectionSlot | None:
        """Count a new connection from this IP address and return its slot; beyond a limit, log why and return None."""
        source = normalized(address)
        groups = self._groups(source)
        refusal = next(
            (group.refusal for group in groups if self._connection_counts[group.name] >= group.most_connections), None
        )
        if refusal is not None:
            self.log.log_refusal(source, refusal)
            return None
        _add_to_counts(self._connection_counts, groups, 1)
        return ConnectionSlot(self, source, groups)

    def _groups(self, source: str) -> tuple[_Group, ...]:
        """The groups of a source: this machine; or one other machine, its IPv6 network, and all other machines."""
        limits = self._limits
        if is_loopback(source):
            refusal = "too many connections from this machine"
            return (_Group("this machine", limits.from_loopback, limits.unfinished_bytes, refusal),)
        source_group = _Group(
            source, limits.per_source, limits.unfinished_bytes_per_source, "too many connections from one machine"
        )
        other_machines = _Group("all others", limits.from_network, limits.unfinished_bytes, "too many connections")
        if (network := network_of(source)) == source:
            return (source_group, other_machines)
        most_bytes = 2 * limits.unfinished_bytes_per_source
        return (
            source_group,
            _Group(network, limits.per_network, most_bytes, "too many connections from one network"),
            other_machines,
        )

    def remove(self, groups: tuple[_Group, ...]) -> None:
        """Remove a connection that has ended from the counts of these groups; called by `ConnectionSlot.release`."""
        _add_to_counts(self._connection_counts, groups, -1)

    def add_bytes(self, groups: tuple[_Group, ...], size: int) -> bool:
        """Count bytes of unfinished requests; a negative size frees them. False, and unchanged, beyond a limit."""
        if size > 0 and any(self._byte_counts[group.name] + size > group.most_bytes for group in groups):
            return False
        _add_to_counts(self._byte_counts, groups, size)
        return True


def _add_to_counts(counts: Counter[str], groups: tuple[_Group, ...], change: int) -> None:
    """Change the number of open connections, or of bytes, of each group; a group without any is removed."""
    for group in groups:
        counts[group.name] += change
        if counts[group.name] <= 0:
            del counts[group.name]


class RefusalLog:
    """Logs refused and closed connections: at most one line a minute for each source, for at most 20 sources."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._logged_at_s: dict[str, float] = {}
        """when each source was last logged; only those of the last minute, the oldest first"""

    def log_refusal(self, source: str, reason: str) -> None:
        """Log that a connection is refused or closed, unless this source was logged in the last minute."""
        now_s = self._now_s()
        for earlier_source, logged_at_s in list(self._logged_at_s.items()):
            if now_s - logged_at_s < _A_MINUTE_S:
                break
            del self._logged_at_s[earlier_source]
        if source in self._logged_at_s or len(self._logged_at_s) >= _MAX_SOURCES_LOGGED:
            return
        self._logged_at_s[source] = now_s
        _log.warning("local API: connection from %s closed: %s", source, reason)


def normalized(address: str) -> str:
    """The IP address in its usual notation, without scope; an IPv4-mapped IPv6 address becomes the IPv4 address."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return str(mapped or ip)


def is_loopback(source: str) -> bool:
    """Return True for a loopback address, as `normalized` returns it."""
    return source in _LOOPBACK


def network_of(source: str) -> str:
    """The /64 network of a normalized IPv6 address; an IPv4 address unchanged."""
    address = ipaddress.ip_address(source)
    if isinstance(address, ipaddress.IPv4Address):
        return source
    return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))


ProtocolFactory = Callable[[ConnectionSlot], asyncio.Protocol]
"""creates the protocol of an admitted connection"""

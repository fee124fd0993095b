"""The bounds of the local API's connections: how many, how long each step of a request may take, how much memory."""

from __future__ import annotations

import resource
from typing import Final

from metering.frozen import frozen

LARGEST_BODY: Final = 256 * 1024
"""bytes of one request body, unless the route reads it piece by piece"""
_RESERVED_DESCRIPTORS: Final = 192
"""for the CSMS link, the storage, the boards, meters, logs and file transfers; counted generously"""
_DESCRIPTORS_PER_CONNECTION: Final = 2
"""its socket, and a file that it may be sent"""
_MOST_CONNECTIONS: Final = 128
_MOST_TLS_CONNECTIONS: Final = 56
"""asyncio keeps a buffer of 256 KiB for each TLS connection"""
_FEWEST_CONNECTIONS: Final = 8


@frozen
class ConnectionLimits:
    """What the peers of the local API may use. Times are real seconds."""

    from_network: int
    """connections of all other machines together"""
    from_loopback: int
    """connections of this machine itself; these places are reserved for it"""
    per_source: int
    """connections of one other machine"""
    unfinished_bytes: int = 8 * LARGEST_BODY
    """bytes received for requests that are not answered yet, of all other machines together; as many of this one"""
    unfinished_bytes_per_source: int = 3 * LARGEST_BODY
    """the same of one other machine"""
    first_byte_s: float = 10.0
    """from the connection to the first byte of its first request; as long for a TLS handshake"""
    head_s: float = 10.0
    """from the first byte of a request to the end of its headers"""
    body_s: float = 30.0
    """for each `LARGEST_BODY` bytes of a body"""
    idle_s: float = 15.0
    """between an answer and the next request"""
    stalled_s: float = 60.0
    """until a peer that does not read its answer must have made room for more"""

    @property
    def per_network(self) -> int:
        """Connections of one IPv6 network of 64 bits: one machine may have any number of addresses in it."""
        return max(self.from_network * 2 // 3, 1)


def connection_limits(*, tls: bool) -> ConnectionLimits:
    """The limits of this process. They leave file descriptors for everything else that the station does."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return limits_for(descriptors if descriptors != resource.RLIM_INFINITY else 2**20, tls=tls)


def limits_for(descriptors: int, *, tls: bool) -> ConnectionLimits:
    """The limits where the process may have so many file descriptors."""
    possible = (descriptors - _RESERVED_DESCRIPTORS) // _DESCRIPTORS_PER_CONNECTION
    total = min(max(possible, _FEWEST_CONNECTIONS), _MOST_TLS_CONNECTIONS if tls else _MOST_CONNECTIONS)
    from_loopback = total // 4
    from_network = total - from_loopback
    return ConnectionLimits(from_network, from_loopback, per_source=max(from_network // 3, 1))

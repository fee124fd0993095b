"""Limits of the local API's connections: number, duration of each step of a request, memory."""

from __future__ import annotations

import resource
from typing import Final

from foundation.frozen import Frozen

LARGEST_BODY: Final = 256 * 1024
"""bytes of one request body, unless the route reads it in chunks"""
_RESERVED_DESCRIPTORS: Final = 192
"""file descriptors for the CSMS link, storage, boards, meters, logs and file transfers; a generous estimate"""
_DESCRIPTORS_PER_CONNECTION: Final = 2
"""its socket, and a file that is sent over it"""
_MAX_CONNECTIONS: Final = 128
_MAX_TLS_CONNECTIONS: Final = 56
"""asyncio keeps a buffer of 256 KiB for each TLS connection"""
_FEWEST_CONNECTIONS: Final = 8


class ConnectionLimits(Frozen):
    """How many connections the local API accepts, and how long each step of a request may take, in real seconds."""

    from_network: int
    """maximum connections of all other machines together"""
    from_loopback: int
    """maximum connections of this machine itself, reserved for it"""
    per_source: int
    """maximum connections of one other machine"""
    unfinished_bytes: int = 8 * LARGEST_BODY
    """maximum bytes of unanswered requests: of all other machines together, and the same again for this machine"""
    unfinished_bytes_per_source: int = 3 * LARGEST_BODY
    """maximum bytes of unanswered requests of one other machine"""
    first_byte_s: float = 10.0
    """from the connection to the first byte of its first request; also the limit of a TLS handshake"""
    head_s: float = 10.0
    """from the first byte of a request to the end of its headers"""
    body_s: float = 30.0
    """for each `LARGEST_BODY` bytes of a body"""
    idle_s: float = 15.0
    """between a response and the next request"""
    stalled_s: float = 60.0
    """time without progress of a peer that does not read its response"""

    @property
    def per_network(self) -> int:
        """Maximum connections of one IPv6 /64 network, in which one machine may have any number of addresses."""
        return max(self.from_network * 2 // 3, 1)


def connection_limits(*, tls: bool) -> ConnectionLimits:
    """Compute the limits for this process, which leave file descriptors for the rest of the station."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return limits_for(descriptors if descriptors != resource.RLIM_INFINITY else 2**20, tls=tls)


def limits_for(descriptors: int, *, tls: bool) -> ConnectionLimits:
    """Compute the limits for a process with this maximum number of file descriptors; fewer connections with TLS."""
    possible = (descriptors - _RESERVED_DESCRIPTORS) // _DESCRIPTORS_PER_CONNECTION
    total = min(max(possible, _FEWEST_CONNECTIONS), _MAX_TLS_CONNECTIONS if tls else _MAX_CONNECTIONS)
    from_loopback = total // 4
    from_network = total - from_loopback
    return ConnectionLimits(from_network, from_loopback, per_source=max(from_network // 3, 1))

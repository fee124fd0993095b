"""Reads from the kernel how many of the sent bytes the peer of a TCP connection has acknowledged."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, Final

from foundation.frozen import Frozen

if TYPE_CHECKING:
    import asyncio

_UNACKNOWLEDGED: Final = struct.Struct("=24xI")
_ACKNOWLEDGED: Final = struct.Struct("=120xQ")
_NOT_SENT: Final = struct.Struct("=144xI")
"""tcpi_unacked, tcpi_bytes_acked and tcpi_notsent_bytes of `struct tcp_info` (linux/tcp.h, Linux 4.6)"""
_SIZE: Final = 148


class DeliveryProgress(Frozen):
    """How many bytes sent over a TCP connection the peer has acknowledged, and whether more are pending."""

    acknowledged: int
    """bytes that the peer has acknowledged since the connection was made"""
    pending: bool
    """whether the kernel holds bytes that the peer has not acknowledged"""


def delivery_progress(transport: asyncio.BaseTransport) -> DeliveryProgress:
    """Read from the kernel how far sent bytes were delivered, as on the wire (with TLS: encrypted); 0 once closed."""
    connection: socket.socket = transport.get_extra_info("socket")
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SIZE)
    except OSError:
        return DeliveryProgress(0, pending=False)
    (acknowledged,) = _ACKNOWLEDGED.unpack_from(info)
    pending = any(counter.unpack_from(info)[0] for counter in (_UNACKNOWLEDGED, _NOT_SENT))
    return DeliveryProgress(acknowledged, pending=pending)

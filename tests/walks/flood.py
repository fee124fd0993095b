"""Floods a station with connections of anonymous peers; runs as a separate process for a given time.

`python -m tests.walks.flood PORT SECONDS IDLE BODIES LISTENERS [tls]`. All traffic stays on this machine: the peers
have addresses of 127/8 other than 127.0.0.1. At the end it writes its results as JSON.
"""

from __future__ import annotations

import asyncio
import json
import resource
import ssl
import sys
import time
from dataclasses import asdict, dataclass

_SOURCES = 60
_AGAIN_S = 8.0
"""delay before a peer reconnects"""
_FIRST_S = 1.0
"""delay between the groups of peers, which start in the order listeners, bodies, idle connections"""
_BODY = b"POST /api/session HTTP/1.1\r\nHost: station\r\nContent-Length: 250000\r\n\r\n" + b" " * 249_000
_LISTEN = b"GET /api/events HTTP/1.1\r\nHost: station\r\n\r\n"


@dataclass
class FloodResult:
    """The counts of all peers at the end of the flood."""

    connections: int = 0
    """number of attempts"""
    open_now: int = 0
    most_open: int = 0
    listening_now: int = 0
    most_listening: int = 0


class Flood:
    """Runs all peers, and counts their connections."""

    def __init__(self, port: int, until_s: float, context: ssl.SSLContext | None) -> None:
        self.result = FloodResult()
        self._port = port
        self._until_s = until_s
        self._context = context

    async def peer(self, source: str, request: bytes, *, encrypted: bool) -> None:
        """Connect, send, keep the connection open, and reconnect when it ends."""
        while (left_s := self._until_s - time.monotonic()) > 0:
            self.result.connections += 1
            try:
                async with asyncio.timeout(left_s):
                    await self._once(source, request, self._context if encrypted else None)
            except (OSError, TimeoutError):
                pass
            await asyncio.sleep(max(0.0, min(_AGAIN_S, self._until_s - time.monotonic())))

    async def _once(self, source: str, request: bytes, context: ssl.SSLContext | None) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, local_addr=(source, 0), ssl=context)
        result, listening = self.result, False
        result.open_now += 1
        try:
            writer.write(request)
            result.most_open = max(result.most_open, result.open_now)
            while data := await reader.read(65_536):
                if not listening and data.startswith(b"HTTP/1.1 200"):
                    listening = True
                    result.listening_now += 1
                    result.most_listening = max(result.most_listening, result.listening_now)
        finally:
            result.open_now -= 1
            result.listening_now -= listening
            writer.transport.abort()


async def flood(port: int, seconds: float, idle: int, bodies: int, listeners: int, *, tls: bool) -> FloodResult:
    """Run all peers together for `seconds`."""
    context = None
    if tls:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    peers = Flood(port, time.monotonic() + seconds, context)
    async with asyncio.TaskGroup() as group:
        for number in range(listeners):
            group.create_task(peers.peer(f"127.0.3.{1 + number % _SOURCES}", _LISTEN, encrypted=True))
        await asyncio.sleep(_FIRST_S)
        for number in range(bodies):
            group.create_task(peers.peer(f"127.0.2.{1 + number % _SOURCES}", _BODY, encrypted=True))
        await asyncio.sleep(_FIRST_S)
        # Idle peers do not start a TLS handshake.
        for number in range(idle):
            group.create_task(peers.peer(f"127.0.1.{1 + number % _SOURCES}", b"", encrypted=False))
    return peers.result


def main() -> None:
    """Run the flood of the arguments, and write the results."""
    port, seconds, idle, bodies, listeners, *more = sys.argv[1:]
    _, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))
    result = asyncio.run(flood(int(port), float(seconds), int(idle), int(bodies), int(listeners), tls=bool(more)))
    sys.stdout.write(json.dumps(asdict(result)))


if __name__ == "__main__":
    main()

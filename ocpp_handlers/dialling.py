"""One attempt to open a websocket. A file of its own, since it needs the websockets library when it is imported."""

from __future__ import annotations

from websockets.asyncio.client import connect


class dial(connect):  # noqa: N801 - used as the function that it extends
    """Opens a websocket where the URL says, and nowhere else.

    A redirect is a refusal: the CSMS's address is a configured one, and the password belongs to it (A01.FR.10).
    """

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Never follow one."""
        return exc

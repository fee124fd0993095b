"""What days of life need of a CSMS, whichever it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol


class LifeCsms(Protocol):
    """A CSMS that is away for a while, restarts, and sends orders."""

    @property
    def faults(self) -> Sequence[str]:
        """What was wrong with the messages that it received."""
        ...

    @property
    def running(self) -> int:
        """Number of transactions of which it does not have all events; 0 if it does not say."""
        ...

    def leave(self) -> None:
        """Be out of reach until `come_back`."""
        ...

    def come_back(self) -> None:
        """Be within reach again."""
        ...

    def restart(self) -> None:
        """End the connection, as a CSMS that restarts."""
        ...

    async def ask(self, action: str, payload: Mapping[str, object]) -> None:
        """Send a request to the station if it is connected; the answer is ignored."""
        ...

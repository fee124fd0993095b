"""A CSMS that answers with arbitrary frames, and a charge that must continue regardless."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from station.charging.tokens.admission import TokenOutcome
from tests.csms import Csms, Received
from tests.walk import Walk, walking

Frames = Callable[[str, str, dict[str, Any]], list[str] | None]
"""returns the frames to send for a message id, action and payload; None: answer as usual"""


@dataclass
class HostileCsms(Csms):
    """A CSMS that answers with arbitrary frames, and detects concurrent CALLs."""

    frames: Frames = lambda _identity, _action, _payload: None
    slow: bool = False
    """hold answers back until `release`"""
    held: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list[tuple[str, str, dict[str, Any]]])
    ids: list[str] = field(default_factory=list[str])
    most_open: int = 0

    async def _answer(self, identity: str, action: str, payload: dict[str, Any]) -> None:
        self.ids.append(identity)
        if self.slow:
            self.held.append((identity, action, payload))
            self.most_open = max(self.most_open, len(self.held))
            return
        sent = self.frames(identity, action, payload)
        if sent is None:
            await super()._answer(identity, action, payload)
            return
        self.calls.append(Received(action, payload, identity))
        for text in sent:
            await self.send_raw(text)

    async def release(self) -> None:
        """Send the answers that were held back."""
        while self.held:
            await super()._answer(*self.held.pop(0))


@contextlib.asynccontextmanager
async def charging(storage: Path, csms: HostileCsms | None = None) -> AsyncGenerator[tuple[Walk, HostileCsms]]:
    """Run a charge during the block; afterwards it must still run, and its record must be complete."""
    hostile = csms if csms is not None else HostileCsms()
    async with walking(storage, hostile) as walk:
        await _start_charge(walk)
        yield walk, hostile
        assert walk.board.outputs.contactor
        assert sum(walk.board.currents_a) > 0
        await _end_charge(walk)


async def _start_charge(walk: Walk) -> None:
    await walk.accepted()
    await walk.plug()
    assert await walk.present() is TokenOutcome.AUTHORIZED
    await walk.charging()


async def _end_charge(walk: Walk) -> None:
    """Stop the charge, and check that all events have arrived, numbered without a gap."""
    await walk.until(lambda: walk.stack.link.online, within_s=600)
    assert await walk.present() is TokenOutcome.STOPPED
    await walk.until(lambda: ("Ended", "StopAuthorized") in walk.types_and_triggers(), within_s=600)
    numbers = sorted({event["seqNo"] for event in walk.events()})
    assert numbers == list(range(numbers[-1] + 1))


def variable(name: str) -> dict[str, Any]:
    """A variable of OCPPCommCtrlr, as in a message."""
    return {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": name}}

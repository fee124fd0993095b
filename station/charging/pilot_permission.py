"""Limits the current that the pilot of one EVSE signals, and tracks what its board may be signalling."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from msgspec.structs import replace

from foundation.constants import MINIMUM_CURRENT_A
from foundation.events import Event

if TYPE_CHECKING:
    from station.core.hardware.board import Outputs


class PilotPermission:
    """Limits what the board driver commands, so that load management can lower one pilot before it raises another.

    The outputs follow the state of the EVSE at once, load management only with its next decision: until then the state
    may offer more than the EVSE's share.
    """

    def __init__(self) -> None:
        self.permitted_a = math.inf
        """the highest current that may be signalled, amperes per phase; below 6 A: none. Infinite: not limited"""
        self.signalled_a = 0.0
        """the highest current that the board may be signalling, A per phase: the last confirmed, or a higher one
        commanded since; 0: none"""
        self.confirmed: Event[None] = Event()
        """published when the board has confirmed a command that lowers the signalled current"""

    def apply_to(self, outputs: Outputs, *, contactor_closed: bool) -> Outputs:
        """Return outputs whose pilot does not exceed the permission; an open contactor stays open without a pilot."""
        if outputs.pilot_a is None or outputs.pilot_a <= self.permitted_a:
            return outputs
        if self.permitted_a >= MINIMUM_CURRENT_A:
            return replace(outputs, pilot_a=self.permitted_a)
        return replace(outputs, pilot_a=None, contactor=outputs.contactor and contactor_closed)

    def note_command(self, outputs: Outputs) -> None:
        """Note outputs that are about to be commanded: from now on the board may signal their current."""
        self.signalled_a = max(self.signalled_a, outputs.pilot_a or 0.0)

    def note_confirmation(self, outputs: Outputs) -> None:
        """Note outputs that the board has confirmed: it signals their current and no other."""
        lowered = (outputs.pilot_a or 0.0) < self.signalled_a
        self.signalled_a = outputs.pilot_a or 0.0
        if lowered:
            self.confirmed.publish(None)

"""Orders the changes of a station's pilots: some are lowered and confirmed before others are raised.

Without it, two boards that are commanded at the same time would signal together more than a shared limit for the moment
between both commands, and for as long as the slower one takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from foundation.clock import Clock
    from station.charging.evse import Evse

CONFIRMS_WITHIN_S: Final = 10.0
"""A board that does not confirm a lower pilot for this long is broken: its own controller has made it safe, and what
its vehicle still draws counts by its meter. The others need not wait for its repair."""


class PilotSequence:
    """Permits each pilot its share once no other pilot is above its own share any more."""

    def __init__(self, evses: Mapping[int, Evse], clock: Clock) -> None:
        self._evses = evses
        self._clock = clock
        self._granted_a = dict.fromkeys(evses, 0.0)
        self._lowering_since_s: dict[int, float] = {}
        for evse in evses.values():
            evse.pilot.permitted_a = 0.0  # until the first decision
            evse.pilot.confirmed.subscribe(lambda _: self.update())

    def grant(self, granted_a: Mapping[int, float]) -> None:
        """Set the shares of the last decision, A per phase by EVSE id; 0 for one whose vehicle may not charge."""
        self._granted_a.update(granted_a)
        self.update()

    def update(self) -> None:
        """Permit what may be signalled now; called after a decision, and when a board has confirmed a lower pilot."""
        lowering = self._lowering()
        for evse_id, evse in self._evses.items():
            permitted_a = self._granted_a[evse_id]
            if lowering - {evse_id}:
                permitted_a = min(permitted_a, evse.pilot.signalled_a)
            if permitted_a != evse.pilot.permitted_a:
                evse.pilot.permitted_a = permitted_a
                evse.changed.notify()

    def _lowering(self) -> set[int]:
        """The EVSEs whose pilots are still above their shares, without those whose boards are broken."""
        now_s = self._clock.monotonic()
        above = {evse_id for evse_id, evse in self._evses.items() if evse.pilot.signalled_a > self._granted_a[evse_id]}
        self._lowering_since_s = {evse_id: self._lowering_since_s.get(evse_id, now_s) for evse_id in above}
        return {evse_id for evse_id in above if now_s - self._lowering_since_s[evse_id] < CONFIRMS_WITHIN_S}

"""The limits for all EVSEs of a station together: the current selector's, and those that others set by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from foundation.events import Event

if TYPE_CHECKING:
    from energy.demand import SharedLimit
    from foundation.clock import Clock


class StationLimits:
    """Keeps the limits for all EVSEs together, in memory; the load controller divides them."""

    def __init__(self, clock: Clock, selector_a: float | None = None) -> None:
        self._clock = clock
        self._selector_a = selector_a
        self._shared: dict[str, SharedLimit] = {}
        self.changed: Event[None] = Event()
        """published when a limit was set, changed or removed"""

    @property
    def selector_a(self) -> float | None:
        """The current selector's limit for all EVSEs together, amperes per phase; None: not known."""
        return self._selector_a

    def set_selector(self, selector_a: float) -> None:
        """Set the limit of the current selector, A per phase, from the next decision on."""
        before, self._selector_a = self._selector_a, selector_a
        if selector_a != before:
            self.changed.publish(None)

    @property
    def shared(self) -> dict[str, SharedLimit]:
        """The limits of `set_shared` that have not ended yet, by name."""
        now = self._clock.now()
        return {name: limit for name, limit in self._shared.items() if limit.is_in_force(now)}

    def set_shared(self, name: str, limit: SharedLimit | None) -> None:
        """Set the limit of this name for all EVSEs together, or remove it (None), from the next decision on."""
        before = self._shared.get(name)
        if limit is None:
            self._shared.pop(name, None)
        else:
            self._shared[name] = limit
        if limit != before:
            self.changed.publish(None)

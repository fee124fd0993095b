"""Applies the state of the back plate: current selector, opened flap, wrong jumper positions."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from foundation.events import Event
from station.core.hardware.current_selector import selected_a
from station.load.jumpers import Jumpers

if TYPE_CHECKING:
    from energy.station_limits import StationLimits
    from station.core.hardware.back_plate import BackPlate, JumperPosition
    from station.load.tamper import TamperAlarm

_log = logging.getLogger(__name__)


class BackPlateMonitor:
    """Follows the back plate: selector sets the station limit, open flap raises the alarm, wrong jumpers are logged."""

    def __init__(
        self, plate: BackPlate, expected_jumpers: JumperPosition, limits: StationLimits, tamper: TamperAlarm
    ) -> None:
        self._plate = plate
        self._expected: JumperPosition = expected_jumpers
        self._limits = limits
        self._tamper = tamper
        self._logged: str | None = None
        self.view_changed: Event[None] = Event()
        """published after each change of what the back plate shows"""

    @property
    def jumpers(self) -> Jumpers:
        """The position of jumpers J1 and J2 last read, and the one that the configuration requires."""
        return Jumpers(self._plate.view.jumpers, self._expected)

    @property
    def has_flap_contact(self) -> bool:
        """Whether a contact reports that the SIM-card flap is open."""
        return self._plate.has_flap_contact

    @property
    def flap_open(self) -> bool:
        """Whether the SIM-card flap is open, as last read."""
        return self._plate.view.flap_open

    async def run(self) -> None:
        """Apply each change of the back plate until cancelled.

        When it fails, the selector counts as unreadable: the station limit becomes `FALLBACK_A`. A cancellation, at the
        end of the station's run, changes no limit: a last decision would report a rate that no vehicle was offered.
        """
        cancelled = False
        try:
            async for view in self._plate.views():
                self._limits.set_selector(selected_a(view.selector))
                self._log_mismatch()
                if view.flap_open:
                    self._tamper.report_opened()
                self.view_changed.publish(None)
        except asyncio.CancelledError:
            cancelled = True
            raise
        finally:
            if not cancelled:
                self._limits.set_selector(selected_a(None))

    def _log_mismatch(self) -> None:
        mismatch = self.jumpers.mismatch
        if mismatch is not None and mismatch != self._logged:
            _log.warning("%s", mismatch)
        self._logged = mismatch

"""Keeps every display of the station up to date: chooses its screen, and gives it to the drivers. Auxiliary."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from foundation.change_signal import ChangeSignal
from foundation.events import Event
from foundation.frozen import Frozen
from foundation.supervision import run_together
from station.core.local_time import zone
from station.core.screen import DisplayError, DisplayOutput, Screen, TextSize
from station.display.screen import current_screen, cycle_identity, screen_cycle
from station.display.screen_inputs import DisplayProfile, ScreenInputs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from foundation.clock import Clock
    from station.charging.evse import Evse
    from station.core.clock_settings import ClockSettings
    from station.display.display_message import DisplayAddress
    from station.display.display_settings import DisplaySettings
    from station.display.evse_reader import EvseReader
    from station.display.message_store import DisplayMessages

_log = logging.getLogger(__name__)

_FIGURES_EVERY_S: Final = 5.0
"""interval at which energy, cost and time on a display are updated during a charge"""
_SHORTEST_WAIT_S: Final = 0.001
"""until the next screen of a cycle; rounding may leave less, by which a clock does not advance"""
_RETRY_S: Final = 10.0
"""interval of attempts to write a display that fails"""
_REPEAT_S: Final = 60.0
"""interval at which a character display is written without a change: only so is a disconnected one detected"""


class ScreenSources(Frozen):
    """Sources of the screens besides the EVSEs."""

    messages: DisplayMessages
    reader: EvseReader
    display_settings: DisplaySettings
    clock_settings: ClockSettings


class ScreenMaker:
    """Makes the screens of one profile of a display: reads the inputs, and keeps the place in the cycle."""

    def __init__(self, profile: DisplayProfile, evses: Sequence[Evse], sources: ScreenSources, clock: Clock) -> None:
        self.profile = profile
        self.evses = evses
        self._sources = sources
        self._clock = clock
        self._cycle_identity: object = None
        self._cycle_began_s = 0.0
        self.wait_s: float | None = None
        """seconds until the next screen differs without any event; None: until an event"""

    async def make(self) -> Screen:
        """Make the screen to show now, and set `wait_s`.

        Raises:
            StorageError: the records cannot be read.
        """
        sources, now_s = self._sources, self._clock.monotonic()
        inputs = ScreenInputs(
            self._clock.now(),
            tuple([await sources.reader.read(evse) for evse in self.evses]),
            tuple(sources.messages.all()) if sources.display_settings.display_messages_enabled else (),
            zone=zone(sources.clock_settings),
        )
        cycle = screen_cycle(self.profile, inputs)
        if (identity := cycle_identity(cycle)) != self._cycle_identity:
            self._cycle_identity, self._cycle_began_s = identity, now_s
        elapsed_s, rotation_s = now_s - self._cycle_began_s, self.profile.rotation_s
        waits = [max(_SHORTEST_WAIT_S, rotation_s - elapsed_s % rotation_s)] if len(cycle) > 1 else []
        if any(evse.transaction_id is not None for evse in self.evses):
            waits.append(_FIGURES_EVERY_S)
        self.wait_s = min(waits, default=None)
        return current_screen(cycle, rotation_s, elapsed_s)

    def state_key(self) -> object:
        """Key that differs when the screens of the EVSEs differ by more than figures."""
        return [self._sources.reader.state_key(evse) for evse in self.evses]


class DisplayDriver(Frozen):
    """A driver of a display with what its display can show."""

    profile: DisplayProfile
    output: DisplayOutput


class DisplayScreens:
    """The screens of all displays: of each one as the page shows it, and as each of its drivers does."""

    def __init__(
        self,
        displays: Sequence[DisplayProfile],
        drivers: Sequence[DisplayDriver],
        evses: Mapping[int, Evse],
        sources: ScreenSources,
        clock: Clock,
    ) -> None:
        """`displays`: the displays of the station as the page shows them, the main one first."""
        self.changed: Event[DisplayAddress] = Event()
        """the page of a display shows another screen"""
        self.problem_changed: Event[None] = Event()
        """a driver fails, or works again"""
        self.displays = displays
        self._clock = clock
        self._page_screen_makers = [
            ScreenMaker(display, _evses_of(display, evses), sources, clock) for display in displays
        ]
        self._driver_screen_makers = [
            (driver.output, ScreenMaker(driver.profile, _evses_of(driver.profile, evses), sources, clock))
            for driver in drivers
        ]
        self._page_screens: dict[DisplayAddress, Screen] = {}
        self._failing: set[DisplayOutput] = set()
        self._due = ChangeSignal()
        self._state_keys: list[object] = []

    def current(self, display: DisplayAddress) -> Screen:
        """Screen that the page of a display shows now; empty until `run` has begun."""
        return self._page_screens.get(display, Screen())

    def has_problem(self, display: DisplayAddress) -> bool:
        """Whether a driver of this display fails."""
        return any(
            output in self._failing for output, maker in self._driver_screen_makers if maker.profile.address == display
        )

    def text_size(self, display: DisplayAddress) -> TextSize | None:
        """The size of the character display that shows this display; None if there is none."""
        sizes = (maker.profile.size for _, maker in self._driver_screen_makers if maker.profile.address == display)
        return next((size for size in sizes if size is not None), None)

    def refresh(self) -> None:
        """Make `run` choose all screens again, after a change of messages, prices or settings; returns at once."""
        self._due.notify()

    def check_states(self) -> None:
        """Do as `refresh` if what the screens show of an EVSE has changed; cheap enough to call at any event."""
        keys = [maker.state_key() for maker in self._page_screen_makers]
        if keys != self._state_keys:
            self._state_keys = keys
            self._due.notify()

    async def run(self) -> None:
        """Show the screens until cancelled; then close the drivers.

        Raises:
            StorageError: the records cannot be read; the displays keep their screens until it runs again.
        """
        try:
            await run_together(
                {
                    **{
                        f"display-page-{number}": self._update_page_screen(maker)
                        for number, maker in enumerate(self._page_screen_makers)
                    },
                    **{
                        f"display-{number}": self._run_driver(*driver)
                        for number, driver in enumerate(self._driver_screen_makers)
                    },
                }
            )
        finally:
            for output, _ in self._driver_screen_makers:
                await output.close()

    async def _update_page_screen(self, maker: ScreenMaker) -> None:
        """Update the screen that the page shows of a display, until cancelled."""
        address = maker.profile.address
        while True:
            due_count = self._due.count
            screen = await maker.make()
            if screen != self._page_screens.get(address):
                self._page_screens[address] = screen
                self.changed.publish(address)
            await self._wait_due(due_count, maker.wait_s)

    async def _run_driver(self, output: DisplayOutput, maker: ScreenMaker) -> None:
        """Show the screens of a display on one driver; one that fails is tried again, and stops no other."""
        displayed: Screen | None = None
        failing = False
        repeat_s = None if maker.profile.size is None else _REPEAT_S
        displayed_s = self._clock.monotonic()
        while True:
            due_count = self._due.count
            screen = await maker.make()
            wait_s = min(
                (interval_s for interval_s in (maker.wait_s, repeat_s) if interval_s is not None), default=None
            )
            if screen != displayed or (repeat_s is not None and self._clock.monotonic() - displayed_s >= repeat_s):
                error = await _write_screen(output, screen)
                displayed = screen if error is None else None
                displayed_s = self._clock.monotonic()
                if error is not None:
                    _log.log(logging.DEBUG if failing else logging.WARNING, "%s: %s", output, error)
                    wait_s = _RETRY_S
                elif failing:
                    _log.info("%s: works again", output)
                if failing is not (error is not None):
                    failing = error is not None
                    (self._failing.add if failing else self._failing.discard)(output)
                    self.problem_changed.publish(None)
            await self._wait_due(due_count, wait_s)

    async def _wait_due(self, due_count: int, wait_s: float | None) -> None:
        if wait_s is None:
            await self._due.wait(due_count)
        else:
            await self._due.wait_for(due_count, self._clock, wait_s)


class PublishedDisplays(Frozen):
    """The displays whose screens are published to a broker."""

    screens: DisplayScreens
    addresses: tuple[DisplayAddress, ...]


async def _write_screen(output: DisplayOutput, screen: Screen) -> DisplayError | None:
    """Show a screen; returns why it failed, or None."""
    try:
        await output.show(screen)
    except DisplayError as error:
        return error
    return None


def _evses_of(profile: DisplayProfile, evses: Mapping[int, Evse]) -> Sequence[Evse]:
    """The EVSEs that a display is for: its own one, or all of the station."""
    evse_id = profile.address.evse_id
    return [evse for evse in evses.values() if evse_id in {None, evse.id}]

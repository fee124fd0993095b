"""Creates the messages of the CSMS for the displays."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from borne.composition.billing import BillingParts
from borne.composition.charging import ChargingParts
from borne.composition.core import CoreParts
from borne.composition.display_screens import create_screens, session_page, subscribe_screens
from borne.composition.maintenance import MaintenanceParts
from foundation.frozen import Frozen
from station.display.display_message import MessageState, displays_of
from station.display.display_screens import DisplayScreens
from station.display.evse_reader import EvseReader, ShownPrices, StartMethods
from station.display.message_store import DisplayCapabilities, DisplayMessages

if TYPE_CHECKING:
    from station.interfaces.parts import StationParts


class DisplayParts(Frozen):
    """The parts that `create_display` creates for one run: messages, screens, prices and start methods."""

    messages: DisplayMessages
    screens: DisplayScreens
    prices: ShownPrices
    """price and cost on displays and page"""
    start_methods: StartMethods
    """how a driver starts a charge at each EVSE"""

    @property
    def watchers(self) -> list[Callable[[], Awaitable[None]]]:
        """The tasks of these parts, to run while the station runs."""
        return [self.messages.run, self.screens.run]

    def add_to(self, parts: StationParts) -> None:
        """Add messages, screens and start methods to `parts`, where the routes of the API find them."""
        parts.add(DisplayMessages, self.messages)
        parts.add(DisplayScreens, self.screens)
        parts.add(StartMethods, self.start_methods)


async def create_display(
    core: CoreParts, charging: ChargingParts, billing: BillingParts, maintenance: MaintenanceParts
) -> DisplayParts:
    """Create the messages of the CSMS, load them, and subscribe them to the ends of transactions and to the clock.

    Raises:
        StorageError: the records cannot be read.
    """
    config = core.configuration.display
    capabilities = DisplayCapabilities(displays_of(config.evses), frozenset(map(MessageState, config.states)))
    messages = DisplayMessages(
        core.database, charging.station, capabilities, core.settings.display, core.clock, core.auxiliary
    )
    await messages.load()
    core.auxiliary.subscribe(core.outbox.appended, messages.event_recorded)
    core.auxiliary.subscribe(billing.time.corrected, lambda _: messages.clock_corrected())
    configuration, settings = core.configuration, core.settings
    prices = ShownPrices(billing.tariff_and_cost, billing.prices, settings.prices)
    readers = [table.evse for table in configuration.reader]
    starts = StartMethods(
        settings.authorization, readers, charging.station.starter, has_csms=configuration.csms is not None
    )
    reader = EvseReader(maintenance.light, prices, core.transactions, starts, session_page(core), core.clock)
    screens = create_screens(core, charging, messages, reader)
    subscribe_screens(screens, core, billing, maintenance, messages)
    for evse in charging.evses.values():
        core.auxiliary.subscribe(evse.vehicle_details.changed, lambda _: screens.check_states())
    return DisplayParts(messages, screens, prices, starts)

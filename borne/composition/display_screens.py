"""Creates the displays of a station: what they show, and the drivers that show it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from station.billing.price_settings import PriceSettings
from station.charging.authorization.authorization_settings import AuthorizationSettings
from station.configuration.missing_packages import missing_package_error
from station.display.display_message import MAIN_DISPLAY, DisplayAddress, displays_of
from station.display.display_screens import DisplayDriver, DisplayScreens, PublishedDisplays, ScreenSources
from station.display.display_settings import DisplaySettings
from station.display.screen_inputs import DisplayProfile
from station.display.session_page import SessionPage
from station.interfaces.mdns import is_announced

if TYPE_CHECKING:
    from borne.composition.billing import BillingParts
    from borne.composition.charging import ChargingParts
    from borne.composition.core import CoreParts
    from borne.composition.maintenance import MaintenanceParts
    from foundation.device_table import DeviceTable
    from station.configuration.installation_file import Configuration
    from station.display.evse_reader import EvseReader
    from station.display.message_store import DisplayMessages

_log = logging.getLogger(__name__)


def create_screens(
    core: CoreParts, charging: ChargingParts, messages: DisplayMessages, reader: EvseReader
) -> DisplayScreens:
    """Create the displays; opens no device. `subscribe_screens` subscribes them to the events that change them."""
    config, settings, clock = core.configuration.display, core.settings, core.clock
    drivers = [
        DisplayDriver(
            DisplayProfile(_address(output.evse), tuple(config.languages), config.rotation_s, output.text_size),
            driver,
        )
        for output in config.output
        if _is_usable(output) and (driver := output.open()) is not None
    ]
    displays = [
        DisplayProfile(address, tuple(config.languages), config.rotation_s)
        for address in messages.capabilities.displays
    ]
    sources = ScreenSources(messages, reader, settings.display, settings.clock)
    return DisplayScreens(displays, drivers, charging.evses, sources, clock)


def _is_usable(output: DeviceTable) -> bool:
    """Whether the packages of a display are installed; a station charges without it, so that its start goes on."""
    if (error := missing_package_error(output)) is not None:
        _log.error("a display of the installation file is not used: it %s", error)
    return error is None


def mqtt_displays(configuration: Configuration, screens: DisplayScreens) -> PublishedDisplays:
    """The displays whose screens are published to the MQTT broker, by the installation file."""
    outputs = configuration.display.output
    return PublishedDisplays(screens, tuple(_address(output.evse) for output in outputs if output.needs_broker))


def subscribe_screens(
    screens: DisplayScreens,
    core: CoreParts,
    billing: BillingParts,
    maintenance: MaintenanceParts,
    messages: DisplayMessages,
) -> None:
    """Subscribe the screens to all that changes them, and the event feed to the screens."""
    settings, feed, auxiliary = core.settings, core.runtime.feed, core.auxiliary
    auxiliary.subscribe(maintenance.light.changed, lambda _: screens.check_states())
    auxiliary.subscribe(messages.changed, lambda _: screens.refresh())
    auxiliary.subscribe(billing.tariff_and_cost.display.changed, lambda _: screens.refresh())
    auxiliary.subscribe(billing.prices.changed, lambda _: screens.refresh())
    auxiliary.subscribe(settings.prices.changed(PriceSettings.tariff_fallback_message), lambda _: screens.refresh())
    for changed in (
        settings.prices.changed(PriceSettings.tariff_enabled),
        settings.prices.changed(PriceSettings.cost_enabled),
        settings.authorization.changed(AuthorizationSettings.auth_enabled),
        settings.display.changed(DisplaySettings.display_messages_enabled),
    ):
        auxiliary.subscribe(changed, lambda _: screens.refresh())
    auxiliary.subscribe(screens.changed, lambda display: feed.publish("display", evse=display.evse_id))


def session_page(core: CoreParts) -> SessionPage:
    """The configured address of the page for drivers, else that of the station's page in the local network."""
    configuration, http = core.configuration, core.configuration.http
    pattern = configuration.display.session_page
    if pattern is None:
        path = "/" if core.runtime.process.alone else "/stations/{identity}/"
        reachable = is_announced(configuration.mdns, http.host) and http.port != 0
        pattern = f"{configuration.local_url}{path}" if reachable else ""
    return SessionPage(pattern, configuration.station.identity)


def _address(evse_id: int | None) -> DisplayAddress:
    return MAIN_DISPLAY if evse_id is None else displays_of([evse_id])[1]

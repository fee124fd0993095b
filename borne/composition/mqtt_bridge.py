"""Creates the bridge to an MQTT broker; only stations with a broker load it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from station.interfaces.mqtt import home_assistant, mqtt

if TYPE_CHECKING:
    from borne.composition.assembled_parts import AssembledParts
    from foundation.events import Event
    from station.configuration.network_tables import MqttConfig
    from station.display.display_screens import PublishedDisplays
    from station.interfaces.mqtt.mqtt import MqttBridge
    from station.maintenance.monitoring.monitor import MonitoringEvent


def create_mqtt_bridge(
    config: MqttConfig, assembled: AssembledParts, device_events: Event[MonitoringEvent], displays: PublishedDisplays
) -> MqttBridge:
    """Create the bridge that publishes EVSEs and displays to an MQTT broker, and takes limits from it.

    It connects when it runs.
    """
    core, evses, load = assembled.core, assembled.charging.evses, assembled.load
    maintenance = assembled.maintenance
    station = core.configuration.station
    layouts = [evse.layout for evse in evses.values()]
    device = home_assistant.DiscoveryDevice(
        station.identity,
        station.vendor,
        station.model,
        station.serial_number,
        maintenance.firmware.version or station.firmware_version,
        [layout.id for layout in layouts],
        max(layout.max_current_a for layout in layouts),
        tuple(assembled.vehicle.vehicles.communications),
    )
    bridge = mqtt.MqttBridge(
        config,
        device,
        mqtt.PublishedState(evses, load.load, device_events),
        mqtt.PublishedIndicators(maintenance.light, displays),
        load.shared_limits,
        core.clock,
        core.auxiliary,
    )
    core.auxiliary.subscribe(displays.screens.changed, bridge.publish_display)
    return bridge

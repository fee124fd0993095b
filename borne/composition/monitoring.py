"""Creates the monitoring of variables of a station."""

from __future__ import annotations

from typing import TYPE_CHECKING

from station.maintenance.monitoring.event_detection import EventDetection
from station.maintenance.monitoring.event_ids import EventIds
from station.maintenance.monitoring.event_queue import EventQueue
from station.maintenance.monitoring.event_streams import EventStreams
from station.maintenance.monitoring.monitor_registry import MonitorRegistry
from station.maintenance.monitoring.monitor_store import MonitorStore
from station.maintenance.monitoring.reporting_rules import EventReporting, ReportingRules
from station.maintenance.monitoring.station_evses import StationEvses
from station.maintenance.monitoring.variable_monitoring import VariableMonitoring

if TYPE_CHECKING:
    from borne.composition.charging import ChargingParts
    from borne.composition.core import CoreParts
    from station.maintenance.monitoring.built_in import BuiltInMonitors
    from station.maintenance.monitoring.monitored_variables import MonitoredVariables


def create_monitoring(
    core: CoreParts, charging: ChargingParts, variables: MonitoredVariables, built_in: BuiltInMonitors
) -> VariableMonitoring:
    """Create the monitoring of a station; it is not loaded yet, and evaluates nothing before its detection runs."""
    clock, store = core.clock, MonitorStore(core.database)
    registry = MonitorRegistry(variables)
    has_csms = core.configuration.csms is not None
    rules = ReportingRules(core.settings.monitoring, charging.csms, core.auxiliary, has_csms=has_csms)
    queue = EventQueue(store, clock)
    reporting = EventReporting(EventIds(store), rules, queue, EventStreams(queue, clock))
    evses = StationEvses(charging.evses, charging.running, clock, core.auxiliary)
    notifications = {notification.monitor.id: notification for notification in built_in.notifications}
    detection = EventDetection(variables, evses, registry, reporting, notifications, clock, core.auxiliary)
    return VariableMonitoring(variables, registry, detection, reporting, built_in, store)

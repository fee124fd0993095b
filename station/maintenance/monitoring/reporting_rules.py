"""Decides which events the CSMS receives: by its monitoring level, and while it is offline by their severity."""

from __future__ import annotations

from typing import TYPE_CHECKING

from foundation.events import Event
from foundation.frozen import Frozen
from station.maintenance.monitoring.monitor import HIGHEST_SEVERITY
from station.maintenance.monitoring.monitoring_settings import MonitoringSettings

if TYPE_CHECKING:
    from foundation.supervision import AuxiliaryCalls
    from station.core.csms import Csms
    from station.maintenance.monitoring.event_ids import EventIds
    from station.maintenance.monitoring.event_queue import EventQueue
    from station.maintenance.monitoring.event_streams import EventStreams


class ReportingRules:
    """Decides by severity whether the CSMS receives an event now, later, or never (N05.FR.03, N07.FR.04, N07.FR.15)."""

    def __init__(self, settings: MonitoringSettings, csms: Csms, auxiliary: AuxiliaryCalls, *, has_csms: bool) -> None:
        """`has_csms`: whether the station has a CSMS at all; otherwise nothing waits for one."""
        self._settings = settings
        self._csms = csms
        self._has_csms = has_csms
        self.level = HIGHEST_SEVERITY
        """the highest severity number that the CSMS wants to receive (SetMonitoringLevel)"""
        self.changed: Event[None] = Event()
        """more or fewer events may be reported"""
        enabled = settings.changed(MonitoringSettings.monitoring_enabled)
        severity = settings.changed(MonitoringSettings.offline_queuing_severity)
        auxiliary.subscribe(enabled, lambda _: self.changed.publish(None))
        auxiliary.subscribe(severity, lambda _: self.changed.publish(None))

    @property
    def enabled(self) -> bool:
        """Whether variables are monitored (MonitoringCtrlr.Enabled)."""
        return self._settings.monitoring_enabled

    @property
    def online(self) -> bool:
        """Whether the CSMS is connected and has accepted the station."""
        return self._csms.online

    @property
    def offline_severity(self) -> int:
        """The highest severity number of events that wait while the CSMS is offline."""
        return self._settings.offline_queuing_severity

    def set_level(self, level: int) -> None:
        """Set the highest severity number that the CSMS wants to receive, in memory."""
        self.level = level
        self.changed.publish(None)

    def may_report(self, severity: int) -> bool:
        """Return whether an event of this severity, triggered now, is reported to the CSMS, at once or later."""
        if not self._has_csms or severity > self.level:
            return False
        return self.online or severity <= self.offline_severity


class EventReporting(Frozen):
    """How monitoring events are reported to the CSMS."""

    ids: EventIds
    """numbers them"""
    rules: ReportingRules
    """which of them the CSMS receives"""
    queue: EventQueue
    """those that wait for the CSMS"""
    streams: EventStreams
    """those that it receives by a stream"""

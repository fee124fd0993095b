"""`/metrics`: the metrics of the station in the text format of Prometheus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector

from foundation.frozen import Frozen
from station.charging.evse_state import all_faults
from station.core.model import ConnectorStatus, Fault

if TYPE_CHECKING:
    from prometheus_client import Metric

    from energy.grid import GridSample
    from metering.reading import Phases
    from station.charging.evse import Evse
    from station.configuration.station_tables import StationConfig
    from station.core.csms import CsmsLink
    from station.core.invalid_messages import InvalidMessageCount
    from station.maintenance.monitoring.event_counts import EventCount

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST


class RunningStation(Frozen):
    """The data of a running station for its metrics: its EVSEs, grid sample, CSMS link and queued events."""

    firmware_version: str | None
    evses: Sequence[Evse]
    grid_sample: GridSample | None
    """the latest sample of the grid meter; None: none yet"""
    grid_sample_age_s: float | None
    link: CsmsLink | None
    """None without a CSMS"""
    waiting: int
    """number of transaction events that the CSMS has not received"""
    device_events: Sequence[EventCount]
    """how many events monitors and faults have triggered"""
    device_events_waiting: int
    """how many of them wait for the CSMS"""
    device_events_dropped: int
    """how many of them were dropped, because too many waited"""
    contained_errors: int
    """how many errors of auxiliary components were contained since the start of the process"""
    invalid_messages: Sequence[InvalidMessageCount]
    """how many messages to the CSMS were not valid, by action"""


def prometheus_text(station: StationConfig, running: RunningStation | None) -> bytes:
    """Format the metrics in the text format of Prometheus; `running` is None while the station is off."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_StationCollector(station, running))
    return generate_latest(registry)


class _StationCollector(Collector):
    """Collects the metrics of a station once."""

    def __init__(self, station: StationConfig, running: RunningStation | None) -> None:
        self._station = station
        self._running = running

    def collect(self) -> Iterator[Metric]:
        """Yield each metric with its values; called by prometheus_client."""
        station, running = self._station, self._running
        firmware = (running.firmware_version if running is not None else None) or station.firmware_version
        identity = {
            "identity": station.identity,
            "model": station.model,
            "vendor": station.vendor,
            "firmware": firmware,
        }
        yield InfoMetricFamily("borne_station", "Identity, model, vendor and firmware of the station.", value=identity)
        yield _gauge("borne_powered", "1 while the station has power.", float(running is not None))
        if running is None:
            return
        link, sample, age_s = running.link, running.grid_sample, running.grid_sample_age_s
        if link is not None:
            yield _gauge(
                "borne_csms_connected", "1 while the websocket to the CSMS is connected.", float(link.connected)
            )
            accepted = float(link.connected and link.boot_status == "Accepted")
            yield _gauge("borne_csms_accepted", "1 while connected to a CSMS that has accepted the station.", accepted)
        yield _gauge(
            "borne_outbox_waiting", "Transaction events waiting for delivery to the CSMS.", float(running.waiting)
        )
        if age_s is not None and sample is not None:
            yield _gauge("borne_grid_sample_age_seconds", "Age of the last sample of the grid meter.", age_s)
            grid = GaugeMetricFamily(
                "borne_grid_current_amperes", "Current of the grid connection per phase.", labels=["phase"]
            )
            _add_phases(grid, [], sample.currents_a)
            yield grid
        yield CounterMetricFamily(
            "borne_contained_errors",
            "Errors of auxiliary components that ended nothing; the log has each of them once.",
            value=float(running.contained_errors),
        )
        yield _invalid_message_counts(running)
        yield from _device_event_counts(running)
        yield from _evse_metrics(running.evses)


def _invalid_message_counts(running: RunningStation) -> Metric:
    messages = CounterMetricFamily(
        "borne_invalid_messages",
        "Messages to the CSMS that were not valid, and were sent without the invalid parts or not at all.",
        labels=["action", "sent"],
    )
    for message in running.invalid_messages:
        messages.add_metric([message.action, "true" if message.sent else "false"], float(message.count))
    return messages


def _device_event_counts(running: RunningStation) -> Iterator[Metric]:
    events = CounterMetricFamily(
        "borne_device_events", "Events of monitors and faults since the start.", labels=["component", "variable"]
    )
    for event in running.device_events:
        events.add_metric([event.component, event.variable], float(event.count))
    yield events
    yield _gauge(
        "borne_device_events_waiting",
        "Events of monitors waiting for delivery to the CSMS.",
        float(running.device_events_waiting),
    )
    yield CounterMetricFamily(
        "borne_device_events_dropped",
        "Events of monitors dropped because too many waited.",
        value=float(running.device_events_dropped),
    )


def _evse_metrics(evses: Iterable[Evse]) -> Iterator[Metric]:
    status = GaugeMetricFamily(
        "borne_connector_status", "1 for the current status of the connector, else 0.", labels=["evse", "status"]
    )
    faults = GaugeMetricFamily("borne_fault", "1 for each active fault, else 0.", labels=["evse", "fault"])
    closed = GaugeMetricFamily("borne_contactor_closed", "1 while the contactor is closed.", labels=["evse"])
    offered = GaugeMetricFamily("borne_offered_amperes", "Current offered to the vehicle per phase.", labels=["evse"])
    limit = GaugeMetricFamily(
        "borne_limit_amperes", "Lowest current limit of each source per phase.", labels=["evse", "source"]
    )
    for evse in evses:
        name = str(evse.id)
        for state in ConnectorStatus:
            status.add_metric([name, state.value], float(evse.connector_status is state))
        for fault in Fault:
            faults.add_metric([name, fault.value], float(fault in all_faults(evse.state)))
        closed.add_metric([name], float(evse.state.observation.contactor_closed))
        offered.add_metric([name], evse.offered_a)
        for source in sorted({active_limit.source for active_limit in evse.limits}):  # the tightest one of each source
            least_a = min(active_limit.current_a for active_limit in evse.limits if active_limit.source is source)
            limit.add_metric([name, source.value], least_a)
    yield from (status, faults, closed, offered, limit)
    yield from _meter_metrics(evses)


def _meter_metrics(evses: Iterable[Evse]) -> Iterator[Metric]:
    """Metrics of the billing meters; values that a meter does not provide are absent, not zero."""
    energy = CounterMetricFamily(
        "borne_energy_import_watt_hours", "Import register of the billing meter.", labels=["evse"]
    )
    power = GaugeMetricFamily("borne_power_watts", "Power to the vehicle.", labels=["evse"])
    current = GaugeMetricFamily("borne_current_amperes", "Current to the vehicle.", labels=["evse", "phase"])
    voltage = GaugeMetricFamily("borne_voltage_volts", "Voltage of each phase to neutral.", labels=["evse", "phase"])
    failing = GaugeMetricFamily(
        "borne_meter_failing", "1 if the last reading of the billing meter failed.", labels=["evse"]
    )
    for evse in evses:
        name, latest = str(evse.id), evse.meter.latest
        failing.add_metric([name], float(evse.meter.error is not None))
        if latest is None:
            continue
        if latest.energy_import_wh is not None:
            energy.add_metric([name], latest.energy_import_wh)
        if latest.power_w is not None:
            power.add_metric([name], latest.power_w)
        _add_phases(current, [name], latest.currents_a)
        _add_phases(voltage, [name], latest.voltages_v)
    yield from (energy, power, current, voltage, failing)


def _add_phases(family: GaugeMetricFamily, labels: list[str], values: Phases[float | None]) -> None:
    for phase, value in zip(("L1", "L2", "L3"), values, strict=True):
        if value is not None:
            family.add_metric([*labels, phase], value)


def _gauge(name: str, sentence: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, sentence, value=value)

"""Vendor variables that report the limits of memory and disk that a CSMS can use."""

from __future__ import annotations

from collections.abc import Iterator

from foundation.supervision import MAX_FOLLOW_UPS
from ocpp_handlers.blocks import b_reports as reports
from ocpp_handlers.blocks import g_availability as availability
from ocpp_handlers.blocks import j_meter_values as meter_values
from ocpp_handlers.blocks import k_smart_charging as smart_charging
from ocpp_handlers.blocks import n_customer_information as customer_information
from ocpp_handlers.blocks import n_monitoring as monitoring
from ocpp_handlers.blocks import o_display_messages as display_messages
from ocpp_handlers.connection.connection import LARGEST_FRAME
from ocpp_handlers.variables.variable import Component, DataType, Variable, read_only_variable
from station.maintenance.customer_information import MAX_TRANSACTIONS
from station.maintenance.firmware.record import MAX_UNREPORTED as MAX_STATUSES
from station.maintenance.logs.store import STORAGE_BYTES
from station.maintenance.logs.upload import MAX_ORDERS
from station.maintenance.monitoring.event_queue import MAX_WAITING
from station.maintenance.monitoring.variable_monitoring import MAX_MONITORS
from station.security.security_events import MAX_LOG_ENTRIES, MAX_UNSENT


def resource_limit_variables() -> Iterator[Variable]:
    """Yield one constant read-only integer variable for each limit: frame size, queue lengths, reports, logs."""
    for component, name, instance, bound, unit in (
        ("OCPPCommCtrlr", "BytesPerFrame", None, LARGEST_FRAME, "B"),  # a larger one closes the link
        ("OCPPCommCtrlr", "ErrandsLimit", None, MAX_FOLLOW_UPS, None),  # pending tasks that follow responses
        ("OCPPCommCtrlr", "ReportsLimit", None, reports.MAX_AT_ONCE, None),
        ("OCPPCommCtrlr", "ReportsLimit", "CustomerInformation", customer_information.MAX_AT_ONCE, None),
        ("OCPPCommCtrlr", "ReportsLimit", "ChargingProfiles", smart_charging.MAX_AT_ONCE, None),
        ("OCPPCommCtrlr", "ReportsLimit", "Monitoring", monitoring.MAX_AT_ONCE, None),
        ("MonitoringCtrlr", "MonitorsLimit", None, MAX_MONITORS, None),  # of the CSMS
        ("MonitoringCtrlr", "QueuedEventsLimit", None, MAX_WAITING, None),
        ("OCPPCommCtrlr", "ReportsLimit", "DisplayMessages", display_messages.MAX_AT_ONCE, None),
        ("OCPPCommCtrlr", "QueuedStatusesLimit", None, availability.MAX_WAITING, None),
        ("OCPPCommCtrlr", "ReportedTransactionsLimit", None, MAX_TRANSACTIONS, None),  # of one customer
        ("AlignedDataCtrlr", "QueuedValuesLimit", None, meter_values.MAX_WAITING, None),
        ("SecurityCtrlr", "LogEntriesLimit", None, MAX_LOG_ENTRIES, None),
        ("SecurityCtrlr", "QueuedEventsLimit", None, MAX_UNSENT, None),
        ("FirmwareCtrlr", "QueuedStatusesLimit", None, MAX_STATUSES, None),
        ("LogCtrlr", "Storage", None, STORAGE_BYTES, "B"),
        ("LogCtrlr", "UploadsLimit", None, MAX_ORDERS, None),
    ):
        yield read_only_variable(
            Component(component),
            name,
            DataType.INTEGER,
            lambda bound=bound: str(bound),
            instance,
            unit=unit,
            maximum=bound,
            constant=True,
            fixed=True,
        )

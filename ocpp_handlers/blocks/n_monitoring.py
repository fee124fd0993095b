"""Block N: sets, clears and reports monitors (N02 to N06)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from foundation.supervision import FollowUp
from ocpp_handlers.connection.back_off import repetition_delays
from ocpp_handlers.translate import translate
from ocpp_handlers.translate.message_size import check_size
from ocpp_handlers.translate.pending_reports import PendingReports
from ocpp_handlers.translate.variable_address import (
    address_from_wire,
    component_to_wire,
    matches_item,
    variable_to_wire,
)
from ocpp_handlers.variables.monitored_model import came_later, unknown_part
from ocpp_handlers.wire import actions, timestamps
from ocpp_handlers.wire.call_errors import CallRefusedError
from ocpp_handlers.wire.edition import V21
from ocpp_handlers.wire.session import HandlerResult, Handlers, UnknownValueResponse
from station.core.csms import NoAnswerError
from station.maintenance.monitoring.monitor import (
    DELTAS,
    OF_TARGET,
    PERIODIC,
    THRESHOLDS,
    Monitor,
    MonitoringBase,
    MonitorType,
    StreamParameters,
)
from station.maintenance.monitoring.monitor_request import MonitorRequest, SetMonitorResult, SetMonitorStatus
from station.maintenance.monitoring.variable_monitoring import ClearMonitorStatus
from station.storage.database import StorageError
from station.storage.set_aside_rows import MONITORS

if TYPE_CHECKING:
    from foundation.clock import Clock
    from ocpp_handlers.connection.link import Link
    from ocpp_handlers.variables.device_model import DeviceModel
    from ocpp_handlers.variables.request_settings import VariableRequestSettings
    from ocpp_handlers.wire import messages as m
    from station.maintenance.monitoring.variable_monitoring import VariableMonitoring
    from station.storage.set_aside_rows import SetAsideRows

_log = logging.getLogger(__name__)

_MONITORS_PER_REPORT: Final = 100
"""monitors in one NotifyMonitoringReportRequest, or all of one variable if these are more"""
_MONITORS_PER_TURN: Final = 50
"""monitors compared with a request before other tasks may run"""
MAX_AT_ONCE: Final = 4
"""pending reports; a further request is Rejected"""
_TYPES_OF_CRITERION: Final = {
    "ThresholdMonitoring": THRESHOLDS,
    "DeltaMonitoring": DELTAS,
    "PeriodicMonitoring": PERIODIC,
}
"""the types of monitors of each criterion (N02.FR.12 to N02.FR.14)"""
_NOT_ENABLED: Final[m.StatusInfoType] = {"reasonCode": "NotEnabled"}
_UNKNOWN_CRITERION: UnknownValueResponse[m.GetMonitoringReportResponse] = UnknownValueResponse(
    "monitoringCriteria", {"status": "NotSupported", "statusInfo": {"reasonCode": "UnsupportedParam"}}
)
"""N02.FR.02"""
_UNKNOWN_BASE: UnknownValueResponse[m.SetMonitoringBaseResponse] = UnknownValueResponse(
    "monitoringBase", {"status": "NotSupported", "statusInfo": {"reasonCode": "UnsupportedParam"}}
)
"""N03.FR.02"""


class MonitoringBlock:
    """Handles the messages that set, clear and report monitors, and sends reports of them.

    While MonitoringCtrlr.Enabled is false they are rejected.
    """

    def __init__(
        self,
        link: Link,
        model: DeviceModel,
        monitoring: VariableMonitoring,
        settings: VariableRequestSettings,
        set_aside_rows: SetAsideRows,
        clock: Clock,
    ) -> None:
        """`link`: the CSMS knows the variables of the edition that its session has.

        `set_aside_rows`: monitors that a safe start has set aside, which the CSMS may clear too.
        """
        self._link = link
        self._model = model
        self._monitoring = monitoring
        self._settings = settings
        self._set_aside_rows = set_aside_rows
        self._clock = clock
        self._pending_reports = PendingReports(MAX_AT_ONCE)

    def register(self, handlers: Handlers) -> None:
        """Register the handlers of the five messages about monitors."""
        handlers.on(actions.SET_VARIABLE_MONITORING, self.set_variable_monitoring)
        handlers.on(actions.CLEAR_VARIABLE_MONITORING, self.clear_variable_monitoring)
        handlers.on(actions.SET_MONITORING_BASE, self.set_monitoring_base, unknown_value=_UNKNOWN_BASE)
        handlers.on(actions.SET_MONITORING_LEVEL, self.set_monitoring_level)
        handlers.on(actions.GET_MONITORING_REPORT, self.get_monitoring_report, unknown_value=_UNKNOWN_CRITERION)

    async def set_variable_monitoring(
        self, request: m.SetVariableMonitoringRequest
    ) -> HandlerResult[m.SetVariableMonitoringResponse]:
        """Set or replace monitors, with a result for each, in order; accepted ones are on disk (N04.FR.01, N04.FR.02).

        Raises:
            PayloadError: the request exceeds ItemsPerMessage or BytesPerMessage (N04.FR.09); nothing is set.
        """
        items = request["setMonitoringData"]
        most_items, most_bytes = self._settings.set_monitoring_items, self._settings.set_monitoring_bytes
        check_size(request, len(items), most_items=most_items, most_bytes=most_bytes)
        monitor_requests = [self._request_from_wire(item) for item in items]
        refused = SetMonitorResult(SetMonitorStatus.REJECTED, reason="NotEnabled")
        results = [refused] * len(monitor_requests)
        if self._monitoring.rules.enabled:
            try:
                results = await self._monitoring.set_monitors(monitor_requests)
            except StorageError as error:
                _log.error("monitors could not be stored: %s", error)
                results = [SetMonitorResult(SetMonitorStatus.REJECTED, reason="InternalError")] * len(monitor_requests)
        answered = [_result_to_wire(item, result) for item, result in zip(items, results, strict=True)]
        return HandlerResult({"setMonitoringResult": answered})

    async def clear_variable_monitoring(
        self, request: m.ClearVariableMonitoringRequest
    ) -> HandlerResult[m.ClearVariableMonitoringResponse]:
        """Clear monitors, with a result for each id, in order (N06.FR.01 to N06.FR.05).

        Raises:
            PayloadError: the request exceeds ItemsPerMessage or BytesPerMessage; nothing is cleared (N06.FR.06, .07).
        """
        ids = [translate.parse_integer(monitor_id, "id") for monitor_id in request["id"]]
        most_items, most_bytes = self._settings.clear_monitoring_items, self._settings.clear_monitoring_bytes
        check_size(request, len(ids), most_items=most_items, most_bytes=most_bytes)
        reason = "NotEnabled"
        if self._monitoring.rules.enabled:
            try:
                cleared = await self._monitoring.clear(ids)
                set_aside_ids = await self._set_aside_rows.delete_ids(MONITORS, ids)
                results = [
                    _cleared_to_wire(monitor_id, s, set_aside_ids) for monitor_id, s in zip(ids, cleared, strict=True)
                ]
                return HandlerResult({"clearMonitoringResult": results})
            except StorageError as error:
                _log.error("monitors could not be cleared: %s", error)
                reason = "InternalError"
        rejected: list[m.ClearMonitoringResultType] = [
            {"id": monitor_id, "status": "Rejected", "statusInfo": {"reasonCode": reason}} for monitor_id in ids
        ]
        return HandlerResult({"clearMonitoringResult": rejected})

    async def set_monitoring_base(
        self, request: m.SetMonitoringBaseRequest
    ) -> HandlerResult[m.SetMonitoringBaseResponse]:
        """Activate the monitors of a base (N03.FR.01, N03.FR.03 to N03.FR.05)."""
        if not self._monitoring.rules.enabled:
            return HandlerResult({"status": "Rejected", "statusInfo": _NOT_ENABLED})
        try:
            await self._monitoring.set_base(MonitoringBase(request["monitoringBase"]))
        except StorageError as error:
            _log.error("the monitoring base could not be stored: %s", error)
            return HandlerResult({"status": "Rejected", "statusInfo": {"reasonCode": "InternalError"}})
        return HandlerResult({"status": "Accepted"})

    async def set_monitoring_level(
        self, request: m.SetMonitoringLevelRequest
    ) -> HandlerResult[m.SetMonitoringLevelResponse]:
        """Set the highest severity number of events that are sent (N05.FR.01 to N05.FR.03)."""
        if not self._monitoring.rules.enabled:
            return HandlerResult({"status": "Rejected", "statusInfo": _NOT_ENABLED})
        try:
            if await self._monitoring.set_level(translate.parse_integer(request["severity"], "severity")):
                return HandlerResult({"status": "Accepted"})
        except StorageError as error:
            _log.error("the monitoring level could not be stored: %s", error)
            return HandlerResult({"status": "Rejected", "statusInfo": {"reasonCode": "InternalError"}})
        return HandlerResult({"status": "Rejected", "statusInfo": {"reasonCode": "ValueOutOfRange"}})

    async def get_monitoring_report(
        self, request: m.GetMonitoringReportRequest
    ) -> HandlerResult[m.GetMonitoringReportResponse]:
        """Answer GetMonitoringReport; follow-up: send the matching monitors (N02.FR.01, N02.FR.05 to N02.FR.11).

        Raises:
            PayloadError: the request exceeds ItemsPerMessage or BytesPerMessage of GetReport (N02.FR.07).
        """
        request_id = translate.parse_integer(request["requestId"], "requestId")
        requested_variables, criteria = request.get("componentVariable", []), request.get("monitoringCriteria", [])
        most_items, most_bytes = self._settings.get_report_items, self._settings.get_report_bytes
        check_size(request, len(requested_variables), most_items=most_items, most_bytes=most_bytes)
        if not self._monitoring.rules.enabled:
            return HandlerResult({"status": "Rejected", "statusInfo": _NOT_ENABLED})
        chosen = await self._matching_monitors(requested_variables, criteria)
        if not chosen:
            return HandlerResult({"status": "EmptyResultSet"})
        if self._pending_reports.is_full:
            return HandlerResult({"status": "Rejected", "statusInfo": {"reasonCode": "OutOfMemory"}})
        return self._pending_reports.response_with_report({"status": "Accepted"}, self._follow_up(request_id, chosen))

    async def _matching_monitors(
        self, requested_variables: Sequence[m.ComponentVariableType], criteria: Sequence[m.MonitoringCriterionEnumType]
    ) -> list[Monitor]:
        """The monitors that a request includes, of variables that the CSMS knows; lets other tasks run meanwhile."""
        types = frozenset[MonitorType]().union(*(_TYPES_OF_CRITERION[criterion] for criterion in criteria))
        chosen: list[Monitor] = []
        for count, monitor in enumerate(self._monitoring.monitors(), 1):
            if (
                (not criteria or monitor.type in types)
                and (
                    not requested_variables or any(matches_item(item, monitor.address) for item in requested_variables)
                )
                and not self._came_later(monitor)
            ):
                chosen.append(monitor)
            if count % _MONITORS_PER_TURN == 0:
                await asyncio.sleep(0)
        return chosen

    def _came_later(self, monitor: Monitor) -> bool:
        """Whether a monitor, or its variable, came with a later edition than that of the session."""
        edition = self._link.edition
        is_newer_type = monitor.type in OF_TARGET and not edition.includes(V21)
        return is_newer_type or came_later(self._model, monitor.address, edition)

    def _request_from_wire(self, item: m.SetMonitoringDataType) -> MonitorRequest:
        monitor_id = item.get("id")
        address = address_from_wire(item["component"], item["variable"])
        return MonitorRequest(
            address,
            MonitorType(item["type"]),
            _float_or_infinity(item["value"]),
            translate.parse_integer(item["severity"], "severity"),
            item.get("transaction", False),
            translate.parse_integer(monitor_id, "id") if monitor_id is not None else None,
            stream_from_wire(item["periodicEventStream"]) if "periodicEventStream" in item else None,
            unknown_part(self._model, address, self._link.edition),
        )

    def _follow_up(self, request_id: int, monitors: Sequence[Monitor]) -> FollowUp:
        async def send() -> None:
            try:
                await self._send(request_id, list(_by_variable(monitors)))
            except NoAnswerError as error:
                _log.warning("monitoring report %d was not sent completely: %s", request_id, error)

        return send

    async def _send(self, request_id: int, variables: Sequence[m.MonitoringDataType]) -> None:
        """Send a report in parts (N02.FR.03, N02.FR.04, N02.FR.09)."""
        parts = list(_parts(variables))
        delays = repetition_delays()
        for number, part in enumerate(parts):
            report: m.NotifyMonitoringReportRequest = {
                "requestId": request_id,
                "generatedAt": timestamps.encode(self._clock.now()),
                "seqNo": number,
                "tbc": number < len(parts) - 1,
                "monitor": part,
            }
            try:
                await self._link.notify(actions.NOTIFY_MONITORING_REPORT, report, requested=True, delays=delays)
            except CallRefusedError as error:  # the CSMS may still accept the next part
                _log.warning("the CSMS refused part %d of monitoring report %d: %s", number, request_id, error)


def stream_from_wire(parameters: m.PeriodicEventStreamParamsType) -> StreamParameters:
    """Read PeriodicEventStreamParamsType; a field that is absent is 0."""
    return StreamParameters(
        translate.parse_integer(parameters.get("interval", 0), "interval"),
        translate.parse_integer(parameters.get("values", 0), "values"),
    )


def _cleared_to_wire(
    monitor_id: int, status: ClearMonitorStatus, set_aside_ids: Collection[int]
) -> m.ClearMonitoringResultType:
    """The result of ClearVariableMonitoring for one id; `set_aside_ids`: those cleared among the monitors set aside."""
    return {"id": monitor_id, "status": (ClearMonitorStatus.ACCEPTED if monitor_id in set_aside_ids else status).value}


def _float_or_infinity(value: float) -> float:
    """The value as a float; an integer beyond the range of floats becomes infinite, which is rejected."""
    try:
        return float(value)
    except OverflowError:
        return float("inf")


def _result_to_wire(item: m.SetMonitoringDataType, result: SetMonitorResult) -> m.SetMonitoringResultType:
    answer: m.SetMonitoringResultType = {
        "status": result.status.value,
        "type": item["type"],
        "severity": item["severity"],
        "component": item["component"],
        "variable": item["variable"],
    }
    if result.id is not None:
        answer["id"] = result.id
    if result.reason is not None:
        answer["statusInfo"] = {"reasonCode": result.reason}
        if result.info is not None:
            answer["statusInfo"]["additionalInfo"] = result.info
    return answer


def _by_variable(monitors: Sequence[Monitor]) -> Iterator[m.MonitoringDataType]:
    """Yield each variable with its monitors."""
    grouped: dict[object, list[Monitor]] = {}
    for monitor in monitors:
        grouped.setdefault(monitor.address.key, []).append(monitor)
    for same in grouped.values():
        yield {
            "component": component_to_wire(same[0].address),
            "variable": variable_to_wire(same[0].address),
            "variableMonitoring": [_monitor_to_wire(monitor) for monitor in same],
        }


def _parts(variables: Sequence[m.MonitoringDataType]) -> Iterator[list[m.MonitoringDataType]]:
    """Divide a report into parts of a bounded number of monitors."""
    part: list[m.MonitoringDataType] = []
    count = 0
    for variable in variables:
        count += len(variable["variableMonitoring"])
        if part and count > _MONITORS_PER_REPORT:
            yield part
            part, count = [], len(variable["variableMonitoring"])
        part.append(variable)
    yield part


def _monitor_to_wire(monitor: Monitor) -> m.VariableMonitoringType:
    return {
        "id": monitor.id,
        "transaction": monitor.transaction,
        "value": monitor.value,
        "type": monitor.type.value,
        "severity": monitor.severity,
        "eventNotificationType": monitor.notification_type.value,  # N02.FR.22
    }

"""Block B: reports the device model in several messages (B07, B08)."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from foundation.supervision import FollowUp
from ocpp_handlers.connection.back_off import repetition_delays
from ocpp_handlers.translate.message_size import check_size
from ocpp_handlers.translate.pending_reports import PendingReports
from ocpp_handlers.variables.device_model import DeviceModel
from ocpp_handlers.variables.variable import DataType, Mutability, Variable
from ocpp_handlers.wire import actions, timestamps
from ocpp_handlers.wire.call_errors import CallRefusedError
from ocpp_handlers.wire.session import HandlerResult, Handlers, UnknownValueResponse
from station.core.csms import NoAnswerError

if TYPE_CHECKING:
    from foundation.clock import Clock
    from ocpp_handlers.connection.link import Link
    from ocpp_handlers.variables.request_settings import VariableRequestSettings
    from ocpp_handlers.wire import messages as m

_log = logging.getLogger(__name__)

ITEMS_PER_REPORT = 30
"""variables in one NotifyReportRequest: some 10 kB, more with long values"""
MAX_AT_ONCE = 4
"""pending reports; a further request is Rejected"""
_LIST_TYPES = frozenset({DataType.OPTION_LIST, DataType.SEQUENCE_LIST, DataType.MEMBER_LIST})
_SUMMARY_VARIABLES = frozenset(
    {"availabilitystate", "available", "enabled", "active", "problem", "operational", "tripped"}
)
"""variables of a SummaryInventory: availability and condition of the station (B07.FR.09)"""
_CRITERION_VARIABLES = {"Active": "active", "Available": "available", "Enabled": "enabled", "Problem": "problem"}
_ASSUMED_VALUES = {"Active": {"true"}, "Available": {"true"}, "Enabled": {"true"}, "Problem": {"false"}}
"""the value assumed for a component without this variable (B08.FR.07 to B08.FR.10)"""

_UNKNOWN_CRITERION: UnknownValueResponse[m.GetReportResponse] = UnknownValueResponse(
    "componentCriteria", {"status": "NotSupported", "statusInfo": {"reasonCode": "UnsupportedParam"}}
)
"""B08.FR.02"""


class DeviceModelReports:
    """Handles GetBaseReport and GetReport: answers, then sends the device model in NotifyReport messages."""

    def __init__(self, link: Link, model: DeviceModel, settings: VariableRequestSettings, clock: Clock) -> None:
        self._link = link
        self._model = model
        self._settings = settings
        self._clock = clock
        self._pending_reports = PendingReports(MAX_AT_ONCE)

    def register(self, handlers: Handlers) -> None:
        """Register the handlers of GetBaseReport and GetReport."""
        handlers.on(actions.GET_BASE_REPORT, self.get_base_report)
        handlers.on(actions.GET_REPORT, self.get_report, unknown_value=_UNKNOWN_CRITERION)

    async def get_base_report(self, request: m.GetBaseReportRequest) -> HandlerResult[m.GetBaseReportResponse]:
        """Answer GetBaseReport; follow-up: send the report (B07.FR.01, .03, .07, .08, .09, .12)."""
        if self._pending_reports.is_full:  # B07.FR.13
            return HandlerResult({"status": "Rejected"})
        match request["reportBase"]:
            case "ConfigurationInventory":
                chosen = [
                    attributes
                    for attributes in self._variables()
                    if any(attribute.writable for attribute in attributes)
                ]
            case "FullInventory":
                chosen = list(self._variables())
            case "SummaryInventory":
                chosen = [
                    attributes
                    for attributes in self._variables()
                    if attributes[0].name.casefold() in _SUMMARY_VARIABLES
                ]
        return self._pending_reports.response_with_report(
            {"status": "Accepted"}, self._follow_up(int(request["requestId"]), chosen)
        )

    async def get_report(self, request: m.GetReportRequest) -> HandlerResult[m.GetReportResponse]:
        """Answer GetReport; follow-up: send the matching variables (B08.FR.01, B08.FR.05, B08.FR.11, B08.FR.15).

        With componentCriteria alone the report lists the criteria that are true: each variable Active, Available,
        Enabled or Problem that was asked for and has the value true, and no other variables (TC_B_16_CS).

        Raises:
            PayloadError: the request exceeds ItemsPerMessage or BytesPerMessage.
        """
        requested_variables = request.get("componentVariable", [])
        most_items, most_bytes = self._settings.get_report_items, self._settings.get_report_bytes
        check_size(
            request, len(requested_variables), most_items=most_items, most_bytes=most_bytes
        )  # B08.FR.17, B08.FR.18
        if self._pending_reports.is_full:  # B08.FR.16
            return HandlerResult({"status": "Rejected"})
        criteria = request.get("componentCriteria", [])
        if criteria and not requested_variables:
            names = {_CRITERION_VARIABLES[criterion] for criterion in criteria}
            chosen = [
                attributes
                for attributes in self._variables()
                if attributes[0].name.casefold() in names and _is_true(attributes[0])
            ]
        else:
            fitting = self._components_meeting(criteria) if criteria else None
            chosen = [
                variable
                for variable in self._variables()
                if (fitting is None or variable[0].component.key in fitting)
                and (not requested_variables or any(_matches_item(item, variable[0]) for item in requested_variables))
            ]
        if not chosen:
            return HandlerResult({"status": "EmptyResultSet"})
        return self._pending_reports.response_with_report(
            {"status": "Accepted"}, self._follow_up(int(request["requestId"]), chosen)
        )

    def _variables(self) -> Iterator[tuple[Variable, ...]]:
        """The variables that a CSMS knows which speaks the edition of the link."""
        return self._model.variables_of(self._link.edition)

    def _components_meeting(self, criteria: Iterable[m.ComponentCriterionEnumType]) -> set[object]:
        """The keys of the components that meet one of the criteria (B08.FR.07–B08.FR.10, B08.FR.13).

        A criterion's variable may have instances; one that is true is enough.
        """
        switches: dict[object, dict[str, set[str]]] = {}
        for variable, *_ in self._variables():
            found = switches.setdefault(variable.component.key, {})
            if variable.name.casefold() in _CRITERION_VARIABLES.values():
                found.setdefault(variable.name.casefold(), set()).add(variable.read())
        return {
            key
            for key, found in switches.items()
            if any(
                "true" in found.get(_CRITERION_VARIABLES[criterion], _ASSUMED_VALUES[criterion])
                for criterion in criteria
            )
        }

    def _follow_up(self, request_id: int, variables: Sequence[tuple[Variable, ...]]) -> FollowUp:
        async def send() -> None:
            """Send the report (B07.FR.04, B07.FR.10, B08.FR.04, B08.FR.14)."""
            try:
                await self._send(request_id, variables)
            except NoAnswerError as error:
                _log.warning("device model report %d was not sent completely: %s", request_id, error)

        return send

    async def _send(self, request_id: int, variables: Sequence[tuple[Variable, ...]]) -> None:
        starts = range(0, len(variables), ITEMS_PER_REPORT)
        delays = repetition_delays()
        for number, start in enumerate(starts):
            report: m.NotifyReportRequest = {
                "requestId": request_id,
                "generatedAt": timestamps.encode(self._clock.now()),
                "seqNo": number,
                "tbc": number < len(starts) - 1,
                "reportData": [
                    _report_data_to_wire(attributes) for attributes in variables[start : start + ITEMS_PER_REPORT]
                ],
            }
            try:
                await self._link.notify(actions.NOTIFY_REPORT, report, requested=True, delays=delays)
            except CallRefusedError as error:  # the CSMS may still accept the next part
                _log.warning("the CSMS refused part %d of device model report %d: %s", number, request_id, error)


def _is_true(variable: Variable) -> bool:
    return variable.mutability is not Mutability.WRITE_ONLY and variable.read() == "true"


def _matches_item(item: m.ComponentVariableType, variable: Variable) -> bool:
    """Return whether an item of a request matches a variable; absent fields match any (B08.FR.20–B08.FR.25)."""
    component, address = item["component"], variable.component
    evse = component.get("evse")
    variable_wire = item.get("variable")
    return all(_conditions(component, evse, variable_wire, variable, address.evse_id, address.connector_id))


def _conditions(
    component: m.ComponentType,
    evse: m.EVSEType | None,
    variable_wire: m.VariableType | None,
    variable: Variable,
    evse_id: int | None,
    connector_id: int | None,
) -> Iterator[bool]:
    yield component["name"].casefold() == variable.component.name.casefold()
    if instance := component.get("instance"):  # an empty instance counts as absent, as in B06.FR.15
        yield instance.casefold() == (variable.component.instance or "").casefold()
    if evse is not None:
        yield evse["id"] == evse_id
        yield "connectorId" not in evse or evse["connectorId"] == connector_id
    if variable_wire is not None:
        yield variable_wire["name"].casefold() == variable.name.casefold()
        if instance := variable_wire.get("instance"):
            yield instance.casefold() == (variable.instance or "").casefold()


def _report_data_to_wire(variable: tuple[Variable, ...]) -> m.ReportDataType:
    """A variable with its attributes and its characteristics (B07.FR.11, B08.FR.12)."""
    first = variable[0]
    address = first.component
    component: m.ComponentType = {"name": address.name}
    if address.instance is not None:
        component["instance"] = address.instance
    if address.evse_id is not None:
        component["evse"] = {"id": address.evse_id}
        if address.connector_id is not None:
            component["evse"]["connectorId"] = address.connector_id
    variable_wire: m.VariableType = {"name": first.name}
    if first.instance is not None:
        variable_wire["instance"] = first.instance
    return {
        "component": component,
        "variable": variable_wire,
        "variableAttribute": [_attribute_to_wire(attribute) for attribute in variable],
        "variableCharacteristics": _characteristics_to_wire(first),
    }


def _attribute_to_wire(variable: Variable) -> m.VariableAttributeType:
    attribute: m.VariableAttributeType = {
        "type": variable.attribute.value,
        "mutability": variable.mutability.value,
        "persistent": variable.access.write is not None or variable.description.constant,
        "constant": variable.description.constant,
    }
    if variable.mutability is not Mutability.WRITE_ONLY:  # B07.FR.03 (errata): write-only values are not reported
        attribute["value"] = variable.read()
    return attribute


def _characteristics_to_wire(variable: Variable) -> m.VariableCharacteristicsType:
    description = variable.description
    characteristics: m.VariableCharacteristicsType = {
        "dataType": description.data_type.value,
        "supportsMonitoring": variable.supports_monitoring,
    }
    if description.unit is not None:
        characteristics["unit"] = description.unit
    if description.minimum is not None:
        characteristics["minLimit"] = description.minimum
    if description.maximum is not None:
        characteristics["maxLimit"] = description.maximum
    if description.data_type in _LIST_TYPES:
        characteristics["valuesList"] = ",".join(description.values)
    return characteristics

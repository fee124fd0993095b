"""Block B, reports: what is in the device model, in parts (B07, B08)."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from ocpp_handlers import actions, timestamps
from ocpp_handlers.device_model import DataType, DeviceModel, Mutability, Variable
from ocpp_handlers.session import Answer, Handlers, PayloadError
from station.ports import NoAnswerError
from station.supervision import Errand

if TYPE_CHECKING:
    from metering.clock import Clock
    from ocpp_handlers import messages as m
    from ocpp_handlers.link import Link

_log = logging.getLogger(__name__)

ITEMS_PER_REPORT = 30
"""variables in one NotifyReportRequest: some 10 kB"""
ITEMS_PER_MESSAGE = 50
_LISTS = frozenset({DataType.OPTION_LIST, DataType.SEQUENCE_LIST, DataType.MEMBER_LIST})
_CONDITION = frozenset({"availabilitystate", "available", "enabled", "active", "problem", "operational", "tripped"})
"""variables that tell the availability and the condition of the station (B07.FR.09)"""
_SWITCHES = {"Active": "active", "Available": "available", "Enabled": "enabled", "Problem": "problem"}


class Reports:
    """Reports of the device model."""

    def __init__(self, link: Link, model: DeviceModel, clock: Clock) -> None:
        self._link = link
        self._model = model
        self._clock = clock

    def register(self, handlers: Handlers) -> None:
        """Answer what the CSMS asks of this block."""
        handlers.on(actions.GET_BASE_REPORT, self.get_base_report)
        handlers.on(actions.GET_REPORT, self.get_report)

    async def get_base_report(self, request: m.GetBaseReportRequest) -> Answer[m.GetBaseReportResponse]:
        """B07.FR.01, B07.FR.03, B07.FR.07, B07.FR.08, B07.FR.09."""
        match request["reportBase"]:
            case "ConfigurationInventory":
                chosen = [one for one in self._model if one.mutability is not Mutability.READ_ONLY]
            case "FullInventory":
                chosen = list(self._model)
            case "SummaryInventory":
                chosen = [one for one in self._model if one.name.casefold() in _CONDITION]
        return Answer({"status": "Accepted"}, self._errand(int(request["requestId"]), chosen))

    async def get_report(self, request: m.GetReportRequest) -> Answer[m.GetReportResponse]:
        """B08.FR.01, B08.FR.05, B08.FR.11, B08.FR.15."""
        wanted = request.get("componentVariable", [])
        if len(wanted) > ITEMS_PER_MESSAGE:  # B08.FR.17
            raise PayloadError("OccurrenceConstraintViolation", f"at most {ITEMS_PER_MESSAGE} componentVariable")
        criteria = request.get("componentCriteria", [])
        fitting = self._components_that(criteria) if criteria else None
        chosen = [
            variable
            for variable in self._model
            if (fitting is None or variable.place.key in fitting)
            and (not wanted or any(_means(item, variable) for item in wanted))
        ]
        if not chosen:
            return Answer({"status": "EmptyResultSet"})
        return Answer({"status": "Accepted"}, self._errand(int(request["requestId"]), chosen))

    def _components_that(self, criteria: Iterable[m.ComponentCriterionEnumType]) -> set[object]:
        """The components that fit one of the criteria (B08.FR.07–B08.FR.10, B08.FR.13)."""
        switches: dict[object, dict[str, str]] = {}
        for variable in self._model:
            found = switches.setdefault(variable.place.key, {})
            if variable.name.casefold() in _SWITCHES.values():
                found[variable.name.casefold()] = variable.read()
        return {
            key
            for key, found in switches.items()
            if any(found.get(_SWITCHES[one], "false" if one == "Problem" else "true") == "true" for one in criteria)
        }

    def _errand(self, request_id: int, variables: Sequence[Variable]) -> Errand:
        async def send() -> None:
            """B07.FR.04, B07.FR.10, B08.FR.04, B08.FR.14."""
            parts = [variables[at : at + ITEMS_PER_REPORT] for at in range(0, len(variables), ITEMS_PER_REPORT)]
            for number, part in enumerate(parts):
                report: m.NotifyReportRequest = {
                    "requestId": request_id,
                    "generatedAt": timestamps.encode(self._clock.now()),
                    "seqNo": number,
                    "tbc": number < len(parts) - 1,
                    "reportData": [_described(variable) for variable in part],
                }
                try:
                    await self._link.call(actions.NOTIFY_REPORT, report, requested=True)
                except NoAnswerError as error:
                    _log.warning("report %d ends at part %d: %s", request_id, number, error)
                    return

        return send


def _means(item: m.ComponentVariableType, variable: Variable) -> bool:
    """Whether a request's item means a variable; what it leaves out does not matter (B08.FR.20–B08.FR.25)."""
    component, place = item["component"], variable.place
    evse = component.get("evse")
    named = item.get("variable")
    return all(_fits(component, evse, named, variable, place.evse_id, place.connector_id))


def _fits(
    component: m.ComponentType,
    evse: m.EVSEType | None,
    named: m.VariableType | None,
    variable: Variable,
    evse_id: int | None,
    connector_id: int | None,
) -> Iterator[bool]:
    yield component["name"].casefold() == variable.place.component.casefold()
    if (instance := component.get("instance")) is not None:
        yield instance.casefold() == (variable.place.instance or "").casefold()
    if evse is not None:
        yield evse["id"] == evse_id
        yield "connectorId" not in evse or evse["connectorId"] == connector_id
    if named is not None:
        yield named["name"].casefold() == variable.name.casefold()
        yield "instance" not in named or named["instance"].casefold() == (variable.instance or "").casefold()


def _described(variable: Variable) -> m.ReportDataType:
    """A variable with its attribute and its characteristics (B08.FR.12)."""
    place = variable.place
    component: m.ComponentType = {"name": place.component}
    if place.instance is not None:
        component["instance"] = place.instance
    if place.evse_id is not None:
        component["evse"] = {"id": place.evse_id}
        if place.connector_id is not None:
            component["evse"]["connectorId"] = place.connector_id
    named: m.VariableType = {"name": variable.name}
    if variable.instance is not None:
        named["instance"] = variable.instance
    attribute: m.VariableAttributeType = {
        "type": "Actual",
        "mutability": variable.mutability.value,
        "persistent": variable.write is not None,
        "constant": False,
    }
    if variable.mutability is not Mutability.WRITE_ONLY:
        attribute["value"] = variable.read()
    return {
        "component": component,
        "variable": named,
        "variableAttribute": [attribute],
        "variableCharacteristics": _characteristics(variable),
    }


def _characteristics(variable: Variable) -> m.VariableCharacteristicsType:
    told: m.VariableCharacteristicsType = {"dataType": variable.data_type.value, "supportsMonitoring": False}
    if variable.unit is not None:
        told["unit"] = variable.unit
    if variable.minimum is not None:
        told["minLimit"] = variable.minimum
    if variable.maximum is not None:
        told["maxLimit"] = variable.maximum
    if variable.data_type in _LISTS:
        told["valuesList"] = ",".join(variable.values)
    return told

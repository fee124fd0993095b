"""Block B: reads and writes variables, and resets the station or an EVSE (B05, B06, B11, B12)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from ocpp_handlers.translate.message_size import check_size
from ocpp_handlers.variables.device_model import DeviceModel, VariableNotFound
from ocpp_handlers.variables.variable import AttributeType, Mutability, Variable, component_key, name_key
from ocpp_handlers.wire import actions
from ocpp_handlers.wire.session import HandlerResult, Handlers
from station.core.rejected_value import RejectedValueError
from station.storage.database import StorageError

if TYPE_CHECKING:
    from ocpp_handlers.connection.link import Link
    from ocpp_handlers.variables.request_settings import VariableRequestSettings
    from ocpp_handlers.wire import messages as m
    from station.charging.restart import RestartController

_log = logging.getLogger(__name__)

_ATTRIBUTE_TYPES: Final[Mapping[str, AttributeType]] = {
    attribute_type.value: attribute_type for attribute_type in AttributeType
}


class Provisioning:
    """Handles GetVariables and SetVariables with the device model, and Reset of the station or an EVSE."""

    def __init__(
        self, link: Link, model: DeviceModel, restart: RestartController, settings: VariableRequestSettings
    ) -> None:
        """`link`: the CSMS knows the variables of the edition that its session has."""
        self._link = link
        self._model = model
        self._restart = restart
        self._settings = settings

    def register(self, handlers: Handlers) -> None:
        """Register the handlers of GetVariables, SetVariables and Reset."""
        handlers.on(actions.GET_VARIABLES, self.get_variables)
        handlers.on(actions.SET_VARIABLES, self.set_variables)
        handlers.on(actions.RESET, self.reset)

    async def get_variables(self, request: m.GetVariablesRequest) -> HandlerResult[m.GetVariablesResponse]:
        """Answer GetVariables with a result for each item, in order (B06.FR.01, B06.FR.02).

        Raises:
            PayloadError: the request exceeds ItemsPerMessage or BytesPerMessage.
        """
        items = request["getVariableData"]
        most_items, most_bytes = self._settings.get_variables_items, self._settings.get_variables_bytes
        check_size(request, len(items), most_items=most_items, most_bytes=most_bytes)  # B06.FR.16, B06.FR.17
        return HandlerResult({"getVariableResult": [self._get(item) for item in items]})

    async def set_variables(self, request: m.SetVariablesRequest) -> HandlerResult[m.SetVariablesResponse]:
        """Write the variables of SetVariables, with a result for each item, in order (B05.FR.01, B05.FR.02).

        An item that is refused does not prevent the others from being written.

        Raises:
            PayloadError: the request exceeds ItemsPerMessage or BytesPerMessage; nothing is written.
        """
        items = request["setVariableData"]
        most_items, most_bytes = self._settings.set_variables_items, self._settings.set_variables_bytes
        check_size(request, len(items), most_items=most_items, most_bytes=most_bytes)  # B05.FR.11
        return HandlerResult({"setVariableResult": [await self._set(item) for item in items]})

    async def reset(self, request: m.ResetRequest) -> HandlerResult[m.ResetResponse]:
        """Answer Reset; the reset itself is the follow-up of the response (B11.FR.01, B12.FR.01, B12.FR.02).

        The station resumes no transactions after a reset: it has no ResumptionTimeout (B13.FR.01).
        """
        if request["type"] == "ImmediateAndResume":
            return HandlerResult({"status": "Rejected", "statusInfo": {"reasonCode": "NotEnabled"}})
        verdict = self._restart.request_reset(request.get("evseId"), on_idle=request["type"] == "OnIdle")
        answer: m.ResetResponse = {"status": verdict.status.value}
        if verdict.reason is not None:
            answer["statusInfo"] = {"reasonCode": verdict.reason}
        return HandlerResult(answer, verdict.follow_up, undo=verdict.revert)

    def _get(self, item: m.GetVariableDataType) -> m.GetVariableResultType:
        result: m.GetVariableResultType = {
            "attributeStatus": "Accepted",
            "attributeType": item.get("attributeType", "Actual"),  # B06.FR.03, B06.FR.11
            "component": item["component"],
            "variable": item["variable"],
        }
        variable = self._find(item["component"], item["variable"], result["attributeType"])
        if isinstance(variable, VariableNotFound):
            result["attributeStatus"] = variable.value  # B06.FR.06, B06.FR.07, B06.FR.08, B06.FR.15
        elif variable.mutability is Mutability.WRITE_ONLY:
            result["attributeStatus"] = "Rejected"  # B06.FR.09
        else:
            result["attributeValue"] = variable.read()  # B06.FR.10, B06.FR.13
        return result

    async def _set(self, item: m.SetVariableDataType) -> m.SetVariableResultType:
        result: m.SetVariableResultType = {
            "attributeStatus": "Accepted",
            "attributeType": item.get("attributeType", "Actual"),  # B05.FR.03, B05.FR.12
            "component": item["component"],
            "variable": item["variable"],
        }
        variable = self._find(item["component"], item["variable"], result["attributeType"])
        if isinstance(variable, VariableNotFound):
            result["attributeStatus"] = variable.value  # B05.FR.04, B05.FR.05, B05.FR.06
        elif not variable.writable:
            _reject(result, "ReadOnly", f"{variable.name} is read-only")  # B05.FR.09
        else:
            try:
                await self._model.write(variable, item["attributeValue"])  # B05.FR.10
            except ValueError as error:  # B05.FR.07, B05.FR.08
                code = error.reason_code if isinstance(error, RejectedValueError) else "InvalidValue"
                _reject(result, code, f"{variable.name} {error}")
            except StorageError as error:
                _log.error("variable %s could not be stored: %s", variable.name, error)
                _reject(result, "InternalError", f"{variable.name} could not be stored")  # B05.FR.09
            else:
                if variable.description.reboot_required:
                    result["attributeStatus"] = "RebootRequired"
        return result

    def _find(
        self, component: m.ComponentType, variable: m.VariableType, attribute: str
    ) -> Variable | VariableNotFound:
        evse = component.get("evse")
        evse_id, connector_id = (None, None) if evse is None else (evse["id"], evse.get("connectorId"))
        return self._model.find_key(
            component_key(component["name"], component.get("instance"), evse_id, connector_id),
            name_key(variable["name"], variable.get("instance")),
            _ATTRIBUTE_TYPES[attribute],
            self._link.edition,
        )


def _reject(result: m.SetVariableResultType, reason_code: str, info: str) -> None:
    result["attributeStatus"] = "Rejected"
    result["attributeStatusInfo"] = {"reasonCode": reason_code, "additionalInfo": info[:512]}

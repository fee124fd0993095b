"""The device model as variable monitoring sees it: addresses, traits, values and changes of variables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from foundation.events import Event
from ocpp_handlers.variables.device_model import DeviceModel, VariableChange, VariableNotFound
from ocpp_handlers.variables.variable import AttributeType, Component, DataType, Mutability, Variable
from station.maintenance.monitoring.monitored_variables import MonitorableVariable, ObservedValue, VariableMissing

if TYPE_CHECKING:
    from foundation.supervision import AuxiliaryCalls
    from ocpp_handlers.wire.edition import Edition
    from station.maintenance.monitoring.monitor import AddressKey, VariableAddress

_NUMERIC_TYPES: Final = frozenset({DataType.INTEGER, DataType.DECIMAL})


class MonitoredModel:
    """Implements `MonitoredVariables` with a device model.

    The value of a write-only variable is the number of its writes, so that each one is a change.
    """

    def __init__(self, model: DeviceModel, auxiliary: AuxiliaryCalls) -> None:
        self._model = model
        self._observed: dict[AddressKey, Variable] = {}
        self._write_counts: dict[AddressKey, int] = {}
        """of write-only variables"""
        self.changed: Event[ObservedValue] = Event()
        auxiliary.subscribe(model.changed, self._publish)

    def find(self, address: VariableAddress) -> MonitorableVariable | VariableMissing:
        """The traits of the Actual attribute of a variable; else which part of the address is unknown."""
        place = Component(address.component, address.component_instance, address.evse_id, address.connector_id)
        variable = self._model.find(place, address.variable, address.instance)
        if isinstance(variable, VariableNotFound):
            return _missing_part(variable)
        write_only = variable.mutability is Mutability.WRITE_ONLY
        description = variable.description
        numeric = description.data_type in _NUMERIC_TYPES and not write_only  # each write counts, whatever was written
        return MonitorableVariable(
            variable.supports_monitoring,
            numeric,
            description.minimum if numeric else None,
            description.maximum if numeric else None,
            write_only=write_only,
            sampled=variable.is_sampled,
            has_target=self._target(address.key) is not None,
        )

    def read(self, key: AddressKey) -> str:
        """The present value of a variable; empty if it is unknown or the variable does not exist."""
        if (variable := self._find(key)) is None:
            return ""
        if variable.mutability is Mutability.WRITE_ONLY:
            return str(self._write_counts.get(key, 0))
        return variable.read()

    def target(self, key: AddressKey) -> str:
        """The present target of a variable; empty if it is unknown or has none."""
        target = self._target(key)
        return target.read() if target is not None else ""

    def observe(self, key: AddressKey) -> None:
        """Publish the changes of a variable, and of its target, from now on."""
        if (variable := self._find(key)) is not None:
            self._observed[key] = variable
            self._model.observe(variable)
            if (target := self._target(key)) is not None:
                self._model.observe(target)

    def end_observation(self, key: AddressKey) -> None:
        """Publish the changes of a variable and of its target no more."""
        if (variable := self._observed.pop(key, None)) is not None:
            self._model.end_observation(variable)
            if (target := self._target(key)) is not None:
                self._model.end_observation(target)

    def sample(self, key: AddressKey) -> None:
        """Read an observed variable, and publish its change."""
        if (variable := self._find(key)) is not None:
            self._model.sample([variable])

    def _find(self, key: AddressKey, attribute: AttributeType = AttributeType.ACTUAL) -> Variable | None:
        (component, instance, evse_id, connector_id), (name, variable_instance) = key
        place = Component(component, instance or None, evse_id, connector_id)
        found = self._model.find(place, name, variable_instance or None, attribute)
        return found if isinstance(found, Variable) else None

    def _target(self, key: AddressKey) -> Variable | None:
        return self._find(key, AttributeType.TARGET)

    def _publish(self, change: VariableChange) -> None:
        variable, value = change.variable, change.value
        key = (variable.component.key, variable.key)
        if key not in self._observed or variable.attribute not in {AttributeType.ACTUAL, AttributeType.TARGET}:
            return
        if variable.attribute is AttributeType.TARGET:
            variable, value = self._observed[key], self.read(key)
        if variable.mutability is Mutability.WRITE_ONLY:
            self._write_counts[key] = self._write_counts.get(key, 0) + 1
            value = str(self._write_counts[key])
        self.changed.publish(ObservedValue(key, value))


def unknown_part(model: DeviceModel, address: VariableAddress, edition: Edition) -> VariableMissing | None:
    """Return which part of an address is unknown to a CSMS that speaks this edition; None: it knows the variable."""
    found = model.find_key(*address.key, AttributeType.ACTUAL, edition)
    return _missing_part(found) if isinstance(found, VariableNotFound) else None


def came_later(model: DeviceModel, address: VariableAddress, edition: Edition) -> bool:
    """Return whether the station has the variable with this address, but it came with a later edition than this one."""
    found = model.find_key(*address.key, AttributeType.ACTUAL)
    return isinstance(found, Variable) and not edition.includes(found.description.since)


def _missing_part(found: VariableNotFound) -> VariableMissing:
    return VariableMissing.COMPONENT if found is VariableNotFound.COMPONENT else VariableMissing.VARIABLE

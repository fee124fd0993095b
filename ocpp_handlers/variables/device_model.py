"""The device model: components, their variables, and how each is read and written (block B).

Changes of values can be observed (block N): `DeviceModel.changed` publishes each one of a variable between `observe`
and `end_observation`. A variable that nobody observes costs nothing. How a change is detected depends on the variable:

- The model subscribes to `changes` of an observed variable that has it, such as a setting: each change is published at
  once, whatever its origin.
- A value that is written, overridden or restored through the model is published at once too, observed or not.
- Every other value is read from a live part, such as a board or a meter. Its change is published by
  `DeviceModel.sample`, which the monitors call at intervals (`Variable.is_sampled`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import TYPE_CHECKING

from foundation.events import Event, Unsubscribe
from foundation.frozen import Frozen
from ocpp_handlers.variables.variable import (
    AttributeType,
    Component,
    Identity,
    Key,
    Mutability,
    Name,
    Variable,
    name_key,
)
from station.core.csms import VariableRow

if TYPE_CHECKING:
    from foundation.supervision import AuxiliaryCalls
    from ocpp_handlers.wire.edition import Edition


class VariableNotFound(StrEnum):
    """Which part of a variable's address is unknown, as the attributeStatus of Get- and SetVariables."""

    COMPONENT = "UnknownComponent"
    VARIABLE = "UnknownVariable"
    ATTRIBUTE = "NotSupportedAttributeType"


class VariableChange(Frozen):
    """A changed value of a variable: the text before and now; both empty if it is write-only."""

    variable: Variable
    before: str
    value: str


class DeviceModel:
    """All variables of the station: find, read, write and override them; publishes changes of their values."""

    def __init__(self, variables: Iterable[Variable], auxiliary: AuxiliaryCalls) -> None:
        """`auxiliary` calls the model when the owner of a value publishes a change of it."""
        self._auxiliary = auxiliary
        self._variables: dict[Identity, Variable] = {}
        self._components: dict[Key, Edition] = {}
        """the first edition in which the component has a variable"""
        self._overridden: dict[Identity, Variable] = {}
        """original variables while an override without support by the variable itself is in force"""
        self._known_values: dict[Identity, str] = {}
        """last known values, to detect changes"""
        self._subscriptions: dict[Identity, Unsubscribe | None] = {}
        """observed variables, with the subscription to `VariableAccess.changes`"""
        self.changed: Event[VariableChange] = Event()
        """each change of a value, once (see the module docstring), and each write of a write-only variable"""
        for variable in variables:
            self.add(variable)

    def add(self, variable: Variable) -> None:
        """Add a variable, or replace the one with the same key; publishes a change if its known value then differs."""
        identity = variable.identity
        self._variables[identity] = variable
        place, since = identity[0], variable.description.since
        if not (place in self._components and since.includes(self._components[place])):
            self._components[place] = since
        if identity in self._subscriptions:
            self._subscribe_to_changes(variable)
        if identity in self._known_values:
            self._publish_change(variable)

    def observe(self, variable: Variable) -> None:
        """Publish the changes of a variable of this model from now on; the first one against its present value.

        One that is sampled still needs `sample`. Without effect if it is observed already.
        """
        if variable.identity not in self._subscriptions:
            self._store_value_before(variable)
            self._subscribe_to_changes(variable)

    def end_observation(self, variable: Variable) -> None:
        """Publish the changes of a variable no more, except those made through the model."""
        identity = variable.identity
        if (unsubscribe := self._subscriptions.pop(identity, None)) is not None:
            unsubscribe()
        self._known_values.pop(identity, None)

    def _subscribe_to_changes(self, variable: Variable) -> None:
        """Subscribe to the changes of an observed variable, instead of those of the variable that it replaces."""
        identity, changes = variable.identity, variable.access.changes
        if (unsubscribe := self._subscriptions.get(identity)) is not None:
            unsubscribe()
        new_subscription = None
        if changes is not None:  # published by tasks that must not depend on what it takes to read the variable
            new_subscription = self._auxiliary.subscribe(changes, lambda _: self._publish_change(variable))
        self._subscriptions[identity] = new_subscription

    def sample(self, variables: Iterable[Variable]) -> None:
        """Read variables of this model, and publish a change for each whose value differs from the last known one.

        The first sample of a variable only stores its value. Reading is fast and does no I/O: the parts return their
        latest value.
        """
        for variable in variables:
            self._publish_change(variable)

    async def write(self, variable: Variable, text: str) -> None:
        """Write a variable as SetVariables does, save it, and publish the change; mutability is not checked.

        Raises:
            ValueError: the text is rejected; carries the reason.
            StorageError: the value could not be saved and is unchanged.
        """
        if (write := variable.access.write) is None:
            raise ValueError("is read-only")
        self._store_value_before(variable)
        await write(text)
        if variable.mutability is Mutability.WRITE_ONLY:
            self.changed.publish(VariableChange(variable, "", ""))
        self._publish_change(variable)

    def _store_value_before(self, variable: Variable) -> None:
        """Store the value before a change, unless the last known value of an observed variable is stored already."""
        identity = variable.identity
        if variable.mutability is not Mutability.WRITE_ONLY and not (
            identity in self._subscriptions and identity in self._known_values
        ):
            self._known_values[identity] = variable.read()

    def _publish_change(self, variable: Variable) -> None:
        """Publish a change if the value differs from the last known one, and store it."""
        if variable.mutability is Mutability.WRITE_ONLY:
            return
        identity, value = variable.identity, variable.read()
        before = self._known_values.get(identity)
        self._known_values[identity] = value
        if before is not None and before != value:
            self.changed.publish(VariableChange(variable, before, value))

    def find(
        self,
        place: Component,
        name: str,
        instance: str | None = None,
        attribute: AttributeType = AttributeType.ACTUAL,
    ) -> Variable | VariableNotFound:
        """The variable with this address, names in any case; else which part of the address is unknown."""
        return self.find_key(place.key, name_key(name, instance), attribute)

    def find_key(
        self, component: Key, variable: Name, attribute: AttributeType, edition: Edition | None = None
    ) -> Variable | VariableNotFound:
        """The variable with these keys (see `component_key` and `name_key`); else which of them is unknown.

        `edition`: variables that came with a later one are unknown; None: all variables of the station are found.
        """
        found = self._variables.get((component, variable, attribute))
        if found is not None and _is_in_edition(edition, found.description.since):
            return found
        attribute_variables = [self._variables.get((component, variable, kind)) for kind in AttributeType]
        if any(
            candidate is not None and _is_in_edition(edition, candidate.description.since)
            for candidate in attribute_variables
        ):
            return VariableNotFound.ATTRIBUTE
        since = self._components.get(component)
        return (
            VariableNotFound.VARIABLE
            if since is not None and _is_in_edition(edition, since)
            else VariableNotFound.COMPONENT
        )

    def __iter__(self) -> Iterator[Variable]:
        for attributes in self.variables():
            yield from attributes

    def variables(self) -> Iterator[tuple[Variable, ...]]:
        """Yield each variable as the tuple of its attributes (B07.FR.11), component by component."""
        components: dict[Key, dict[Name, dict[AttributeType, Variable]]] = {}
        for (place, name, attribute), variable in self._variables.items():
            components.setdefault(place, {}).setdefault(name, {})[attribute] = variable
        for component in components.values():
            for attributes in component.values():
                yield tuple(attributes[kind] for kind in AttributeType if kind in attributes)

    def variables_of(self, edition: Edition) -> Iterator[tuple[Variable, ...]]:
        """Yield the variables as `variables` does, without what came with a later edition than this one."""
        for attributes in self.variables():
            if known := tuple(attribute for attribute in attributes if edition.includes(attribute.description.since)):
                yield known

    # For the local API (station.core.csms.Variables)

    def rows(self) -> list[VariableRow]:
        """All variables with their present values, for the local API; the value of a write-only variable is None."""
        return [_row(variable) for variable in self]

    def override(self, row: VariableRow) -> None:
        """Set the value of the variable that a row names at once, regardless of mutability, without saving it.

        For tests over the local API; publishes the change; lasts until `restore` or the end of the program.

        Raises:
            KeyError: there is no such variable.
            ValueError: the value is rejected; carries the reason.
        """
        variable = self.find_row(row)
        if variable.description.fixed:
            raise ValueError("is fixed by the program")
        value = row.value or ""
        self._store_value_before(variable)
        if (override := variable.access.override) is not None:
            override(value)
            self._publish_change(variable)
        else:
            self._overridden.setdefault(variable.identity, variable)
            self.add(variable.with_access(read=lambda: value))

    def restore(self, row: VariableRow) -> None:
        """Undo `override` of the variable that a row names, and publish the change; without effect if not overridden.

        Raises:
            KeyError: there is no such variable.
        """
        variable = self.find_row(row)
        if (restore := variable.access.restore) is not None:
            self._store_value_before(variable)
            restore()
            self._publish_change(variable)
        original = self._overridden.pop(variable.identity, None)
        if original is not None:
            self.add(original)

    def find_row(self, row: VariableRow) -> Variable:
        """The variable that a row of the local API names; the value of the row does not matter.

        Raises:
            KeyError: there is none.
        """
        place = Component(row.component, row.component_instance, row.evse, row.connector)
        variable = self.find(place, row.variable, row.instance, AttributeType(row.attribute))
        if isinstance(variable, VariableNotFound):
            raise KeyError(variable.value)
        return variable


def _is_in_edition(edition: Edition | None, since: Edition) -> bool:
    return edition is None or edition.includes(since)


def _row(variable: Variable) -> VariableRow:
    place = variable.component
    secret = variable.mutability is Mutability.WRITE_ONLY
    return VariableRow(
        place.name,
        place.instance,
        place.evse_id,
        place.connector_id,
        variable.name,
        variable.instance,
        variable.attribute.value,
        None if secret else variable.read(),
        variable.mutability.value,
    )

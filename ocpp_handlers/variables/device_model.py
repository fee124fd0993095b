"""The device model: components, their variables, and how each is read and written (block B).

Changes of values can be observed (block N): `DeviceModel.changed` publishes each one of a variable between `observe`
and `end_observation`. A variable that nobody observes costs nothing. How a change is detected depends on the variable:

- The model subscribes to `changes` of an observed variable that has it, such as a setting: each change is published at
  once, whatever its origin.
- A value that is written, overridden or restored through the model is published at once too, observed or not.
- Every other value is read from a live part, such as a board or a meter. Its change is published by
  `DeviceModel.sample`, which the monitors call at intervals (`Variable.is_sampled`).

A `Variable` is a description, which all stations of a process share, and the access to the value of one station.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterable, Iterator
from enum import StrEnum
from typing import Protocol

from msgspec.structs import replace

from foundation.events import Event, Unsubscribe
from foundation.frozen import Frozen
from station.core.csms import VariableRow

Key = tuple[str, str, int | None, int | None]
"""component name and instance, EVSE, connector; names are case-folded, since identifierString ignores case"""
Name = tuple[str, str]
"""variable name and instance, case-folded"""


class Mutability(StrEnum):
    """Whether the CSMS may read and write a variable (MutabilityEnumType)."""

    READ_ONLY = "ReadOnly"
    WRITE_ONLY = "WriteOnly"
    READ_WRITE = "ReadWrite"


class AttributeType(StrEnum):
    """Which attribute of a variable is meant (AttributeEnumType), in the order of reports."""

    ACTUAL = "Actual"
    TARGET = "Target"
    MIN_SET = "MinSet"
    MAX_SET = "MaxSet"


class DataType(StrEnum):
    """The data type of a variable's value, which is always sent as text (DataEnumType)."""

    STRING = "string"
    DECIMAL = "decimal"
    INTEGER = "integer"
    DATE_TIME = "dateTime"
    BOOLEAN = "boolean"
    OPTION_LIST = "OptionList"
    SEQUENCE_LIST = "SequenceList"
    MEMBER_LIST = "MemberList"


Identity = tuple[Key, Name, AttributeType]
"""unique key of a variable attribute"""


def component_key(name: str, instance: str | None, evse_id: int | None, connector_id: int | None) -> Key:
    """The lookup key of a component."""
    return (name.casefold(), instance.casefold() if instance else "", evse_id, connector_id)


def name_key(name: str, instance: str | None) -> Name:
    """The lookup key of a variable in its component."""
    return (name.casefold(), instance.casefold() if instance else "")


class Component(Frozen):
    """The address of a component of the device model, optionally of an EVSE or a connector."""

    name: str
    instance: str | None = None
    evse_id: int | None = None
    connector_id: int | None = None

    @property
    def key(self) -> Key:
        """The lookup key: name and instance case-folded (without instance: empty), EVSE and connector."""
        return component_key(self.name, self.instance, self.evse_id, self.connector_id)


class VariableDescription(Frozen, dict=True):
    """Description of a variable without its value: address, data type, limits, mutability and monitoring.

    Equal descriptions are one object in a process (`create_variable`), whatever station they belong to.
    """

    component: Component
    name: str
    data_type: DataType
    mutability: Mutability
    instance: str | None = None
    unit: str | None = None
    values: tuple[str, ...] = ()
    """the allowed items of a list (valuesList)"""
    minimum: float | None = None
    maximum: float | None = None
    """the largest number, or the largest length of a text or list"""
    attribute: AttributeType = AttributeType.ACTUAL
    constant: bool = False
    """the value never changes while the station runs"""
    fixed: bool = False
    """the value is a limit enforced by the program: neither the installation file nor a simulation can change it"""
    reboot_required: bool = False
    """a written value takes effect at the next boot"""
    monitorable: bool = True
    """False: the value changes all the time, like a clock, so that there is no change to observe"""

    @functools.cached_property
    def key(self) -> Name:
        """The lookup key of the variable in its component: name and instance case-folded (without instance: empty)."""
        return name_key(self.name, self.instance)

    @functools.cached_property
    def identity(self) -> Identity:
        """The unique key of the variable attribute in the device model."""
        return (self.component.key, self.key, self.attribute)


class VariableAccess(Protocol):
    """Reads and writes the value of a variable of one station, as text."""

    @property
    def read(self) -> Callable[[], str]:
        """Returns the present value as text, without I/O; empty if unknown."""
        ...

    @property
    def write(self) -> Callable[[str], Awaitable[None]] | None:
        """Sets and saves the value from text; raises ValueError with the reason of a rejection; None: read-only."""
        ...

    @property
    def override(self) -> Callable[[str], None] | None:
        """Sets a value temporarily, regardless of mutability, without saving it; raises ValueError."""
        ...

    @property
    def restore(self) -> Callable[[], None] | None:
        """Undoes `override`."""
        ...

    @property
    def preset(self) -> Callable[[str], None] | None:
        """Replaces the default; a saved value takes precedence; raises ValueError."""
        ...

    @property
    def changes(self) -> Event[None] | None:
        """Published by the owner of the value whenever it may have changed; None: the owner publishes nothing."""
        ...


class FunctionAccess(Frozen):
    """Access to a value by functions; each is as in `VariableAccess`."""

    read: Callable[[], str]
    write: Callable[[str], Awaitable[None]] | None = None
    override: Callable[[str], None] | None = None
    restore: Callable[[], None] | None = None
    preset: Callable[[str], None] | None = None
    changes: Event[None] | None = None


class Variable(Frozen):
    """One attribute of one variable of one component of a station, with access to its value.

    Nearly all variables only have the Actual attribute.
    """

    description: VariableDescription
    access: VariableAccess

    @property
    def component(self) -> Component:
        """The component that the variable belongs to."""
        return self.description.component

    @property
    def name(self) -> str:
        """The name of the variable, as it is reported."""
        return self.description.name

    @property
    def instance(self) -> str | None:
        """The instance of the variable; None if it has only one."""
        return self.description.instance

    @property
    def attribute(self) -> AttributeType:
        """The attribute of the variable that this is."""
        return self.description.attribute

    @property
    def mutability(self) -> Mutability:
        """Whether the CSMS may read and write the variable."""
        return self.description.mutability

    @property
    def identity(self) -> Identity:
        """The unique key of the variable attribute in the device model."""
        return self.description.identity

    @property
    def key(self) -> Name:
        """The lookup key of the variable in its component: name and instance case-folded (without instance: empty)."""
        return self.description.key

    def read(self) -> str:
        """Return the present value as text, without I/O; empty if unknown."""
        return self.access.read()

    @property
    def is_sampled(self) -> bool:
        """Whether a change is only noticed when `DeviceModel.sample` is called, because the owner publishes none.

        False for a constant or write-only variable.
        """
        description = self.description
        if description.constant or description.mutability is Mutability.WRITE_ONLY:
            return False
        return self.access.changes is None

    @property
    def supports_monitoring(self) -> bool:
        """Whether monitors may be set on the variable: on the Actual attribute of one whose value can change."""
        description = self.description
        return description.attribute is AttributeType.ACTUAL and not description.constant and description.monitorable

    @property
    def writable(self) -> bool:
        """Whether the CSMS may write the variable (SetVariables)."""
        return self.description.mutability is not Mutability.READ_ONLY and self.access.write is not None

    def with_mutability(self, mutability: Mutability) -> Variable:
        """Return the variable with another mutability."""
        return replace(self, description=shared_description(replace(self.description, mutability=mutability)))

    def with_access(
        self,
        *,
        read: Callable[[], str] | None = None,
        write: Callable[[str], Awaitable[None]] | None = None,
        restore: Callable[[], None] | None = None,
        changes: Event[None] | None = None,
    ) -> Variable:
        """Return the variable with other functions to access its value; None: the present one."""
        now = self.access
        access = FunctionAccess(
            read or now.read,
            write or now.write,
            now.override,
            restore or now.restore,
            now.preset,
            changes if changes is not None else now.changes,
        )
        return replace(self, access=access)


@functools.lru_cache(maxsize=4096)
def shared_description(description: VariableDescription) -> VariableDescription:
    """Return the one object of the process that equals `description`: stations of one kind have the same variables."""
    return description


def create_variable(
    place: Component,
    name: str,
    data_type: DataType,
    mutability: Mutability,
    read: Callable[[], str],
    write: Callable[[str], Awaitable[None]] | None = None,
    *,
    override: Callable[[str], None] | None = None,
    restore: Callable[[], None] | None = None,
    instance: str | None = None,
    unit: str | None = None,
    values: tuple[str, ...] = (),
    minimum: float | None = None,
    maximum: float | None = None,
    attribute: AttributeType = AttributeType.ACTUAL,
    constant: bool = False,
    fixed: bool = False,
    reboot_required: bool = False,
    monitorable: bool = True,
    changes: Event[None] | None = None,
) -> Variable:
    """Create a variable whose value is accessed by functions (`FunctionAccess`); see `VariableDescription`."""
    description = VariableDescription(
        place,
        name,
        data_type,
        mutability,
        instance,
        unit,
        values,
        minimum,
        maximum,
        attribute,
        constant,
        fixed,
        reboot_required,
        monitorable,
    )
    access = FunctionAccess(read, write, override, restore, None, changes)
    return Variable(shared_description(description), access)


def read_only_variable(
    place: Component,
    name: str,
    data_type: DataType,
    read: Callable[[], str],
    instance: str | None = None,
    *,
    unit: str | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
    values: tuple[str, ...] = (),
    constant: bool = False,
    fixed: bool = False,
    override: Callable[[str], None] | None = None,
    restore: Callable[[], None] | None = None,
    changes: Event[None] | None = None,
) -> Variable:
    """Create a variable (attribute Actual) that the CSMS may only read; as `create_variable`."""
    return create_variable(
        place,
        name,
        data_type,
        Mutability.READ_ONLY,
        read,
        override=override,
        restore=restore,
        instance=instance,
        unit=unit,
        values=values,
        minimum=minimum,
        maximum=maximum,
        constant=constant,
        fixed=fixed,
        changes=changes,
    )


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

    def __init__(self, variables: Iterable[Variable] = ()) -> None:
        self._variables: dict[Identity, Variable] = {}
        self._components: set[Key] = set()
        self._replaced: dict[Identity, Variable] = {}
        """original variables while an override without support by the variable itself is in force"""
        self._known: dict[Identity, str] = {}
        """last known values, to detect changes"""
        self._observed: dict[Identity, Unsubscribe | None] = {}
        """observed variables, with the subscription to `VariableAccess.changes`"""
        self.changed: Event[VariableChange] = Event()
        """each change of a value, once (see the module docstring), and each write of a write-only variable"""
        for variable in variables:
            self.add(variable)

    def add(self, variable: Variable) -> None:
        """Add a variable, or replace the one with the same key; publishes a change if its known value then differs."""
        identity = variable.identity
        self._variables[identity] = variable
        self._components.add(identity[0])
        if identity in self._observed:
            self._follow(variable)
        if identity in self._known:
            self._compare(variable)

    def observe(self, variable: Variable) -> None:
        """Publish the changes of a variable of this model from now on; the first one against its present value.

        One that is sampled still needs `sample`. Without effect if it is observed already.
        """
        if variable.identity not in self._observed:
            self._note(variable)
            self._follow(variable)

    def end_observation(self, variable: Variable) -> None:
        """Publish the changes of a variable no more, except those made through the model."""
        identity = variable.identity
        if (unsubscribe := self._observed.pop(identity, None)) is not None:
            unsubscribe()
        self._known.pop(identity, None)

    def _follow(self, variable: Variable) -> None:
        """Subscribe to the changes of an observed variable, instead of those of the variable that it replaces."""
        identity, changes = variable.identity, variable.access.changes
        if (unsubscribe := self._observed.get(identity)) is not None:
            unsubscribe()
        self._observed[identity] = changes.subscribe(lambda _: self._compare(variable)) if changes is not None else None

    def sample(self, variables: Iterable[Variable]) -> None:
        """Read variables of this model, and publish a change for each whose value differs from the last known one.

        The first sample of a variable only stores its value. Reading is fast and does no I/O: the parts return their
        latest value.
        """
        for variable in variables:
            self._compare(variable)

    async def write(self, variable: Variable, text: str) -> None:
        """Write a variable as SetVariables does, save it, and publish the change; mutability is not checked.

        Raises:
            ValueError: the text is rejected; carries the reason.
            StorageError: the value could not be saved and is unchanged.
        """
        if (write := variable.access.write) is None:
            raise ValueError("is read-only")
        self._note(variable)
        await write(text)
        if variable.mutability is Mutability.WRITE_ONLY:
            self.changed.publish(VariableChange(variable, "", ""))
        self._compare(variable)

    def _note(self, variable: Variable) -> None:
        """Store the value before a change, unless the last known value of an observed variable is stored already."""
        identity = variable.identity
        if variable.mutability is not Mutability.WRITE_ONLY and not (
            identity in self._observed and identity in self._known
        ):
            self._known[identity] = variable.read()

    def _compare(self, variable: Variable) -> None:
        """Publish a change if the value differs from the last known one, and store it."""
        if variable.mutability is Mutability.WRITE_ONLY:
            return
        identity, value = variable.identity, variable.read()
        before = self._known.get(identity)
        self._known[identity] = value
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

    def find_key(self, component: Key, variable: Name, attribute: AttributeType) -> Variable | VariableNotFound:
        """The variable with these keys (see `component_key` and `name_key`); else which of them is unknown."""
        if (found := self._variables.get((component, variable, attribute))) is not None:
            return found
        if any((component, variable, other) in self._variables for other in AttributeType):
            return VariableNotFound.ATTRIBUTE
        return VariableNotFound.VARIABLE if component in self._components else VariableNotFound.COMPONENT

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
        self._note(variable)
        if (override := variable.access.override) is not None:
            override(value)
            self._compare(variable)
        else:
            self._replaced.setdefault(variable.identity, variable)
            self.add(variable.with_access(read=lambda: value))

    def restore(self, row: VariableRow) -> None:
        """Undo `override` of the variable that a row names, and publish the change; without effect if not overridden.

        Raises:
            KeyError: there is no such variable.
        """
        variable = self.find_row(row)
        if (restore := variable.access.restore) is not None:
            self._note(variable)
            restore()
            self._compare(variable)
        original = self._replaced.pop(variable.identity, None)
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

"""The device model: components, their variables, and what reading and writing one means (block B).

Changes of values can be observed (block N): `DeviceModel.changed` publishes each one, and how it comes to be known
depends on the variable.

- A variable with `changes`, a setting for instance, is observed by the model itself: each change is published at once,
  whoever made it.
- A value that is written, overridden or restored through the model is published at once too.
- Every other value is read from a live part, such as a board or a meter. Its change is published by
  `DeviceModel.sample`, which whoever monitors the variable calls as often as it wants to know (`Variable.is_sampled`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import replace
from enum import StrEnum

from foundation.events import Event, Unsubscribe
from foundation.frozen import frozen
from station.core.csms import VariableRow

Key = tuple[str, str, int | None, int | None]
"""component name and instance, EVSE, connector; names folded: identifierString ignores case"""
Name = tuple[str, str]
"""variable name and instance, folded"""


class Mutability(StrEnum):
    """MutabilityEnumType."""

    READ_ONLY = "ReadOnly"
    WRITE_ONLY = "WriteOnly"
    READ_WRITE = "ReadWrite"


class AttributeType(StrEnum):
    """AttributeEnumType, in the order in which reports tell them."""

    ACTUAL = "Actual"
    TARGET = "Target"
    MIN_SET = "MinSet"
    MAX_SET = "MaxSet"


class DataType(StrEnum):
    """DataEnumType."""

    STRING = "string"
    DECIMAL = "decimal"
    INTEGER = "integer"
    DATE_TIME = "dateTime"
    BOOLEAN = "boolean"
    OPTION_LIST = "OptionList"
    SEQUENCE_LIST = "SequenceList"
    MEMBER_LIST = "MemberList"


_Identity = tuple[Key, Name, AttributeType]
"""what tells a variable from all others"""


@frozen
class Component:
    """Where a variable is: a component, perhaps of an EVSE or a connector."""

    name: str
    instance: str | None = None
    evse_id: int | None = None
    connector_id: int | None = None

    @property
    def key(self) -> Key:
        """What places are found by."""
        return (self.name.casefold(), (self.instance or "").casefold(), self.evse_id, self.connector_id)


@frozen
class Variable:
    """One attribute of one variable of one component; nearly all variables have the Actual one only."""

    component: Component
    name: str
    data_type: DataType
    mutability: Mutability
    read: Callable[[], str]
    write: Callable[[str], Awaitable[None]] | None = None
    """changes it from text; raises ValueError with the reason of a refusal"""
    override: Callable[[str], None] | None = None
    """puts a value in force past the mutability, without saving it; raises ValueError"""
    restore: Callable[[], None] | None = None
    """ends what `override` did"""
    preset: Callable[[str], None] | None = None
    """puts a value in the place of the default, which a saved one outweighs; raises ValueError"""
    instance: str | None = None
    unit: str | None = None
    values: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    """of a number; of a text or a list its length"""
    attribute: AttributeType = AttributeType.ACTUAL
    constant: bool = False
    """it never changes while the station runs"""
    fixed: bool = False
    """it reports a bound that the program enforces: neither the installation file nor a simulation changes it"""
    reboot_required: bool = False
    """what is written counts from the next boot on"""
    changes: Event[None] | None = None
    """published by the part that has the value whenever it may be another one; None: that part publishes nothing"""

    @property
    def key(self) -> Name:
        """What variables of a component are found by."""
        return (self.name.casefold(), (self.instance or "").casefold())

    @property
    def is_sampled(self) -> bool:
        """Whether `DeviceModel.sample` has to be called to notice that a live part has another value."""
        return self.changes is None and not self.constant and self.mutability is not Mutability.WRITE_ONLY

    @property
    def writable(self) -> bool:
        """Whether the CSMS may write it."""
        return self.write is not None and self.mutability is not Mutability.READ_ONLY


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
) -> Variable:
    """A variable that the station tells and nobody writes."""
    return Variable(
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
    )


class VariableNotFound(StrEnum):
    """Why a variable is not found."""

    COMPONENT = "UnknownComponent"
    VARIABLE = "UnknownVariable"
    ATTRIBUTE = "NotSupportedAttributeType"


@frozen
class VariableChange:
    """A variable has another value than before."""

    variable: Variable
    before: str
    value: str


class DeviceModel:
    """All variables of the station."""

    def __init__(self, variables: Iterable[Variable] = ()) -> None:
        self._components: dict[Key, dict[Name, dict[AttributeType, Variable]]] = {}
        self._replaced: dict[_Identity, Variable] = {}
        """variables as they were before a value was put in their place"""
        self._known: dict[_Identity, str] = {}
        """the values that changes are found against"""
        self._subscriptions: dict[_Identity, Unsubscribe] = {}
        self.changed: Event[VariableChange] = Event()
        """each change of a value, once (see the module); never of one that nobody may read"""
        for variable in variables:
            self.add(variable)

    def add(self, variable: Variable) -> None:
        """Add a variable, or put it in the place of the one that is there."""
        component = self._components.setdefault(variable.component.key, {})
        component.setdefault(variable.key, {})[variable.attribute] = variable
        identity = _identity(variable)
        if (unsubscribe := self._subscriptions.pop(identity, None)) is not None:
            unsubscribe()
        if variable.changes is not None:
            self._subscriptions[identity] = variable.changes.subscribe(lambda _: self._compare(variable))
        if variable.changes is not None or identity in self._known:
            self._compare(variable)

    def sample(self, variables: Iterable[Variable]) -> None:
        """Read variables of this model, and publish the change of each that has another value than when last read.

        The first sample of a variable only takes note of its value. Reading is fast and asks no hardware: the parts
        give the value that they have.
        """
        for variable in variables:
            self._compare(variable)

    async def write(self, variable: Variable, text: str) -> None:
        """Write a variable, and publish the change.

        Raises:
            ValueError: the text is refused, and why.
            StorageError: it is not saved, and the value is the one before.
        """
        if variable.write is None:
            raise ValueError("cannot be written")
        self._note(variable)
        await variable.write(text)
        self._compare(variable)

    def _note(self, variable: Variable) -> None:
        """Remember the value before a change, unless one is known to compare with."""
        if variable.mutability is not Mutability.WRITE_ONLY:
            self._known.setdefault(_identity(variable), variable.read())

    def _compare(self, variable: Variable) -> None:
        """Publish the change of a variable if its value is not the known one, and remember it."""
        if variable.mutability is Mutability.WRITE_ONLY:
            return
        identity, value = _identity(variable), variable.read()
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
        """A variable, or what of its name is not known."""
        component = self._components.get(place.key)
        if component is None:
            return VariableNotFound.COMPONENT
        attributes = component.get((name.casefold(), (instance or "").casefold()))
        if attributes is None:
            return VariableNotFound.VARIABLE
        return attributes.get(attribute, VariableNotFound.ATTRIBUTE)

    def __iter__(self) -> Iterator[Variable]:
        for attributes in self.variables():
            yield from attributes

    def variables(self) -> Iterator[tuple[Variable, ...]]:
        """Each variable as all of its attributes (B07.FR.11)."""
        for component in self._components.values():
            for attributes in component.values():
                yield tuple(attributes[kind] for kind in AttributeType if kind in attributes)

    # For the local API (station.core.csms.Variables)

    def rows(self) -> list[VariableRow]:
        """Everything there is."""
        return [_row(variable) for variable in self]

    def override(self, row: VariableRow) -> None:
        """Put a value in force at once, past its mutability, unsaved.

        Raises:
            KeyError: there is no such variable.
            ValueError: why the value is refused.
        """
        variable = self.find_row(row)
        if variable.fixed:
            raise ValueError("is fixed by the program")
        value = row.value or ""
        self._note(variable)
        if variable.override is not None:
            variable.override(value)
            self._compare(variable)
        else:
            self._replaced.setdefault(_identity(variable), variable)
            self.add(replace(variable, read=lambda: value))

    def restore(self, row: VariableRow) -> None:
        """End what `override` did; a variable that is as it should be stays so.

        Raises:
            KeyError: there is no such variable.
        """
        variable = self.find_row(row)
        if variable.restore is not None:
            self._note(variable)
            variable.restore()
            self._compare(variable)
        original = self._replaced.pop(_identity(variable), None)
        if original is not None:
            self.add(original)

    def find_row(self, row: VariableRow) -> Variable:
        """The variable that a row names.

        Raises:
            KeyError: there is none.
        """
        place = Component(row.component, row.component_instance, row.evse, row.connector)
        variable = self.find(place, row.variable, row.instance, AttributeType(row.attribute))
        if isinstance(variable, VariableNotFound):
            raise KeyError(variable.value)
        return variable


def _identity(variable: Variable) -> _Identity:
    return variable.component.key, variable.key, variable.attribute


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

"""The device model: components, their variables, and what reading and writing one means (block B)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import replace
from enum import StrEnum

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


@frozen
class Place:
    """Where a variable is: a component, perhaps of an EVSE or a connector."""

    component: str
    instance: str | None = None
    evse_id: int | None = None
    connector_id: int | None = None

    @property
    def key(self) -> Key:
        """What places are found by."""
        return (self.component.casefold(), (self.instance or "").casefold(), self.evse_id, self.connector_id)


@frozen
class Variable:
    """One attribute of one variable of one component; nearly all variables have the Actual one only."""

    place: Place
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

    @property
    def key(self) -> Name:
        """What variables of a component are found by."""
        return (self.name.casefold(), (self.instance or "").casefold())

    @property
    def writable(self) -> bool:
        """Whether the CSMS may write it."""
        return self.write is not None and self.mutability is not Mutability.READ_ONLY


def told(
    place: Place,
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


class Missing(StrEnum):
    """Why a variable is not found."""

    COMPONENT = "UnknownComponent"
    VARIABLE = "UnknownVariable"
    ATTRIBUTE = "NotSupportedAttributeType"


class DeviceModel:
    """All variables of the station."""

    def __init__(self, variables: Iterable[Variable] = ()) -> None:
        self._components: dict[Key, dict[Name, dict[AttributeType, Variable]]] = {}
        self._replaced: dict[tuple[Key, Name, AttributeType], Variable] = {}
        """variables as they were before a value was put in their place"""
        for variable in variables:
            self.add(variable)

    def add(self, variable: Variable) -> None:
        """Add a variable, or put it in the place of the one that is there."""
        component = self._components.setdefault(variable.place.key, {})
        component.setdefault(variable.key, {})[variable.attribute] = variable

    def find(
        self,
        place: Place,
        name: str,
        instance: str | None = None,
        attribute: AttributeType = AttributeType.ACTUAL,
    ) -> Variable | Missing:
        """A variable, or what of its name is not known."""
        component = self._components.get(place.key)
        if component is None:
            return Missing.COMPONENT
        attributes = component.get((name.casefold(), (instance or "").casefold()))
        if attributes is None:
            return Missing.VARIABLE
        return attributes.get(attribute, Missing.ATTRIBUTE)

    def __iter__(self) -> Iterator[Variable]:
        for attributes in self.variables():
            yield from attributes

    def variables(self) -> Iterator[tuple[Variable, ...]]:
        """Each variable as all of its attributes (B07.FR.11)."""
        for component in self._components.values():
            for attributes in component.values():
                yield tuple(attributes[kind] for kind in AttributeType if kind in attributes)

    # For the local API (station.ports.Variables)

    def rows(self) -> list[VariableRow]:
        """Everything there is."""
        return [_row(variable) for variable in self]

    def override(self, row: VariableRow) -> None:
        """Put a value in force at once, past its mutability, unsaved.

        Raises:
            KeyError: there is no such variable.
            ValueError: why the value is refused.
        """
        variable = self.meant_by(row)
        if variable.fixed:
            raise ValueError("is fixed by the program")
        value = row.value or ""
        if variable.override is not None:
            variable.override(value)
        else:
            self._replaced.setdefault((variable.place.key, variable.key, variable.attribute), variable)
            self.add(replace(variable, read=lambda: value))

    def restore(self, row: VariableRow) -> None:
        """End what `override` did; a variable that is as it should be stays so.

        Raises:
            KeyError: there is no such variable.
        """
        variable = self.meant_by(row)
        if variable.restore is not None:
            variable.restore()
        original = self._replaced.pop((variable.place.key, variable.key, variable.attribute), None)
        if original is not None:
            self.add(original)

    def meant_by(self, row: VariableRow) -> Variable:
        """The variable that a row names.

        Raises:
            KeyError: there is none.
        """
        place = Place(row.component, row.component_instance, row.evse, row.connector)
        variable = self.find(place, row.variable, row.instance, AttributeType(row.attribute))
        if isinstance(variable, Missing):
            raise KeyError(variable.value)
        return variable


def _row(variable: Variable) -> VariableRow:
    place = variable.place
    secret = variable.mutability is Mutability.WRITE_ONLY
    return VariableRow(
        place.component,
        place.instance,
        place.evse_id,
        place.connector_id,
        variable.name,
        variable.instance,
        variable.attribute.value,
        None if secret else variable.read(),
        variable.mutability.value,
    )

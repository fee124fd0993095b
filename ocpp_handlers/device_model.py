"""The device model: components, their variables, and what reading and writing one means (block B)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from station.ports import VariableRow

Key = tuple[str, str, int | None, int | None]
"""component name and instance, EVSE, connector; names folded: identifierString ignores case"""
Name = tuple[str, str]
"""variable name and instance, folded"""


class Mutability(StrEnum):
    """MutabilityEnumType."""

    READ_ONLY = "ReadOnly"
    WRITE_ONLY = "WriteOnly"
    READ_WRITE = "ReadWrite"


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


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable of one component, with its Actual attribute."""

    place: Place
    name: str
    data_type: DataType
    mutability: Mutability
    read: Callable[[], str]
    write: Callable[[str], Awaitable[None]] | None = None
    """changes it from text; raises ValueError with the reason of a refusal"""
    override: Callable[[str], None] | None = None
    """puts a value in force past the mutability, without saving it; raises ValueError"""
    instance: str | None = None
    unit: str | None = None
    values: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None

    @property
    def key(self) -> Name:
        """What variables of a component are found by."""
        return (self.name.casefold(), (self.instance or "").casefold())


class Missing(StrEnum):
    """Why a variable is not found."""

    COMPONENT = "UnknownComponent"
    VARIABLE = "UnknownVariable"


class DeviceModel:
    """All variables of the station."""

    def __init__(self, variables: Iterable[Variable] = ()) -> None:
        self._components: dict[Key, dict[Name, Variable]] = {}
        for variable in variables:
            self.add(variable)

    def add(self, variable: Variable) -> None:
        """Add a variable, or put it in the place of the one that is there."""
        self._components.setdefault(variable.place.key, {})[variable.key] = variable

    def find(self, place: Place, name: str, instance: str | None = None) -> Variable | Missing:
        """A variable, or what of its name is not known."""
        component = self._components.get(place.key)
        if component is None:
            return Missing.COMPONENT
        return component.get((name.casefold(), (instance or "").casefold()), Missing.VARIABLE)

    def __iter__(self) -> Iterator[Variable]:
        for component in self._components.values():
            yield from component.values()

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
        place = Place(row.component, row.component_instance, row.evse, row.connector)
        variable = self.find(place, row.variable, row.instance)
        if isinstance(variable, Missing):
            raise KeyError(variable.value)
        value = row.value or ""
        if variable.override is not None:
            variable.override(value)
        else:
            self.add(replace(variable, read=lambda: value))


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
        "Actual",
        None if secret else variable.read(),
        variable.mutability.value,
    )

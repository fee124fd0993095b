"""Variables of the device model: components, descriptions, and the access to the value of one station (block B).

A `Variable` is a description, which all stations of a process share, and the access to the value of one station.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Protocol

from msgspec.structs import replace

from foundation.events import Event
from foundation.frozen import Frozen
from ocpp_handlers.wire.edition import V201, Edition

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
    since: Edition = V201
    """the edition of OCPP with which the variable came; unknown to a CSMS that speaks an earlier one"""

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


def create_variable(  # noqa: PLR0913  # the columns of a row
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
    since: Edition = V201,
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
        since,
    )
    access = FunctionAccess(read, write, override, restore, None, changes)
    return Variable(shared_description(description), access)


def read_only_variable(  # noqa: PLR0913  # the columns of a row
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
    since: Edition = V201,
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
        since=since,
    )

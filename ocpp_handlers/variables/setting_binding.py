"""Variables bound to settings: reading, writing, overriding and observing the variable acts on the setting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Generic, TypeVar

from foundation.events import Event
from ocpp_handlers.variables.variable import DataType, Mutability, Variable, VariableDescription, shared_description
from ocpp_handlers.wire.edition import V201, Edition
from station.core.setting_kinds import (
    Choice,
    Country,
    Currency,
    Decimal,
    Integer,
    Members,
    Moment,
    Setting,
    Switch,
    Text,
    TimeOffset,
    TimeSources,
    TimeZone,
    TxPoints,
)

if TYPE_CHECKING:
    from foundation.supervision import AuxiliaryCalls
    from ocpp_handlers.variables.variable import Component
    from station.core.setting_groups import SettingGroups
    from station.core.setting_values import SettingGroup

T = TypeVar("T")

_DATA_TYPES: Mapping[type, DataType] = {
    Integer: DataType.INTEGER,
    Decimal: DataType.DECIMAL,
    Switch: DataType.BOOLEAN,
    Choice: DataType.OPTION_LIST,
    Members: DataType.MEMBER_LIST,
    TxPoints: DataType.MEMBER_LIST,
    TimeSources: DataType.SEQUENCE_LIST,
    Text: DataType.STRING,
    Country: DataType.STRING,
    Currency: DataType.STRING,
    TimeZone: DataType.STRING,
    TimeOffset: DataType.STRING,
    Moment: DataType.DATE_TIME,
}


class SettingBinding:
    """Creates variables of the device model that read, write, override and observe a setting."""

    def __init__(self, settings: SettingGroups, auxiliary: AuxiliaryCalls) -> None:
        self._settings = settings
        self._change_events: dict[str, Event[None]] = {}
        """events for the settings whose variable was observed, by setting name"""
        for group in settings.groups:
            auxiliary.subscribe(group.any_changed, self._publish)

    def variable(
        self,
        place: Component,
        name: str,
        setting: Setting[T],
        instance: str | None = None,
        *,
        unit: str | None = None,
        mutability: Mutability = Mutability.READ_WRITE,
        since: Edition = V201,
    ) -> Variable:
        """Create the variable of a setting; limits, choices and data type come from the setting.

        A read-only one keeps its `write`: the installation file may still make it writable.
        """
        group = self._settings.group_of(setting)
        description = VariableDescription(
            place,
            name,
            _DATA_TYPES[type(setting)],
            mutability,
            instance,
            unit,
            group.choices_of(setting),
            setting.bounds[0],
            setting.bounds[1],
            since=since,
        )
        return Variable(shared_description(description), _SettingAccess(self, group, setting))

    def changes_of(self, setting: Setting[T]) -> Event[None]:
        """The event to subscribe to for changes of a setting, whatever its value type."""
        return self._change_events.setdefault(setting.name, Event())

    def _publish(self, setting: Setting[object]) -> None:
        if (changes := self._change_events.get(setting.name)) is not None:
            changes.publish(None)


class _SettingAccess(Generic[T]):
    """Access to the value of a setting of one station (`VariableAccess`): a station has a hundred of them."""

    __slots__ = ("_binding", "_group", "_setting")

    def __init__(self, binding: SettingBinding, group: SettingGroup, setting: Setting[T]) -> None:
        self._binding = binding
        self._group = group
        self._setting = setting

    @property
    def changes(self) -> Event[None]:
        return self._binding.changes_of(self._setting)

    def read(self) -> str:
        return self._group.text_of(self._setting)

    async def write(self, text: str) -> None:
        await self._group.change(self._setting, text)

    def override(self, text: str) -> None:
        self._group.override(self._setting, self._group.parse(self._setting, text))

    def restore(self) -> None:
        self._group.restore(self._setting)

    def preset(self, text: str) -> None:
        self._group.preset(self._setting, self._group.parse(self._setting, text))

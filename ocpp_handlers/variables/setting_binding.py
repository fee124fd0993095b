"""Variables bound to settings: reading, writing, overriding and observing the variable acts on the setting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

from foundation.events import Event
from ocpp_handlers.variables.device_model import DataType, Mutability, Variable
from station.core.setting_kinds import (
    Choice,
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
    from ocpp_handlers.variables.device_model import Component
    from station.core.setting_groups import SettingGroups

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
    Currency: DataType.STRING,
    TimeZone: DataType.STRING,
    TimeOffset: DataType.STRING,
    Moment: DataType.DATE_TIME,
}


class SettingBinding:
    """Creates variables of the device model that read, write, override and observe a setting."""

    def __init__(self, settings: SettingGroups) -> None:
        self._settings = settings
        self._changes: dict[str, Event[None]] = {}
        """events for the settings that have a variable, by setting name"""
        for group in settings.groups:
            group.any_changed.subscribe(self._publish)

    def variable(
        self,
        place: Component,
        name: str,
        setting: Setting[T],
        instance: str | None = None,
        *,
        unit: str | None = None,
        mutability: Mutability = Mutability.READ_WRITE,
    ) -> Variable:
        """Create the variable of a setting; limits, choices and data type come from the setting.

        A read-only one keeps its `write`: the installation file may still make it writable.
        """
        settings = self._settings.group_of(setting)

        async def write(text: str) -> None:
            await settings.change(setting, text)

        return Variable(
            place,
            name,
            _DATA_TYPES[type(setting)],
            mutability,
            read=lambda: settings.text_of(setting),
            write=write,
            override=lambda text: settings.override(setting, settings.parse(setting, text)),
            restore=lambda: settings.restore(setting),
            preset=lambda text: settings.preset(setting, settings.parse(setting, text)),
            instance=instance,
            unit=unit,
            values=settings.choices_of(setting),
            minimum=setting.bounds[0],
            maximum=setting.bounds[1],
            changes=self._changes.setdefault(setting.name, Event()),
        )

    def _publish(self, setting: Setting[object]) -> None:
        if (changes := self._changes.get(setting.name)) is not None:
            changes.publish(None)

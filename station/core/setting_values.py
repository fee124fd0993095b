"""Values of settings: validated, stored before they apply, and published when they change."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol, TypeVar, cast

from foundation.events import Event
from foundation.frozen import Frozen
from station.core.setting_kinds import Setting

T = TypeVar("T")
_log = logging.getLogger(__name__)


class SettingsStore(Protocol):
    """Stores changed settings on disk, as text by name; interface for the setting groups."""

    async def load(self) -> dict[str, str]:
        """Load the text of each stored setting by name, including settings unknown to this version.

        Raises:
            StorageError: the disk cannot be read.
        """
        ...

    def read(self, name: str, parse: Callable[[str], T], text: str) -> T | None:
        """Parse a stored text; None if `parse` rejects it. A rejected text stays stored and is listed as unreadable.

        Args:
            name: the name of the setting.
            parse: reads the text, or raises ValueError.
            text: as stored.
        """
        ...

    async def save(self, name: str, text: str) -> None:
        """Store the text of a setting, replacing the earlier one; it is on disk when this returns.

        Raises:
            StorageError: the text was not stored.
        """
        ...


class SupportedChoices(Frozen):
    """The words of a list setting that this station supports; others are rejected, and ignored in stored values."""

    choices: tuple[str, ...]
    reason: str
    """end of the error message "… is not <reason>": why only these are allowed"""
    may_be_empty: bool
    """whether an empty list is valid; otherwise the default replaces a list without supported words"""


class SettingGroup:
    """A group of settings with their values. Reading is synchronous; a change is on disk before it applies.

    A subclass declares its settings as class attributes. Reading one from an object gives the value, reading it from
    the class the `Setting`, which `change`, `changed` and the like take.
    """

    def __init__(self, store: SettingsStore | None = None) -> None:
        """Create the group with defaults; without a store changes are not persistent."""
        self.any_changed: Event[Setting[object]] = Event()
        """published after any change, with the setting; for a single setting see `changed`"""
        self._store = store
        self._overrides: dict[str, object] = {}
        self._stored: dict[str, object] = {}
        self._presets: dict[str, object] = {}
        self._supported: dict[tuple[str, ...], SupportedChoices] = {}
        """the words that the station supports, by the complete list of words"""
        self._events: dict[str, object] = {}
        """the event of each setting by its name; each an `Event` of its value type"""

    def changed(self, setting: Setting[T]) -> Event[T]:
        """The event to subscribe to for changes of one setting; it is published with the new value."""
        if setting.name not in self._events:
            created: Event[T] = Event()
            self._events[setting.name] = created
        return cast("Event[T]", self._events[setting.name])  # made by the line above

    def choices_of(self, setting: Setting[T]) -> tuple[str, ...]:
        """The words that a setting allows at this station; empty if it is not restricted to a list."""
        supported = self._supported.get(setting.choices)
        return supported.choices if supported is not None else setting.choices

    def parse(self, setting: Setting[T], text: str) -> T:
        """Parse a text, with the restrictions of this station; changes nothing.

        Raises:
            ValueError: the text is not allowed; the message says why.
        """
        value = setting.parse(text)
        if (supported := self._supported.get(setting.choices)) is not None:
            for name in cast("tuple[str, ...]", value):
                if name not in supported.choices:
                    raise ValueError(f"{name!r} is not {supported.reason}; allowed: {', '.join(supported.choices)}")
        return value

    def value_of(self, setting: Setting[T]) -> T:
        """The current value: the override, else the stored value, else the preset, else the default."""
        name = setting.name
        for values in (self._overrides, self._stored, self._presets):
            if name in values:
                return self._effective(setting, cast("T", values[name]))  # `_set_value` stored a T
        return self._effective(setting, setting.default)

    def text_of(self, setting: Setting[T]) -> str:
        """The current value of a setting as text, as the CSMS reads it."""
        return setting.format(self.value_of(setting))

    async def change(self, setting: Setting[T], text: str) -> None:
        """Validate, store, apply and publish a new value; it ends an override.

        Raises:
            ValueError: the text is rejected; the message says why.
            StorageError: the value could not be stored; the setting is unchanged.
        """
        value = self.parse(setting, text)
        if self._store is not None:
            await self._store.save(setting.name, setting.format(value))
        self._overrides.pop(setting.name, None)
        self._set_value(self._stored, setting, value)

    def override(self, setting: Setting[T], value: T) -> None:
        """Apply and publish a value without storing it, until it is changed or restored, or the station restarts."""
        self._set_value(self._overrides, setting, value)

    def restore(self, setting: Setting[T]) -> None:
        """Remove the override of a setting, if any: the value before it applies again, and is published."""
        if self._overrides.pop(setting.name, None) is not None:
            self._publish(setting)

    def preset(self, setting: Setting[T], value: T) -> None:
        """Replace the default by a value of the installation file; a stored value takes precedence (B05.FR.10)."""
        self._set_value(self._presets, setting, value)

    def use_stored(self, setting: Setting[T], value: T) -> None:
        """Apply a value loaded from the storage; called before the station runs, so nothing is published."""
        self._stored[setting.name] = value

    @classmethod
    def all(cls) -> list[Setting[object]]:
        """All settings that this class declares."""
        declared: list[object] = list(vars(cls).values())
        return [attribute for attribute in declared if isinstance(attribute, Setting)]

    def _restrict_choices(self, choices: tuple[str, ...], supported: SupportedChoices) -> None:
        """Allow only the offered words in all list settings with these choices."""
        self._supported[choices] = supported

    def _effective(self, setting: Setting[T], value: T) -> T:
        if not setting.choices or (supported := self._supported.get(setting.choices)) is None:
            return value
        valid = tuple(name for name in cast("tuple[str, ...]", value) if name in supported.choices)
        if not valid and not supported.may_be_empty:
            return setting.default
        return cast("T", valid)

    def _set_value(self, values: dict[str, object], setting: Setting[T], value: T) -> None:
        values[setting.name] = value
        self._publish(setting)

    def _publish(self, setting: Setting[T]) -> None:
        _log.info("setting %s is now %s", setting.name, self.text_of(setting))
        if setting.name in self._events:
            self.changed(setting).publish(self.value_of(setting))
        self.any_changed.publish(cast("Setting[object]", setting))  # invariant only because `format` takes a T

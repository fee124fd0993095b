"""Values of settings: typed, bounded, saved before they count, and announced when they change."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol, TypeVar, cast

from foundation.events import Event
from foundation.frozen import frozen
from station.core.setting_kinds import Setting

T = TypeVar("T")
_log = logging.getLogger(__name__)


class SettingsStore(Protocol):
    """Keeps the texts of changed settings over a restart."""

    async def load(self) -> dict[str, str]:
        """The text of each stored setting by its name, including settings that this version does not have.

        Raises:
            StorageError: the disk cannot be read.
        """
        ...

    def read(self, name: str, parse: Callable[[str], T], text: str) -> T | None:
        """The value that a stored text means, or None if `parse` refuses it; the text then stays stored and is listed.

        Args:
            name: the name of the setting.
            parse: reads the text, or raises ValueError.
            text: as stored.
        """
        ...

    async def save(self, name: str, text: str) -> None:
        """Store the text of a setting, in place of its earlier one; it is on disk when this returns.

        Raises:
            StorageError: it is not stored.
        """
        ...


@frozen
class OfferedWords:
    """The words of a list that mean something at this station; others are refused, and never in force."""

    words: tuple[str, ...]
    source: str
    """what decides that, for the sentence of a refusal"""
    may_be_empty: bool
    """whether a list without any of these words is in force; else its default is"""


class SettingGroup:
    """A group of settings with their values. Reading is synchronous; a change is on disk before it counts.

    A subclass declares its settings as class attributes. Reading one from an object gives the value, reading it from
    the class the `Setting`, which `change`, `changed` and the like take.
    """

    def __init__(self, store: SettingsStore | None = None) -> None:
        """Without a store changes last as long as the object."""
        self.any_changed = Event[Setting[object]]()
        """a setting has another value; for one of them see `changed`"""
        self._store = store
        self._overrides: dict[str, object] = {}
        self._saved: dict[str, object] = {}
        self._presets: dict[str, object] = {}
        self._offers: dict[tuple[str, ...], OfferedWords] = {}
        """by all words of the list"""
        self._events: dict[str, object] = {}
        """by setting; each an `Event` of its values"""

    def changed(self, setting: Setting[T]) -> Event[T]:
        """The event that a setting has a value anew, with that value."""
        if setting.name not in self._events:
            self._events[setting.name] = Event[T]()
        return cast("Event[T]", self._events[setting.name])  # made by the line above

    def choices_of(self, setting: Setting[T]) -> tuple[str, ...]:
        """The words that a setting allows here, where it allows only some."""
        offer = self._offers.get(setting.choices)
        return offer.words if offer is not None else setting.choices

    def parse(self, setting: Setting[T], text: str) -> T:
        """The value that a text means here.

        Raises:
            ValueError: why it is none.
        """
        value = setting.parse(text)
        if (offer := self._offers.get(setting.choices)) is not None:
            for name in cast("tuple[str, ...]", value):
                if name not in offer.words:
                    raise ValueError(f"{name!r} is not {offer.source}; there is {', '.join(offer.words)}")
        return value

    def value_of(self, setting: Setting[T]) -> T:
        """The present value: an override, else what is saved, else that of the installation file, else the default."""
        for values in (self._overrides, self._saved, self._presets):
            if setting.name in values:
                return self._in_force(setting, cast("T", values[setting.name]))  # `_put` put a T there
        return self._in_force(setting, setting.default)

    def text_of(self, setting: Setting[T]) -> str:
        """The present value as text."""
        return setting.format(self.value_of(setting))

    async def change(self, setting: Setting[T], text: str) -> None:
        """Change a setting: checked, then on disk, then in force.

        Raises:
            ValueError: the text is refused, and why.
            StorageError: it could not be saved and did not change.
        """
        value = self.parse(setting, text)
        if self._store is not None:
            await self._store.save(setting.name, setting.format(value))
        self._overrides.pop(setting.name, None)
        self._put(self._saved, setting, value)

    def override(self, setting: Setting[T], value: T) -> None:
        """Put a value in force without saving it, until it is changed, restored, or the station boots."""
        self._put(self._overrides, setting, value)

    def restore(self, setting: Setting[T]) -> None:
        """End what `override` did."""
        if self._overrides.pop(setting.name, None) is not None:
            self._announce(setting)

    def preset(self, setting: Setting[T], value: T) -> None:
        """Use this as the default, as the installation file wants it; what is saved outweighs it (B05.FR.10)."""
        self._put(self._presets, setting, value)

    async def load(self) -> None:
        """Take the saved values; one that is no longer allowed is left at its default, and logged.

        Raises:
            StorageError: the disk cannot be read.
        """
        if self._store is None:
            return
        for name, text in (await self._store.load()).items():
            setting = self.find(name)
            if setting is None:
                _log.warning("saved setting %s is not known any more", name)
                continue
            value = self._store.read(setting.name, setting.parse, text)
            if value is None:
                _log.warning("saved setting %s = %s is not allowed; its default is used", name, text)
            else:
                self._saved[setting.name] = value

    @classmethod
    def all(cls) -> list[Setting[object]]:
        """All settings of this group and of those that it is composed of; `Setting.owner` says of which one each is."""
        groups = reversed(cls.__mro__)
        found: list[object] = [value for group in groups for value in vars(group).values()]
        return [one for one in found if isinstance(one, Setting)]

    @classmethod
    def find(cls, name: str) -> Setting[object] | None:
        """The setting of that name; None when there is none."""
        return next((setting for setting in cls.all() if setting.name == name), None)

    def _offer(self, choices: tuple[str, ...], offer: OfferedWords) -> None:
        """Allow only some words in the lists that are made of these choices."""
        self._offers[choices] = offer

    def _in_force(self, setting: Setting[T], value: T) -> T:
        if (offer := self._offers.get(setting.choices)) is None:
            return value
        given = tuple(name for name in cast("tuple[str, ...]", value) if name in offer.words)
        if not given and not offer.may_be_empty:
            return setting.default
        return cast("T", given)

    def _put(self, values: dict[str, object], setting: Setting[T], value: T) -> None:
        values[setting.name] = value
        self._announce(setting)

    def _announce(self, setting: Setting[T]) -> None:
        _log.info("setting %s is %s", setting.name, self.text_of(setting))
        if setting.name in self._events:
            self.changed(setting).publish(self.value_of(setting))
        self.any_changed.publish(cast("Setting[object]", setting))  # invariant only because `format` takes a T

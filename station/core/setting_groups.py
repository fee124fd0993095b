"""All setting groups of a station together: loaded at once, each setting found with the group that declares it."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from station.core.setting_kinds import Setting
    from station.core.setting_values import SettingGroup, SettingsStore

T = TypeVar("T")
_log = logging.getLogger(__name__)


class SettingGroups:
    """All setting groups of a station, for finding a setting by name; names are unique among all groups."""

    def __init__(self, groups: Sequence[SettingGroup]) -> None:
        self.groups = groups
        self._settings, self._positions = _index_settings(tuple(type(group) for group in groups))

    def all(self) -> list[Setting[object]]:
        """All settings of all groups."""
        return list(self._settings.values())

    def find(self, name: str) -> Setting[object] | None:
        """The setting of this name, or None."""
        return self._settings.get(name)

    def group_of(self, setting: Setting[T]) -> SettingGroup:
        """The group that declares a setting.

        Raises:
            LookupError: no group of this station does.
        """
        return self.groups[self._positions[setting.name]]

    def check_stored(self, name: str, text: str) -> None:
        """Validate the stored text of a setting, without applying it; a setting unknown to this version is valid.

        Raises:
            ValueError: the text is not allowed.
        """
        if (setting := self.find(name)) is not None:
            setting.parse(text)

    async def load(self, store: SettingsStore) -> None:
        """Load the stored values into the groups; for one that is no longer allowed the default is used.

        That, and a setting that no longer exists, is logged as a warning. No change is published.

        Raises:
            StorageError: the disk cannot be read.
        """
        for name, text in (await store.load()).items():
            if (setting := self.find(name)) is None:
                _log.warning("stored setting %s does not exist any more", name)
                continue
            parsed = store.read(name, lambda text, setting=setting: (setting.parse(text),), text)  # None may be a value
            if parsed is None:
                _log.warning("stored value of setting %s is not allowed: %s; its default is used", name, text)
            else:
                self.group_of(setting).use_stored(setting, parsed[0])


@functools.cache
def _index_settings(groups: tuple[type[SettingGroup], ...]) -> tuple[Mapping[str, Setting[object]], Mapping[str, int]]:
    """The settings of these groups by name, and the position of the group of each; the same for all stations."""
    settings = {setting.name: setting for group in groups for setting in group.all()}
    return settings, {setting.name: position for position, group in enumerate(groups) for setting in group.all()}

"""Settings entered by the installer on site, which override the installation file; stored, and validated by its model.

Environment variables take precedence over them, as over the installation file. An unusable file is renamed and logged:
it never prevents the start of the station.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from foundation.json_values import is_array, is_list, is_object, object_of
from foundation.table import all_values, given_values
from foundation.table_definition import InvalidTableError
from station.configuration import environment as config_environment
from station.configuration.installation_file import Configuration, explain
from station.configuration.installation_tables import InstallationTables
from station.configuration.missing_packages import missing_package_errors
from station.configuration.related_settings import settings_above_maximum
from station.core.installation_file.document import ConfigurationDocument, ConfigurationError, KeyPath, dotted
from station.maintenance.commissioning.stored_settings import repaired
from station.storage import private_files

_log = logging.getLogger(__name__)

Tree = dict[str, object]

_ALLOWED_ON_SITE: Final[tuple[KeyPath, ...]] = (
    ("csms", "url"),
    ("csms", "password"),
    ("grid",),
    ("grid_order",),
    ("protection", "shunt_trip"),
    ("evse", "#", "phase_rotation"),
)
"""keys that may be set on site; # matches any index of a list. No file path is among them"""
_FILE_NAME: Final = "site-settings.json"
_HIDDEN: Final = "***"
_MAX_REPAIRS: Final = 50


class SettingsRefusedError(Exception):
    """Settings entered on site are invalid or not allowed; nothing has changed. The message names the field."""


class SiteSettings:
    """The settings that the installer made on site, stored on disk, and the configuration with them."""

    def __init__(self, installed: Configuration, environ: Mapping[str, str]) -> None:
        """`installed`: the installation file overridden by the environment."""
        self._installed = installed
        self._environ = environ
        self._file = Path(installed.station.storage) / _FILE_NAME
        self._tree: Tree = {}
        self.changing = asyncio.Lock()
        """held from the check that no EVSE is charging until the restart with the changed settings"""
        self.configuration = installed
        """the configuration in force: the installation file overridden by the site settings"""
        self.lost = False
        """whether the stored settings could not be used at all, so that nobody knows the limits of the house"""

    def load_effective(self) -> Configuration:
        """Load the stored site settings and return the configuration with them; blocks on the disk.

        Values that an earlier version accepted and this one does not are repaired one by one. An invalid file is
        renamed and logged; then the installation file alone applies, and `lost` is true.
        """
        try:
            text = private_files.read(self._file)
            tree = self._repaired(_object(json.loads(text))) if text is not None else {}
            self.configuration = self._validated(tree) if text is not None else self._installed
        except (OSError, ValueError, InvalidTableError, SettingsRefusedError) as error:
            self._move_broken_file(error)
            self.configuration, self.lost = self._installed, True
            return self.configuration
        self._tree = tree
        return self.configuration

    @property
    def to_json(self) -> Tree:
        """The site settings alone, not the installation file, as a JSON object; secrets are masked."""
        return _without_secrets(self._tree)

    def apply_patch(self, patch: Tree) -> Configuration:
        """Change the site settings by a JSON merge patch (RFC 7396), store them, and return the new configuration.

        null removes a setting. It takes effect when the caller restarts the station. Blocks on the disk.

        Raises:
            SettingsRefusedError: invalid, nothing has changed; the message names the field.
            OSError: not stored, nothing has changed.
        """
        tree = _object(_merged(self._tree, patch, drop_null=True))
        configuration = self._validated(tree)
        for error in missing_package_errors(configuration):
            if error.key[0] in patch:
                raise SettingsRefusedError(f"{dotted(error.key)}: {error}")
        private_files.write(self._file, json.dumps(tree))
        self._tree, self.configuration = tree, configuration
        return configuration

    def reset(self) -> Configuration:
        """Delete all site settings, and return the configuration of the installation file. Blocks on the disk.

        Raises:
            OSError: nothing has changed.
        """
        private_files.remove(self._file)
        self._tree, self.configuration = {}, self._installed
        return self._installed

    def _repaired(self, tree: Tree) -> Tree:
        """Repair values of the stored settings that are not accepted any more.

        Raises:
            InvalidTableError: they cannot be repaired.
        """
        for _ in range(_MAX_REPAIRS):
            try:
                tree = self._lowered_to_maximum(tree)
                Configuration.from_tree(self._document(tree).tree)
            except InvalidTableError as error:
                if (repaired_tree := repaired(tree, error)) is None:
                    raise
                tree = _object(repaired_tree)
            else:
                break
        return tree

    def _lowered_to_maximum(self, tree: Tree) -> Tree:
        """Lower what an earlier version has stored although it exceeds another setting; other settings stay in force.

        Raises:
            InvalidTableError: a value is invalid by itself.
        """
        too_high = settings_above_maximum(InstallationTables.from_tree(self._document(tree).tree))
        for error, maximum in too_high:
            _log.error("site settings: %s: %s; the maximum is used", dotted(error.key), error)
            patch: object = maximum
            for step in reversed(error.key):
                patch = {str(step): patch}
            tree = _object(_merged(tree, patch, drop_null=False))
        return tree

    def _document(self, tree: Tree) -> ConfigurationDocument:
        """The installation file with site settings and environment variables over it, not validated."""
        values = _merged(given_values(self._installed), tree, drop_null=False)
        return config_environment.overlay(
            ConfigurationDocument(Path(_FILE_NAME), "", values), self._environ, Configuration
        )

    def _validated(self, tree: Tree) -> Configuration:
        """The configuration with these site settings; raises SettingsRefusedError if not allowed or not valid."""
        for path in _paths(tree):
            if not any(_is_below(path, allowed) for allowed in _ALLOWED_ON_SITE):
                raise SettingsRefusedError(f"{dotted(path)}: cannot be set on site")
        values = _merged(given_values(self._installed), tree, drop_null=False)
        try:
            document = self._document(tree)
            configuration = Configuration.from_tree(document.tree)
        except InvalidTableError as error:
            sentence = str(explain(error, ConfigurationDocument(Path(_FILE_NAME), "", values)))
            raise SettingsRefusedError(sentence.removeprefix(f"{_FILE_NAME}:1: ")) from None
        if document.refused:
            raise SettingsRefusedError(str(ConfigurationError(*document.refused)))
        return configuration

    def _move_broken_file(self, error: Exception) -> None:
        broken_file = self._file.with_suffix(".broken")
        _log.error("the site settings are invalid and are moved to %s: %s", broken_file.name, error)
        try:
            private_files.move(self._file, broken_file)
        except OSError as failure:
            _log.error("the site settings cannot be moved to %s: %s", broken_file, failure.strerror)


def site_settings_to_json(configuration: Configuration) -> Tree:
    """Value in force of each key that may be set on site, wherever set; secrets masked; null: not configured."""
    values = all_values(configuration)
    csms = (
        {key: object_of(values["csms"])[key] for key in ("url", "password")} if configuration.csms is not None else None
    )
    return _without_secrets(
        {
            "csms": csms,
            "grid": values["grid"],
            "grid_order": values["grid_order"],
            "protection": {"shunt_trip": configuration.protection.shunt_trip},
            "evse": [{"phase_rotation": evse.phase_rotation} for evse in configuration.evse],
        }
    )


def _object(value: object) -> Tree:
    if not is_object(value):
        raise ValueError("must be a table")
    return value


def _merged(below: object, above: object, *, drop_null: bool) -> object:
    """Merge `above` over `below`. Lists merge by index; a table with another `type` replaces the former one."""
    if is_list(above):
        lower_entries: Sequence[object] = below if is_array(below) else ()
        longest = max(len(above), len(lower_entries))
        return [
            _merged(_entry_or_none(lower_entries, index), _entry_or_none(above, index), drop_null=drop_null)
            if index < len(above)
            else lower_entries[index]
            for index in range(longest)
        ]
    if not is_object(above):
        return above
    former = below if is_object(below) else {}
    if "type" in above and above["type"] != former.get("type", above["type"]):
        former = {}
    merged = former | {key: _merged(former.get(key), value, drop_null=drop_null) for key, value in above.items()}
    return {key: value for key, value in merged.items() if not (drop_null and value is None)}


def _entry_or_none(entries: Sequence[object], index: int) -> object:
    return entries[index] if index < len(entries) else None


def _paths(value: object, path: KeyPath = ()) -> list[KeyPath]:
    """The paths of all values that are not tables or lists."""
    if is_object(value):
        entries = value.items()
    elif is_list(value):
        entries = enumerate(value)
    else:
        return [path]
    return [inner_path for key, value in entries for inner_path in _paths(value, (*path, key))]


def _is_below(path: KeyPath, allowed: KeyPath) -> bool:
    if len(path) < len(allowed):
        return False
    steps = zip(path, allowed, strict=False)
    return all(allowed_step == step or (allowed_step == "#" and isinstance(step, int)) for step, allowed_step in steps)


def _without_secrets(tree: Tree) -> Tree:
    return {
        key: _HIDDEN
        if key in {"password", "key", "authentication_key"} and value is not None
        else _without_secrets(value)
        if is_object(value)
        else value
        for key, value in tree.items()
    }

"""What the installer enters on site, laid over the installation file: kept in the storage, checked by the same model.

What the environment says outweighs it, as it outweighs the installation file. A file that cannot be used is set aside
and told of: it never keeps the station from starting.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Final, cast

from pydantic import ValidationError

from station.configuration import environment as config_environment
from station.configuration.installation_file import Configuration
from station.core.installation_file.document import ConfigurationDocument, ConfigurationError, KeyPath, dotted
from station.storage import private_files

_log = logging.getLogger(__name__)

Tree = dict[str, object]

_MAY: Final[tuple[KeyPath, ...]] = (
    ("csms", "url"),
    ("csms", "password"),
    ("grid",),
    ("grid_order",),
    ("protection", "shunt_trip"),
    ("evse", "#", "phase_rotation"),
)
"""what may be entered on site; # is any place of a list. No file of the machine is among it"""
_NAME: Final = "site-settings.json"
_HIDDEN: Final = "***"


class SettingsRefusedError(Exception):
    """The settings cannot be used; nothing has changed. The sentence names the field."""


class SiteSettings:
    """The settings of the site."""

    def __init__(self, installed: Configuration, environ: Mapping[str, str]) -> None:
        """`installed`: the installation file with the environment over it."""
        self._installed = installed
        self._environ = environ
        self._file = Path(installed.station.storage) / _NAME
        self._tree: Tree = {}
        self.changing = asyncio.Lock()
        """held from the check that nobody charges to the restart with the changed settings"""
        self.configuration = installed
        """the configuration in force: the installation file with the settings of the site over it"""

    def load_effective(self) -> Configuration:
        """The configuration with what is on disk laid over it."""
        try:
            text = private_files.read(self._file)
            tree = _object(json.loads(text)) if text is not None else {}
            self.configuration = self._laid_over(tree) if text is not None else self._installed
        except (OSError, ValueError, SettingsRefusedError) as error:
            self._set_aside(error)
            self.configuration = self._installed
            return self.configuration
        self._tree = tree
        return self.configuration

    @property
    def to_json(self) -> Tree:
        """What was entered, without its secrets."""
        return _without_secrets(self._tree)

    def apply_patch(self, patch: Tree) -> Configuration:
        """Change some of it, as a JSON merge patch (RFC 7396): null takes a setting back. Waits for the disk.

        Raises:
            SettingsRefusedError: nothing has changed; the sentence names the field.
            OSError: nothing has changed.
        """
        tree = _object(_merged(self._tree, patch, drop_null=True))
        configuration = self._laid_over(tree)
        private_files.write(self._file, json.dumps(tree))
        self._tree, self.configuration = tree, configuration
        return configuration

    def reset(self) -> Configuration:
        """Only the installation file counts again. Waits for the disk.

        Raises:
            OSError: nothing has changed.
        """
        private_files.remove(self._file)
        self._tree, self.configuration = {}, self._installed
        return self._installed

    def _laid_over(self, tree: Tree) -> Configuration:
        for path in _paths(tree):
            if not any(_within(path, allowed) for allowed in _MAY):
                raise SettingsRefusedError(f"{dotted(path)}: is not set on site")
        given = _merged(self._installed.model_dump(exclude_unset=True), tree, drop_null=False)
        try:
            document = config_environment.overlay(
                ConfigurationDocument(Path(_NAME), "", given), self._environ, Configuration
            )
            laid_over = Configuration.model_validate(document.tree)
        except ValidationError as error:
            from station.configuration import errors as config_errors  # a good start does not wait for it

            told = str(
                config_errors.explain_errors(error, ConfigurationDocument(Path(_NAME), "", given), Configuration)
            )
            raise SettingsRefusedError(told.removeprefix(f"{_NAME}:1: ")) from None
        if document.refused:
            raise SettingsRefusedError(str(ConfigurationError(*document.refused)))
        return laid_over

    def _set_aside(self, error: Exception) -> None:
        aside = self._file.with_suffix(".broken")
        _log.error("the settings of the site cannot be used and are set aside as %s: %s", aside.name, error)
        try:
            private_files.move(self._file, aside)
        except OSError as failure:
            _log.error("%s: %s", aside, failure.strerror)


def site_settings_to_json(configuration: Configuration) -> Tree:
    """What is in force of all that may be entered on site, without secrets; null: it is not given at all."""
    whole = cast("dict[str, Tree]", configuration.model_dump(mode="json"))
    csms = {key: whole["csms"][key] for key in ("url", "password")} if configuration.csms is not None else None
    return _without_secrets(
        {
            "csms": csms,
            "grid": whole["grid"],
            "grid_order": whole["grid_order"],
            "protection": {"shunt_trip": configuration.protection.shunt_trip},
            "evse": [{"phase_rotation": evse.phase_rotation} for evse in configuration.evse],
        }
    )


def _object(value: object) -> Tree:
    if not isinstance(value, dict):
        raise ValueError("it is no table")
    return cast("Tree", value)


def _merged(below: object, above: object, *, drop_null: bool) -> object:
    """`above` over `below`. Lists go place by place; a table of another `type` has nothing of the former."""
    if isinstance(above, list):
        entries = cast("list[object]", above)
        under = cast("list[object] | tuple[object, ...]", below) if isinstance(below, list | tuple) else ()
        longest = max(len(entries), len(under))
        return [
            _merged(_at(under, place), _at(entries, place), drop_null=drop_null)
            if place < len(entries)
            else under[place]
            for place in range(longest)
        ]
    if not isinstance(above, dict):
        return above
    table = cast("Tree", above)
    former = cast("Tree", below) if isinstance(below, dict) else {}
    if "type" in table and table["type"] != former.get("type", table["type"]):
        former = {}
    merged = former | {key: _merged(former.get(key), value, drop_null=drop_null) for key, value in table.items()}
    return {key: value for key, value in merged.items() if not (drop_null and value is None)}


def _at(entries: list[object] | tuple[object, ...], place: int) -> object:
    return entries[place] if place < len(entries) else None


def _paths(value: object, path: KeyPath = ()) -> list[KeyPath]:
    """Every value that is no table or list, by its path."""
    if isinstance(value, dict):
        inner = cast("Tree", value).items()
    elif isinstance(value, list):
        inner = enumerate(cast("list[object]", value))
    else:
        return [path]
    return [found for key, one in inner for found in _paths(one, (*path, key))]


def _within(path: KeyPath, allowed: KeyPath) -> bool:
    if len(path) < len(allowed):
        return False
    steps = zip(path, allowed, strict=False)
    return all(wanted == step or (wanted == "#" and isinstance(step, int)) for step, wanted in steps)


def _without_secrets(tree: Tree) -> Tree:
    return {
        key: _HIDDEN
        if key in {"password", "key", "authentication_key"} and value is not None
        else _without_secrets(cast("Tree", value))
        if isinstance(value, dict)
        else value
        for key, value in tree.items()
    }

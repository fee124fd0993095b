"""The installation file: what the installer decides before the first start, in TOML, checked and frozen.

Units stand in the names of the keys. Relative paths count from the working directory.
"""

# pydantic-settings is left out on purpose: importing it costs 27 ms of every cold start, and it tells neither
# the line of a mistake nor a mistyped variable.

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from pydantic import ValidationError, model_validator

from station.configuration import environment as config_environment
from station.configuration import rules
from station.configuration.installation_tables import InstallationTables
from station.configuration.rules import SIMULATED_DEVICE
from station.core.installation_file import document as config_file
from station.core.installation_file.document import ConfigurationError

__all__ = ["SIMULATED_DEVICE", "Configuration", "ConfigurationError", "load_configuration"]


def load_configuration(path: Path, environ: Mapping[str, str]) -> Configuration:
    """Read the installation file and put the BORNE_ variables of `environ` over it.

    Raises:
        ConfigurationError: a sentence for each mistake: where (file and line, or variable), which key, what is wrong.
    """
    document = config_environment.overlay(config_file.read(path), environ, Configuration)
    try:
        configuration = Configuration.model_validate(document.tree)
    except ValidationError as error:
        from station.configuration import errors as config_errors  # a good start does not wait for it

        # Without its cause: pydantic's own text shows what was given, and that may be a password.
        raise config_errors.explain_errors(error, document, Configuration) from None
    if document.refused:
        raise ConfigurationError(*document.refused)
    return configuration


class Configuration(InstallationTables):
    """The whole installation file: its tables are valid, and go together."""

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, given: object) -> object:
        """Without [station] it is the identity that is missing; a simulated Linky brings its device along.

        A board that does not say its type is simulated.
        """
        if not isinstance(given, dict):
            return given
        tree: dict[str, object] = {"station": dict[str, object](), **cast("dict[str, object]", given)}
        if isinstance(board := tree.get("board"), dict):
            tree["board"] = {"type": "simulated", **cast("dict[str, object]", board)}
        match tree:
            case {"grid": {"source": {"type": "linky"}}, "simulation": {"linky": {}}}:
                grid = cast("dict[str, object]", tree["grid"])
                source = {"device": SIMULATED_DEVICE} | cast("dict[str, object]", grid["source"])
                return tree | {"grid": grid | {"source": source}}
            case _:
                return tree

    @model_validator(mode="after")
    def _tables_go_together(self) -> Configuration:
        rules.check(self)
        return self

"""The station that is installed on this machine: its installation file, and the files that belong to it.

A command of an administrator does not have the environment of the service, which may contain what the installation
file requires, such as the password for the CSMS. So the variables of the file `environment` in the folder of the
installation file, which the service reads, apply here too.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct
from msgspec.structs import fields

from foundation.json_values import is_array, is_object
from station.configuration.installation_file import Configuration, ConfigurationError, load_configuration

DEFAULT_INSTALLATION: Final = Path("/etc/borne/station.toml")
"""the installation file of the service"""
ENVIRONMENT_NAME: Final = "environment"
"""the file with the environment of the service, beside the installation file"""
_PREFIX: Final = "BORNE_"


def load_installed(file: Path, environment: str | None = None) -> Configuration:
    """Load an installation file with the environment of its service, overridden by that of this process.

    `environment`: the text of the service's environment file; None: it is read from the folder of that file.

    Raises:
        ConfigurationError: one sentence for each error.
    """
    variables = installed_environment(file) if environment is None else _overridden(environment)
    return load_configuration(file, variables)


def installed_environment(file: Path) -> dict[str, str]:
    """Return the environment of the service of an installation file, overridden by that of this process.

    Raises:
        ConfigurationError: the environment file cannot be read.
    """
    environment = file.with_name(ENVIRONMENT_NAME)
    try:
        return _overridden(environment.read_text(encoding="utf-8", errors="replace"))
    except FileNotFoundError:
        return dict(os.environ)
    except OSError as error:
        raise ConfigurationError(f"{environment}: {error.strerror}") from error


def _overridden(environment: str) -> dict[str, str]:
    return {**service_variables(environment), **os.environ}


def service_variables(text: str) -> dict[str, str]:
    """Return the BORNE_ variables of an environment file of systemd; other lines are ignored."""
    variables: dict[str, str] = {}
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and name.startswith(_PREFIX):
            variables[name] = _unquoted(value.strip())
    return variables


def _unquoted(value: str) -> str:
    """The value without its quotes, if it has any."""
    if value[:1] not in {'"', "'"}:
        return value
    try:
        return "".join(shlex.split(value))
    except ValueError:  # a quote without its other one
        return value


def files_of(configuration: Configuration, installation: Path) -> tuple[list[Path], list[Path]]:
    """Return the files that an installation file needs: those in its own folder, and those elsewhere.

    The first contain the environment of the service. Log file, devices and the storage are not among them.
    """
    folder = installation.resolve().parent
    environment = folder / ENVIRONMENT_NAME
    found = {environment} if environment.is_file() else set[Path]()
    ignored = {configuration.log.file, configuration.station.storage}
    found |= {path.absolute() for path in _paths(configuration) if path not in ignored and path.is_file()}
    beside = sorted(path for path in found if path.resolve().parent == folder and path.name != installation.name)
    return beside, sorted(found - set(beside))


def _paths(value: object) -> Iterator[Path]:
    """Yield all paths in a table of the installation file."""
    if isinstance(value, Path):
        yield value
    elif isinstance(value, Struct):
        for field in fields(value):
            yield from _paths(getattr(value, field.name))
    elif is_array(value):
        for item in value:
            yield from _paths(item)
    elif is_object(value):
        for item in value.values():
            yield from _paths(item)

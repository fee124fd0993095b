"""Finds devices of the installation file whose driver needs a package that is not installed.

Only some stations need these packages, which the extra `board` of the program installs on Linux.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING

from station.core.installation_file.document import RuleError

if TYPE_CHECKING:
    from station.configuration.installation_tables import InstallationTables


def is_installed(package: str) -> bool:
    """Return whether a package can be imported; imports nothing."""
    return find_spec(package) is not None


def missing_package_errors(
    tables: InstallationTables, installed: Callable[[str], bool] = is_installed, platform: str = sys.platform
) -> list[RuleError]:
    """An error for each device that cannot be used here, with the command that installs what is missing."""
    errors: list[RuleError] = []
    for table, device in tables.devices:
        if device.simulated_key is not None:
            continue
        missing = [package for package in device.packages if not installed(package)]
        if missing:
            needs = f"needs {' and '.join(missing)}"
            remedy = f'not installed: {sys.executable} -m pip install "borne[board]"'
            errors.append(
                RuleError((*table, "type"), f"{needs}, {remedy if platform == 'linux' else 'for Linux only'}")
            )
    return errors

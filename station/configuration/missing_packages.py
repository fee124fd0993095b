"""Finds devices of the installation file whose driver needs a package that is not installed.

Only some stations need these packages, which the extra `board` of the program installs on Linux.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from station.core.installation_file.document import RuleError

if TYPE_CHECKING:
    from foundation.device_table import DeviceTable
    from station.configuration.installation_tables import InstallationTables


def is_installed(package: str) -> bool:
    """Return whether a package can be imported; imports nothing."""
    return find_spec(package) is not None


_LEFT_OUT: Final = frozenset({"display"})
"""tables of devices that a start leaves out if a package is missing: the station charges without them"""


def missing_package_error(
    device: DeviceTable, installed: Callable[[str], bool] = is_installed, platform: str = sys.platform
) -> str | None:
    """Which packages a device needs that are not installed, and the command that installs them; None: it needs none."""
    missing = [package for package in device.packages if not installed(package)]
    if not missing or device.simulated_key is not None:
        return None
    remedy = f'not installed: {sys.executable} -m pip install "borne[board]"'
    return f"needs {' and '.join(missing)}, {remedy if platform == 'linux' else 'for Linux only'}"


def essential_package_errors(tables: InstallationTables) -> list[RuleError]:
    """The errors of `missing_package_errors` that prevent a start: all but those of displays."""
    return [error for error in missing_package_errors(tables) if error.key[0] not in _LEFT_OUT]


def missing_package_errors(
    tables: InstallationTables, installed: Callable[[str], bool] = is_installed, platform: str = sys.platform
) -> list[RuleError]:
    """An error for each device that cannot be used here, with the command that installs what is missing."""
    return [
        RuleError((*table, "type"), error)
        for table, device in tables.devices
        if (error := missing_package_error(device, installed, platform)) is not None
    ]

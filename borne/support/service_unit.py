"""The state of the systemd unit that runs the station."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

from foundation.frozen import Frozen

UNIT: Final = "borne.service"
"""the unit of the package"""
_PROPERTIES: Final = ("LoadState", "ActiveState", "SubState", "Result", "NRestarts", "ExecStart", "UnitFileState")
_TIMEOUT_S: Final = 5.0


class ServiceUnit(Frozen):
    """A unit of systemd."""

    name: str
    """its name, such as `borne.service`"""
    enabled: str
    """whether it starts with the machine: `enabled`, `disabled`, …"""
    active: str
    """`active`, `inactive`, `failed`, `activating`, …"""
    sub: str
    """the state in detail, such as `running` or `auto-restart`"""
    result: str
    """how its last run ended: `success`, `watchdog`, `exit-code`, …"""
    restarts: int
    """how often systemd has restarted it since it was started"""


def service_unit(installation: Path) -> ServiceUnit | None:
    """Return the unit that runs the station of an installation file; None if there is none, or no systemd."""
    systemctl = shutil.which("systemctl")
    if systemctl is None:
        return None
    command = [systemctl, "show", UNIT, *(f"--property={name}" for name in _PROPERTIES)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_unit(done.stdout, installation) if done.returncode == 0 else None


def parse_unit(text: str, installation: Path) -> ServiceUnit | None:
    """Parse the output of `systemctl show`; None if the unit does not exist or runs another installation file."""
    values: dict[str, str] = {}
    for line in text.splitlines():
        name, _, value = line.partition("=")
        values[name] = value
    if values.get("LoadState") != "loaded" or str(installation.absolute()) not in values.get("ExecStart", ""):
        return None
    restarts = values.get("NRestarts", "")
    return ServiceUnit(
        UNIT,
        values.get("UnitFileState", ""),
        values.get("ActiveState", ""),
        values.get("SubState", ""),
        values.get("Result", ""),
        int(restarts) if restarts.isdecimal() else 0,
    )

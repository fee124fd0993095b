"""The report of a station for its support: program, machine, installation file without secrets, and its devices."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from foundation.json_values import is_array, is_object
from foundation.secret import Secret
from foundation.table import Table
from station.core.version import package_build, package_version

if TYPE_CHECKING:
    from datetime import datetime

    from borne.bring_up.device_answers import DeviceAnswer
    from station.configuration.installation_file import Configuration

REMOVED: Final = "(removed)"
"""stands for a secret"""
_USER_INFO: Final = re.compile(r"(?<=://)[^/@\s]+(?=@)")
"""user name and password in a URL"""
_SECRET_NAMES: Final = re.compile(r"password|secret|token|code|(?:^|_)key$", re.IGNORECASE)


def support_report(
    configuration: Configuration, tree: Mapping[str, object], answers: Sequence[DeviceAnswer], now: datetime
) -> dict[str, object]:
    """Make the report as JSON values. `tree`: the installation file with its overrides, as it was read."""
    secrets = sorted(set(_secrets_of(configuration)), key=len, reverse=True)
    return {
        "time": now.isoformat(timespec="seconds"),
        "program": {"version": package_version(), "build": package_build(), "python": platform.python_version()},
        "machine": {"system": platform.platform(), "processors": os.cpu_count(), "model": _machine_model()},
        "installation_file": without_secrets(tree, secrets),
        "devices": [
            {
                "key": answer.key,
                "device": without_secrets(answer.device, secrets),
                "answer": without_secrets(dict(answer.answer), secrets),
                "reason": without_secrets(answer.reason, secrets),
            }
            for answer in answers
        ],
    }


def without_secrets(value: object, secrets: Sequence[str]) -> object:
    """Replace in JSON values each secret text, each password in a URL, and each value whose key names a secret."""
    if is_object(value):
        return {
            key: REMOVED if isinstance(entry, str) and _SECRET_NAMES.search(key) else without_secrets(entry, secrets)
            for key, entry in value.items()
        }
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, REMOVED)
        return _USER_INFO.sub(REMOVED, value)
    if is_array(value):
        return [without_secrets(entry, secrets) for entry in value]
    return value if isinstance(value, bool | int | float) or value is None else str(value)


def _secrets_of(value: object) -> Iterator[str]:
    """The secret texts in a table and its sub-tables."""
    if isinstance(value, Secret):
        if text := value.get_secret_value():
            yield text
    elif isinstance(value, Table):
        for name in value.__struct_fields__:
            yield from _secrets_of(getattr(value, name))
    elif is_array(value):
        for entry in value:
            yield from _secrets_of(entry)


def _machine_model() -> str | None:
    try:
        return Path("/proc/device-tree/model").read_text(encoding="utf-8").rstrip("\0")
    except OSError:
        return None

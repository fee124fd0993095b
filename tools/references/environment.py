"""The reference of the environment variables: those of the installation file, and those of the system."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from station.configuration import schema_keys as keys
from tools.references.installation_file import sections
from tools.references.markdown import table

_HEAD: Final = """\
# Environment variables

## Keys of the installation file

`BORNE_` and the key in capitals, with `_` between its parts, sets a key of the
[installation file](installation-file.md) and takes precedence over it. Entries of a list are counted from 0, and an
entry that does not exist yet must be the next one. Text is written as it is, everything else as in TOML (`32`, `true`,
`["a", "b"]`). `borne check FILE` reports a variable that begins with `BORNE_` and names no key.

The variables of list entries are shown for the first entry.

"""
_SYSTEM: Final = "## Other variables\n\n"
OF_THE_SYSTEM: Final = {
    "BORNE_TOKEN": "The access token with which `borne sim` signs in.",
    "NOTIFY_SOCKET": "Set by systemd: the socket for `READY=1`, `WATCHDOG=1` and `STOPPING=1`.",
    "WATCHDOG_USEC": "Set by systemd: the watchdog timeout, in microseconds.",
    "WATCHDOG_PID": "Set by systemd: the process that the watchdog monitors.",
    "RUNTIME_DIRECTORY": "Set by systemd: the directory of the file that states how the previous run ended.",
    "SUPERVISOR_TOKEN": "Set by Home Assistant: the key with which its add-on asks for an MQTT broker.",
    "TZ": "Set by Home Assistant: the time zone of a station that is its add-on, if no other is chosen.",
    "PATH": "Passed on to the process that creates documents.",
    "LANG": "Passed on to the process that creates documents.",
    "LC_ALL": "Passed on to the process that creates documents.",
    "LD_LIBRARY_PATH": "Passed on to the process that creates documents.",
    "PYTHONPATH": "Passed on to the process that creates documents.",
    "PYTHONHOME": "Passed on to the process that creates documents.",
    "PYTHONTZPATH": "Passed on to the process that creates documents.",
}
"""variables that set no key and that the program reads, with their purpose"""


def of_keys() -> list[tuple[str, str]]:
    """Each variable that sets a key with a plain value, and that key."""
    return list(dict.fromkeys(_plain_keys()))


def _plain_keys() -> Iterator[tuple[str, str]]:
    for section in sections():
        for place in section.places:
            for name, kind in keys.key_types(section.model).items():
                if keys.tables(kind) or keys.tables(keys.entry(kind)):
                    continue
                path = f"{place}.{name}" if place else name
                yield f"BORNE_{path.replace('[]', '_0').replace('.', '_').upper()}", path.replace("[]", "[0]")


def page() -> str:
    """Generate the page."""
    ours = [(f"`{variable}`", f"`{key}`") for variable, key in sorted(of_keys())]
    other_rows = [(f"`{name}`", meaning) for name, meaning in OF_THE_SYSTEM.items()]
    return "".join(
        [_HEAD, table(("variable", "key"), ours), _SYSTEM, table(("variable", "meaning"), other_rows)],
    )

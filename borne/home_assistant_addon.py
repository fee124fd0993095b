"""The start of a station as an add-on of Home Assistant, and its backup: `python3 -m borne.home_assistant_addon`.

The supervisor of Home Assistant writes what a user has entered to /data/options.json. Its groups are tables of the
installation file, with the same names and keys; they become /data/station.toml. Then the program takes the place of
this process, as the user `borne`. With the argument `back-up` it copies the database of a running station instead.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import sqlite3
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from http.client import HTTPException
from pathlib import Path
from typing import Final
from urllib.error import URLError
from urllib.request import Request, urlopen

from msgspec import DecodeError, ValidationError
from msgspec.json import decode

from foundation.frozen import Frozen
from foundation.json_values import is_list, is_object, parse_object
from station.configuration.example_values import toml_text
from station.configuration.installation_file import Configuration, ConfigurationError, load_configuration
from station.storage.private_files import sync_folder

_USER: Final = "borne"
_SERVICES_URL: Final = "http://supervisor/services/mqtt"
_TIMEOUT_S: Final = 10.0
_BACK_UP: Final = "back-up"
_INSTALL: Final = "install-firmware"
_TOKEN: Final = "SUPERVISOR_TOKEN"
"""the environment variable with the key to the supervisor's API, which the station does not get"""
OWN_FILE: Final = "installation_file"
"""the option that names an installation file in place of all others"""


class AddonError(Exception):
    """The add-on cannot start; one sentence in each line says which option to change."""


class AddonFolders(Frozen):
    """The folders that the supervisor mounts into the container."""

    data: Path = Path("/data")
    """private to the add-on, in Home Assistant's backups: options.json, and what the station stores"""
    configuration: Path = Path("/config")
    """where the user puts files for the add-on"""

    @property
    def installation_file(self) -> Path:
        """The installation file with which the station runs."""
        return self.data / "station.toml"

    @property
    def storage(self) -> Path:
        """The directory of the records."""
        return self.data / "borne"

    @property
    def database(self) -> Path:
        """The database in the directory of the records."""
        return self.storage / "borne.sqlite"

    @property
    def database_copy(self) -> Path:
        """The database as of the last backup: a backup contains it in place of the one in use."""
        return self.data / "backup" / "database"


class MqttService(Frozen, forbid_unknown_fields=False):
    """The broker that another add-on offers, as the supervisor describes it."""

    host: str
    port: int
    ssl: bool = False
    username: str = ""
    password: str = ""

    def variables(self) -> dict[str, str]:
        """Environment variables of the program that name this broker."""
        values = {
            "BORNE_MQTT_HOST": self.host,
            "BORNE_MQTT_PORT": str(self.port),
            "BORNE_MQTT_TLS": str(self.ssl).lower(),
            "BORNE_MQTT_USER": self.username,
            "BORNE_MQTT_PASSWORD": self.password,
        }
        return {name: value for name, value in values.items() if value}


class _MqttAnswer(Frozen, forbid_unknown_fields=False):
    data: MqttService


def write_installation_file(folders: AddonFolders, environ: Mapping[str, str]) -> Configuration:
    """Write the installation file that the options describe, or copy the one that they name, and return what it says.

    `environ`: overrides keys of the file by its BORNE_ variables, as for `borne run`.

    Raises:
        AddonError: the options or the file are invalid; the file is then not used.
    """
    options = _read_options(folders.data / "options.json")
    own = options.pop(OWN_FILE, None)
    target = folders.installation_file
    if own:
        source = _own_file(folders.configuration, str(own))
        configuration = _validate(source, environ)
        _write(target, source.read_text(encoding="utf-8"))
        return configuration
    zone = {"time_zone": environ["TZ"]} if environ.get("TZ") else {}
    station = options.get("station")
    tree = {**options, "station": {**zone, **(station if is_object(station) else {})}}
    match options.get("board"):
        case {"type": "modbus"}:  # whose firmware is not simulated either
            command = [sys.executable, "-I", "-m", "borne.home_assistant_addon", _INSTALL]
            tree["firmware"] = {"type": "command", "install_command": command}
        case _:
            pass
    _write(target, "".join(f"{name} = {toml_text(table)}\n" for name, table in tree.items()))
    try:
        return _validate(target, environ)
    except AddonError as error:
        place = re.compile(rf"^{re.escape(str(target))}(:\d+)?: ", re.MULTILINE)
        raise AddonError(place.sub("option ", str(error))) from None


def _write(file: Path, text: str) -> None:
    """Write a file that only its owner can read: it may contain passwords."""
    file.unlink(missing_ok=True)
    file.touch(0o600)
    file.write_text(text, encoding="utf-8")


def _read_options(file: Path) -> dict[str, object]:
    """The options, without those that are left empty."""
    try:
        options = parse_object(file.read_bytes())
    except (OSError, ValueError) as error:
        raise AddonError(f"{file}: cannot be read: {error}") from None
    return {name: value for name, value in _filled_in(options) if value not in ({}, [])}


def _filled_in(group: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """The options of a group that have a value; empty texts, groups and lists mean that they were left out."""
    for name, value in group.items():
        if is_object(value):
            value = dict(_filled_in(value))
        elif is_list(value):
            value = [dict(_filled_in(entry)) if is_object(entry) else entry for entry in value]
        if value not in (None, "", {}, []):
            yield name, value


def _own_file(folder: Path, name: str) -> Path:
    file = folder / name
    if not file.resolve().is_relative_to(folder.resolve()):
        raise AddonError(f"option {OWN_FILE}: must be in the folder of the add-on (is {name})")
    if not file.is_file():
        raise AddonError(f"option {OWN_FILE}: there is no file {name} in the folder of the add-on")
    return file


def _validate(file: Path, environ: Mapping[str, str]) -> Configuration:
    try:
        return load_configuration(file, environ)
    except ConfigurationError as error:
        raise AddonError("\n".join(error.sentences)) from None


def find_broker(environ: Mapping[str, str], url: str = _SERVICES_URL) -> MqttService | None:
    """Ask the supervisor for the broker of another add-on; None if there is none, which is not an error."""
    token = environ.get(_TOKEN)
    if not token:
        return None
    request = Request(url, headers={"Authorization": f"Bearer {token}"})
    try:
        with urlopen(request, timeout=_TIMEOUT_S) as answer:
            return decode(answer.read(), type=_MqttAnswer).data
    except (OSError, HTTPException, URLError, DecodeError, ValidationError) as error:
        _say(f"Home Assistant offers no MQTT broker ({error}): the station runs without MQTT")
        return None


def back_up(folders: AddonFolders) -> None:
    """Copy the database of a running station, as of one moment; the supervisor calls this before a backup."""
    copy, part = folders.database_copy, folders.database_copy.with_suffix(".part")
    copy.parent.mkdir(exist_ok=True)
    part.unlink(missing_ok=True)
    with closing(sqlite3.connect(folders.database)) as source, closing(sqlite3.connect(part)) as target:
        source.backup(target)
    _put_in_place(part, copy)


def restore(folders: AddonFolders) -> None:
    """Use the copied database if there is none: after Home Assistant has restored a backup."""
    if folders.database_copy.exists() and not folders.database.exists():
        folders.storage.mkdir(exist_ok=True)
        part = folders.database.with_suffix(".part")
        shutil.copyfile(folders.database_copy, part)
        _put_in_place(part, folders.database)


def _put_in_place(part: Path, file: Path) -> None:
    """Give a complete file its name: a power cut leaves none or all of it."""
    with part.open("rb") as written:
        os.fsync(written.fileno())
    part.replace(file)
    sync_folder(file.parent)


def _give_up_root(folders: AddonFolders) -> None:
    """Become the user `borne`, who owns its files, with the groups of the devices that the installation file names."""
    user = pwd.getpwnam(_USER)
    folders.storage.mkdir(exist_ok=True)
    for file in [folders.storage, *folders.storage.rglob("*"), folders.installation_file]:
        os.chown(file, user.pw_uid, user.pw_gid, follow_symlinks=False)
    named = re.findall(r'"(/dev/[^"]+)"', folders.installation_file.read_text(encoding="utf-8"))
    groups = {os.stat(device).st_gid for device in named if os.path.exists(device)}
    os.setgroups(sorted(groups - {0}))
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)


def _start(folders: AddonFolders) -> None:
    """Become the program: returns only by an error.

    Raises:
        AddonError: the options are invalid.
    """
    os.umask(0o077)
    environ = dict(os.environ)
    configuration = write_installation_file(folders, environ)
    if configuration.mqtt is None and (broker := find_broker(environ)) is not None:
        environ |= broker.variables()
    environ.pop(_TOKEN, None)
    restore(folders)
    if os.geteuid() == 0:
        _give_up_root(folders)
    os.execve("/usr/bin/borne", ["borne", "run", "--config", str(folders.installation_file)], environ)


def _say(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()


def main(arguments: Sequence[str]) -> int:
    """Run the add-on, make its backup (`back-up`), or reject firmware (`install-firmware`); returns the exit code."""
    folders = AddonFolders()
    match arguments:
        case [str(action)] if action == _BACK_UP:
            back_up(folders)
            return 0
        case [str(action), _] if action == _INSTALL:
            _say("Home Assistant updates the add-on: firmware of the CSMS is not installed")
            return 1
        case _:
            pass
    try:
        _start(folders)
    except AddonError as error:
        _say(str(error))
    return 2


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

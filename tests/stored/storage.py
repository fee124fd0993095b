"""A station's storage directory as files that can be reviewed: the database is kept as SQL, the rest as it is."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from station.configuration.installation_file import Configuration
from tests.walk import configuration

HERE: Final = Path(__file__).parent
DATABASE: Final = "borne.sqlite"
DUMP: Final = "borne.sql"
INFO: Final = "stored.json"
CSMS_ADDRESS: Final = "csms.invalid:9000"
"""stands in the fixture for the address of the CSMS, whose port is another one in each run"""

_NOT_IN_FIXTURE: Final = frozenset({"log", "borne.pid", DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm"})
"""the log is no data: it is only ever appended to, and shown as text"""

PASSWORDS: Final = {"owner": "correct horse battery", "installer": "battery horse correct"}
BASIC_AUTH: Final = "0123456789abcdef-of-a-test"
Row = tuple[object, ...]


@dataclass(frozen=True)
class Stored:
    """A fixture: a storage of one released version."""

    folder: Path

    @property
    def version(self) -> str:
        """The release that has written the storage."""
        return self.folder.name

    @property
    def info(self) -> dict[str, Any]:
        """Values known to the script only: the time at its end, and the secret of an access token."""
        return json.loads((self.folder / INFO).read_text(encoding="utf-8"))

    @property
    def ended_at(self) -> datetime:
        """The station's own time when the power failed."""
        return datetime.fromisoformat(self.info["ended_at"])

    def kinds_of_facts(self) -> set[str]:
        """The kinds of its facts: the first parts of their names."""
        with contextlib.closing(sqlite3.connect(":memory:")) as database:
            database.executescript((self.folder / DUMP).read_text(encoding="utf-8"))
            names = database.execute("SELECT name FROM facts").fetchall()
        return {str(name).partition("/")[0] for (name,) in names}

    def restore(self, storage: Path, csms_port: int = 9) -> None:
        """Write the storage directory as the station left it."""
        shutil.copytree(self.folder / "files", storage, dirs_exist_ok=True)
        for file in storage.rglob("*"):
            file.chmod(0o700 if file.is_dir() else 0o600)
        address = f"127.0.0.1:{csms_port}"
        sql = (self.folder / DUMP).read_text(encoding="utf-8").replace(CSMS_ADDRESS, address)
        with contextlib.closing(sqlite3.connect(storage / DATABASE)) as database:
            database.executescript(sql)
        (storage / DATABASE).chmod(0o600)

    def save(self, storage: Path, csms_port: int, info: dict[str, Any]) -> None:
        """Save a storage directory that no station uses any more as this fixture."""
        shutil.rmtree(self.folder, ignore_errors=True)
        for file in sorted(storage.rglob("*")):
            place = file.relative_to(storage)
            if file.is_file() and place.parts[0] not in _NOT_IN_FIXTURE:
                target = self.folder / "files" / place
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)
        with contextlib.closing(sqlite3.connect(storage / DATABASE)) as database:
            lines = list(database.iterdump())
            ((version,),) = database.execute("PRAGMA user_version")
            ((vacuum,),) = database.execute("PRAGMA auto_vacuum")
        sql = "\n".join([f"PRAGMA auto_vacuum={vacuum};", *lines, f"PRAGMA user_version={version};", ""])
        sql = sql.replace(f"127.0.0.1:{csms_port}", CSMS_ADDRESS)
        (self.folder / DUMP).write_text(sql, encoding="utf-8")
        (self.folder / INFO).write_text(json.dumps(info, indent=1) + "\n", encoding="utf-8")


def all_stored() -> list[Stored]:
    """The fixtures of all released versions, the oldest first."""
    folders = [file.parent for file in HERE.glob(f"*/{INFO}")]
    return [Stored(folder) for folder in sorted(folders, key=lambda folder: [int(n) for n in folder.name.split(".")])]


def tables(database: sqlite3.Connection) -> dict[str, list[Row]]:
    """All rows of all tables, in their order."""
    names = [
        str(name)
        for (name,) in database.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
        )
    ]
    return {name: [tuple(row) for row in database.execute(f"SELECT * FROM {name} ORDER BY 1, 2")] for name in names}


def station_configuration(storage: Path, csms_url: str) -> Configuration:
    """The installation file of the fixture's station, for this place and this CSMS."""
    custom_variable = {"component": "OwnCtrlr", "variable": "Place", "value": "garage", "mutability": "ReadWrite"}
    tables: dict[str, Any] = {
        "station": {"identity": "BORNE-TEST", "serial_number": "0001", "commissioning": "required"},
        "http": {"tls": True},
        "simulation": {"follow_csms_time": True},
        "grid": {"phases": 3, "max_current_a": 80.0, "source": {"type": "linky", "device": "no-such-device"}},
        "grid_order": {
            "type": "dry-contact",
            "polarity": "closed-dims",
            "chip": "simulated",
            "line": 17,
            "opposite_line": 27,
        },
        "evse": [{"id": 1}, {"id": 2}, {"id": 3}, {"id": 4}],
        "prices": {"currency": "EUR", "energy_per_kwh": 0.25},
        "variable": [custom_variable, *PRESETS],
    }
    tables["csms"] = {"url": csms_url, "password": BASIC_AUTH}
    return configuration(storage, csms_url, **tables)


def _preset(component: str, variable: str, value: str) -> dict[str, str]:
    return {"component": component, "variable": variable, "value": value}


PRESETS: Final = [
    _preset("SampledDataCtrlr", "SignReadings", "true"),
    _preset("SampledDataCtrlr", "SignUpdatedReadings", "true"),
    _preset("SampledDataCtrlr", "TxUpdatedInterval", "30"),
    _preset("SampledDataCtrlr", "TxEndedInterval", "60"),
    _preset("AlignedDataCtrlr", "Interval", "300"),
    _preset("AuthCtrlr", "OfflineTxForUnknownIdEnabled", "true"),
]

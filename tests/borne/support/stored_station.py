"""A station that is not running, with rows and files as a run leaves them, and the commands on it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Generator
from pathlib import Path

from station.storage import database_schema
from tests.command_line import Outcome, invoke

IDENTITY = "BORNE-BACKUP"
PASSPHRASE = "correct horse battery"
CERTIFICATE = "certificates/station/current.pem"


class StoredStation:
    """An installation file and a storage folder, below a folder of the test."""

    def __init__(self, folder: Path, identity: str = IDENTITY, *, more: str = "") -> None:
        self.folder = folder
        self.etc = folder / "etc"
        self.storage = folder / "storage"
        self.installation = self.etc / "station.toml"
        self.backup_file = folder / "station.backup"
        self._passphrase_file = folder / "passphrase"
        self.etc.mkdir(parents=True)
        self._passphrase_file.write_text(f"{PASSPHRASE}\n", encoding="utf-8")
        self.install(identity, more=more)

    def install(self, identity: str, *, more: str = "") -> None:
        """Write the installation file."""
        self.installation.write_text(
            f'[station]\nidentity = "{identity}"\nstorage = "{self.storage}"\n[[evse]]\n{more}', encoding="utf-8"
        )

    def fill(self, mark: str) -> None:
        """Store settings and files that have this mark."""
        self.storage.mkdir(exist_ok=True)
        database_schema.create(self.storage / "borne.sqlite")
        with self.database() as database:
            for table, columns in (("settings", "name, value"), ("facts", "name, value")):
                name = "Setting.One" if table == "settings" else "prices/list"
                database.execute(f"INSERT OR REPLACE INTO {table} ({columns}) VALUES (?, ?)", (name, mark))
            database.execute("INSERT OR REPLACE INTO facts VALUES ('card/1', ?)", (mark,))
            database.execute("INSERT OR REPLACE INTO facts VALUES ('tamper/alarm', ?)", (mark,))
            database.execute("DELETE FROM local_list")
            database.execute("INSERT INTO local_list (token, type, info) VALUES (?, 'ISO14443', '{}')", (mark,))
        for name in ("basic-auth.json", CERTIFICATE, "site-settings.json"):
            (self.storage / name).parent.mkdir(parents=True, exist_ok=True)
            (self.storage / name).write_text(mark, encoding="utf-8")

    def add_transaction(self, identity: str, *, ended: bool = True, settled: bool = True) -> None:
        """Store the events of a transaction, and an entry of the register journal."""
        settled_at = "2026-03-01T12:00:00+00:00" if settled else None
        kinds = ("Started", "Ended") if ended else ("Started",)
        with self.database() as database:
            for number, kind in enumerate(kinds):
                database.execute(
                    "INSERT INTO events (transaction_id, seq_no, evse_id, event_type, occurred_at, offline, settled_at,"
                    " payload) VALUES (?, ?, 1, ?, '2026-03-01T11:00:00+00:00', 0, ?, '{}')",
                    (identity, number, kind, settled_at),
                )
        with (self.storage / "register-journal.jsonl").open("a", encoding="utf-8") as journal:
            journal.write(f"{identity}\n")

    @contextlib.contextmanager
    def database(self) -> Generator[sqlite3.Connection]:
        """The database, whose changes are committed at the end."""
        with contextlib.closing(sqlite3.connect(self.storage / "borne.sqlite")) as connection:
            yield connection
            connection.commit()

    def read(self, sql: str) -> list[tuple[object, ...]]:
        """The rows of a query."""
        with self.database() as database:
            return database.execute(sql).fetchall()

    def marks(self) -> set[object]:
        """The marks of all that a backup without records replaces; one if nothing is mixed."""
        with self.database() as database:
            rows = database.execute(
                "SELECT value FROM settings UNION ALL SELECT value FROM facts WHERE name NOT LIKE 'tamper/%'"
                " UNION ALL SELECT token FROM local_list"
            ).fetchall()
        files = ("basic-auth.json", CERTIFICATE, "site-settings.json")
        return {row[0] for row in rows} | {(self.storage / name).read_text(encoding="utf-8") for name in files}

    def content(self) -> dict[str, bytes]:
        """All files of the storage and of the installation, to see that nothing has changed."""
        found = {
            str(path.relative_to(self.folder)): path.read_bytes()
            for folder in (self.storage, self.etc)
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name != "borne.pid"
        }
        empty_folders = [path for path in self.storage.rglob("*") if path.is_dir() and not any(path.iterdir())]
        return found | {str(path): b"" for path in empty_folders}

    def backup(self, *options: str) -> Outcome:
        """Run `borne backup --force`."""
        return self._invoke("backup", "--force", *options)

    def restore(self, *options: str) -> Outcome:
        """Run `borne restore`."""
        return self._invoke("restore", *options)

    def _invoke(self, command: str, *options: str) -> Outcome:
        places = [str(self.backup_file), str(self.installation)]
        return invoke([command, *places, "--passphrase-file", str(self._passphrase_file), *options])

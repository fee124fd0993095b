"""`borne backup` and `borne restore` on a stored station: what returns, what stays, and every refusal."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from station.maintenance.backup import encrypted_file
from station.storage import private_files, storage_swap
from station.storage.database_schema import migrations
from station.storage.storage_lock import StorageLock
from station.storage.storage_swap import lock_storage
from tests.borne.support.stored_station import IDENTITY, StoredStation
from tests.command_line import invoke


@pytest.fixture(autouse=True)
def cached_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Derive the keys of a passphrase and header once: scrypt is slow on purpose."""
    monkeypatch.setattr(encrypted_file, "derive_keys", functools.cache(encrypted_file.derive_keys))


@pytest.fixture
def station(tmp_path: Path) -> StoredStation:
    """A station with the state `old`, and a backup with the state `saved`."""
    stored = StoredStation(tmp_path)
    stored.fill("saved")
    assert stored.backup().exit_code == 0
    stored.fill("old")
    return stored


def refused(station: StoredStation, reason: str, *options: str) -> None:
    """A restore is refused with a sentence, and nothing has changed."""
    before = station.content()
    outcome = station.restore(*options)
    assert outcome.exit_code == 2
    assert reason in outcome.stderr
    assert station.content() == before


def test_a_backup_is_private_and_shows_nothing_of_its_content(station: StoredStation) -> None:
    assert station.backup_file.stat().st_mode & 0o777 == 0o600
    content = station.backup_file.read_bytes()
    assert b"saved" not in content
    assert IDENTITY.encode() not in content


def test_settings_cards_prices_and_certificates_return(station: StoredStation) -> None:
    outcome = station.restore()
    assert outcome.exit_code == 0, outcome.stderr
    assert station.marks() == {"saved"}
    assert not list(station.storage.glob("restore.*"))


def test_files_and_rows_that_came_after_the_backup_go(station: StoredStation) -> None:
    (station.storage / "page.pem").write_text("new", encoding="utf-8")
    (station.storage / "certificates/csms-roots").mkdir()
    (station.storage / "certificates/csms-roots/new.pem").write_text("new", encoding="utf-8")
    with station.database() as database:
        database.execute("INSERT INTO settings VALUES ('Setting.Two', 'old')")
    assert station.restore().exit_code == 0
    assert not (station.storage / "page.pem").exists()
    assert not (station.storage / "certificates/csms-roots").exists()
    assert station.read("SELECT value FROM settings") == [("saved",)]


def test_an_alarm_is_not_acknowledged_by_a_restore(station: StoredStation) -> None:
    assert station.restore().exit_code == 0
    assert station.read("SELECT value FROM facts WHERE name = 'tamper/alarm'") == [("old",)]


def test_records_stay_without_records(station: StoredStation) -> None:
    station.add_transaction("after-the-backup")
    (station.storage / "signing").mkdir()
    (station.storage / "signing/evse-1.pages").write_text("17", encoding="utf-8")
    assert station.restore().exit_code == 0
    assert station.read("SELECT transaction_id FROM transactions") == [("after-the-backup",)]
    assert station.read("SELECT COUNT(*) FROM events") == [(2,)]
    assert (station.storage / "register-journal.jsonl").read_text(encoding="utf-8") == "after-the-backup\n"
    assert (station.storage / "signing/evse-1.pages").read_text(encoding="utf-8") == "17"


def test_the_restore_is_in_the_security_log(station: StoredStation) -> None:
    assert station.restore().exit_code == 0
    ((sentence,),) = station.read("SELECT info FROM security_events ORDER BY id DESC LIMIT 1")
    assert str(sentence).startswith("restored from a backup of 2")


def test_records_return_on_an_empty_storage_and_their_numbers_continue(tmp_path: Path) -> None:
    station = StoredStation(tmp_path)
    station.fill("saved")
    station.add_transaction("one")
    with station.database() as database:
        database.execute("DELETE FROM events")  # as the station does with old ones: their ids are not used again
        database.execute("INSERT INTO facts VALUES ('meter/1', '{\"register_wh\": 5000.0}')")
    station.add_transaction("two")
    rows = station.read("SELECT * FROM events ORDER BY id"), station.read("SELECT * FROM transactions ORDER BY number")
    assert station.backup("--records").exit_code == 0
    shutil.rmtree(station.storage)
    assert station.restore("--records").exit_code == 0
    assert rows == (
        station.read("SELECT * FROM events ORDER BY id"),
        station.read("SELECT * FROM transactions ORDER BY number"),
    )
    assert (station.storage / "register-journal.jsonl").read_text(encoding="utf-8") == "one\ntwo\n"
    station.add_transaction("three")
    assert station.read("SELECT MIN(id) FROM events WHERE transaction_id = 'three'") == [(5,)]


def test_damaged_texts_and_bytes_return_as_they_were(tmp_path: Path) -> None:
    station = StoredStation(tmp_path)
    station.fill("saved")
    rows = [("a", "ü€"), ("b", 1.5), ("c", b"\x00\xff")]
    with station.database() as database:
        database.executemany("INSERT INTO settings VALUES (?, ?)", rows)
        database.execute("INSERT INTO settings VALUES ('d', CAST(x'6180ff62' AS TEXT))")
    query = "SELECT name, typeof(value), hex(value) FROM settings ORDER BY name"
    before = station.read(query)
    assert station.backup().exit_code == 0
    with station.database() as database:
        database.execute("DELETE FROM settings")
    assert station.restore().exit_code == 0
    assert station.read(query) == before


def test_rows_that_a_safe_start_has_set_aside_are_saved_and_return_to_their_table(tmp_path: Path) -> None:
    station = StoredStation(tmp_path)
    station.fill("saved")
    with station.database() as database:
        database.execute("CREATE TABLE aside_settings AS SELECT * FROM settings")
        database.execute("INSERT INTO aside_settings VALUES ('Setting.Two', 'saved')")
        database.execute("UPDATE aside_settings SET value = 'older' WHERE name = 'Setting.One'")
    assert station.backup().exit_code == 0
    assert station.restore().exit_code == 0
    expected = [("Setting.One", "saved"), ("Setting.Two", "saved")]
    assert station.read("SELECT * FROM settings ORDER BY name") == expected
    assert station.read("SELECT * FROM aside_settings") == []


def test_a_backup_of_an_older_storage_is_restored(tmp_path: Path) -> None:
    station = StoredStation(tmp_path)
    station.storage.mkdir()
    old = sqlite3.connect(station.storage / "borne.sqlite")
    for migration in migrations()[:12]:  # before the local list
        old.executescript(migration.sql)
    old.execute("PRAGMA user_version=12")
    old.execute("INSERT INTO settings VALUES ('Setting.One', 'saved')")
    old.commit()
    old.close()
    assert station.backup("--records").exit_code == 0
    shutil.rmtree(station.storage)
    assert station.restore("--records").exit_code == 0
    assert station.read("SELECT value FROM settings") == [("saved",)]
    assert station.read("PRAGMA user_version") == [(len(migrations()),)]


def test_the_installation_file_and_what_is_beside_it_return_on_a_new_board(tmp_path: Path) -> None:
    station = StoredStation(tmp_path)
    (station.etc / "environment").write_text("BORNE_CSMS_PASSWORD=secret-of-the-service\n", encoding="utf-8")
    roots = station.etc / "roots.pem"
    roots.write_text("roots", encoding="utf-8")
    station.install(IDENTITY, more=f'[csms]\nurl = "wss://csms.example/ocpp"\nca_file = "{roots}"\n')
    station.fill("saved")
    text = station.installation.read_text(encoding="utf-8")
    assert station.backup().exit_code == 0
    for path in (*station.etc.iterdir(),):
        path.unlink()
    shutil.rmtree(station.storage)
    station.installation.write_text('[station]\nidentity = "EXAMPLE"\n[[evse]]\n', encoding="utf-8")  # of the package
    outcome = station.restore()
    assert outcome.exit_code == 0, outcome.stderr
    assert station.installation.read_text(encoding="utf-8") == text
    assert "EXAMPLE" in (station.etc / "station.toml.before-restore").read_text(encoding="utf-8")
    assert roots.read_text(encoding="utf-8") == "roots"
    assert "secret-of-the-service" in (station.etc / "environment").read_text(encoding="utf-8")
    assert sorted(path.name for path in station.etc.iterdir()) == [
        "environment",
        "roots.pem",
        "station.toml",
        "station.toml.before-restore",
    ]
    assert station.marks() == {"saved"}


def test_a_file_beside_the_installation_file_is_not_overwritten(tmp_path: Path) -> None:
    station = StoredStation(tmp_path)
    environment = station.etc / "environment"
    environment.write_text("BORNE_LOG_LEVEL=info\n", encoding="utf-8")
    station.fill("saved")
    assert station.backup().exit_code == 0
    environment.write_text("BORNE_LOG_LEVEL=debug\n", encoding="utf-8")
    refused(station, f"{environment} differs from that in the backup")
    assert station.restore("--keep-installation").exit_code == 0
    assert environment.read_text(encoding="utf-8") == "BORNE_LOG_LEVEL=debug\n"


def test_a_file_elsewhere_is_named_since_it_is_not_in_the_backup(tmp_path: Path) -> None:
    roots = tmp_path / "roots.pem"
    roots.write_text("roots", encoding="utf-8")
    station = StoredStation(
        tmp_path, more=f'[csms]\nurl = "wss://c.example/"\npassword = "secret-secret-secret"\nca_file = "{roots}"\n'
    )
    station.fill("saved")
    outcome = station.backup()
    assert outcome.exit_code == 0
    assert outcome.stderr == f"{roots}: is not in the backup, since it is not in the folder of the installation file\n"


# Refusals: each leaves everything as it was


def test_a_running_station_is_not_restored(station: StoredStation) -> None:
    with StorageLock(station.storage):
        refused(station, f"is in use by process {os.getpid()}; stop the station first")


def test_an_open_transaction_forbids_a_restore(station: StoredStation) -> None:
    station.add_transaction("running", ended=False)
    refused(station, "transaction running at EVSE 1 is still open")


def test_an_end_that_waits_for_its_meter_forbids_a_restore(station: StoredStation) -> None:
    with station.database() as database:
        database.execute("INSERT INTO awaited_ends VALUES ('waiting', '{}')")
    refused(station, "the end of transaction waiting waits for its meter")


def test_events_that_the_csms_has_not_received_forbid_a_restore(station: StoredStation) -> None:
    station.add_transaction("offline", settled=False)
    refused(station, "2 transaction events wait to be sent to the CSMS")


def test_a_wrong_passphrase_changes_nothing(station: StoredStation) -> None:
    (station.folder / "passphrase").write_text("another passphrase\n", encoding="utf-8")
    refused(station, "station.backup: the passphrase is wrong")


def test_a_damaged_file_changes_nothing(station: StoredStation) -> None:
    content = bytearray(station.backup_file.read_bytes())
    content[-40] ^= 1
    station.backup_file.write_bytes(bytes(content))
    refused(station, "the backup is damaged or incomplete")


def test_a_file_that_was_cut_off_changes_nothing(station: StoredStation) -> None:
    station.backup_file.write_bytes(station.backup_file.read_bytes()[:-1])
    refused(station, "the backup is damaged or incomplete")


def test_another_file_is_no_backup(station: StoredStation) -> None:
    station.backup_file.write_bytes(b"something else")
    refused(station, "this is no backup of a station")


def test_the_backup_of_another_station_is_refused(station: StoredStation) -> None:
    station.install("ANOTHER")
    refused(station, f"the backup is of the station {IDENTITY}, and this is ANOTHER")
    refused(station, f"the backup is of the station {IDENTITY}, and this is ANOTHER", "--keep-installation")


def test_a_storage_without_an_installation_file_belongs_to_nobody_knows_whom(station: StoredStation) -> None:
    station.installation.unlink()
    refused(station, "no installation file says of which")


def test_a_downgrade_is_refused(station: StoredStation, monkeypatch: pytest.MonkeyPatch) -> None:
    with station.database() as database:
        database.execute(f"PRAGMA user_version={len(migrations()) + 1}")
    outcome = station.backup()
    assert "a newer version of this program has written" in outcome.stderr
    with station.database() as database:
        database.execute(f"PRAGMA user_version={len(migrations())}")
    older = migrations()[:-1]
    monkeypatch.setattr("station.maintenance.backup.restore.migrations", lambda: older)
    refused(station, "a downgrade is not possible")


def test_records_that_are_not_in_the_backup_cannot_be_restored(station: StoredStation) -> None:
    refused(station, "the backup has no billing records", "--records")


@pytest.fixture
def saved(tmp_path: Path) -> StoredStation:
    """A station with the records of one transaction, and a backup of them."""
    station = StoredStation(tmp_path)
    station.fill("saved")
    station.add_transaction("one")
    assert station.backup("--records").exit_code == 0
    return station


def test_newer_records_are_not_replaced(saved: StoredStation) -> None:
    saved.add_transaction("two")
    refused(saved, "the station has newer billing records than the backup (events)", "--records")


def test_other_records_with_the_same_numbers_are_not_replaced(saved: StoredStation) -> None:
    shutil.rmtree(saved.storage)
    saved.fill("old")
    saved.add_transaction("other")
    refused(saved, "the station has other billing records than the backup (transaction other)", "--records")


def test_a_journal_is_never_shortened(saved: StoredStation) -> None:
    with (saved.storage / "register-journal.jsonl").open("a", encoding="utf-8") as journal:
        journal.write("a boot\n")
    refused(saved, "entries in register-journal.jsonl that the backup does not have", "--records")


def test_events_that_were_delivered_since_are_not_sent_again(tmp_path: Path) -> None:
    station = StoredStation(tmp_path)
    station.fill("saved")
    station.add_transaction("one", settled=False)
    assert station.backup("--records").exit_code == 0
    with station.database() as database:
        database.execute("UPDATE events SET settled_at = '2026-03-01T13:00:00+00:00'")
    refused(station, "the station has delivered events since the backup (transaction one)", "--records")


def test_records_in_another_folder_are_not_left_behind(saved: StoredStation) -> None:
    elsewhere = saved.storage.with_name("elsewhere")
    saved.storage.rename(elsewhere)
    text = saved.installation.read_text(encoding="utf-8")
    saved.installation.write_text(text.replace(str(saved.storage), str(elsewhere)), encoding="utf-8")
    refused(saved, f"and this station in {elsewhere}")


def test_a_request_to_clear_the_data_of_a_customer_outlasts_a_restore(saved: StoredStation) -> None:
    row = ("04c0ffee", "ISO14443", "2026-03-02T12:00:00+00:00")
    with saved.database() as database:
        database.execute("INSERT INTO customers_to_forget VALUES (?, ?, ?)", row)
    assert saved.restore("--records").exit_code == 0
    assert saved.read("SELECT * FROM customers_to_forget") == [row]


def test_the_security_log_since_the_backup_outlasts_a_restore(tmp_path: Path) -> None:
    station = StoredStation(tmp_path)
    station.fill("saved")
    insert = "INSERT INTO security_events (type, occurred_at, info, to_tell) VALUES (?, ?, ?, ?)"
    with station.database() as database:
        database.execute(insert, ("TamperDetectionActivated", "2026-03-01T11:00:00.000000+00:00", "", 1))
        database.execute(insert, ("StartupOfTheDevice", "2026-03-01T12:00:00.000000+00:00", "", 1))
    assert station.backup("--records").exit_code == 0
    with station.database() as database:
        database.execute("UPDATE security_events SET to_tell = 0 WHERE type = 'TamperDetectionActivated'")
        database.execute(insert, ("SettingSystemTime", "2026-03-02T11:00:00.000000+00:00", "by a person", 0))
        database.execute(insert, ("InvalidCsmsCertificate", "2026-03-02T12:00:00.000000+00:00", "", 1))
    for restores in (1, 2):  # a second one doubles nothing
        assert station.restore("--records").exit_code == 0
        rows = station.read("SELECT type, to_tell FROM security_events ORDER BY id")
        assert rows[:4] == [
            ("TamperDetectionActivated", 0),
            ("StartupOfTheDevice", 1),
            ("SettingSystemTime", 0),
            ("InvalidCsmsCertificate", 1),
        ]
        assert [name for name, _ in rows[4:]] == ["ReconfigurationOfSecurityParameters"] * restores


def test_a_register_never_runs_back(tmp_path: Path) -> None:
    station = StoredStation(tmp_path)
    station.fill("saved")
    with station.database() as database:
        database.execute("INSERT INTO facts VALUES ('meter/1', '{\"register_wh\": 5000.0}')")
    assert station.backup("--records").exit_code == 0
    with station.database() as database:
        database.execute("UPDATE facts SET value = '{\"register_wh\": 5001.0}' WHERE name = 'meter/1'")
    refused(station, "the register of the billing meter of EVSE 1 is ahead of that in the backup", "--records")
    assert station.restore().exit_code == 0
    assert station.read("SELECT value FROM facts WHERE name = 'meter/1'") == [('{"register_wh": 5001.0}',)]


def test_a_file_is_only_overwritten_on_request(station: StoredStation) -> None:
    before = station.backup_file.read_bytes()
    outcome = invoke(["backup", str(station.backup_file), str(station.installation)])
    assert outcome.exit_code == 2
    assert outcome.stderr == f"{station.backup_file}: already exists; use --force to overwrite it\n"
    assert station.backup_file.read_bytes() == before


def test_a_failed_backup_leaves_the_earlier_one(station: StoredStation) -> None:
    before = station.backup_file.read_bytes()
    (station.storage / "borne.sqlite").write_bytes(b"no database" * 100)
    outcome = station.backup()
    assert outcome.exit_code == 2
    assert "file is not a database" in outcome.stderr
    assert station.backup_file.read_bytes() == before
    assert not list(station.folder.glob(".station.backup*"))


def test_without_a_terminal_a_passphrase_file_is_required(
    station: StoredStation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    outcome = invoke(["restore", str(station.backup_file), str(station.installation)])
    assert outcome.exit_code == 2
    assert "use --passphrase-file" in outcome.stderr


# Power cuts


class PowerCut(BaseException):
    """The power is cut: nothing that follows in the program happens."""


class PowerSupply:
    """Cuts the power before a step of the disk: a rename, a sync of names, or a deletion."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, cut_before: int) -> None:
        self._left = cut_before
        self.was_cut = False
        for module, name in ((private_files, "move"), (private_files, "sync_folder"), (shutil, "rmtree")):
            monkeypatch.setattr(module, name, self._step(getattr(module, name)))
        monkeypatch.setattr(Path, "unlink", self._step(Path.unlink))

    def _step(self, act: Callable[..., object]) -> Callable[..., object]:
        def step(*arguments: object, **options: object) -> object:
            if self.was_cut or self._left == 0:
                self.was_cut = True
                if act.__name__ == "rmtree":  # a part of a folder may be deleted already
                    (Path(str(arguments[0])) / "plan.json").write_bytes(b"")
                raise PowerCut
            self._left -= 1
            return act(*arguments, **options)

        return step


@pytest.mark.parametrize("replaces_installation", [False, True])
def test_a_power_cut_at_any_step_leaves_the_old_state_or_the_new_one(
    tmp_path: Path, *, replaces_installation: bool
) -> None:
    station = StoredStation(tmp_path, more="# saved\n" if replaces_installation else "")
    station.fill("saved")
    assert station.backup().exit_code == 0
    steps, states = 0, set[str]()
    while True:
        shutil.rmtree(station.storage)
        shutil.rmtree(station.etc)
        station.etc.mkdir()
        station.install(IDENTITY)
        if replaces_installation:
            station.install(IDENTITY, more="# old\n")
        station.fill("old")
        with pytest.MonkeyPatch.context() as monkeypatch:
            supply = PowerSupply(monkeypatch, steps)
            with contextlib.suppress(PowerCut):
                station.restore()
        lock_storage(station.storage).release()  # the next start
        (state,) = station.marks()
        assert state in {"old", "saved"}
        if replaces_installation:
            assert f"# {state}" in station.installation.read_text(encoding="utf-8")
        assert not list(station.storage.glob("restore.*"))
        states.add(str(state))
        if not supply.was_cut:
            break
        steps += 1
    assert states == {"old", "saved"}
    assert steps > 20


def test_a_power_cut_while_the_next_start_completes_the_restore_does_no_harm(tmp_path: Path) -> None:
    station = StoredStation(tmp_path)
    station.fill("saved")
    assert station.backup().exit_code == 0
    for steps in range(12):
        shutil.rmtree(station.storage)
        station.fill("old")
        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.setattr(storage_swap.StorageSwap, "_move_files", _cut)
            with pytest.raises(PowerCut):
                station.restore()
        with pytest.MonkeyPatch.context() as monkeypatch:
            PowerSupply(monkeypatch, steps)
            with contextlib.suppress(PowerCut):
                lock_storage(station.storage).release()
        lock_storage(station.storage).release()
        assert station.marks() == {"saved"}


def _cut(_: object) -> None:
    raise PowerCut

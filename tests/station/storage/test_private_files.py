"""What only the station may read: its folders too, and on disk before anything is answered."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from station.storage import private_files
from tests.station.storage.conftest import SyncRecorder


def mode(path: Path) -> int:
    """What the owner, its group and all others may do."""
    return stat.S_IMODE(path.stat().st_mode)


def test_every_new_folder_on_the_way_to_a_private_file_is_private(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        private_files.write(tmp_path / "certificates" / "roots" / "csms" / "one.pem", "secret")
    finally:
        os.umask(before)
    place = tmp_path / "certificates"
    assert [mode(folder) for folder in (place, place / "roots", place / "roots" / "csms")] == [0o700] * 3
    assert mode(place / "roots" / "csms" / "one.pem") == 0o600


def test_every_new_folder_is_on_disk_when_a_file_in_it_is_said_to_be(tmp_path: Path, syncs: SyncRecorder) -> None:
    """The name of a folder is in the one above it: a power cut would take the file with the folder."""
    file = tmp_path / "certificates" / "roots" / "one.pem"
    private_files.write(file, "first")
    above, unfinished = [str(tmp_path), str(tmp_path / "certificates")], str(file.with_name(f".{file.name}.new"))
    assert syncs.paths == [*above, unfinished, str(file.parent)]
    syncs.paths.clear()
    private_files.write(file, "second")
    assert syncs.paths == [unfinished, str(file.parent)]


def test_a_folder_that_a_file_moves_into_is_on_disk(tmp_path: Path, syncs: SyncRecorder) -> None:
    source = tmp_path / "one.pem"
    source.write_text("first")
    private_files.move(source, tmp_path / "old" / "one.pem")
    assert syncs.paths == [str(tmp_path), str(tmp_path / "old"), str(tmp_path)]


def test_what_is_there_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "storage").mkdir(mode=0o755)
    private_files.write(tmp_path / "storage" / "certificates" / "one.pem", "secret")
    assert mode(tmp_path / "storage") == 0o755


def test_a_file_in_the_place_of_a_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "certificates").write_text("no folder")
    with pytest.raises(OSError, match="certificates"):
        private_files.create_folder(tmp_path / "certificates" / "roots")
    with pytest.raises(OSError, match="certificates"):
        private_files.create_folder(tmp_path / "certificates")


def test_a_folder_relative_to_the_working_directory_is_created_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    private_files.create_folder(Path("storage/certificates"), 0o700)
    assert (tmp_path / "storage" / "certificates").is_dir()

"""The basic-authentication password: stored, sent to the CSMS, replaced, and never logged (A00.FR.205, A01)."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from foundation.secret import Secret
from station.security.credentials import Credentials, Login
from station.storage.database import StorageError
from tests import fakes

INSTALLED = "installed-0123456789"
FIRST = "first-0123456789abcd"
SECOND = "second-0123456789abc"
URL = "wss://csms.example/ocpp"
SECOND_URL = "wss://other.example/ocpp"


IDENTITY = "BORNE-TEST"


def credentials(folder: Path, installed: str | None = INSTALLED, identity: str = IDENTITY) -> Credentials:
    login = Login(identity, Secret(installed) if installed is not None else None)
    return Credentials(folder / "secret.json", login, fakes.clock())


def password_for(stored: Credentials, url: str) -> str | None:
    password = stored.login_for(url).password
    return password.get_secret_value() if password is not None else None


async def test_a_change_outlives_a_boot_in_a_file_that_only_the_station_may_read(tmp_path: Path) -> None:
    """A01.FR.01, A01.FR.10."""
    assert credentials(tmp_path).password == INSTALLED
    await credentials(tmp_path).change(FIRST)
    assert credentials(tmp_path).password == FIRST
    assert (tmp_path / "secret.json").stat().st_mode & 0o777 == 0o600


async def test_a_password_that_an_installer_changes_outweighs_what_the_csms_set(tmp_path: Path) -> None:
    await credentials(tmp_path).change(FIRST)
    assert credentials(tmp_path, SECOND).password == SECOND
    assert credentials(tmp_path, None).password is None


@pytest.mark.parametrize("text", ["", "x" * 15, "x" * 65, "0123456789abcdef\n", "0123456789\x00abcdef"])
async def test_what_may_not_be_a_password_is_refused_without_showing_it(tmp_path: Path, text: str) -> None:
    """A00.FR.205 with errata 2.1."""
    stored = credentials(tmp_path)
    with pytest.raises(ValueError, match="must") as refused:
        await stored.change(text)
    assert not text or text not in str(refused.value)
    assert stored.password == INSTALLED
    assert not (tmp_path / "secret.json").exists()


@pytest.mark.parametrize("text", ["x" * 16, "x" * 64, "correct horse, battery: ünïcode"])
async def test_any_character_that_can_be_shown_may_be_in_it(tmp_path: Path, text: str) -> None:
    await credentials(tmp_path).change(text)
    assert credentials(tmp_path).password == text


async def test_the_former_password_is_tried_in_turn_until_the_new_one_works(tmp_path: Path) -> None:
    """The CSMS may never have heard that the station accepted the new one (A01.FR.04)."""
    stored = credentials(tmp_path)
    await stored.change(FIRST)
    offered: list[str | None] = []
    for _ in range(3):
        offered.append(password_for(stored, URL))
        stored.note_rejected(URL)
    assert offered == [FIRST, INSTALLED, FIRST]
    await stored.note_accepted(URL)  # with the former one
    assert password_for(stored, URL) == INSTALLED


async def test_a_csms_that_stores_the_new_password_after_it_took_the_former_one_is_reached(tmp_path: Path) -> None:
    stored = credentials(tmp_path)
    await stored.change(FIRST)
    stored.note_rejected(URL)
    await stored.note_accepted(URL)  # with the former one
    stored.note_rejected(URL)  # now the CSMS has stored the new one
    assert password_for(stored, URL) == FIRST
    await stored.note_accepted(URL)
    stored.note_rejected(URL)
    assert password_for(stored, URL) == FIRST
    assert password_for(credentials(tmp_path), URL) == FIRST


async def test_of_two_changes_in_a_row_the_one_that_was_never_tried_is_no_way_back(tmp_path: Path) -> None:
    """Otherwise a CSMS that has received neither could not be reached any more."""
    await credentials(tmp_path).change(FIRST)
    stored = credentials(tmp_path)
    await stored.change(SECOND)
    stored.note_rejected(URL)
    assert password_for(stored, URL) == INSTALLED
    await stored.change(INSTALLED)
    stored.note_rejected(URL)
    assert password_for(stored, URL) == INSTALLED


async def test_once_the_new_password_has_worked_the_former_one_is_gone_from_disk(tmp_path: Path) -> None:
    stored = credentials(tmp_path)
    await stored.change(FIRST)
    assert INSTALLED in (tmp_path / "secret.json").read_text()
    await stored.note_accepted(URL)
    stored.note_rejected(URL)
    assert password_for(stored, URL) == FIRST
    assert INSTALLED not in (tmp_path / "secret.json").read_text()


async def test_a_power_cut_before_the_new_password_worked_leaves_both(tmp_path: Path) -> None:
    await credentials(tmp_path).change(FIRST)
    after = credentials(tmp_path)
    after.note_rejected(URL)
    assert password_for(after, URL) == INSTALLED


async def test_each_url_has_its_own_turns(tmp_path: Path) -> None:
    """Else two CSMSs that are tried in turn would always be shown the same one each."""
    stored = credentials(tmp_path)
    await stored.change(FIRST)
    offered: dict[str, list[str | None]] = {URL: [], SECOND_URL: []}
    for url in (URL, SECOND_URL) * 2:
        offered[url].append(password_for(stored, url))
        stored.note_rejected(url)
    assert offered == {URL: [FIRST, INSTALLED], SECOND_URL: [FIRST, INSTALLED]}


@pytest.mark.parametrize("refusals", range(4))
async def test_a_power_cut_between_the_turns_loses_neither_password(tmp_path: Path, refusals: int) -> None:
    """By the file neither has been accepted yet; the new one is tried first again."""
    stored = credentials(tmp_path)
    await stored.change(FIRST)
    for _ in range(refusals):
        stored.note_rejected(URL)
    after = credentials(tmp_path)
    assert password_for(after, URL) == FIRST
    after.note_rejected(URL)
    assert password_for(after, URL) == INSTALLED
    await after.note_accepted(URL)
    assert password_for(after, URL) == INSTALLED
    assert password_for(credentials(tmp_path), URL) == FIRST


async def test_a_disk_that_refuses_leaves_the_old_password(tmp_path: Path) -> None:
    (tmp_path / "secret.json").mkdir()
    stored = credentials(tmp_path)
    with pytest.raises(StorageError):
        await stored.change(FIRST)
    assert stored.password == INSTALLED


def test_a_broken_file_is_said_without_its_content(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for content in ("{", f'{{"password": "{FIRST}", "x": 1}}', '["short"]', '{"password": "short"}', "\x00"):
        (tmp_path / "secret.json").write_text(content)
        assert credentials(tmp_path).password == INSTALLED
    assert len(caplog.records) == 5
    assert FIRST not in caplog.text


async def test_nothing_that_is_printed_shows_the_password(tmp_path: Path) -> None:
    stored = credentials(tmp_path)
    await stored.change(FIRST)
    for part in (stored, *vars(stored).values()):
        assert FIRST not in repr(part)


async def test_a_new_identity_outlives_a_boot_and_the_former_one_is_tried_in_turn(tmp_path: Path) -> None:
    """B09.FR.26: also where the station has no password."""
    stored = credentials(tmp_path, None)
    await stored.change_identity("OTHER")
    stored = credentials(tmp_path, None)
    assert stored.identity == "OTHER"
    offered: list[str] = []
    for _ in range(3):
        offered.append(stored.login_for(URL).identity)
        stored.note_rejected(URL, uses_password=False)
    assert offered == ["OTHER", IDENTITY, "OTHER"]
    stored.note_rejected(URL, uses_password=False)
    await stored.note_accepted(URL, uses_password=False)
    stored.note_rejected(URL, uses_password=False)
    assert stored.login_for(URL) == Login("OTHER")
    assert credentials(tmp_path, None).login_for(URL) == Login("OTHER")


async def test_an_identity_that_an_installer_changes_outweighs_what_the_csms_set(tmp_path: Path) -> None:
    stored = credentials(tmp_path)
    await stored.change_identity("OTHER")
    await stored.change(FIRST)
    assert credentials(tmp_path, identity="NEW").login_for(URL) == Login("NEW", Secret(FIRST))
    assert credentials(tmp_path, SECOND).login_for(URL) == Login("OTHER", Secret(SECOND))


async def test_identity_and_password_that_change_together_are_tried_together(tmp_path: Path) -> None:
    stored = credentials(tmp_path)
    await stored.change_identity("OTHER")
    await stored.change(FIRST)
    stored.note_rejected(URL)
    assert stored.login_for(URL) == Login(IDENTITY, Secret(INSTALLED))
    stored.note_rejected(URL)
    assert stored.login_for(URL) == Login("OTHER", Secret(FIRST))
    await stored.note_accepted(URL)
    stored.note_rejected(URL)
    assert credentials(tmp_path).login_for(URL) == Login("OTHER", Secret(FIRST))


async def test_a_connection_without_a_password_says_nothing_about_the_password(tmp_path: Path) -> None:
    stored = credentials(tmp_path)
    await stored.change(FIRST)
    await stored.note_accepted(URL, uses_password=False)
    stored.note_rejected(URL, uses_password=False)
    assert password_for(stored, URL) == FIRST
    await stored.change_identity("OTHER")
    await stored.note_accepted(URL, uses_password=False)
    stored.note_rejected(URL)
    assert stored.login_for(URL) == Login("OTHER", Secret(INSTALLED))

"""The authorization cache: what was last heard of a token, for as long as that counts."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from station.database import StorageError, open_database
from station.model import AuthorizationStatus, IdToken, IdTokenInfo
from station.settings import Settings
from station.token_store import TokenStore
from tests import fakes

ACCEPTED = IdTokenInfo(AuthorizationStatus.ACCEPTED, group_id=IdToken("GROUP", "Central"), evse_ids=(1, 2))
BLOCKED = IdTokenInfo(AuthorizationStatus.BLOCKED)


async def test_what_was_heard_is_found_and_the_newer_word_counts() -> None:
    """C10.FR.01, C10.FR.05"""
    store = TokenStore(None, Settings(), fakes.clock())
    assert store.find(fakes.CARD) is None
    await store.remember(fakes.CARD, ACCEPTED)
    assert store.find(fakes.CARD) == ACCEPTED
    await store.remember(fakes.CARD, BLOCKED)
    assert store.find(fakes.CARD) == BLOCKED


async def test_the_value_ignores_case_and_the_type_does_not() -> None:
    """C01.FR.25"""
    store = TokenStore(None, Settings(), fakes.clock())
    await store.remember(IdToken("abCD", "ISO14443"), ACCEPTED)
    assert store.find(IdToken("ABcd", "ISO14443")) == ACCEPTED
    assert store.find(IdToken("abCD", "eMAID")) is None


async def test_it_survives_a_restart(tmp_path: Path) -> None:
    """C10.FR.02"""
    clock = fakes.clock()
    async with open_database(tmp_path / "db", clock) as database:
        store = TokenStore(database, Settings(), clock)
        await store.remember(fakes.CARD, BLOCKED)
        await store.remember(fakes.CARD, ACCEPTED)
        await store.remember(fakes.OTHER_CARD, BLOCKED)
    async with open_database(tmp_path / "db", clock) as database:
        store = TokenStore(database, Settings(), clock)
        await store.load()
        assert store.find(fakes.CARD) == ACCEPTED
        assert store.find(fakes.OTHER_CARD) == BLOCKED
        await store.clear()
        assert store.entries() == []
        await store.load()
        assert store.entries() == []


async def test_an_entry_is_too_old_after_the_life_time_that_is_configured() -> None:
    """C10.FR.10, C10.FR.13"""
    settings, clock = Settings(), fakes.clock()
    store = TokenStore(None, settings, clock)
    settings.override(Settings.auth_cache_life_time_s, 60)
    await store.remember(fakes.CARD, ACCEPTED)
    await clock.advance(59)
    assert store.find(fakes.CARD) == ACCEPTED
    await clock.advance(1)
    assert store.find(fakes.CARD) is None


@pytest.mark.parametrize("expires_s", [-1, 0, 30, 10**7])
async def test_an_expiry_that_the_csms_told_goes_before_the_life_time(expires_s: int) -> None:
    settings, clock = Settings(), fakes.clock()
    store = TokenStore(None, settings, clock)
    settings.override(Settings.auth_cache_life_time_s, 60)
    expires_at = fakes.NOON + timedelta(seconds=expires_s)
    await store.remember(fakes.CARD, IdTokenInfo(AuthorizationStatus.ACCEPTED, expires_at=expires_at))
    assert (store.find(fakes.CARD) is not None) is (expires_s > 0)
    await clock.advance(max(0, expires_s))
    assert store.find(fakes.CARD) is None


@pytest.mark.parametrize("kind", ["Central", "NoAuthorization"])
async def test_tokens_that_the_csms_made_up_are_not_cached(kind: str) -> None:
    """C05.FR.02"""
    store = TokenStore(None, Settings(), fakes.clock())
    await store.remember(IdToken("made-up", kind), ACCEPTED)
    assert store.entries() == []


async def test_a_cache_that_is_switched_off_neither_learns_nor_answers() -> None:
    settings = Settings()
    store = TokenStore(None, settings, fakes.clock())
    await store.remember(fakes.CARD, ACCEPTED)
    settings.override(Settings.auth_cache_enabled, False)
    assert store.find(fakes.CARD) is None
    await store.remember(fakes.OTHER_CARD, ACCEPTED)
    settings.override(Settings.auth_cache_enabled, True)
    assert store.find(fakes.OTHER_CARD) is None


async def test_a_full_cache_forgets_whoever_was_heard_of_longest_ago_on_disk_too(tmp_path: Path) -> None:
    """C10.FR.07"""
    clock = fakes.clock()
    async with open_database(tmp_path / "db", clock) as database:
        rows = [
            (f"{number:04}", "eMAID", '{"status": "Accepted"}', (fakes.NOON + timedelta(seconds=number)).isoformat())
            for number in range(1000)
        ]
        await database.write_many("INSERT INTO authorization_cache VALUES (?, ?, ?, ?)", rows)
        await clock.advance(2000)
        store = TokenStore(database, Settings(), clock)
        await store.load()
        await store.remember(IdToken("0000", "eMAID"), ACCEPTED)
        await store.remember(IdToken("new", "eMAID"), ACCEPTED)
        for there in (store, TokenStore(database, Settings(), clock)):
            await there.load()
            assert len(there.entries()) == 1000
            assert there.find(IdToken("0001", "eMAID")) is None
            assert there.find(IdToken("0000", "eMAID")) == ACCEPTED
            assert there.find(IdToken("new", "eMAID")) == ACCEPTED


async def test_a_disk_that_refuses_does_not_keep_anybody_from_charging(tmp_path: Path) -> None:
    async with open_database(tmp_path / "db", fakes.clock()) as database:
        store = TokenStore(database, Settings(), fakes.clock())
        await database.rows("PRAGMA query_only=1")
        await store.remember(fakes.CARD, ACCEPTED)
        assert store.find(fakes.CARD) == ACCEPTED
        with pytest.raises(StorageError):
            await store.clear()
        assert store.find(fakes.CARD) is None

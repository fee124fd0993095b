"""The authorization cache: the last known status of a token, for as long as it is valid."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from station.charging.authorization.authorization_cache import AuthorizationCache
from station.charging.authorization.authorization_settings import AuthorizationSettings
from station.core.model import AuthorizationStatus, IdToken, IdTokenInfo
from station.storage.database import StorageError
from tests import fakes
from tests.databases import open_database

ACCEPTED = IdTokenInfo(AuthorizationStatus.ACCEPTED, group_id=IdToken("GROUP", "Central"), evse_ids=(1, 2))
BLOCKED = IdTokenInfo(AuthorizationStatus.BLOCKED)


async def test_a_received_answer_is_found_and_a_newer_one_replaces_it() -> None:
    """C10.FR.01, C10.FR.05"""
    store = AuthorizationCache(None, AuthorizationSettings(), fakes.clock())
    assert store.find(fakes.CARD) is None
    await store.update(fakes.CARD, ACCEPTED)
    assert store.find(fakes.CARD) == ACCEPTED
    await store.update(fakes.CARD, BLOCKED)
    assert store.find(fakes.CARD) == BLOCKED


async def test_the_value_ignores_case_and_the_type_does_not() -> None:
    """C01.FR.25"""
    store = AuthorizationCache(None, AuthorizationSettings(), fakes.clock())
    await store.update(IdToken("abCD", "ISO14443"), ACCEPTED)
    assert store.find(IdToken("ABcd", "ISO14443")) == ACCEPTED
    assert store.find(IdToken("abCD", "eMAID")) is None


async def test_it_survives_a_restart(tmp_path: Path) -> None:
    """C10.FR.02"""
    clock = fakes.clock()
    async with open_database(tmp_path / "db", clock) as database:
        store = AuthorizationCache(database, AuthorizationSettings(), clock)
        await store.update(fakes.CARD, BLOCKED)
        await store.update(fakes.CARD, ACCEPTED)
        await store.update(fakes.OTHER_CARD, BLOCKED)
    async with open_database(tmp_path / "db", clock) as database:
        store = AuthorizationCache(database, AuthorizationSettings(), clock)
        await store.load()
        assert store.find(fakes.CARD) == ACCEPTED
        assert store.find(fakes.OTHER_CARD) == BLOCKED
        await store.clear()
        assert store.entries() == []
        await store.load()
        assert store.entries() == []


async def test_an_entry_is_too_old_after_the_life_time_that_is_configured() -> None:
    """C10.FR.10, C10.FR.13"""
    settings, clock = AuthorizationSettings(), fakes.clock()
    store = AuthorizationCache(None, settings, clock)
    settings.override(AuthorizationSettings.auth_cache_life_time_s, 60)
    await store.update(fakes.CARD, ACCEPTED)
    await clock.advance(59)
    assert store.find(fakes.CARD) == ACCEPTED
    await clock.advance(1)
    assert store.find(fakes.CARD) is None


@pytest.mark.parametrize("expires_s", [-1, 0, 30, 10**7])
async def test_an_expiry_that_the_csms_sent_overrides_the_lifetime(expires_s: int) -> None:
    settings, clock = AuthorizationSettings(), fakes.clock()
    store = AuthorizationCache(None, settings, clock)
    settings.override(AuthorizationSettings.auth_cache_life_time_s, 60)
    expires_at = fakes.NOON + timedelta(seconds=expires_s)
    await store.update(fakes.CARD, IdTokenInfo(AuthorizationStatus.ACCEPTED, expires_at=expires_at))
    assert (store.find(fakes.CARD) is not None) is (expires_s > 0)
    await clock.advance(max(0, expires_s))
    assert store.find(fakes.CARD) is None


@pytest.mark.parametrize("kind", ["Central", "NoAuthorization"])
async def test_tokens_that_the_csms_made_up_are_not_cached(kind: str) -> None:
    """C05.FR.02"""
    store = AuthorizationCache(None, AuthorizationSettings(), fakes.clock())
    await store.update(IdToken("made-up", kind), ACCEPTED)
    assert store.entries() == []


async def test_a_cache_that_is_switched_off_neither_learns_nor_answers() -> None:
    settings = AuthorizationSettings()
    store = AuthorizationCache(None, settings, fakes.clock())
    await store.update(fakes.CARD, ACCEPTED)
    settings.override(AuthorizationSettings.auth_cache_enabled, False)
    assert store.find(fakes.CARD) is None
    await store.update(fakes.OTHER_CARD, ACCEPTED)
    settings.override(AuthorizationSettings.auth_cache_enabled, True)
    assert store.find(fakes.OTHER_CARD) is None


FULL_BYTES = 900
"""room for four entries of the next tests, and not for five"""


async def test_an_answer_received_while_the_cache_is_off_removes_the_entry_of_before(tmp_path: Path) -> None:
    """A card that was blocked meanwhile must not be taken for the accepted one of before."""
    settings, clock = AuthorizationSettings(), fakes.clock()
    async with open_database(tmp_path / "db", clock) as database:
        store = AuthorizationCache(database, settings, clock)
        await store.update(fakes.CARD, ACCEPTED)
        await store.update(fakes.OTHER_CARD, ACCEPTED)
        settings.override(AuthorizationSettings.auth_cache_enabled, False)
        await store.update(fakes.CARD, BLOCKED)
        settings.override(AuthorizationSettings.auth_cache_enabled, True)
        assert store.find(fakes.CARD) is None
        assert store.find(fakes.OTHER_CARD) == ACCEPTED
        reloaded = AuthorizationCache(database, settings, clock)
        await reloaded.load()
        assert reloaded.find(fakes.CARD) is None


@pytest.mark.parametrize(("back", "known"), [(timedelta(minutes=30), True), (timedelta(days=365), False)])
async def test_what_a_clock_that_was_ahead_has_stored_is_no_longer_believed(back: timedelta, known: bool) -> None:
    """C10.FR.10: it would outlive its lifetime by as much as the clock was wrong."""
    clock = fakes.clock()
    store = AuthorizationCache(None, AuthorizationSettings(), clock)
    await store.update(fakes.CARD, ACCEPTED)
    clock.adjust(-back)
    assert (store.find(fakes.CARD) is not None) is known


def card(number: int) -> IdToken:
    """The card with this number."""
    return IdToken(f"0{number}", "ISO14443")


@pytest.mark.parametrize(
    ("policy", "removed"),
    [
        ("FIFO", 1),  # the first that came
        ("LRU", 2),  # not presented for longest
        ("LFU", 3),  # presented least often
        ("CUSTOM", 4),  # refused, C10.FR.07
    ],
)
async def test_a_full_cache_makes_room_as_its_policy_says_on_disk_too(
    tmp_path: Path, policy: str, removed: int
) -> None:
    """C10.FR.07, AuthCacheCtrlr.Policy"""
    clock, settings = fakes.clock(), AuthorizationSettings()
    settings.override(AuthorizationSettings.auth_cache_policy, policy)
    async with open_database(tmp_path / "db", clock) as database:
        store = AuthorizationCache(database, settings, clock, most_bytes=FULL_BYTES)
        for number in (1, 2, 3, 4):
            info = BLOCKED if number == 4 else IdTokenInfo(AuthorizationStatus.ACCEPTED)
            await store.update(card(number), info)
            await clock.advance(1)
        for number in (2, 2, 3, 1, 1, 4, 4):
            assert store.find_and_count_use(card(number)) is not None
            await clock.advance(1)
        assert [number for number in (1, 2, 3, 4) if store.find(card(number)) is None] == []
        # What was counted is on disk with the next update of a token, and an update is no use of it.
        for number in (1, 2, 3, 4):
            await store.update(card(number), store.find(card(number)) or BLOCKED)
        reloaded = AuthorizationCache(database, settings, clock, most_bytes=FULL_BYTES)
        await reloaded.load()
        await reloaded.update(card(5), IdTokenInfo(AuthorizationStatus.ACCEPTED))
        for cache in (reloaded, AuthorizationCache(database, settings, clock)):
            await cache.load()
            assert [number for number in (1, 2, 3, 4, 5) if cache.find(card(number)) is None] == [removed]
            assert 0 < cache.size_bytes <= FULL_BYTES


async def test_a_refused_newcomer_comes_in_too() -> None:
    """C10.FR.07"""
    store = AuthorizationCache(None, AuthorizationSettings(), fakes.clock(), most_bytes=FULL_BYTES)
    for number in range(1, 10):
        await store.update(card(number), IdTokenInfo(AuthorizationStatus.ACCEPTED))
    await store.update(fakes.CARD, BLOCKED)
    assert store.find(fakes.CARD) == BLOCKED
    assert store.size_bytes <= FULL_BYTES


async def test_what_has_expired_is_taken_out_and_not_put_in(tmp_path: Path) -> None:
    """C10.FR.10, C10.FR.13: a prepaid token is not cached."""
    clock, settings = fakes.clock(), AuthorizationSettings()
    past = IdTokenInfo(AuthorizationStatus.ACCEPTED, expires_at=fakes.NOON)
    async with open_database(tmp_path / "db", clock) as database:
        store = AuthorizationCache(database, settings, clock)
        await store.update(fakes.CARD, ACCEPTED)
        await store.update(fakes.CARD, past)
        await store.update(fakes.OTHER_CARD, ACCEPTED)
        await clock.advance(settings.auth_cache_life_time_s)
        assert store.entries() == []
        await store.purge()
        assert store.size_bytes == 0
        assert await database.rows("SELECT token FROM authorization_cache") == []


async def test_the_database_of_an_older_program_is_read(tmp_path: Path) -> None:
    """Before policies there were no times of use."""
    clock = fakes.clock()
    async with open_database(tmp_path / "db", clock) as database:
        row = ("0a", "eMAID", '{"status": "Accepted"}', fakes.NOON.isoformat())
        await database.write("INSERT INTO authorization_cache (token, type, info, updated_at) VALUES (?, ?, ?, ?)", row)
        store = AuthorizationCache(database, AuthorizationSettings(), clock)
        await store.load()
        assert store.find(IdToken("0A", "eMAID")) == IdTokenInfo(AuthorizationStatus.ACCEPTED)


async def test_a_disk_that_refuses_does_not_keep_anybody_from_charging(tmp_path: Path) -> None:
    async with open_database(tmp_path / "db", fakes.clock()) as database:
        store = AuthorizationCache(database, AuthorizationSettings(), fakes.clock())
        await database.rows("PRAGMA query_only=1")
        await store.update(fakes.CARD, ACCEPTED)
        assert store.find(fakes.CARD) == ACCEPTED
        with pytest.raises(StorageError):
            await store.clear()
        assert store.find(fakes.CARD) is None

"""Passwords, codes for one use, sessions, access tokens, and how slow guessing is."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.clock import VirtualClock
from station.security.access import passwords
from station.security.access.accounts import ACCOUNTS, Accounts, Role
from station.security.access.sessions import AccessTokens, BrowserSessions
from station.security.access.sign_in_guard import SignInGuard
from station.storage.fact_store import FactStore
from tests.databases import open_database

GOOD = "correct horse battery"
LABEL = "ABCD-EFGH-JKLM"


async def test_a_password_outlives_the_program_and_is_nowhere_on_disk(tmp_path: Path) -> None:
    """Only a hash of the password is stored."""
    clock = VirtualClock()
    async with open_database(tmp_path / "db", clock) as database:
        accounts = Accounts(FactStore(database, "account"), {}, clock)
        await accounts.load()
        assert not accounts.has_any_password
        await accounts.set_password(Role.OWNER, GOOD)
        assert accounts.has_any_password
        rows = await database.rows("SELECT name, value FROM facts")
        assert GOOD not in str(rows)
    async with open_database(tmp_path / "db", clock) as database:
        reloaded = Accounts(FactStore(database, "account"), {}, clock)
        await reloaded.load()
        assert await reloaded.verify_password(Role.OWNER, GOOD)
        assert not await reloaded.verify_password(Role.OWNER, GOOD + "!")
        assert not await reloaded.verify_password(Role.INSTALLER, GOOD)


async def test_the_code_of_the_label_sets_one_password_and_is_used_up(tmp_path: Path) -> None:
    """Also after a restart; that of another label is good again, as it is after a factory reset."""
    clock = VirtualClock()
    async with open_database(tmp_path / "db", clock) as database:
        facts = FactStore(database, "account")
        accounts = Accounts(facts, {Role.INSTALLER: LABEL}, clock)
        assert accounts.accepts_code(Role.INSTALLER)
        assert not await accounts.redeem_code(Role.INSTALLER, "ABCD-EFGH-0000", GOOD)
        assert not await accounts.redeem_code(Role.OWNER, LABEL, GOOD)
        assert await accounts.redeem_code(Role.INSTALLER, "abcd efgh jklm", GOOD)
        assert await accounts.verify_password(Role.INSTALLER, GOOD)
        reloaded = Accounts(facts, {Role.INSTALLER: LABEL}, clock)
        await reloaded.load()
        assert not reloaded.accepts_code(Role.INSTALLER)
        assert not await reloaded.redeem_code(Role.INSTALLER, LABEL, GOOD + "2")
        relabelled = Accounts(facts, {Role.INSTALLER: "NEWL-ABEL-2345"}, clock)
        await relabelled.load()
        assert relabelled.accepts_code(Role.INSTALLER)
        assert await relabelled.redeem_code(Role.INSTALLER, "NEWL-ABEL-2345", GOOD + "3")
        assert not relabelled.accepts_code(Role.INSTALLER)
        await relabelled.reset()
        assert not relabelled.has_any_password
        assert await relabelled.redeem_code(Role.INSTALLER, "NEWL-ABEL-2345", GOOD)


async def test_a_password_that_is_refused_does_not_use_the_code_up(tmp_path: Path) -> None:
    """Too short, then long enough."""
    clock = VirtualClock()
    async with open_database(tmp_path / "db", clock) as database:
        accounts = Accounts(FactStore(database, "account"), {Role.INSTALLER: LABEL}, clock)
        with pytest.raises(ValueError, match="10 to 128"):
            await accounts.redeem_code(Role.INSTALLER, LABEL, "short")
        assert await accounts.redeem_code(Role.INSTALLER, LABEL, GOOD)


async def test_a_code_that_is_handed_on_is_good_once_and_for_a_week(tmp_path: Path) -> None:
    """The owner's, from the installer."""
    clock = VirtualClock()
    async with open_database(tmp_path / "db", clock) as database:
        accounts = Accounts(FactStore(database, "account"), {}, clock)
        late_code = await accounts.issue_code(Role.OWNER)
        clock.adjust(timedelta(days=7, seconds=1))
        assert not await accounts.redeem_code(Role.OWNER, late_code, GOOD)
        code = await accounts.issue_code(Role.OWNER)
        assert not await accounts.redeem_code(Role.DRIVER, code, GOOD)
        assert await accounts.redeem_code(Role.OWNER, code, GOOD)
        assert not await accounts.redeem_code(Role.OWNER, code, GOOD + "2")
        assert await accounts.verify_password(Role.OWNER, GOOD)


async def test_a_damaged_account_lets_nobody_in_and_does_not_open_the_station(tmp_path: Path) -> None:
    """The label's code is not good again either."""
    clock = VirtualClock()
    async with open_database(tmp_path / "db", clock) as database:
        facts = FactStore(database, "account")
        await facts.save("installer", '{"password": "x", "surprise": 1}')
        accounts = Accounts(facts, {Role.INSTALLER: LABEL}, clock)
        await accounts.load()
        assert accounts.has_any_password
        assert not await accounts.verify_password(Role.INSTALLER, "?")
        assert not accounts.accepts_code(Role.INSTALLER)
        assert not await accounts.redeem_code(Role.INSTALLER, LABEL, GOOD)


@pytest.mark.parametrize("weak", ["", "short", "a" * 20, "ababababab", "x" * 200, "a bell\x07 rings"])
def test_weak_passwords_are_refused_without_showing_them(weak: str) -> None:
    """Too short, too long, too few characters, control characters."""
    with pytest.raises(ValueError, match="must") as refused:
        passwords.check_strength(weak)
    assert not weak or weak not in str(refused.value)


@pytest.mark.parametrize(
    "stored_hash",
    [None, "", "scrypt$1$2$3", "scrypt$16384$8$5$!!$??", "scrypt$1073741824$8$1$QQ==$QQ==", "md5$1$1$1$QQ==$QQ=="],
)
def test_what_is_no_hash_matches_nothing(stored_hash: str | None) -> None:
    """Nor does it take the machine's memory."""
    assert not passwords.verify_secret(GOOD, stored_hash)


def test_the_same_password_typed_on_another_keyboard_is_the_same() -> None:
    """An é of one code point, or of two."""
    assert passwords.verify_secret("cafe\u0301 au lait", passwords.hash_secret("café au lait"))


def test_new_codes_differ_and_have_nothing_to_confuse() -> None:
    """Sixty bits each."""
    codes = {passwords.new_code() for _ in range(50)}
    assert len(codes) == 50
    assert not set("".join(codes)) & set("01OIL")


@given(st.lists(st.sampled_from(["a", "b"]), max_size=30))
def test_whoever_is_wrong_waits_twice_as_long_each_time(tries: list[str]) -> None:
    """Three are free; what one does, another does not wait for, until all together are very wrong."""
    guard, wrong = SignInGuard(), {"a": 0, "b": 0}
    for address in tries:
        guard.record_attempt(Role.OWNER, address, 0.0, successful=False)
        wrong[address] += 1
    for address, count in wrong.items():
        own_s = min(900.0, 2.0 * 2.0 ** (count - 4)) if count > 3 else 0.0
        assert guard.wait_s(Role.OWNER, address, 0.0) == own_s
        assert guard.wait_s(Role.OWNER, address, 900.0) == 0.0


def test_a_crowd_of_addresses_is_slowed_down_but_not_whoever_was_right_before() -> None:
    """And its memory is bounded."""
    guard = SignInGuard()
    guard.record_attempt(Role.OWNER, "192.0.2.1", 0.0, successful=True)
    for number in range(200):
        guard.record_attempt(Role.OWNER, f"198.51.100.{number}", 1.0, successful=False)
    assert 0.0 < guard.wait_s(Role.OWNER, "203.0.113.9", 1.0) <= 30.0
    assert guard.wait_s(Role.OWNER, "192.0.2.1", 1.0) == 0.0


def test_who_knows_a_lesser_password_guesses_no_faster_at_a_greater_one() -> None:
    guard = SignInGuard()
    for _ in range(4):
        guard.record_attempt(Role.INSTALLER, "192.0.2.1", 0.0, successful=False)
        guard.record_attempt(Role.DRIVER, "192.0.2.1", 0.0, successful=False)
        guard.record_attempt(Role.DRIVER, "192.0.2.1", 0.0, successful=True)
    assert guard.wait_s(Role.INSTALLER, "192.0.2.1", 0.0) > 0.0
    assert guard.wait_s(Role.DRIVER, "192.0.2.1", 0.0) == 0.0


def test_an_ipv6_network_is_one_guesser() -> None:
    """Whoever has 2^64 addresses has one try."""
    guard = SignInGuard()
    for number in range(5):
        guard.record_attempt(Role.OWNER, f"2001:db8::{number}", 0.0, successful=False)
    assert guard.wait_s(Role.OWNER, "2001:db8::ffff", 0.0) > 0.0
    assert guard.wait_s(Role.OWNER, "2001:db8:1::1", 0.0) == 0.0


@pytest.mark.parametrize("role", ACCOUNTS)
async def test_a_session_ends_when_it_is_idle_and_at_the_latest(role: Role) -> None:
    """The more a role may do, the sooner."""
    clock = VirtualClock()
    sessions = BrowserSessions(clock)
    secret, session = sessions.begin(role)
    assert sessions.find(secret) is session
    assert sessions.find(secret + "x") is None
    await clock.advance(15 * 86_400.0)
    assert sessions.find(secret) is None
    assert session.ended


async def test_use_keeps_a_session_alive_but_not_for_ever() -> None:
    """Half an hour without use, twelve hours in all."""
    clock = VirtualClock()
    sessions = BrowserSessions(clock)
    secret, _ = sessions.begin(Role.SERVICE)
    for _ in range(28):
        await clock.advance(1_500.0)
        assert sessions.find(secret) is not None
    await clock.advance(1_500.0)
    assert sessions.find(secret) is None


async def test_of_many_sessions_the_oldest_ends() -> None:
    """Sixty-four are enough for a house."""
    sessions = BrowserSessions(VirtualClock())
    first, _ = sessions.begin(Role.DRIVER)
    second, _ = sessions.begin(Role.DRIVER)
    assert sessions.find(first) is not None  # used later than the second now
    for _ in range(63):
        sessions.begin(Role.DRIVER)
    assert sessions.find(second) is None
    assert sessions.find(first) is not None


async def test_an_access_token_outlives_the_program_until_it_expires_or_is_revoked(tmp_path: Path) -> None:
    """Only its hash is kept."""
    clock = VirtualClock()
    async with open_database(tmp_path / "db", clock) as database:
        facts = FactStore(database, "access-token")
        tokens = AccessTokens(facts, clock)
        secret = await tokens.add("prometheus", Role.DRIVER, clock.now() + timedelta(days=1))
        removed = await tokens.add("old script", Role.OWNER, clock.now() + timedelta(days=1))
        assert await tokens.revoke("old script")
        assert not await tokens.revoke("old script")
        reloaded = AccessTokens(facts, clock)
        await reloaded.load()
        assert list(reloaded.all()) == ["prometheus"]
        found = reloaded.find(secret)
        assert found is not None
        assert found.role is Role.DRIVER
        assert reloaded.find(removed) is None
        clock.adjust(timedelta(days=1))
        assert reloaded.find(secret) is None
        assert secret not in str(await facts.load())


@pytest.fixture
async def access_tokens(tmp_path: Path) -> AsyncGenerator[AccessTokens]:
    clock = VirtualClock()
    async with open_database(tmp_path / "db", clock) as database:
        yield AccessTokens(FactStore(database, "access-token"), clock)


async def _chain(tokens: AccessTokens) -> list[str]:
    """Three tokens, each made by the one before; they ask for 1, 730 and 2 days. Returns their secrets."""
    now, secrets = VirtualClock().now(), list[str]()
    for name, days in (("parent", 1), ("child", 730), ("grandchild", 2)):
        maker = tokens.find(secrets[-1]) if secrets else None
        secrets.append(await tokens.add(name, Role.OWNER, now + timedelta(days=days), maker=maker))
    return secrets


async def test_a_token_that_a_token_made_does_not_outlast_it(access_tokens: AccessTokens) -> None:
    await _chain(access_tokens)
    parent, *created = (access_tokens.all()[name].expires_at for name in ("parent", "child", "grandchild"))
    assert created == [parent, parent]
    assert parent <= VirtualClock().now() + timedelta(days=1)


async def test_the_tokens_that_a_token_made_end_with_its_revocation(access_tokens: AccessTokens) -> None:
    _, child, grandchild = await _chain(access_tokens)
    unrelated = await access_tokens.add("other", Role.OWNER, VirtualClock().now() + timedelta(days=9))
    await access_tokens.revoke("parent")
    assert [access_tokens.find(child), access_tokens.find(grandchild)] == [None, None]
    assert access_tokens.find(unrelated) is not None


async def test_the_tokens_that_a_token_made_end_when_another_takes_its_name(access_tokens: AccessTokens) -> None:
    _, child, grandchild = await _chain(access_tokens)
    await access_tokens.add("parent", Role.OWNER, VirtualClock().now() + timedelta(days=9))
    assert [access_tokens.find(child), access_tokens.find(grandchild)] == [None, None]
    assert list(access_tokens.all()) == ["parent"]


async def test_a_token_in_its_own_place_remains_the_child_of_its_maker(access_tokens: AccessTokens) -> None:
    _, child, grandchild = await _chain(access_tokens)
    later = VirtualClock().now() + timedelta(days=9)
    replacement = await access_tokens.add("child", Role.OWNER, later, maker=access_tokens.find(child))
    assert access_tokens.find(grandchild) is None
    found = access_tokens.find(replacement)
    assert found is not None
    assert found.expires_at < later
    await access_tokens.revoke("parent")
    assert access_tokens.find(replacement) is None


@pytest.mark.parametrize("name", ["parent", "child"])
async def test_a_token_cannot_take_the_place_of_one_that_made_it(access_tokens: AccessTokens, name: str) -> None:
    secrets = await _chain(access_tokens)
    with pytest.raises(ValueError, match="cannot replace the one that created it"):
        await access_tokens.add(name, Role.OWNER, VirtualClock().now(), maker=access_tokens.find(secrets[-1]))
    assert all(access_tokens.find(secret) is not None for secret in secrets)


async def test_a_token_that_has_ended_makes_none(access_tokens: AccessTokens) -> None:
    parent, *_ = await _chain(access_tokens)
    maker = access_tokens.find(parent)
    making = asyncio.gather(
        access_tokens.revoke("parent"),
        access_tokens.add("late", Role.OWNER, VirtualClock().now() + timedelta(days=9), maker=maker),
        return_exceptions=True,
    )
    assert "no longer valid" in str((await making)[1])
    assert access_tokens.all() == {}


async def test_a_power_cut_between_the_ends_of_a_token_and_its_children_leaves_none(tmp_path: Path) -> None:
    clock = VirtualClock()
    async with open_database(tmp_path / "db", clock) as database:
        facts = FactStore(database, "access-token")
        secrets = await _chain(AccessTokens(facts, clock))
        await facts.save("parent", "")  # all that revoking has written
        reloaded = AccessTokens(facts, clock)
        await reloaded.load()
        assert [reloaded.find(secret) for secret in secrets] == [None, None, None]


async def test_a_token_of_the_first_version_is_still_good(tmp_path: Path) -> None:
    clock = VirtualClock()
    async with open_database(tmp_path / "db", clock) as database:
        facts = FactStore(database, "access-token")
        digest = hashlib.sha256(b"borne_old").hexdigest()
        stored = {"digest": digest, "role": 2, "expires_at": (clock.now() + timedelta(days=1)).isoformat()}
        await facts.save("old", json.dumps(stored))
        tokens = AccessTokens(facts, clock)
        await tokens.load()
        found = tokens.find("borne_old")
        assert found is not None
        assert (found.role, found.parent) == (Role.OWNER, None)

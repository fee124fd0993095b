"""The local authorization list: replaced or changed as a whole, within bounds, and found after a power cut."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path

import pytest

from station.charging.authorization.authorization_settings import AuthorizationSettings
from station.charging.authorization.local_list import ListedToken, LocalAuthorizationList, LocalListEntry
from station.core.model import AuthorizationStatus, IdToken, IdTokenInfo, MessageContent
from station.storage.database import Database, StorageError
from tests import fakes
from tests.databases import open_database

ACCEPTED = IdTokenInfo(AuthorizationStatus.ACCEPTED)
BLOCKED = IdTokenInfo(AuthorizationStatus.BLOCKED)
RICH = IdTokenInfo(
    AuthorizationStatus.ACCEPTED,
    IdToken("GROUP", "Central", (("more", "of it"),)),
    fakes.NOON + timedelta(days=1),
    (1, 2),
    MessageContent("Bonjour", "UTF8", "fr"),
    7,
)
THIRD_CARD = IdToken("04333333333380", "ISO14443")


def entry(id_token: IdToken, info: IdTokenInfo | None = ACCEPTED) -> LocalListEntry:
    """An item of an update."""
    return LocalListEntry(id_token, info)


class LocalListFixture:
    """A local list on a database, with its settings."""

    def __init__(self, database: Database, *, most_entries: int = 100, most_bytes: int = 10_000) -> None:
        self.database = database
        self.settings = AuthorizationSettings()
        self.clock = fakes.clock()
        self.list = LocalAuthorizationList(
            database, self.settings, self.clock, most_entries=most_entries, most_bytes=most_bytes
        )

    async def info(self, id_token: IdToken) -> IdTokenInfo | None:
        """The list's entry for a token."""
        found = await self.list.find(id_token)
        return found.info if found is not None else None

    async def content(self) -> tuple[int, dict[str, AuthorizationStatus]]:
        """The version, and the status of each token by its value."""
        entries = await self.list.page(1_000)
        assert self.list.entries == len(entries)
        return await self.list.version(), {token.key[0]: info.status for token, info in entries}


@contextlib.asynccontextmanager
async def loaded_list(folder: Path, **bounds: int) -> AsyncGenerator[LocalListFixture]:
    """A local list that has been loaded."""
    async with open_database(folder / "db", fakes.clock()) as database:
        loaded = LocalListFixture(database, **bounds)
        await loaded.list.load()
        yield loaded


async def test_before_the_first_update_there_is_no_list(tmp_path: Path) -> None:
    """D02.FR.02"""
    async with loaded_list(tmp_path) as fixture:
        assert await fixture.content() == (0, {})
        assert fixture.list.size_bytes == 0
        assert await fixture.info(fakes.CARD) is None


async def test_a_full_update_replaces_everything(tmp_path: Path) -> None:
    """D01.FR.15"""
    async with loaded_list(tmp_path) as fixture:
        assert await fixture.list.replace(7, [entry(fakes.CARD), entry(fakes.OTHER_CARD, BLOCKED)]) is None
        assert await fixture.info(fakes.CARD) == ACCEPTED
        assert await fixture.info(fakes.OTHER_CARD) == BLOCKED
        assert await fixture.list.replace(3, [entry(THIRD_CARD, RICH)]) is None
        assert await fixture.content() == (3, {THIRD_CARD.value: AuthorizationStatus.ACCEPTED})
        assert await fixture.info(THIRD_CARD) == RICH


async def test_an_empty_full_update_removes_all_tokens_and_keeps_its_version(tmp_path: Path) -> None:
    """D01.FR.04"""
    async with loaded_list(tmp_path) as fixture:
        await fixture.list.replace(7, [entry(fakes.CARD)])
        assert await fixture.list.replace(8, []) is None
        assert await fixture.content() == (8, {})
        assert fixture.list.size_bytes == 0


async def test_a_differential_update_adds_changes_and_removes(tmp_path: Path) -> None:
    """D01.FR.16, D01.FR.17"""
    async with loaded_list(tmp_path) as fixture:
        await fixture.list.replace(1, [entry(fakes.CARD), entry(fakes.OTHER_CARD)])
        size_bytes = fixture.list.size_bytes
        unknown = IdToken("04ABCDEFABCD80", "ISO14443")
        changes = [entry(fakes.CARD, None), entry(fakes.OTHER_CARD, BLOCKED), entry(THIRD_CARD), entry(unknown, None)]
        assert await fixture.list.change(2, changes) is None
        expected = {
            fakes.OTHER_CARD.value.casefold(): AuthorizationStatus.BLOCKED,
            THIRD_CARD.value: AuthorizationStatus.ACCEPTED,
        }
        assert await fixture.content() == (2, expected)
        assert fixture.list.size_bytes == size_bytes - 1  # "Blocked" is shorter than "Accepted"
        assert await fixture.info(fakes.CARD) is None


async def test_an_empty_differential_update_changes_the_version_only(tmp_path: Path) -> None:
    """D01.FR.05"""
    async with loaded_list(tmp_path) as fixture:
        await fixture.list.replace(1, [entry(fakes.CARD)])
        assert await fixture.list.change(5, []) is None
        assert await fixture.content() == (5, {fakes.CARD.value.casefold(): AuthorizationStatus.ACCEPTED})


@pytest.mark.parametrize("version", [-1, 0, 6, 7])
async def test_a_differential_update_needs_a_higher_version(tmp_path: Path, version: int) -> None:
    """D01.FR.19"""
    async with loaded_list(tmp_path) as fixture:
        await fixture.list.replace(7, [entry(fakes.CARD)])
        refusal = await fixture.list.change(version, [entry(fakes.OTHER_CARD)])
        assert refusal is not None
        assert refusal.version_mismatch
        assert await fixture.content() == (7, {fakes.CARD.value.casefold(): AuthorizationStatus.ACCEPTED})


@pytest.mark.parametrize(
    ("version", "entries", "reason_code"),
    [
        (0, [entry(THIRD_CARD)], "ValuePositiveOnly"),  # D01.FR.18
        (-3, [], "ValuePositiveOnly"),
        (9, [entry(THIRD_CARD), entry(fakes.OTHER_CARD, None)], "MissingParam"),  # AuthorizationData.idTokenInfo
        (9, [entry(IdToken("abc", "Local")), entry(IdToken("ABC", "Local"))], "InvalidValue"),  # D01.FR.06
    ],
)
async def test_a_full_update_that_is_wrong_leaves_the_old_list(
    tmp_path: Path, version: int, entries: list[LocalListEntry], reason_code: str
) -> None:
    async with loaded_list(tmp_path) as fixture:
        await fixture.list.replace(7, [entry(fakes.CARD)])
        refusal = await fixture.list.replace(version, entries)
        assert refusal is not None
        assert (refusal.reason_code, refusal.version_mismatch) == (reason_code, False)
        assert await fixture.content() == (7, {fakes.CARD.value.casefold(): AuthorizationStatus.ACCEPTED})


async def test_tokens_of_two_types_with_one_value_are_two_tokens(tmp_path: Path) -> None:
    """C01.FR.25"""
    async with loaded_list(tmp_path) as fixture:
        card, ticket = IdToken("ABCD", "ISO14443"), IdToken("ABCD", "Local")
        assert await fixture.list.replace(1, [entry(card), entry(ticket, BLOCKED)]) is None
        assert await fixture.info(IdToken("abcd", "ISO14443")) == ACCEPTED
        assert await fixture.info(ticket) == BLOCKED
        assert {token.key for token, _ in await fixture.list.entries_of("AbCd")} == {card.key, ticket.key}
        assert await fixture.list.entries_of("abc") == []


async def test_tokens_are_reported_as_the_csms_has_spelled_them(tmp_path: Path) -> None:
    """Entries that an older version has stored are in lower case."""
    async with loaded_list(tmp_path) as fixture:
        tokens = [IdToken(value, "Central") for value in ("AbCd", "ABE", "abf")]
        await fixture.list.replace(1, [entry(token) for token in tokens])
        same_key = IdToken("aBE", "Central")
        await fixture.list.change(2, [entry(same_key, BLOCKED)])
        assert await fixture.list.page(9) == [(tokens[0], ACCEPTED), (same_key, BLOCKED), (tokens[2], ACCEPTED)]
        assert await fixture.info(IdToken("ABCD", "Central")) == ACCEPTED
        await fixture.database.write("UPDATE local_list SET spelling = NULL WHERE token = 'abe'")
        assert await fixture.list.entries_of("ABE") == [(IdToken("abe", "Central"), BLOCKED)]


async def test_the_entries_of_one_token_are_found_without_reading_those_of_others(tmp_path: Path) -> None:
    async with loaded_list(tmp_path) as fixture:
        await fixture.list.replace(1, [entry(IdToken("ABCD", "ISO14443")), entry(IdToken("ABCE", "ISO14443"))])
        await fixture.database.write("UPDATE local_list SET info = '{' WHERE token = 'abce'")
        assert await fixture.list.entries_of("abcd") == [(IdToken("ABCD", "ISO14443"), ACCEPTED)]
        assert fixture.database.unreadable.of("local_list") == []


@pytest.mark.parametrize("bounds", [{"most_entries": 3}, {"most_bytes": 210}])
async def test_the_list_never_exceeds_its_bounds(tmp_path: Path, bounds: dict[str, int]) -> None:
    """LocalAuthListCtrlr.Entries and Storage: maxLimit"""
    async with loaded_list(tmp_path, **bounds) as fixture:
        cards = [entry(IdToken(f"0400000000{number:02}80", "ISO14443")) for number in range(4)]
        assert await fixture.list.replace(1, cards[:3]) is None
        before = await fixture.content()
        for refusal in (await fixture.list.replace(2, cards), await fixture.list.change(2, cards[3:])):
            assert refusal is not None
            assert refusal.reason_code == "OutOfStorage"
            assert await fixture.content() == before
        swapped = [entry(cards[0].id_token, None), cards[3]]
        assert await fixture.list.change(2, swapped) is None, "what is removed makes room in the same update"
        assert await fixture.list.change(3, cards[1:3]) is None, "what is there already takes no more room"


async def test_it_survives_a_restart(tmp_path: Path) -> None:
    """D01.FR.10"""
    async with loaded_list(tmp_path) as fixture:
        await fixture.list.replace(7, [entry(fakes.CARD, RICH), entry(fakes.OTHER_CARD, BLOCKED)])
        size_bytes = fixture.list.size_bytes
    async with loaded_list(tmp_path) as fixture:
        assert (await fixture.list.version(), fixture.list.entries, fixture.list.size_bytes) == (7, 2, size_bytes)
        assert await fixture.info(fakes.CARD) == RICH
        assert await fixture.info(fakes.OTHER_CARD) == BLOCKED


async def test_a_disabled_list_finds_nothing_and_takes_no_update_but_keeps_its_entries(tmp_path: Path) -> None:
    """LocalAuthListCtrlr.Enabled, D02.FR.03"""
    async with loaded_list(tmp_path) as fixture:
        await fixture.list.replace(7, [entry(fakes.CARD)])
        fixture.settings.override(AuthorizationSettings.local_list_enabled, False)
        assert await fixture.list.version() == 0
        assert await fixture.info(fakes.CARD) is None
        for refusal in (await fixture.list.replace(8, []), await fixture.list.change(8, [])):
            assert refusal is not None
            assert refusal.reason_code == "NotEnabled"
        fixture.settings.override(AuthorizationSettings.local_list_enabled, True)
        assert await fixture.list.version() == 7
        assert await fixture.info(fakes.CARD) == ACCEPTED


@pytest.mark.parametrize("supported", [True, False])
async def test_an_entry_counts_until_its_expiry_where_that_is_supported(tmp_path: Path, supported: bool) -> None:
    """C13.FR.02, C13.FR.05, C14.FR.02, C14.FR.05"""
    async with loaded_list(tmp_path) as fixture:
        fixture.settings.override(AuthorizationSettings.local_list_supports_expiry, supported)
        await fixture.list.replace(7, [entry(fakes.CARD, RICH), entry(fakes.OTHER_CARD)])
        await fixture.clock.advance(86_399)
        assert await fixture.list.find(fakes.CARD) == ListedToken(RICH)
        await fixture.clock.advance(1)
        found = await fixture.list.find(fakes.CARD)
        assert found is not None
        assert (found.requires_csms, found.info.accepted) == (supported, not supported)
        assert (await fixture.content())[1][fakes.CARD.value.casefold()] is found.info.status, "pages show the same"
        assert await fixture.info(fakes.OTHER_CARD) == ACCEPTED, "without cacheExpiryDateTime it never expires"
        assert fixture.list.entries == 2, "cacheExpiryDateTime does not change the list"


async def test_a_write_that_fails_leaves_the_old_list(tmp_path: Path) -> None:
    async with loaded_list(tmp_path) as fixture:
        await fixture.list.replace(7, [entry(fakes.CARD)])
        await fixture.database.write(
            "CREATE TRIGGER full BEFORE INSERT ON local_list BEGIN SELECT RAISE(ABORT, 'no room'); END"
        )
        with pytest.raises(StorageError):
            await fixture.list.replace(8, [entry(fakes.OTHER_CARD)])
        with pytest.raises(StorageError):
            await fixture.list.change(8, [entry(fakes.CARD, None), entry(fakes.OTHER_CARD)])
        assert await fixture.content() == (7, {fakes.CARD.value.casefold(): AuthorizationStatus.ACCEPTED})
        assert await fixture.info(fakes.OTHER_CARD) is None


@pytest.mark.parametrize("steps", range(6))
async def test_an_update_whose_link_is_lost_is_done_wholly_or_not_at_all(tmp_path: Path, steps: int) -> None:
    async with loaded_list(tmp_path) as fixture:
        await fixture.list.replace(7, [entry(fakes.CARD)])
        update = asyncio.create_task(fixture.list.replace(8, [entry(fakes.OTHER_CARD), entry(THIRD_CARD)]))
        for _ in range(steps):
            await asyncio.sleep(0)
        update.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await update
        replaced = await fixture.list.version() == 8
        assert fixture.list.entries == (2 if replaced else 1)
        assert (await fixture.info(THIRD_CARD) is not None) is replaced
        assert (await fixture.info(fakes.CARD) is None) is replaced
        reloaded = LocalAuthorizationList(fixture.database, fixture.settings, fixture.clock)
        await reloaded.load()
        assert (await reloaded.version(), reloaded.entries, reloaded.size_bytes) == (
            await fixture.list.version(),
            fixture.list.entries,
            fixture.list.size_bytes,
        )


async def test_an_unreadable_entry_is_set_aside_and_charges_nobody(tmp_path: Path) -> None:
    async with loaded_list(tmp_path) as fixture:
        await fixture.list.replace(7, [entry(fakes.CARD), entry(fakes.OTHER_CARD)])
        await fixture.database.write(
            "UPDATE local_list SET info = '{}' WHERE token = ?", (fakes.CARD.value.casefold(),)
        )
        unknown = ListedToken(IdTokenInfo(AuthorizationStatus.UNKNOWN), requires_csms=True)
        assert await fixture.list.find(fakes.CARD) == unknown
        assert await fixture.info(fakes.OTHER_CARD) == ACCEPTED
        (row,) = fixture.database.unreadable.of("local_list")
        assert fakes.CARD.value.casefold() not in str(row)
        assert (await fixture.content())[1][fakes.CARD.value.casefold()] is AuthorizationStatus.UNKNOWN
        assert fixture.database.unreadable.of("local_list") == [row]
        await fixture.database.unreadable.save()
    async with loaded_list(tmp_path) as fixture:
        assert len(fixture.database.unreadable.of("local_list")) == 1
        await fixture.list.change(8, [entry(fakes.CARD, BLOCKED)])
        assert fixture.database.unreadable.of("local_list") == []
        assert await fixture.info(fakes.CARD) == BLOCKED


async def test_without_a_readable_version_the_csms_sends_the_whole_list(tmp_path: Path) -> None:
    async with loaded_list(tmp_path) as fixture:
        await fixture.list.replace(7, [entry(fakes.CARD, RICH), entry(fakes.OTHER_CARD)])
        size_bytes = fixture.list.size_bytes
        await fixture.database.write("UPDATE local_list_state SET version = 'x'")
    async with loaded_list(tmp_path) as fixture:
        assert (await fixture.list.version(), fixture.list.entries, fixture.list.size_bytes) == (0, 2, size_bytes)
        assert await fixture.info(fakes.CARD) == RICH
        assert len(fixture.database.unreadable.of("local_list_state")) == 1
        assert await fixture.list.change(8, []) is None
        assert fixture.database.unreadable.of("local_list_state") == []
    async with loaded_list(tmp_path) as fixture:
        assert (await fixture.list.version(), fixture.list.entries, fixture.list.size_bytes) == (8, 2, size_bytes)


async def test_an_unreadable_entry_that_is_gone_is_not_set_aside_any_more(tmp_path: Path) -> None:
    async with loaded_list(tmp_path) as fixture:
        await fixture.list.replace(7, [entry(fakes.CARD), entry(fakes.OTHER_CARD)])
        await fixture.database.write("UPDATE local_list SET info = '{}'")
        assert await fixture.info(fakes.CARD) == await fixture.info(fakes.OTHER_CARD)
        await fixture.database.unreadable.save()
        await fixture.database.write("DELETE FROM local_list WHERE token = ?", (fakes.CARD.value.casefold(),))
    async with loaded_list(tmp_path) as fixture:
        assert len(fixture.database.unreadable.of("local_list")) == 1
        await fixture.list.replace(8, [])
        assert fixture.database.unreadable.of("local_list") == []


async def test_after_a_factory_reset_there_is_no_list(tmp_path: Path) -> None:
    async with loaded_list(tmp_path) as fixture:
        await fixture.list.replace(7, [entry(fakes.CARD)])
        await fixture.list.clear()
        assert await fixture.content() == (0, {})
        assert await fixture.list.change(1, [entry(fakes.CARD)]) is None


async def test_a_seed_sets_any_version(tmp_path: Path) -> None:
    async with loaded_list(tmp_path) as fixture:
        assert await fixture.list.seed(None, [entry(fakes.CARD)]) is None
        assert await fixture.list.seed(None, [entry(fakes.OTHER_CARD)]) is None
        assert await fixture.list.version() == 2
        assert await fixture.list.seed(1, [entry(fakes.CARD, None)]) is None
        assert await fixture.content() == (1, {fakes.OTHER_CARD.value.casefold(): AuthorizationStatus.ACCEPTED})

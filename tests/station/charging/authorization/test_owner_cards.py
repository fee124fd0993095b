"""The owner's own cards: learned by presenting, stored over power cuts, bounded."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.clock import VirtualClock
from station.charging.authorization.owner_cards import LEARN_S, MAX_CARDS, PAGE_TOKEN, OwnerCards
from station.core.model import IdToken
from station.storage.fact_store import FactStore
from tests.databases import open_database
from tests.walk import CARD, OTHER_CARD


async def test_a_card_is_learned_when_it_is_waited_for_and_outlives_the_program(tmp_path: Path) -> None:
    """However its number is written; the name of its entry is not its number."""
    clock = VirtualClock()
    async with open_database(tmp_path / "db", clock) as database:
        facts = FactStore(database, "card")
        cards = OwnerCards(facts, clock)
        assert not await cards.learn_presented(CARD)
        cards.learn("Anna")
        assert await cards.learn_presented(CARD)
        assert not await cards.learn_presented(OTHER_CARD)
        reloaded = OwnerCards(facts, clock)
        await reloaded.load()
        ((name, card),) = reloaded.all().items()
        assert (card.label, card.id_token) == ("Anna", CARD)
        assert CARD.value not in name
        assert CARD.value not in card.short_number
        assert reloaded.find(IdToken(CARD.value.lower(), CARD.type)) is not None
        assert reloaded.find(OTHER_CARD) is None
        assert await reloaded.remove(name)
        assert not await reloaded.remove(name)
        assert reloaded.find(CARD) is None


async def test_it_is_waited_for_a_minute(tmp_path: Path) -> None:
    """Then a card is a card again."""
    clock = VirtualClock()
    async with open_database(tmp_path / "db", clock) as database:
        cards = OwnerCards(FactStore(database, "card"), clock)
        cards.learn("Anna")
        await clock.advance(LEARN_S)
        assert not cards.learning
        assert not await cards.learn_presented(CARD)


async def test_the_same_card_twice_is_one_card_with_the_newer_label(tmp_path: Path) -> None:
    """The newer label counts."""
    clock = VirtualClock()
    async with open_database(tmp_path / "db", clock) as database:
        cards = OwnerCards(FactStore(database, "card"), clock)
        first = await cards.add(CARD, "Anna")
        assert await cards.add(CARD, "Bert") == first
        assert [card.label for card in cards.all().values()] == ["Bert"]


async def test_there_is_a_bound(tmp_path: Path) -> None:
    """Nobody fills the disk with cards."""
    clock = VirtualClock()
    async with open_database(tmp_path / "db", clock) as database:
        cards = OwnerCards(FactStore(database, "card"), clock)
        for number in range(MAX_CARDS):
            await cards.add(IdToken(f"{number:08X}", "ISO14443"), "one of many")
        with pytest.raises(ValueError, match=str(MAX_CARDS)):
            cards.learn("one more")


async def test_a_damaged_entry_is_left_out(tmp_path: Path) -> None:
    """The others count."""
    clock = VirtualClock()
    async with open_database(tmp_path / "db", clock) as database:
        facts = FactStore(database, "card")
        await OwnerCards(facts, clock).add(CARD, "Anna")
        await facts.save("broken", '{"value": 1}')
        cards = OwnerCards(facts, clock)
        await cards.load()
        assert [card.label for card in cards.all().values()] == ["Anna"]


async def test_the_drivers_account_counts_as_a_card_that_no_reader_can_show(tmp_path: Path) -> None:
    """Its type is not one that is presented."""
    clock = VirtualClock()
    async with open_database(tmp_path / "db", clock) as database:
        cards = OwnerCards(FactStore(database, "card"), clock)
        assert cards.find(PAGE_TOKEN) is not None
        assert cards.find(IdToken("driver", "ISO14443")) is None


async def test_a_card_that_was_removed_keeps_its_name_in_the_history_but_not_its_right(tmp_path: Path) -> None:
    """Also over a restart; adding it again makes it one of the owner's cards again."""
    clock = VirtualClock()
    async with open_database(tmp_path / "db", clock) as database:
        facts = FactStore(database, "card")
        cards = OwnerCards(facts, clock)
        name = await cards.add(CARD, "Anna")
        await cards.add(OTHER_CARD, "Bert")
        assert await cards.remove(name)
        reloaded = OwnerCards(facts, clock)
        await reloaded.load()
        for owner_cards in (cards, reloaded):
            assert owner_cards.find(CARD) is None
            assert [card.label for card in owner_cards.all().values()] == ["Bert"]
            assert owner_cards.labels() == {CARD.key: "Anna", OTHER_CARD.key: "Bert"}
            assert owner_cards.labelled(" anna") == (CARD,)
            assert not await owner_cards.remove(name)
        assert await reloaded.add(CARD, "Anna") == name
        assert reloaded.find(CARD) is not None


async def test_of_cards_that_were_removed_only_so_many_are_named(tmp_path: Path) -> None:
    """Those that were added last."""
    clock = VirtualClock()
    async with open_database(tmp_path / "db", clock) as database:
        facts = FactStore(database, "card")
        cards = OwnerCards(facts, clock)
        for number in range(MAX_CARDS + 1):
            await cards.remove(await cards.add(IdToken(f"{number:08X}", "ISO14443"), str(number)))
            await clock.advance(1)
        assert set(cards.labels().values()) == {str(number) for number in range(1, MAX_CARDS + 1)}
        assert len([text for text in (await facts.load()).values() if text]) == MAX_CARDS


async def test_a_customer_who_is_forgotten_has_no_name_any_more(tmp_path: Path) -> None:
    """Whether the card was removed before or not (N10.FR.03)."""
    clock = VirtualClock()
    async with open_database(tmp_path / "db", clock) as database:
        facts = FactStore(database, "card")
        cards = OwnerCards(facts, clock)
        await cards.remove(await cards.add(CARD, "Anna"))
        await cards.add(OTHER_CARD, "Bert")
        for card in (CARD, OTHER_CARD):
            await cards.remove_token(card)
        assert cards.labels() == {}
        assert not any((await facts.load()).values())

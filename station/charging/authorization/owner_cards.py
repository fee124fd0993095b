"""The owner's cards, which authorize charging at a station without a CSMS. A card is added by presenting it."""

from __future__ import annotations

import json
import logging
import secrets
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec.structs import replace

from foundation.frozen import Frozen
from station.charging.authorization.authorizer import loggable_token
from station.core.model import CSMS_TOKEN_TYPES, PAGE_TOKEN, AuthorizationStatus, IdToken, IdTokenInfo
from station.storage.database import StorageError

if TYPE_CHECKING:
    from foundation.clock import Clock, TimerHandle
    from station.storage.fact_store import FactStore

_log = logging.getLogger(__name__)

MAX_CARDS = 200
LONGEST_LABEL = 40
LEARN_S = 60.0
"""how long to wait for a new card"""
_ACCEPTED = IdTokenInfo(AuthorizationStatus.ACCEPTED)


class OwnerCard(Frozen):
    """A card of the owner, which may charge at this station unless it is `removed`."""

    id_token: IdToken
    label: str
    """name given by the owner"""
    added_at: datetime
    removed: bool = False
    """whether the card was removed and may not charge; its label is kept for the history"""

    @property
    def short_number(self) -> str:
        """The card number shortened, for logs and pages; a key code is hidden."""
        return loggable_token(self.id_token)


class OwnerCards:
    """The owner's cards, in memory and on disk; they may charge at a station without a CSMS.

    Each has a random name for paths and logs, where its number must not appear.
    """

    def __init__(self, facts: FactStore, clock: Clock) -> None:
        self._facts = facts
        self._clock = clock
        self._cards: dict[str, OwnerCard] = {}
        self._learning: tuple[str, TimerHandle] | None = None

    async def load(self) -> None:
        """Load the stored cards into memory, at startup; an unreadable card is not accepted any more.

        Raises:
            StorageError: the disk cannot be read.
        """
        for name, text in (await self._facts.load()).items():
            if not text:
                continue
            if (card := self._facts.read(name, _from_text, text)) is not None:
                self._cards[name] = card
            else:
                _log.error("a stored card of the owner cannot be read: it is not accepted any more")

    @property
    def learning(self) -> bool:
        """Whether the next card presented at a reader will be added (`learn`)."""
        return self._learning is not None

    def all(self) -> dict[str, OwnerCard]:
        """Return all cards that may charge by their names, the newest last; without removed ones."""
        cards = ((name, card) for name, card in self._cards.items() if not card.removed)
        return dict(sorted(cards, key=lambda item: item[1].added_at))

    def all_with_removed(self) -> list[OwnerCard]:
        """Return all cards in memory, including removed ones, whose labels are kept for the history."""
        return list(self._cards.values())

    def labels(self) -> dict[tuple[str, str], str]:
        """Return the label of each card by `IdToken.key`, including removed cards."""
        return {card.id_token.key: card.label for card in self._cards.values()}

    def labelled(self, label: str) -> tuple[IdToken, ...]:
        """Return the tokens of all cards with this label, ignoring case, including removed cards."""
        normalized = label.strip().casefold()
        return tuple(card.id_token for card in self._cards.values() if card.label.strip().casefold() == normalized)

    def find(self, id_token: IdToken) -> IdTokenInfo | None:
        """Return Accepted if the token is a card that may charge, or that of a start on the page; None: unknown."""
        known = id_token == PAGE_TOKEN or any(card.id_token.key == id_token.key for card in self.all().values())
        return _ACCEPTED if known else None

    def learn(self, label: str) -> None:
        """Wait a minute for a card to be presented, which is then added under this label; replaces an earlier wait.

        Raises:
            ValueError: there are too many cards.
        """
        if len(self.all()) >= MAX_CARDS:
            raise ValueError(f"the station has {MAX_CARDS} cards already, the maximum")
        self.stop_learning()
        self._learning = (label, self._clock.call_later(LEARN_S, self.stop_learning))

    def stop_learning(self) -> None:
        """Stop waiting for a new card, if the station does; adds none."""
        if self._learning is not None:
            self._learning[1].cancel()
            self._learning = None

    async def learn_presented(self, id_token: IdToken) -> bool:
        """Add a presented token if a new card is waited for (`learn`); the wait ends. Returns whether it was added.

        False also if it cannot be stored, which is logged.
        """
        if self._learning is None or id_token.type in CSMS_TOKEN_TYPES:
            return False
        label = self._learning[0]
        self.stop_learning()
        try:
            await self.add(id_token, label)
        except StorageError as error:
            _log.error("the card cannot be stored and is not added: %s", error)
            return False
        return True

    async def add(self, id_token: IdToken, label: str) -> str:
        """Add a card, or change the label of a known one; returns the name under which it is stored.

        Raises:
            StorageError: the card is neither stored nor accepted.
        """
        name = next((name for name, card in self._cards.items() if card.id_token.key == id_token.key), None)
        name = name or secrets.token_hex(6)
        card = OwnerCard(id_token, label[:LONGEST_LABEL], self._clock.now())
        await self._facts.save(name, _to_text(card))
        self._cards[name] = card
        _log.info("card %s added: %s", card.short_number, card.label)
        return name

    async def clear(self) -> None:
        """Delete all cards with their labels, including removed ones, from memory and disk.

        Raises:
            StorageError: some cards are not deleted.
        """
        for name in list(self._cards):
            await self._facts.save(name, "")
            self._cards.pop(name, None)

    async def remove_token(self, id_token: IdToken) -> None:
        """Delete the card with this token and its label, if there is one (N10.FR.03).

        Raises:
            StorageError: the card is accepted again after the next start.
        """
        for name in [name for name, card in self._cards.items() if card.id_token.key == id_token.key]:
            await self._erase(name)

    async def remove(self, name: str) -> bool:
        """Withdraw the card of this name: it may not charge any more; its label is kept for the history.

        Returns False if there is no card of that name.

        Raises:
            StorageError: the card is accepted again after the next start.
        """
        card = self._cards.get(name)
        if card is None or card.removed:
            return False
        self._cards[name] = removed = replace(card, removed=True)
        await self._facts.save(name, _to_text(removed))
        removed_cards = sorted((other.added_at, key) for key, other in self._cards.items() if other.removed)
        for _, key in removed_cards[:-MAX_CARDS]:
            await self._erase(key)
        return True

    async def _erase(self, name: str) -> None:
        self._cards.pop(name, None)
        await self._facts.save(name, "")


def _to_text(card: OwnerCard) -> str:
    """Format a card for storage."""
    data = {
        "value": card.id_token.value,
        "type": card.id_token.type,
        "label": card.label,
        "added_at": card.added_at.isoformat(),
    }
    return json.dumps(data | {"removed": True} if card.removed else data)


def _from_text(text: str) -> OwnerCard:
    data = json.loads(text)
    id_token = IdToken(str(data["value"]), str(data["type"]))
    added_at = datetime.fromisoformat(str(data["added_at"]))
    return OwnerCard(id_token, str(data["label"]), added_at, removed=bool(data.get("removed", False)))

"""The owner's own cards: whom a station that stands alone lets charge. A card is added by presenting it."""

from __future__ import annotations

import json
import logging
import secrets
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from foundation.frozen import frozen
from station.charging.tokens.authorization import loggable_token
from station.core.model import CSMS_TOKEN_TYPES, PAGE_TOKEN, AuthorizationStatus, IdToken, IdTokenInfo
from station.storage.database import StorageError

if TYPE_CHECKING:
    from foundation.clock import Clock, TimerHandle
    from station.storage.fact_store import FactStore

_log = logging.getLogger(__name__)

MOST_CARDS = 200
LONGEST_LABEL = 40
LEARN_S = 60.0
"""how long a card is waited for"""
_ACCEPTED = IdTokenInfo(AuthorizationStatus.ACCEPTED)


@frozen
class OwnerCard:
    """A card that may charge here."""

    id_token: IdToken
    label: str
    """whose it is, as the owner calls it"""
    added_at: datetime
    removed: bool = False
    """whether the card may not charge any more; its label stays in the history"""

    @property
    def short_number(self) -> str:
        """Its number, shortened."""
        return loggable_token(self.id_token)


class OwnerCards:
    """Keeps the cards, by a name of their own: a number must not stand in a path or a log."""

    def __init__(self, facts: FactStore, clock: Clock) -> None:
        self._facts = facts
        self._clock = clock
        self._cards: dict[str, OwnerCard] = {}
        self._learning: tuple[str, TimerHandle] | None = None

    async def load(self) -> None:
        """Take what is on disk.

        Raises:
            StorageError: the disk cannot be read.
        """
        for name, text in (await self._facts.load()).items():
            if not text:
                continue
            if (card := self._facts.read(name, _from_text, text)) is not None:
                self._cards[name] = card
            else:
                _log.error("one of the owner's cards cannot be read: it is not accepted any more")

    @property
    def learning(self) -> bool:
        """Whether the next card that is presented will be added."""
        return self._learning is not None

    def all(self) -> dict[str, OwnerCard]:
        """All cards that may charge, the newest last."""
        cards = ((name, card) for name, card in self._cards.items() if not card.removed)
        return dict(sorted(cards, key=lambda item: item[1].added_at))

    def known(self) -> list[OwnerCard]:
        """All cards that have a label, including removed ones."""
        return list(self._cards.values())

    def labels(self) -> dict[tuple[str, str], str]:
        """The label of each known card by `IdToken.key`."""
        return {card.id_token.key: card.label for card in self._cards.values()}

    def labelled(self, label: str) -> tuple[IdToken, ...]:
        """The tokens of all cards with this label, whatever the case of its letters."""
        wanted = label.strip().casefold()
        return tuple(card.id_token for card in self._cards.values() if card.label.strip().casefold() == wanted)

    def find(self, id_token: IdToken) -> IdTokenInfo | None:
        """What is known of a token; None: nothing."""
        known = id_token == PAGE_TOKEN or any(card.id_token.key == id_token.key for card in self.all().values())
        return _ACCEPTED if known else None

    def learn(self, label: str) -> None:
        """Add the next card that is presented within a minute.

        Raises:
            ValueError: there are too many.
        """
        if len(self.all()) >= MOST_CARDS:
            raise ValueError(f"there are {MOST_CARDS} already")
        self.stop_learning()
        self._learning = (label, self._clock.call_later(LEARN_S, self.stop_learning))

    def stop_learning(self) -> None:
        """No card is waited for any more."""
        if self._learning is not None:
            self._learning[1].cancel()
            self._learning = None

    async def learn_presented(self, id_token: IdToken) -> bool:
        """A token was presented; True: it was waited for, and is one of the owner's now."""
        if self._learning is None or id_token.type in CSMS_TOKEN_TYPES:
            return False
        label = self._learning[0]
        self.stop_learning()
        try:
            await self.add(id_token, label)
        except StorageError as error:
            _log.error("the card is not added: %s", error)
            return False
        return True

    async def add(self, id_token: IdToken, label: str) -> str:
        """Add a card, or give one that is there another label; the name by which it is kept.

        Raises:
            StorageError: it is not on disk, and not accepted.
        """
        name = next((name for name, card in self._cards.items() if card.id_token.key == id_token.key), None)
        name = name or secrets.token_hex(6)
        card = OwnerCard(id_token, label[:LONGEST_LABEL], self._clock.now())
        await self._facts.save(name, _kept(card))
        self._cards[name] = card
        _log.info("card %s is the owner's: %s", card.short_number, card.label)
        return name

    async def clear(self) -> None:
        """None may charge any more.

        Raises:
            StorageError: some may.
        """
        for name in list(self._cards):
            await self._facts.save(name, "")
            self._cards.pop(name, None)

    async def remove_token(self, id_token: IdToken) -> None:
        """A card may not charge any more, if it is one of the owner's (N10.FR.03).

        Raises:
            StorageError: it may, after the next start.
        """
        for name in [name for name, card in self._cards.items() if card.id_token.key == id_token.key]:
            await self._erase(name)

    async def remove(self, name: str) -> bool:
        """Remove a card, which may not charge any more; its label stays in the history.

        Returns False if there is no card of that name.

        Raises:
            StorageError: it may, after the next start.
        """
        card = self._cards.get(name)
        if card is None or card.removed:
            return False
        self._cards[name] = removed = replace(card, removed=True)
        await self._facts.save(name, _kept(removed))
        former = sorted((one.added_at, key) for key, one in self._cards.items() if one.removed)
        for _, key in former[:-MOST_CARDS]:
            await self._erase(key)
        return True

    async def _erase(self, name: str) -> None:
        self._cards.pop(name, None)
        await self._facts.save(name, "")


def _kept(card: OwnerCard) -> str:
    """A card as it is stored."""
    kept = {
        "value": card.id_token.value,
        "type": card.id_token.type,
        "label": card.label,
        "added_at": card.added_at.isoformat(),
    }
    return json.dumps(kept | {"removed": True} if card.removed else kept)


def _from_text(text: str) -> OwnerCard:
    kept = json.loads(text)
    id_token = IdToken(str(kept["value"]), str(kept["type"]))
    added_at = datetime.fromisoformat(str(kept["added_at"]))
    return OwnerCard(id_token, str(kept["label"]), added_at, removed=bool(kept.get("removed", False)))

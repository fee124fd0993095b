"""Routes for the owner's cards: list, add by number or by presenting to the reader, remove."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import HTTPException, Path
from pydantic import Field
from typing_extensions import TypedDict

from station.charging.authorization.owner_cards import LEARN_S, LONGEST_LABEL, OwnerCards
from station.charging.reservations.reservations import Reservations
from station.configuration.installation_file import Configuration
from station.core.model import IdToken
from station.interfaces.access.roles import require_role
from station.interfaces.api.dependencies import ACCEPTED, Accepted, Command, example, part
from station.interfaces.api.routing import api_router
from station.interfaces.api.token import IdTokenText, IdTokenType
from station.security.access.accounts import Role

router = api_router("cards")

_Label = Annotated[str, Field(min_length=1, max_length=LONGEST_LABEL, pattern=r"^[^\x00-\x1f]+$")]
_Cards = Annotated[OwnerCards, part(OwnerCards)]


class CardToLearn(Command):
    """Body of POST /api/cards/learning: the label under which the next presented card is added."""

    model_config = example(label="Alex")

    label: _Label
    """the name for people, such as that of the holder"""


class KnownCard(Command):
    """Body of POST /api/cards: a card to add by its number, or a known one whose label changes."""

    model_config = example(id_token="04A3B2C1D5E680", type="ISO14443", label="Alex")

    id_token: IdTokenText
    """the number of the card, in full"""
    type: IdTokenType = "ISO14443"
    """what kind of token it is (IdTokenEnumType)"""
    label: _Label
    """the name for people, such as that of the holder"""


class OwnCardShown(TypedDict):
    """One of the owner's cards, which may charge at this station."""

    name: str
    """identifies the card in the path to remove it"""
    label: str
    """the name that the owner gave it"""
    number: str
    """the number of the card, shortened"""
    added_at: str
    """when it was added (ISO 8601, UTC)"""


class OwnCardList(TypedDict):
    """Response of GET /api/cards: the owner's cards, whether they count, and whether a new one is waited for."""

    counts: bool
    """whether these cards authorize charging; with a CSMS, the CSMS decides"""
    learning: bool
    """whether the next card that is presented is added"""
    former: list[str]
    """labels of removed cards that still appear in transactions"""
    cards: list[OwnCardShown]
    """the cards that may charge; not those of the list of the CSMS"""


class CardAdded(TypedDict):
    """Response of POST /api/cards: the name under which the card is stored."""

    name: str
    """identifies the card in the path to remove it"""


class LearningAccepted(TypedDict):
    """Response of POST /api/cards/learning: how long the station waits for a card to add."""

    accepted: Literal[True]
    """always true: the request was accepted"""
    for_s: float
    """seconds from now during which the station waits for a card to add"""


@router.get("/api/cards", dependencies=[require_role(Role.OWNER)], summary="List the owner's cards")
async def list_cards(cards: _Cards, configuration: Annotated[Configuration, part(Configuration)]) -> OwnCardList:
    """Returns the owner's cards, which authorize charging at a station without a CSMS."""
    return {
        "counts": configuration.csms is None,
        "learning": cards.learning,
        "former": [card.label for card in cards.all_with_removed() if card.removed],
        "cards": [
            {"name": name, "label": card.label, "number": card.short_number, "added_at": card.added_at.isoformat()}
            for name, card in cards.all().items()
        ],
    }


@router.post("/api/cards", status_code=201, dependencies=[require_role(Role.OWNER)], summary="Add a card by its number")
async def add_card(cards: _Cards, body: KnownCard) -> CardAdded:
    """Add a card by its number, or change the label of a known one."""
    return {"name": await cards.add(IdToken(body.id_token, body.type), body.label)}


@router.post(
    "/api/cards/learning",
    status_code=202,
    dependencies=[require_role(Role.OWNER)],
    summary="Add the next card presented",
)
async def learn_card(cards: _Cards, body: CardToLearn) -> LearningAccepted:
    """Wait for a card: the next one that is presented within the returned time is added, and starts no charge.

    409 if the station has the maximum number of cards.
    """
    try:
        cards.learn(body.label)
    except ValueError as error:
        raise HTTPException(409, str(error)) from error
    return {"accepted": True, "for_s": LEARN_S}


@router.delete(
    "/api/cards/learning",
    status_code=202,
    dependencies=[require_role(Role.OWNER)],
    summary="Stop waiting for a card to add",
)
async def stop_learning_card(cards: _Cards) -> Accepted:
    """Stop waiting for a card to add: the next presented card is handled as usual."""
    cards.stop_learning()
    return ACCEPTED


@router.delete("/api/cards/{name}", status_code=202, dependencies=[require_role(Role.OWNER)], summary="Remove a card")
async def remove_card(
    cards: _Cards,
    reservations: Annotated[Reservations, part(Reservations)],
    configuration: Annotated[Configuration, part(Configuration)],
    name: Annotated[str, Path(description="`name` of the card in GET /api/cards; not its label")],
) -> Accepted:
    """Remove a card, which may not charge any more; its label stays with its transactions.

    404 if there is none. The owner's reservations for it end.
    """
    card = cards.all().get(name)
    if card is None or not await cards.remove(name):
        raise HTTPException(404, "no card of the owner has this name")
    if configuration.csms is None:
        await reservations.forget(card.id_token)
    return ACCEPTED

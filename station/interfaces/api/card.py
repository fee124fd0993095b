"""The owner's own cards through the local API: what there is, and adding one by holding it to the reader."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, HTTPException
from pydantic import Field

from station.charging.tokens.owner_cards import LEARN_S, LONGEST_LABEL
from station.core.model import IdToken
from station.interfaces.api.route_services import Command, Living
from station.interfaces.api.token import IdTokenText, IdTokenType
from station.interfaces.json_object import Json

_Label = Annotated[str, Field(min_length=1, max_length=LONGEST_LABEL, pattern=r"^[^\x00-\x1f]+$")]


class Learning(Command):
    """The next card that is presented is to be added under this label."""

    label: _Label


class Card(Command):
    """A card whose number is known."""

    id_token: IdTokenText
    type: IdTokenType = "ISO14443"
    label: _Label


def card_routes(api: FastAPI, living: Living) -> None:
    """Everything below /api/cards."""

    @api.get("/api/cards")
    async def cards() -> Json:
        life = living.life
        return {
            "counts": life.connect is None,
            "learning": life.cards.learning,
            "former": [card.label for card in life.cards.known() if card.removed],
            "cards": [
                {"name": name, "label": card.label, "number": card.shown, "added_at": card.added_at.isoformat()}
                for name, card in life.cards.all().items()
            ],
        }

    @api.post("/api/cards", status_code=201)
    async def add(body: Card) -> Json:
        return {"name": await living.life.cards.add(IdToken(body.id_token, body.type), body.label)}

    @api.post("/api/cards/learning", status_code=202)
    async def learn(body: Learning) -> Json:
        try:
            living.life.cards.learn(body.label)
        except ValueError as error:
            raise HTTPException(409, str(error)) from error
        return {"accepted": True, "for_s": LEARN_S}

    @api.delete("/api/cards/learning", status_code=202)
    async def stop_learning() -> Json:
        living.life.cards.stop_learning()
        return {"accepted": True}

    @api.delete("/api/cards/{name}", status_code=202)
    async def remove(name: str) -> Json:
        if not await living.life.cards.remove(name):
            raise HTTPException(404, "there is no such card")
        return {"accepted": True}

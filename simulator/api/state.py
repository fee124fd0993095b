"""Routes with the state of the simulated world, for the page that controls it."""

from __future__ import annotations

from typing import Annotated, Final

from typing_extensions import TypedDict

from simulator.world import World
from station.charging.authorization.authorization_cache import AuthorizationCache
from station.charging.authorization.local_list import LocalAuthorizationList
from station.interfaces.access.roles import require_role
from station.interfaces.api.dependencies import part
from station.interfaces.api.routing import api_router
from station.security.access.accounts import Role

router = api_router("simulation")

_MOST_CARDS: Final = 100


class HouseShown(TypedDict):
    """The simulated house."""

    phases: int
    """phases of its grid connection"""
    loads: dict[str, list[float]]
    """loads by name, A on L1, L2, L3; negative: a source"""
    currents_a: list[float]
    """currents at the grid meter, A on L1, L2, L3, with those of the EVSEs; negative: exported"""


class SimulatedWorldShown(TypedDict):
    """Response of GET /api/sim/state: the simulated world."""

    house: HouseShown | None
    """the house; null: the station has no [grid]"""
    contact_closed: bool
    """whether the grid operator's contact is closed"""
    rate: float
    """virtual seconds per real second; 0: the clock stands still"""
    readers: list[str]
    """names of the simulated readers"""
    misbehaviour: int
    """number of rules of misbehaviour in force"""
    recording: bool
    """whether somebody records a scenario"""


class CsmsCards(TypedDict):
    """Response of GET /api/sim/auth/cards."""

    cards: list[str]
    """identification tokens, those of the local authorization list first; those of the cache in upper case"""


@router.get(
    "/api/sim/state",
    dependencies=[require_role(Role.SERVICE, logs_changes=False)],
    summary="Read the state of the simulated hardware",
)
async def read_simulated_world(world: Annotated[World, part(World)]) -> SimulatedWorldShown:
    """Returns house, contact, clock, readers, misbehaviour and recording."""
    house = world.house
    return {
        "house": {
            "phases": house.phases,
            "loads": {name: list(currents) for name, currents in house.loads.items()},
            "currents_a": list(house.currents_a),
        }
        if world.has_grid
        else None,
        "contact_closed": world.contacts.closed[0],
        "rate": world.clock.rate,
        "readers": list(world.readers),
        "misbehaviour": len(world.misbehaviour.rules),
        "recording": world.recorder.active,
    }


@router.get(
    "/api/sim/auth/cards",
    dependencies=[require_role(Role.SERVICE, logs_changes=False)],
    summary="List the cards that the CSMS has sent",
)
async def list_known_cards(
    cache: Annotated[AuthorizationCache, part(AuthorizationCache)],
    local_list: Annotated[LocalAuthorizationList, part(LocalAuthorizationList)],
) -> CsmsCards:
    """Returns the cards in the local authorization list and in the authorization cache, at most 100."""
    listed = [token.value for token, _ in await local_list.page(_MOST_CARDS)]
    cached = [token.upper() for (token, _), _ in cache.entries()]
    return {"cards": list(dict.fromkeys([*listed, *cached]))[:_MOST_CARDS]}

"""Routes of the page of simulated hardware: vehicles, cards, faults, house, clock, misbehaviour, messages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, HTMLResponse

from ocpp_handlers.wire.edition import V201
from simulator.communication_model import CommunicationFault
from station.configuration.installation_file import Configuration
from station.core.model import Fault
from station.interfaces.access.roles import require_role
from station.interfaces.api.dependencies import part
from station.interfaces.page.navigation import NavigationPlace
from station.interfaces.page.pages import render_page
from station.security.access.accounts import Role

router = APIRouter(include_in_schema=False)

PLACE: Final = NavigationPlace("/simulation", "simulation", Role.SERVICE)
_HERE: Final = Path(__file__).parent
_SESSION_ACTIONS: Final = {
    "renegotiate": "Negotiate anew",
    "pause": "Pause",
    "wake": "Resume",
    "stop": "End the session",
    "fail": "Break it off",
    "hang": "Hang",
}
"""what a vehicle does with its session, by the value of `session` in POST …/vehicle"""
_WAYS: Final = ("drop", "duplicate", "delay", "reorder", "corrupt", "sequence-number", "half-frame")
"""the kinds of misbehaviour that need no payload"""


_Configuration = Annotated[Configuration, part(Configuration)]


@router.get(PLACE.path, dependencies=[require_role(PLACE.role)], response_class=HTMLResponse)
async def simulation_page(request: Request, configuration: _Configuration) -> HTMLResponse:
    """The page that controls the simulated hardware, for role service."""
    evses = [(evse.id, evse.secc is not None) for evse in configuration.evse]
    faults = [fault.value for fault in CommunicationFault]
    return render_page(
        request,
        PLACE.name,
        _HERE,
        evses=evses,
        faults=faults,
        session_actions=_SESSION_ACTIONS,
        hardware_faults=[fault.value for fault in Fault],
        ways=_WAYS,
        actions=sorted(V201.actions),
    )


@router.get("/simulation.js", dependencies=[require_role(Role.VISITOR)])
async def simulation_script() -> FileResponse:
    """The script of the page."""
    return FileResponse(_HERE / "simulation.js", media_type="text/javascript")

"""Routes for the displays of the station: what each of them shows now, and why."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Annotated

from fastapi import Request
from typing_extensions import TypedDict

from station.core.qr_code import qr_code
from station.core.screen import Screen, ScreenShown, screen_to_json
from station.display.display_screens import DisplayScreens
from station.display.screen import without_charge_lines, without_personal_lines
from station.interfaces.access.roles import require_role
from station.interfaces.access.visitor import visitor_of
from station.interfaces.api.dependencies import SeesCharges, part
from station.interfaces.api.routing import api_router
from station.interfaces.status_light import LightShown, StatusLight, light_to_json
from station.security.access.accounts import Role

if TYPE_CHECKING:
    from station.display.display_message import DisplayAddress

router = api_router("display messages")


class QrCodeShown(TypedDict):
    """A QR code as a path of SVG: one unit for each module, without its quiet zone."""

    size: int
    """number of modules on each side"""
    path: str
    """value of the attribute `d` of an SVG path, of all dark modules"""


class DisplayShown(TypedDict):
    """What one display of the station shows now, in GET /api/display."""

    evse: int | None
    """the EVSE whose display this is; null: the display of the station"""
    path: str
    """the path of the page that shows this display full screen"""
    problem: bool
    """whether a driver of this display fails"""
    light: LightShown
    """the status light of its EVSE, or of the station"""
    screen: ScreenShown
    """a role below driver does not see lines that are meant for one driver; energy, power, time and cost of a charge
    only with `[page] visitors` all"""
    qr: QrCodeShown | None
    """the QR code of `screen.qr_text`; null: none"""


@router.get("/api/display", dependencies=[require_role(Role.VISITOR)], summary="Read what the displays show")
async def read_displays(
    request: Request,
    screens: Annotated[DisplayScreens, part(DisplayScreens)],
    light: Annotated[StatusLight, part(StatusLight)],
    sees_charges: SeesCharges,
) -> list[DisplayShown]:
    """Returns what each display shows now, the display of the station first, and for each line why it is there.

    A `display` event of GET /api/events says that the screen of a display has changed.
    """
    personal = visitor_of(request).role >= Role.DRIVER

    def visible(screen: Screen) -> Screen:
        of_state = screen if sees_charges else without_charge_lines(screen)
        return of_state if personal else without_personal_lines(of_state)

    return [
        _display_to_json(display.address, visible(screens.current(display.address)), screens, light)
        for display in screens.displays
    ]


def _display_to_json(
    address: DisplayAddress, screen: Screen, screens: DisplayScreens, light: StatusLight
) -> DisplayShown:
    evse_id = address.evse_id
    return {
        "evse": evse_id,
        "path": "/display" if evse_id is None else f"/display/{evse_id}",
        "problem": screens.has_problem(address),
        "light": light_to_json(light.station if evse_id is None else light.evse_light(evse_id)),
        "screen": screen_to_json(screen),
        "qr": _qr_code_to_json(screen.qr_text) if screen.qr_text is not None else None,
    }


@lru_cache(maxsize=16)
def _qr_code_to_json(text: str) -> QrCodeShown | None:
    """The QR code of a text; None if it is too long. Cached: a long one takes 20 ms, and everybody may request it."""
    try:
        matrix = [bytes(row) for row in qr_code(text).matrix]
    except ValueError:
        return None
    dark = (f"M{x} {y}h1v1h-1z" for y, row in enumerate(matrix) for x, module in enumerate(row) if module)
    return {"size": len(matrix), "path": "".join(dark)}

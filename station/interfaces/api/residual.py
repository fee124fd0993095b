"""Routes for the residual-current monitors: read their state, test them, clear a trip."""

from __future__ import annotations

from typing import Annotated

from fastapi import HTTPException
from typing_extensions import TypedDict

from station.core.hardware.board import SelfTest
from station.core.model import Fault
from station.interfaces.access.roles import require_role
from station.interfaces.api.dependencies import ACCEPTED, Accepted, PathEvse, Settle, part
from station.interfaces.api.routing import api_router
from station.load.residual_current import ResidualCurrentGuard
from station.security.access.accounts import Role

router = api_router("residual current")

_Guard = Annotated[ResidualCurrentGuard, part(ResidualCurrentGuard)]


class MonitorTestShown(TypedDict):
    """Time and result of the last test of a residual-current monitor."""

    at: str
    """when the test ended (ISO 8601, UTC)"""
    result: SelfTest
    """whether the monitor passed the test"""


class ResidualCurrentState(TypedDict):
    """Response of GET /api/evses/{evse_id}/residual-current: trip, shunt trip and last test."""

    tripped: bool
    """whether a residual current was detected and the service has not cleared it"""
    shunt_trip: bool
    """whether the shunt trip is commanded to open the upstream breaker"""
    last_test: MonitorTestShown | None
    """the last self-test of the monitor; null: it was not tested yet"""


class MonitorTested(TypedDict):
    """Response of POST /api/evses/{evse_id}/residual-current/test: the result of the self-test."""

    result: SelfTest
    """the result of the test that was just made"""


@router.get(
    "/api/evses/{evse_id}/residual-current",
    dependencies=[require_role(Role.INSTALLER)],
    summary="Read the residual-current protection of an EVSE",
)
async def read_residual_current(evse: PathEvse, guard: _Guard) -> ResidualCurrentState:
    """Returns whether the monitor has tripped, whether the shunt trip is commanded, and the last test."""
    last = guard.monitor_tests.get(evse.id)
    return {
        "tripped": Fault.DC_RESIDUAL_CURRENT in evse.state.faults,
        "shunt_trip": guard.trip_required,
        "last_test": None if last is None else {"at": last.at.isoformat(), "result": last.result},
    }


@router.post(
    "/api/evses/{evse_id}/residual-current/test",
    dependencies=[require_role(Role.INSTALLER)],
    summary="Test the residual-current monitor of an EVSE",
)
async def run_residual_monitor_test(evse: PathEvse, guard: _Guard) -> MonitorTested:
    """Run the self-test of the monitor and return its result; a failed test is a fault of the EVSE.

    409 while the EVSE is in use, or if its board does not respond.
    """
    result = await guard.test_monitor(evse.id)
    if result is None:
        raise HTTPException(409, "the residual-current monitor cannot be tested while this EVSE is in use")
    return {"result": result}


@router.delete(
    "/api/evses/{evse_id}/residual-current",
    status_code=202,
    dependencies=[require_role(Role.SERVICE)],
    summary="Clear the residual-current fault",
)
async def clear_residual_current(evse: PathEvse, guard: _Guard, settle: Settle) -> Accepted:
    """Clear the residual-current fault once the installation has been checked, so that the EVSE can charge again.

    409 while the monitor still reports the residual current.
    """
    try:
        await guard.clear(evse.id)
    except ValueError as error:
        raise HTTPException(409, str(error)) from error
    await settle()
    return ACCEPTED

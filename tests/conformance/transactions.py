"""What the cases of block E have in common: start and stop points, the ways to authorize, and what the driver does."""

from __future__ import annotations

import pytest

from tests.conformance.bench import PERIODIC, Bench
from tests.conformance.station_under_test import Setup

EV_CONNECTION_TIMEOUT_S = 20
"""<Configured ev_connection_timeout>"""

LOCAL_AND_REMOTE = pytest.mark.parametrize("local", [True, False], ids=["local", "remote"])
"""a case that leaves open how the driver is authorized"""
SOCKET_AND_CABLE = pytest.mark.parametrize(
    "station_setup", [Setup(), Setup(attached_cable=True)], ids=["socket", "attached"]
)
"""a case for stations with a detachable (HFS-1) and with a fixed cable (HFS-2)"""


async def set_start_points(bench: Bench, points: str) -> None:
    """Configuration state: TxStartPoint."""
    await bench.configure("TxCtrlr", "TxStartPoint", points)


async def set_stop_points(bench: Bench, points: str) -> None:
    """Configuration state: TxStopPoint."""
    await bench.configure("TxCtrlr", "TxStopPoint", points)


async def set_on_ev_side_disconnect(bench: Bench, *, stop: bool, unlock: bool | None = None) -> None:
    """Configuration state: StopTxOnEVSideDisconnect, and UnlockOnEVSideDisconnect where the case names it."""
    await bench.configure("TxCtrlr", "StopTxOnEVSideDisconnect", str(stop).lower())
    if unlock is False and bench.setup.attached_cable:  # it is ReadOnly then
        assert await bench.get_variable("OCPPCommCtrlr", "UnlockOnEVSideDisconnect") == "false"
    elif unlock is not None:
        await bench.configure("OCPPCommCtrlr", "UnlockOnEVSideDisconnect", str(unlock).lower())


async def no_event(bench: Bench, *, for_s: float) -> None:
    """No TransactionEvent besides periodic meter values."""
    await bench.silence("TransactionEvent", for_s=for_s, where=lambda event: event["triggerReason"] not in PERIODIC)


async def detach(bench: Bench) -> None:
    """Manual actions for a detachable cable whose EV has gone: the holder presents the token, then pulls it out."""
    if not bench.setup.attached_cable:
        await bench.present()
        await bench.disconnect_ev()

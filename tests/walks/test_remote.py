"""What the CSMS starts and stops (F01–F03)."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from station.charging.tokens.admission import TokenOutcome
from station.core.model import Fault, IdToken
from tests.csms import Csms
from tests.walk import CARD, OTHER_CARD, walking
from tests.walks.steps import (
    GROUP,
    answering,
    charge,
    event,
    request_start,
    request_stop,
    statuses,
    token,
    transaction_id,
    tx_points,
    variables,
)


def profile(limit_a: float = 10.0, **more: Any) -> dict[str, Any]:
    """Return a TxProfile with a limit from the start."""
    schedule = {
        "id": 1,
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit_a}],
    }
    return {
        "id": 8,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxProfile",
        "chargingProfileKind": "Relative",
        "chargingSchedule": [schedule],
        **more,
    }


async def test_cable_first_the_answer_names_the_transaction_that_waits(tmp_path: Path) -> None:
    """TC_F_01_CS, F01.FR.13, F01.FR.19: transactionId in the answer; RemoteStart and remoteStartId once."""
    async with walking(tmp_path, variable=tx_points("EVConnected", "Authorized")) as walk:
        await walk.accepted()
        await walk.plug()
        await event(walk, "Started", "CablePluggedIn")
        answer = await request_start(walk, remote_start_id=55)
        assert answer == {"status": "Accepted", "transactionId": transaction_id(walk)}
        updated = await event(walk, "Updated", "RemoteStart")
        assert updated["transactionInfo"]["remoteStartId"] == 55
        assert updated["idToken"] == token()
        await walk.charging()
        await event(walk, "Updated", "ChargingStateChanged", chargingState="Charging")
        assert sum("remoteStartId" in sent_event["transactionInfo"] for sent_event in walk.events()) == 1
        assert walk.csms.received("Authorize") == []


@pytest.mark.parametrize("start", ["EVConnected", "Authorized", "PowerPathClosed"])
async def test_remote_start_first_then_the_cable(tmp_path: Path, start: str) -> None:
    """TC_F_03_CS, F02.FR.01: without AuthorizeRemoteStart nobody is asked; RemoteStart has the id token."""
    async with walking(tmp_path, variable=tx_points(start, "Authorized")) as walk:
        await walk.accepted()
        assert await request_start(walk, remote_start_id=56) == {"status": "Accepted"}
        await walk.plug()
        await walk.charging()
        started = await event(walk, "Started", "RemoteStart")
        assert started["transactionInfo"]["remoteStartId"] == 56
        assert started["idToken"] == token()
        assert walk.csms.received("Authorize") == []
        assert sum("remoteStartId" in sent_event["transactionInfo"] for sent_event in walk.events()) == 1


async def test_authorize_remote_start_asks_before_anything_starts(tmp_path: Path) -> None:
    """TC_F_02_CS, F02.FR.04 / F01.FR.01: the answer comes first, then Authorize, then the transaction."""
    async with walking(tmp_path, variable=variables(AuthCtrlr__AuthorizeRemoteStart=True)) as walk:
        await walk.accepted()
        await request_start(walk)
        started = await event(walk, "Started", "RemoteStart")
        assert started["idToken"] == token()
        actions = [call.action for call in walk.csms.calls]
        assert walk.csms.received("Authorize") == [{"idToken": token()}]
        assert actions.index("Authorize") < actions.index("TransactionEvent")
        await walk.plug()
        await walk.charging()


async def test_a_remote_start_that_is_not_authorized_starts_nothing(tmp_path: Path) -> None:
    """F01.FR.02, F02.FR.05: as a local card that is refused."""
    csms = Csms()
    csms.answers["Authorize"] = answering("Blocked")
    async with walking(tmp_path, csms, variable=variables(AuthCtrlr__AuthorizeRemoteStart=True)) as walk:
        await walk.accepted()
        assert (await request_start(walk))["status"] == "Accepted"
        await walk.until(lambda: csms.received("Authorize"))
        await walk.plug()
        await walk.advance(15)
        assert walk.board.contactor_operations == 0
        assert ("Started", "RemoteStart") not in walk.types_and_triggers()


async def test_a_central_token_is_never_asked_for_and_never_cached(tmp_path: Path) -> None:
    """C05.FR.01, C05.FR.02: the CSMS made it up for this start."""
    async with walking(tmp_path, variable=variables(AuthCtrlr__AuthorizeRemoteStart=True)) as walk:
        await walk.accepted()
        central = {"idToken": "ONCE-1", "type": "Central"}
        await walk.csms.call("RequestStartTransaction", {"idToken": central, "remoteStartId": 3, "evseId": 1})
        started = await event(walk, "Started", "RemoteStart")
        assert started["idToken"] == central
        await walk.settle()
        assert walk.csms.received("Authorize") == []
        assert walk.parts.tokens.entries() == []


async def test_a_remote_start_that_nobody_plugs_into_times_out_and_may_come_again(tmp_path: Path) -> None:
    """TC_F_04_CS, F02.FR.07, F02.FR.08: Ended, EVConnectTimeout; the EVSE takes another start."""
    rows = tx_points("Authorized", "Authorized", TxCtrlr__EVConnectionTimeOut=30)
    async with walking(tmp_path, variable=rows) as walk:
        await walk.accepted()
        await request_start(walk, remote_start_id=1)
        await walk.advance(31)
        ended = await event(walk, "Ended", "EVConnectTimeout")
        assert ended["transactionInfo"]["stoppedReason"] == "Timeout"
        assert await request_start(walk, remote_start_id=2) == {"status": "Accepted"}
        second_start = await event(walk, "Started", "RemoteStart", remoteStartId=2)
        assert second_start["transactionInfo"]["transactionId"] != ended["transactionInfo"]["transactionId"]
        assert set(statuses(walk)) == {"Available"}


async def test_an_evse_that_is_in_use_rejects(tmp_path: Path) -> None:
    """F01.FR.24, F02.FR.26: an authorized transaction; the charge is not disturbed."""
    async with walking(tmp_path) as walk:
        await charge(walk)
        events_before = len(walk.events())
        answer = await request_start(walk, card=OTHER_CARD)
        assert answer["status"] == "Rejected"
        assert sum(walk.board.currents_a) > 0
        assert len(walk.events()) == events_before


@pytest.mark.parametrize("card", [CARD, OTHER_CARD])
async def test_a_transaction_that_has_been_authorized_is_matched_with_no_start(tmp_path: Path, card: IdToken) -> None:
    """F01.FR.24, F02.FR.26: its authorization has ended, it goes on; the next EVSE is free."""
    rows = tx_points("EVConnected", "EVConnected")
    async with walking(tmp_path, evse=[{"id": 1}, {"id": 2}], variable=rows) as walk:
        await charge(walk)
        assert await walk.present() is TokenOutcome.STOPPED
        await event(walk, "Updated", "StopAuthorized")
        assert (await request_start(walk, card=card))["status"] == "Rejected"
        assert (await request_start(walk, card=card, evse_id=None))["status"] == "Accepted"
        assert walk.evse.authorized_token is None
        assert walk.parts.station.evses[2].authorized_token == card


async def test_an_evse_that_waits_for_a_cable_rejects_a_second_start(tmp_path: Path) -> None:
    """F02.FR.26: authorized, although nothing has started yet."""
    async with walking(tmp_path, variable=tx_points("EVConnected", "Authorized")) as walk:
        await walk.accepted()
        assert (await request_start(walk, remote_start_id=1))["status"] == "Accepted"
        assert (await request_start(walk, remote_start_id=2, card=OTHER_CARD))["status"] == "Rejected"
        await walk.plug()
        started = await event(walk, "Started", "RemoteStart")
        assert started["transactionInfo"]["remoteStartId"] == 1


async def test_after_an_answer_that_did_not_leave_the_evse_takes_the_next_start(tmp_path: Path) -> None:
    """F01.FR.02, F02.FR.10: the CSMS closes the link while it asks; what was not reported to it is not waited for."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        request = {"idToken": token(), "remoteStartId": 1, "evseId": 1}
        await walk.csms.send_raw(json.dumps([2, "lost", "RequestStartTransaction", request]))
        await walk.csms.close()
        await walk.until(lambda: walk.csms.connections > 1 and walk.csms.connected)
        await walk.settle()
        assert walk.evse.authorized_token is None
        assert (await request_start(walk, remote_start_id=2))["status"] == "Accepted"
        await event(walk, "Started", "RemoteStart", remoteStartId=2)


async def test_a_start_that_nobody_has_time_for_keeps_no_other_out(tmp_path: Path) -> None:
    """F01.FR.02, F02.FR.10: more follow-ups than can be remembered."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        gate = asyncio.Event()

        async def wait() -> None:
            await gate.wait()

        follow_ups = walk.stack._follow_ups  # pyright: ignore[reportPrivateUsage]  # a CSMS could fill it only slowly
        while follow_ups.submit("wait", wait):
            await walk.settle()
        await request_start(walk, remote_start_id=1)
        gate.set()
        await walk.settle()
        assert (await request_start(walk, remote_start_id=2))["status"] == "Accepted"
        await event(walk, "Started", "RemoteStart", remoteStartId=2)


@pytest.mark.parametrize("trouble", ["faulted", "unavailable", "unknown"])
async def test_an_evse_that_cannot_charge_rejects(tmp_path: Path, trouble: str) -> None:
    """F01.FR.23, F02.FR.25."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        if trouble == "faulted":
            walk.board.raise_fault(Fault.GROUND_FAULT)
        elif trouble == "unavailable":
            order = {"operationalStatus": "Inoperative", "evse": {"id": 1}}
            assert (await walk.csms.call("ChangeAvailability", order))["status"] == "Accepted"
        await walk.settle()
        answer = await request_start(walk, evse_id=9 if trouble == "unknown" else 1)
        assert answer["status"] == "Rejected"
        assert answer["statusInfo"]["reasonCode"]
        await walk.plug()
        await walk.advance(10)
        assert walk.board.contactor_operations == 0


async def test_without_an_evse_id_the_one_with_a_vehicle_is_taken(tmp_path: Path) -> None:
    """F01.FR.20."""
    async with walking(tmp_path, evse=[{"id": 1}, {"id": 2}], variable=tx_points("Authorized", "Authorized")) as walk:
        await walk.accepted()
        second = walk.world.boards[2]
        from simulator.vehicle import VehicleModel

        second.plug(VehicleModel())
        await walk.settle()
        assert (await request_start(walk, evse_id=None))["status"] == "Accepted"
        started = await event(walk, "Started", "RemoteStart")
        assert started["evse"] == {"id": 2, "connectorId": 1}
        await walk.until(lambda: sum(second.currents_a) > 0)
        assert sum(walk.board.currents_a) == 0


async def test_before_the_station_is_accepted_nothing_starts_or_stops(tmp_path: Path) -> None:
    """B02.FR.05: Pending; RequestStart and RequestStop are rejected."""
    csms = Csms()
    csms.answers["BootNotification"] = lambda _: {
        "currentTime": csms.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
        "interval": 600,
        "status": "Pending",
    }
    async with walking(tmp_path, csms) as walk:
        await walk.until(lambda: csms.received("BootNotification"))
        assert (await request_start(walk))["status"] == "Rejected"
        assert await request_stop(walk, "whatever") == "Rejected"
        assert csms.received("TransactionEvent") == []


async def test_a_stop_of_a_transaction_that_is_not_running_is_rejected(tmp_path: Path) -> None:
    """TC_F_09_CS, F03.FR.08."""
    async with walking(tmp_path) as walk:
        await charge(walk)
        assert await request_stop(walk, "another") == "Rejected"
        await walk.advance(5)
        assert sum(walk.board.currents_a) > 0


async def test_the_driver_of_a_remote_start_stops_with_the_same_card(tmp_path: Path) -> None:
    """F01, C01.FR.03, E07.FR.02: who started it remotely may end it at the station, without asking."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await request_start(walk)
        await walk.plug()
        await walk.charging()
        assert await walk.present() is TokenOutcome.STOPPED
        await event(walk, "Ended", "StopAuthorized")
        assert walk.csms.received("Authorize") == []


async def test_the_group_of_a_remote_start_may_end_it(tmp_path: Path) -> None:
    """F01, C09: groupIdToken of the request counts."""
    csms = Csms()
    csms.answers["Authorize"] = answering("Accepted", GROUP)
    async with walking(tmp_path, csms) as walk:
        await walk.accepted()
        await request_start(walk, groupIdToken=GROUP)
        await walk.plug()
        await walk.charging()
        assert await walk.present(OTHER_CARD) is TokenOutcome.STOPPED


async def test_a_local_start_may_be_stopped_remotely_and_charged_again(tmp_path: Path) -> None:
    """F03.FR.07: Ended, RemoteStop, Remote; the vehicle that stays gets energy from the next start."""
    async with walking(tmp_path, variable=tx_points("Authorized", "Authorized")) as walk:
        identity = await charge(walk)
        assert await request_stop(walk, identity) == "Accepted"
        await event(walk, "Ended", "RemoteStop", stoppedReason="Remote")
        assert await request_start(walk, remote_start_id=12) == {"status": "Accepted"}
        await event(walk, "Started", "RemoteStart", remoteStartId=12)
        await walk.charging()


async def test_a_profile_that_comes_with_the_start_limits_the_transaction(tmp_path: Path) -> None:
    """F01.FR.10, F02.FR.18, K05.FR.02: it holds for this transaction and ends with it."""
    async with walking(tmp_path, variable=tx_points("Authorized", "Authorized")) as walk:
        await walk.accepted()
        assert await request_start(walk, chargingProfile=profile(10.0)) == {"status": "Accepted"}
        await walk.plug()
        await walk.charging()
        await walk.until(lambda: walk.board.currents_a.l1 == 10.0)
        await walk.advance(30)
        assert max(walk.board.currents_a) == 10.0
        (installed,) = walk.parts.load.profiles.store.all()
        assert installed.transaction_id == transaction_id(walk)
        await request_stop(walk, transaction_id(walk))
        await event(walk, "Ended", "RemoteStop")
        await walk.advance(2)
        assert walk.parts.load.profiles.store.all() == ()


@pytest.mark.parametrize(
    "wrong",
    [
        {"chargingProfilePurpose": "TxDefaultProfile"},
        {"transactionId": "not-yet"},
        {"chargingProfileKind": "Absolute"},
    ],
)
async def test_a_start_with_a_wrong_profile_is_rejected(tmp_path: Path, wrong: dict[str, Any]) -> None:
    """F01.FR.08, F01.FR.11, F01.FR.26, K05.FR.05, K01.FR.40: nothing starts."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        answer = await request_start(walk, chargingProfile=profile(**wrong))
        assert answer["status"] == "Rejected"
        await walk.plug()
        await walk.advance(10)
        assert walk.board.contactor_operations == 0
        assert ("Started", "RemoteStart") not in walk.types_and_triggers()

"""Block K, smart charging: the one case that belongs to Core."""

from __future__ import annotations

from tests.conformance import states
from tests.conformance.bench import VALID_TOKEN, Bench
from tests.conformance.cases import case, setup
from tests.conformance.frames import Payload

_PROFILE: Payload = {
    "id": 158,
    "stackLevel": 0,
    "chargingProfilePurpose": "TxProfile",
    "chargingProfileKind": "Relative",
    "chargingSchedule": [
        {
            "id": 1,
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6.0, "numberPhases": 3}],
        }
    ],
}


@case("Core", "C", "NOT Smart Charging")
@setup(variables={"SmartChargingCtrlr.Enabled": "false"})  # F01.FR.12: this tells whether it is supported
async def test_tc_k_38_cs(bench: Bench) -> None:
    """Remote start transaction with charging profile - Ignore chargingProfile"""
    await states.ev_connected_pre_session(bench)
    session = bench.session()
    was_started = session.started
    session.remote, session.remote_start_id = True, 38
    await bench.mark("remote-start", bench.evse_id, VALID_TOKEN)
    answer = await bench.call(
        "RequestStartTransaction",
        {
            "idToken": VALID_TOKEN,
            "remoteStartId": session.remote_start_id,
            "evseId": bench.evse_id,
            "chargingProfile": _PROFILE,
        },
    )
    assert answer["status"] == "Accepted", answer
    if was_started:
        assert answer.get("transactionId") == session.transaction_id, answer
    if await bench.get_variable("AuthCtrlr", "AuthorizeRemoteStart") == "true":
        asked = await bench.expect("Authorize")
        assert asked["idToken"]["idToken"] == VALID_TOKEN["idToken"], asked
        assert asked["idToken"]["type"] == VALID_TOKEN["type"], asked
    session.authorized = True
    if was_started or "Authorized" in bench.start_points:
        event = await bench.expect_event()
        assert event["triggerReason"] == "RemoteStart", event
        assert event["transactionInfo"].get("remoteStartId") == session.remote_start_id, event
    await states.energy_transfer_started(bench)
    await bench.advance(10.0)
    limits = (await bench.station.get("/api/status"))["evses"][bench.evse_id - 1]["limits"]
    assert "charging-profile" not in {limit["source"] for limit in limits}, limits  # it is truly ignored

"""Block K, charging with load leveling based on high level communication (ISO 15118 Support)."""

from __future__ import annotations

from tests.conformance import states, states_15118
from tests.conformance.bench import Bench
from tests.conformance.cases import case
from tests.conformance.charging_profiles import UNITS, profile, set_profile
from tests.conformance.states_15118 import communicating

_ACCEPTED = {"status": "Accepted"}


async def _charges(bench: Bench) -> None:
    """A TransactionEventRequest: energy flows."""
    event = await bench.expect_event()
    assert event["triggerReason"] == "ChargingStateChanged", event
    assert event["transactionInfo"]["chargingState"] == "Charging", event
    bench.session().charging = True


async def _ready(bench: Bench, **iso15118: object) -> None:
    """State is EVConnectedPreSession, then Authorized15118 by an id token (errata 6.2.76 to 6.2.81)."""
    await states.authorization_on(bench)
    await states_15118.ev_connected_pre_session(bench, **iso15118)
    await states_15118.authorized15118(bench, contract=False)


async def _limit_follows(bench: Bench, unit: str, limit_a: float) -> None:
    """The vehicle draws no more than the schedule allows."""
    await bench.advance(10.0)
    circuit = await bench.station.get(f"/api/sim/evses/{bench.evse_id}/circuit")
    assert max(circuit["currents_a"]) <= limit_a + 0.01, circuit
    assert max(circuit["currents_a"]) > 0.0, (unit, circuit)


async def _rate_changed(bench: Bench) -> None:
    """Step 7, or 5: an event, if there is one besides meter values, is ChargingRateChanged.

    Optional: by K09 and erratum 6.2.80 the station notifies changes of the rate that the CSMS has not made itself.
    """
    await bench.advance(5.0)
    for frame in bench.take("TransactionEvent"):
        reason = frame.payload["triggerReason"]
        assert reason in {"ChargingRateChanged", "MeterValuePeriodic", "MeterValueClock"}, frame


@case("ISO 15118 Support", "M")
@communicating
@UNITS
async def test_tc_k_53_cs(bench: Bench, unit: str) -> None:
    """Charging with load leveling based on High Level Communication - Success"""
    await _ready(bench)
    bench.on("NotifyEVChargingNeeds", _ACCEPTED)
    await states_15118.needs_notified(bench)  # step 2
    sent = states_15118.tx_profile(bench, 6.0, unit)
    await states_15118.profile_accepted(bench, sent)  # step 5
    await states_15118.schedule_notified(bench, sent)  # step 6
    await _charges(bench)  # step 8
    await _limit_follows(bench, unit, 6.0)


@case("ISO 15118 Support", "M")
@communicating
async def test_tc_k_54_cs(bench: Bench) -> None:
    """Charging with load leveling based on High Level Communication - No SASchedule (rejected)"""
    await _ready(bench)
    bench.on("NotifyEVChargingNeeds", {"status": "Rejected"})
    await states_15118.needs_notified(bench)  # step 1
    await states_15118.schedule_notified(bench, None)  # step 3
    await _charges(bench)  # step 5


@case("ISO 15118 Support", "M")
@communicating
@UNITS
async def test_tc_k_56_cs(bench: Bench, unit: str) -> None:
    """Charging with load leveling based on High Level Communication - Offline"""
    await bench.configure("OCPPCommCtrlr", "RetryBackOffWaitMinimum", "10")
    sent = profile(unit, (0, 6.0), start=bench.iso(-4.0), duration=400)
    assert await set_profile(bench, sent) == "Accepted"
    await states.authorization_on(bench)
    await states_15118.ev_connected_pre_session(bench)
    # The vehicle sends its needs once it is authorized: the link is cut at that moment.
    await bench.present()
    request = await bench.expect("Authorize")
    assert request["idToken"] == bench.session().id_token, request
    await bench.go_offline()  # step 1
    await bench.advance(90.0)
    await bench.accept_reconnect()  # step 2
    authorized = await bench.expect_event()
    assert authorized["triggerReason"] == "Authorized", authorized
    event = await bench.expect_event()  # step 5
    assert event["triggerReason"] == "ChargingStateChanged", event
    assert event["transactionInfo"]["chargingState"] == "Charging", event
    assert event["offline"] is True, event
    assert bench.take("NotifyEVChargingNeeds") == []
    for notified in bench.take("NotifyEVChargingSchedule"):  # step 3, optional
        assert notified.payload["evseId"] == bench.evse_id
        schedule = notified.payload["chargingSchedule"]
        assert schedule["chargingRateUnit"] == unit
        assert schedule["chargingSchedulePeriod"][0]["startPeriod"] == 0
        assert schedule["chargingSchedulePeriod"][0]["limit"] <= (8 if unit == "A" else 8_000)
    await _limit_follows(bench, unit, 6.0)


@case("ISO 15118 Support", "M")
@communicating
@UNITS
async def test_tc_k_57_cs(bench: Bench, unit: str) -> None:
    """Renegotiating a Charging Schedule - Initiated by EV"""
    await _ready(bench)
    bench.on("NotifyEVChargingNeeds", _ACCEPTED)
    await states_15118.renegotiate_charging_limits(bench, unit)
    await bench.station.vehicle(bench.evse_id, session="renegotiate")
    await states_15118.needs_notified(bench)  # step 1
    sent = states_15118.tx_profile(bench, 15.0, unit, identity=103)
    sent["stackLevel"] = 1
    if unit == "W":  # 15 kW, as the case says
        sent["chargingSchedule"][0]["chargingSchedulePeriod"][0]["limit"] = 15_000.0
    await states_15118.profile_accepted(bench, sent)  # step 4
    await states_15118.schedule_notified(bench, sent)  # step 5
    await _rate_changed(bench)  # step 7
    await _limit_follows(bench, unit, 15.0 if unit == "A" else 15_000.0 / 690.0)


@case("ISO 15118 Support", "M")
@communicating
@UNITS
async def test_tc_k_58_cs(bench: Bench, unit: str) -> None:
    """Renegotiating a Charging Schedule - Initiated by CSMS

    Its published validations are numbered for TC_K_57_CS: here each is at the step whose message it is about.
    """
    await _ready(bench)
    bench.on("NotifyEVChargingNeeds", _ACCEPTED)
    await states_15118.renegotiate_charging_limits(bench, unit)
    needs = len(bench.journal.sent("NotifyEVChargingNeeds"))
    sent = states_15118.tx_profile(bench, 8.0, unit, identity=104)
    sent["stackLevel"] = 1
    if unit == "W":
        sent["chargingSchedule"][0]["chargingSchedulePeriod"][0]["limit"] = 8_000.0
    await states_15118.profile_accepted(bench, sent)  # step 2
    await states_15118.schedule_notified(bench, sent)  # step 3
    await _rate_changed(bench)  # step 5
    await _limit_follows(bench, unit, 8.0 if unit == "A" else 8_000.0 / 690.0)
    assert len(bench.journal.sent("NotifyEVChargingNeeds")) == needs, "K16.FR.09: the CSMS knows the needs"

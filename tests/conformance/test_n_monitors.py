"""Block N, monitors: set, replaced, refused and cleared; monitoring base and level (N03 to N06)."""

from __future__ import annotations

import pytest

from tests.conformance import states
from tests.conformance.bench import Bench
from tests.conformance.cases import case
from tests.conformance.frames import Payload
from tests.conformance.monitoring import (
    EVSE_POWER,
    EVSE_STATE,
    LOWER_TRIGGER_W,
    STATION_STATE,
    UPPER_TRIGGER_W,
    Events,
    address,
    is_at,
    monitor,
    no_monitors_reported,
    reason_is,
    reported,
    request_monitors,
    set_base,
    set_level,
    set_monitors,
)

_MAX_POWER_W = 32 * 230 * 3
"""maxLimit of EVSE.Power"""
_PRECONFIGURED_ID = 101
"""<Configured preconfigured monitor id>: operations of the contactor of EVSE 1"""

# Monitoring base and level


@case("Advanced Device Management", "M")
async def test_tc_n_05_cs(bench: Bench) -> None:
    """Set Monitoring Base - success"""
    for base in ("All", "FactoryDefault", "HardWiredOnly"):
        await set_base(bench, base)


@case("Advanced Device Management", "M")
async def test_tc_n_06_cs(bench: Bench) -> None:
    """Set Monitoring Base - test removal custom monitors"""
    await set_monitors(bench, monitor("Delta", 1, STATION_STATE))
    (found,) = await reported(bench, 1, componentVariable=[STATION_STATE])
    assert found["type"] == "Delta", found
    assert is_at(found, STATION_STATE), found
    await set_base(bench, "HardWiredOnly")
    await no_monitors_reported(bench, 2, componentVariable=[STATION_STATE])


@case("", "")
async def test_tc_n_07_cs(bench: Bench) -> None:
    """Set Monitoring Base - for unknown base type"""
    answer = await bench.call_outside_schema("SetMonitoringBase", {"monitoringBase": "SoftWiredOnly"})
    assert answer["status"] == "NotSupported", answer
    reason_is(answer, "UnsupportedParam", "InvalidValue")


@case("Advanced Device Management", "M")
async def test_tc_n_16_cs(bench: Bench) -> None:
    """Set Monitoring Level - Success"""
    (monitor_id,) = await set_monitors(bench, monitor("Delta", 1, EVSE_STATE, severity=8))
    await set_level(bench, 7)
    events = Events(bench)
    await states.ev_connected_pre_session(bench)
    await events.silence(monitor_id, for_s=30.0)
    assert [event for event in events.rest() if is_at(event, EVSE_STATE)] == []


@case("Advanced Device Management", "M")
async def test_tc_n_17_cs(bench: Bench) -> None:
    """Set Monitoring Level - Out of range"""
    for severity, reason in ((10, "ValueTooHigh"), (-1, "ValueTooLow")):
        outside = severity < 0 and bench.setup.edition == "2.1"  # only this edition's schema has a minimum
        call = bench.call_outside_schema if outside else bench.call
        answer = await call("SetMonitoringLevel", {"severity": severity})
        assert answer["status"] == "Rejected", answer
        reason_is(answer, "ValueOutOfRange", reason)


# Setting monitors


@case("Advanced Device Management", "M")
async def test_tc_n_08_cs(bench: Bench) -> None:
    """Set Variable Monitoring - one setMonitoringData element"""
    await set_monitors(bench, monitor("Delta", 1, EVSE_STATE, severity=8))
    found = await reported(bench, 8, componentVariable=[EVSE_STATE])
    assert [monitor_found["type"] for monitor_found in found] == ["Delta"], found
    assert is_at(found[0], EVSE_STATE), found


@case("Advanced Device Management", "M")
async def test_tc_n_09_cs(bench: Bench) -> None:
    """Set Variable Monitoring - Multiple elements on different component and variable"""
    requested = [monitor("Delta", 1, EVSE_STATE), monitor("Delta", 1, STATION_STATE)]
    ids = await set_monitors(bench, *requested)
    found = await reported(bench, 9, componentVariable=[EVSE_STATE, STATION_STATE])
    assert {monitor_found["id"] for monitor_found in found} == set(ids), found
    assert all(any(is_at(monitor_found, at) for monitor_found in found) for at in (EVSE_STATE, STATION_STATE)), found


@case("Advanced Device Management", "M")
async def test_tc_n_10_cs(bench: Bench) -> None:
    """Set Variable Monitoring - Multiple monitors on the same component and variable"""
    await set_monitors(bench, monitor("Delta", 1, EVSE_STATE, severity=8), monitor("Delta", 1, EVSE_STATE, severity=7))


@case("Advanced Device Management", "M")
async def test_tc_n_11_cs(bench: Bench) -> None:
    """Set Variable Monitoring - Unknown component"""
    of_no_evse, of_unknown_component = await request_monitors(
        bench,
        monitor("Delta", 1, address("EVSE", "AvailabilityState", 99)),
        monitor("UpperThreshold", 1234.0, address("NonExistent", "Power", None)),
    )
    assert "id" not in of_no_evse, of_no_evse
    assert of_no_evse["status"] in {"UnknownComponent", "Rejected"}, of_no_evse
    reason_is(of_no_evse, "UnknownEVSE", "NotFound")
    assert "id" not in of_unknown_component, of_unknown_component
    assert of_unknown_component["status"] == "UnknownComponent", of_unknown_component
    reason_is(of_unknown_component, "NotFound")


@case("Advanced Device Management", "M")
async def test_tc_n_12_cs(bench: Bench) -> None:
    """Set Variable Monitoring - Value out of range - Delta monitor"""
    (result,) = await request_monitors(bench, monitor("Delta", -1, EVSE_POWER))
    assert "id" not in result, result
    assert result["status"] == "Rejected", result
    reason_is(result, "ValueOutOfRange", "ValuePositiveOnly")


@case("Advanced Device Management", "M")
async def test_tc_n_13_cs(bench: Bench) -> None:
    """Set Variable Monitoring - Value out of range - Threshold monitor"""
    (result,) = await request_monitors(bench, monitor("UpperThreshold", _MAX_POWER_W + 1.0, EVSE_POWER))
    assert "id" not in result, result
    assert result["status"] == "Rejected", result
    reason_is(result, "ValueOutOfRange")


@case("Advanced Device Management", "M")
async def test_tc_n_15_cs(bench: Bench) -> None:
    """Set Variable Monitoring - Duplicate Variable type/severity combination"""
    first, second = await request_monitors(bench, monitor("Delta", 1, EVSE_STATE), monitor("Delta", 1, EVSE_STATE))
    assert first["status"] == "Accepted", first
    assert isinstance(first["id"], int), first
    reason_is(first, "NoError")
    assert second["status"] == "Duplicate", second
    reason_is(second, "InvalidValue")


@case("Advanced Device Management", "M")
async def test_tc_n_37_cs(bench: Bench) -> None:
    """Set Variable Monitoring - Unknown Variable"""
    (result,) = await request_monitors(bench, monitor("Delta", 1, address("EVSE", "unknownVariable")))
    assert result["status"] == "UnknownVariable", result


@case("", "")
async def test_tc_n_38_cs(bench: Bench) -> None:
    """Set Variable Monitoring - Not supported MonitorType"""
    (result,) = await request_monitors(bench, monitor("UpperThreshold", 1, EVSE_STATE))
    assert result["status"] in {"UnsupportedMonitorType", "Rejected"}, result


@case("Advanced Device Management", "M")
async def test_tc_n_39_cs(bench: Bench) -> None:
    """Set Variable Monitoring - Component/Variable combination does NOT correspond"""
    (monitor_id,) = await set_monitors(bench, monitor("Delta", 1, EVSE_STATE))
    (result,) = await request_monitors(bench, monitor("Delta", 1, EVSE_POWER, monitor_id=monitor_id))
    assert result["status"] == "Rejected", result
    (found,) = [monitor_found for monitor_found in await reported(bench, 39) if monitor_found["id"] == monitor_id]
    assert is_at(found, EVSE_STATE), found
    assert (found["value"], found["type"]) == (1, "Delta"), found


@case("Advanced Device Management", "M")
async def test_tc_n_40_cs(bench: Bench) -> None:
    """Set Variable Monitoring - Replace Variable Monitor"""
    (monitor_id,) = await set_monitors(bench, monitor("Delta", 1, EVSE_STATE, severity=5))
    assert await set_monitors(bench, monitor("Delta", 1, EVSE_STATE, severity=4, monitor_id=monitor_id)) == [monitor_id]
    (found,) = await reported(bench, 40, componentVariable=[EVSE_STATE], monitoringCriteria=["DeltaMonitoring"])
    assert is_at(found, EVSE_STATE), found
    assert found["severity"] == 4, found


@case("Advanced Device Management", "M")
async def test_tc_n_41_cs(bench: Bench) -> None:
    """Set Variable Monitoring - Return to FactoryDefault"""
    await set_base(bench, "FactoryDefault")
    (before,) = [
        monitor_found for monitor_found in await reported(bench, 1) if monitor_found["id"] == _PRECONFIGURED_ID
    ]
    at: Payload = {"component": before["component"], "variable": before["variable"]}
    severity = before["severity"] + 1 if before["severity"] < 9 else 5
    changed = {**monitor(before["type"], before["value"], at, severity=severity, monitor_id=_PRECONFIGURED_ID)}
    await set_monitors(bench, changed | {"transaction": before["transaction"]})
    (custom,) = [
        monitor_found
        for monitor_found in await reported(bench, 2, componentVariable=[at])
        if monitor_found["id"] == _PRECONFIGURED_ID
    ]
    assert custom["severity"] == severity, custom
    await set_base(bench, "FactoryDefault")
    (after,) = [
        monitor_found
        for monitor_found in await reported(bench, 3, componentVariable=[at])
        if monitor_found["id"] == _PRECONFIGURED_ID
    ]
    assert after == before


@case("Advanced Device Management", "M")
async def test_tc_n_43_cs(bench: Bench) -> None:
    """
    Set Variable Monitoring - First SetMonitoringData and third SetMonitoringData are valid, but the second contains an
    out of range value
    """
    upper, delta, lower = await request_monitors(
        bench,
        monitor("UpperThreshold", UPPER_TRIGGER_W, EVSE_POWER),
        monitor("Delta", -1.0, EVSE_POWER),
        monitor("LowerThreshold", LOWER_TRIGGER_W, EVSE_POWER),
    )
    for accepted in (upper, lower):
        assert accepted["status"] == "Accepted", accepted
        reason_is(accepted, "NoError")
    assert delta["status"] == "Rejected", delta
    Events(bench).rest()


# Clearing monitors


async def _clear_monitors(bench: Bench, *ids: int) -> list[Payload]:
    """ClearVariableMonitoring; the results, each of the id at its place."""
    answer = await bench.call("ClearVariableMonitoring", {"id": list(ids)})
    results: list[Payload] = answer["clearMonitoringResult"]
    assert [result["id"] for result in results] == list(ids), answer
    return results


@case("Advanced Device Management", "M")
async def test_tc_n_18_cs(bench: Bench) -> None:
    """Clear Monitoring - Success"""
    ids = await set_monitors(bench, monitor("Delta", 1, STATION_STATE), monitor("Delta", 1, EVSE_STATE))
    for result in await _clear_monitors(bench, *ids):
        assert result["status"] == "Accepted", result
        reason_is(result, "NoError")
    await no_monitors_reported(bench, 18, componentVariable=[STATION_STATE, EVSE_STATE])


@case("Advanced Device Management", "M")
async def test_tc_n_19_cs(bench: Bench) -> None:
    """Clear Monitoring - Not found"""
    unknown = max((monitor_found["id"] for monitor_found in await reported(bench, 19)), default=123455) + 1
    (result,) = await _clear_monitors(bench, unknown)
    assert result["status"] == "NotFound", result
    reason_is(result, "NotFound")


@case("Advanced Device Management", "C", "AQ-5")
async def test_tc_n_44_cs(bench: Bench) -> None:
    """Clear Monitoring - Rejected"""
    hard_wired = (await reported(bench, 44))[0]
    (result,) = await _clear_monitors(bench, hard_wired["id"])
    assert result["status"] == "Rejected", result


@pytest.mark.parametrize("kind", ["UpperThreshold", "LowerThreshold", "Delta"])
async def test_a_threshold_or_difference_for_texts_is_refused_or_taken_as_any_change(bench: Bench, kind: str) -> None:
    """N04.FR.05, N04.FR.12 to N04.FR.14."""
    (result,) = await request_monitors(bench, monitor(kind, 5, EVSE_STATE))
    assert result["status"] == ("Accepted" if kind == "Delta" else "UnsupportedMonitorType"), result

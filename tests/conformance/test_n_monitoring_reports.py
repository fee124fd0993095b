"""Block N, reports of monitors: which ones a criterion and a component select (N02)."""

from __future__ import annotations

from tests.conformance.bench import Bench
from tests.conformance.cases import case, setup
from tests.conformance.frames import Payload
from tests.conformance.monitoring import (
    DELTA_TRIGGER_W,
    EVSE_POWER,
    EVSE_STATE,
    INTERVAL_S,
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
    set_monitors,
)

_THRESHOLDS = {"UpperThreshold", "LowerThreshold"}
_PERIODIC = {"Periodic", "PeriodicClockAligned"}


@case("Advanced Device Management", "M")
async def test_tc_n_01_cs(bench: Bench) -> None:
    """Get Monitoring Report - with monitoringCriteria"""
    ids = await set_monitors(
        bench,
        monitor("LowerThreshold", LOWER_TRIGGER_W, EVSE_POWER),
        monitor("UpperThreshold", UPPER_TRIGGER_W, EVSE_POWER),
        monitor("Periodic", INTERVAL_S, EVSE_POWER),
        monitor("Delta", DELTA_TRIGGER_W, EVSE_POWER),
        monitor("PeriodicClockAligned", INTERVAL_S, EVSE_POWER),
    )
    thresholds, delta, periodic = set(ids[:2]), {ids[3]}, {ids[2], ids[4]}
    for request_id, criteria, types, expected in (
        (1, ["ThresholdMonitoring"], _THRESHOLDS, thresholds),
        (2, ["ThresholdMonitoring", "DeltaMonitoring"], _THRESHOLDS | {"Delta"}, thresholds | delta),
        (3, ["DeltaMonitoring", "PeriodicMonitoring"], _PERIODIC | {"Delta"}, delta | periodic),
    ):
        found = await reported(bench, request_id, monitoringCriteria=criteria)
        assert {monitor_found["type"] for monitor_found in found} == types, found
        assert expected <= {monitor_found["id"] for monitor_found in found}, found
    Events(bench).rest()


@case("Advanced Device Management", "M")
async def test_tc_n_02_cs(bench: Bench) -> None:
    """Get Monitoring Report - with component/variable"""
    await set_monitors(bench, monitor("Delta", 1, STATION_STATE), monitor("Delta", 1, EVSE_STATE))
    selectors = [STATION_STATE, {"component": EVSE_STATE["component"]}]
    found = await reported(bench, 2, componentVariable=selectors)
    for monitor_found in found:
        assert monitor_found["component"]["name"] in {"ChargingStation", "EVSE"}, monitor_found
        assert monitor_found["type"] == "Delta" or monitor_found["variable"]["name"] != "AvailabilityState", (
            monitor_found
        )
    for at in (STATION_STATE, EVSE_STATE):
        assert [monitor_found["type"] for monitor_found in found if is_at(monitor_found, at)] == ["Delta"]


@case("Advanced Device Management", "M")
async def test_tc_n_03_cs(bench: Bench) -> None:
    """Get Monitoring Report - with component criteria and component/variable"""
    await set_monitors(
        bench,
        monitor("Periodic", INTERVAL_S, address("ChargingStation", "Power", None)),
        monitor("Delta", 1, STATION_STATE),
        monitor("Delta", 1, EVSE_STATE),
    )
    selectors = [STATION_STATE, EVSE_STATE]
    await no_monitors_reported(bench, 1, monitoringCriteria=["ThresholdMonitoring"], componentVariable=selectors)
    found = await reported(bench, 2, monitoringCriteria=["DeltaMonitoring"], componentVariable=selectors)
    assert {monitor_found["type"] for monitor_found in found} == {"Delta"}, found
    assert all(any(is_at(monitor_found, at) for monitor_found in found) for at in selectors), found
    Events(bench).rest()


@case("", "")
async def test_tc_n_04_cs(bench: Bench) -> None:
    """Get Monitoring Report - for unknown component criteria"""
    unknown: Payload = {"requestId": 4, "monitoringCriteria": ["DeltaMonitoring", "WeatherMonitoring"]}
    answer = await bench.call_outside_schema("GetMonitoringReport", unknown)
    assert answer["status"] == "NotSupported", answer
    reason_is(answer, "UnsupportedParam", "InvalidValue")
    await bench.silence("NotifyMonitoringReport", for_s=2.0)


@case("Advanced Device Management", "M")
@setup(evses=2)
async def test_tc_n_47_cs(bench: Bench) -> None:
    """Get Monitoring report - Report all"""
    ids = await set_monitors(bench, monitor("Delta", 1, STATION_STATE), monitor("Delta", 1, EVSE_STATE))
    found = await reported(bench, 47)
    assert set(ids) <= {monitor_found["id"] for monitor_found in found}, found
    for monitor_found in found:
        if monitor_found["variable"]["name"] == "AvailabilityState":
            assert monitor_found["type"] == "Delta", monitor_found
            assert monitor_found["component"]["name"] in {"ChargingStation", "EVSE"}, monitor_found

"""Monitors for the cases of block N: set, reported, and the events that they trigger."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from tests.conformance.bench import Bench
from tests.conformance.frames import Payload

SEVERITY = 8
"""<Configured severity>"""
INTERVAL_S = 10
"""<Configured Clock Aligned MeterValues Interval>"""

# <Configured threshold monitor component variable>, and <Configured numeric delta component variable>
POWER = ("EVSE", "Power")
UPPER_TRIGGER_W = 100.0
LOWER_TRIGGER_W = 10.0
DELTA_TRIGGER_W = 100.0
# <Configured non-numeric delta component variable>
AVAILABILITY = ("EVSE", "AvailabilityState")


def address(component: str, variable: str, evse_id: int | None = 1, connector_id: int | None = None) -> Payload:
    """Component and variable, of an EVSE (or None: of the station), and perhaps of a connector."""
    place: Payload = {"name": component}
    if evse_id is not None:
        place["evse"] = {"id": evse_id} | ({"connectorId": connector_id} if connector_id is not None else {})
    return {"component": place, "variable": {"name": variable}}


def monitor(
    kind: str, value: float, at: Payload, *, severity: int = SEVERITY, monitor_id: int | None = None
) -> Payload:
    """SetMonitoringDataType."""
    data: Payload = {"type": kind, "value": value, "severity": severity, **at}
    return data | ({"id": monitor_id} if monitor_id is not None else {})


STATION_STATE = address("ChargingStation", "AvailabilityState", None)
EVSE_STATE = address(*AVAILABILITY)
EVSE_POWER = address(*POWER)


def reason_is(answer: Payload, *allowed: str) -> None:
    """Status information is absent, or has one of these reason codes."""
    info = answer.get("statusInfo")
    assert info is None or info["reasonCode"] in allowed, answer


async def request_monitors(bench: Bench, *monitors: Payload) -> list[Payload]:
    """Send SetVariableMonitoring; the results, in the order of the requested monitors."""
    answer = await bench.call("SetVariableMonitoring", {"setMonitoringData": list(monitors)})
    results: list[Payload] = answer["setMonitoringResult"]
    assert len(results) == len(monitors), answer
    for data, result in zip(monitors, results, strict=True):
        for name in ("type", "severity", "component", "variable"):
            assert result[name] == data[name], (data, result)
    return results


async def set_monitors(bench: Bench, *monitors: Payload) -> list[int]:
    """SetVariableMonitoring, of which each monitor must be accepted; the ids."""
    ids: list[int] = []
    for result in await request_monitors(bench, *monitors):
        assert result["status"] == "Accepted", result
        reason_is(result, "NoError")
        ids.append(result["id"])
    assert len(set(ids)) == len(ids), "the ids differ"
    return ids


async def set_base(bench: Bench, base: str) -> None:
    """SetMonitoringBase, which must be accepted."""
    answer = await bench.call("SetMonitoringBase", {"monitoringBase": base})
    assert answer["status"] == "Accepted", answer
    reason_is(answer, "NoError")


async def set_level(bench: Bench, severity: int) -> None:
    """SetMonitoringLevel, which must be accepted."""
    answer = await bench.call("SetMonitoringLevel", {"severity": severity})
    assert answer["status"] == "Accepted", answer
    reason_is(answer, "NoError")


async def reported(bench: Bench, request_id: int, **criteria: Any) -> list[Payload]:
    """GetMonitoringReport, which must be accepted, and all parts that follow; the monitors, each with its variable."""
    answer = await bench.call("GetMonitoringReport", {"requestId": request_id, **criteria})
    assert answer["status"] == "Accepted", answer
    reason_is(answer, "NoError")
    found: list[Payload] = []
    number, more = 0, True
    while more:
        part = await bench.expect("NotifyMonitoringReport")
        assert part["requestId"] == request_id, part
        assert part["seqNo"] == number, part
        assert abs(_moment(part["generatedAt"]) - bench.now()) < timedelta(seconds=10), part
        for row in part["monitor"]:
            where = {"component": row["component"], "variable": row["variable"]}
            found += [where | monitor for monitor in row["variableMonitoring"]]
        number, more = number + 1, part.get("tbc", False)
    await bench.silence("NotifyMonitoringReport", for_s=2.0)
    return found


async def no_monitors_reported(bench: Bench, request_id: int, **criteria: Any) -> None:
    """Send GetMonitoringReport with criteria that match no monitor."""
    answer = await bench.call("GetMonitoringReport", {"requestId": request_id, **criteria})
    assert answer["status"] == "EmptyResultSet", answer
    reason_is(answer, "NotFound")
    await bench.silence("NotifyMonitoringReport", for_s=2.0)


def is_at(found: Payload, at: Payload) -> bool:
    """Whether something that is reported belongs to this component and variable."""
    return all(found[name] == at[name] for name in ("component", "variable"))


class Events:
    """The events that the station has sent in NotifyEvent, in order; each is taken by one step."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._unread: list[Payload] = []

    async def expect(self, monitor_id: int | None = None, *, within_s: float = 30.0, **fields: Any) -> Payload:
        """The next event of a monitor (None: any) with these fields; `cleared=False` also if the field is absent."""

        def found() -> Payload | None:
            self._read()
            return next((event for event in self._unread if self._fits(event, monitor_id, fields)), None)

        event: Payload = await self._bench.until(
            found, within_s=within_s, why=f"no event of {monitor_id} with {fields}"
        )
        self._unread.remove(event)
        return event

    async def silence(self, monitor_id: int, *, for_s: float) -> None:
        """No unread event of a monitor, now or in the next seconds."""
        await self._bench.advance(for_s)
        await self._bench.settle()
        self._read()
        assert [event for event in self._unread if self._fits(event, monitor_id, {})] == []

    def rest(self) -> list[Payload]:
        """All events that have come and no step has taken; a case that may bring about others ends with this."""
        self._read()
        rest, self._unread = self._unread, []
        return rest

    def _read(self) -> None:
        number = 0
        for frame in self._bench.take("NotifyEvent"):
            assert frame.payload["seqNo"] == number, frame
            assert abs(_moment(frame.payload["generatedAt"]) - self._bench.now()) < timedelta(minutes=10), frame
            number = number + 1 if frame.payload.get("tbc", False) else 0
            self._unread += frame.payload["eventData"]

    @staticmethod
    def _fits(event: Payload, monitor_id: int | None, fields: Payload) -> bool:
        if monitor_id is not None and event.get("variableMonitoringId") != monitor_id:
            return False
        return all(event.get(name, False if name == "cleared" else None) == value for name, value in fields.items())


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))

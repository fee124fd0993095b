"""Block N, monitors under OCPP 2.1: differences to a target, and periodic event streams (N02, N11 to N15)."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from typing import Any, Final

import pytest

from tests.conformance.bench import Bench
from tests.conformance.cases import case_2_1
from tests.conformance.frames import Frame, Payload
from tests.conformance.monitoring import (
    EVSE_POWER,
    SEVERITY,
    Events,
    is_at,
    monitor,
    reason_is,
    reported,
    request_monitors,
    set_base,
    set_monitors,
)

_INTERVAL_S: Final = 10
_ADJUSTED_INTERVAL_S: Final = 15
_VALUES: Final = 30
_TARGET_DELTA_RELATIVE: Final = 10.0
"""<Configured target delta relative value>, percent"""
_DEVIATION_S: Final = 1.0


@case_2_1("Core", "C", "DM-0")
async def test_tc_n_104_cs(bench: Bench) -> None:
    """Get Monitoring Report - TargetDeltaMonitoring"""
    await set_base(bench, "All")
    await set_monitors(bench, monitor("TargetDeltaRelative", _TARGET_DELTA_RELATIVE, EVSE_POWER))
    for found in await reported(bench, 1, monitoringCriteria=["ThresholdMonitoring"]):  # steps 2 and 3
        assert found["type"] in {"UpperThreshold", "LowerThreshold"}, found
        assert found["eventNotificationType"], found
    found = [
        found for found in await reported(bench, 2, monitoringCriteria=["DeltaMonitoring"]) if is_at(found, EVSE_POWER)
    ]
    assert [row["type"] for row in found] == ["TargetDeltaRelative"], found
    assert found[0]["eventNotificationType"] == "CustomMonitor", found


class Stream:
    """A stream on the power of the EVSE, which the station was asked for."""

    def __init__(self, bench: Bench, monitor_id: int, opened: Payload) -> None:
        self._bench = bench
        self.monitor_id = monitor_id
        self.opened = opened["constantStreamData"]
        """as the station has announced it"""
        self.id = self.opened["id"]

    async def message(self) -> Frame:
        """The next message."""

        def found() -> Frame | None:
            return next(
                (frame for frame in self._bench.journal.sent("NotifyPeriodicEventStream") if is_new(frame)), None
            )

        def is_new(frame: Frame) -> bool:
            return any(unread.frame is frame for unread in self._bench.csms.unread)

        frame: Frame = await self._bench.until(found, within_s=60.0, why="no message of the stream")
        self._bench.take("NotifyPeriodicEventStream", lambda unread: unread is frame)
        assert frame.kind == 6, frame
        assert frame.payload["id"] == self.id, frame
        _check_times(frame)
        return frame

    def messages(self) -> list[Frame]:
        """All messages so far."""
        sent = self._bench.journal.sent("NotifyPeriodicEventStream")
        return [frame for frame in sent if frame.payload["id"] in {self.id, self.monitor_id}]


def _check_times(frame: Frame) -> None:
    """The values of a message are in order, a second apart, and none is from the future (N15.FR.04, N15.FR.09)."""
    base = datetime.fromisoformat(frame.payload["basetime"].replace("Z", "+00:00"))
    times = [element["t"] for element in frame.payload["data"]]
    assert times[0] == 0, frame
    assert times == pytest.approx(list(range(len(times))), abs=0.1), frame
    assert (frame.at - base).total_seconds() >= times[-1], frame
    assert all(float(element["v"]) >= 0 for element in frame.payload["data"]), frame


async def _set_monitor(bench: Bench, monitor_id: int | None = None, **stream: int) -> int:
    """A periodic monitor, each second, with a stream of these parameters (none: without a stream); its id."""
    data = monitor("Periodic", 1.0, EVSE_POWER, monitor_id=monitor_id)
    if stream:
        data["periodicEventStream"] = stream
    [result] = await request_monitors(bench, data)
    assert result["status"] == "Accepted", result
    reason_is(result, "NoError")
    assert isinstance(result["id"], int), result
    assert (result["type"], result["severity"]) == ("Periodic", SEVERITY), result
    return result["id"]


async def _opened(bench: Bench, **parameters: int) -> Stream:
    """Steps 1 to 4: a monitor with a stream, which the station announces."""
    await set_base(bench, "All")
    monitor_id = await _set_monitor(bench, **parameters)
    stream = Stream(bench, monitor_id, await bench.expect("OpenPeriodicEventStream"))
    _is_announced(stream.opened, monitor_id, **parameters)
    return stream


def _is_announced(data: Payload, monitor_id: int, **parameters: int) -> None:
    assert isinstance(data["id"], int), data
    assert data["variableMonitoringId"] == monitor_id, data
    assert data["params"] == parameters, data


async def _expect_events(bench: Bench, monitor_id: int, *, for_s: int) -> None:
    """NotifyEvent with the value of the monitor, each second."""
    events = Events(bench)
    times: list[datetime] = []
    for _ in range(for_s):
        event: dict[str, Any] = await events.expect(monitor_id, trigger="Periodic", severity=SEVERITY)
        assert float(event["actualValue"]) >= 0, event
        assert is_at(event, EVSE_POWER), event
        times.append(datetime.fromisoformat(event["timestamp"].replace("Z", "+00:00")))
    gaps = [(after - before).total_seconds() for before, after in pairwise(times)]
    assert gaps == pytest.approx([1.0] * (for_s - 1), abs=0.2), times


@case_2_1("Core", "C", "DM-0")
async def test_tc_n_105_cs(bench: Bench) -> None:
    """Set Variable Monitoring - Set Frequent Periodic Variable Monitoring - Periodic"""
    stream = await _opened(bench, interval=_INTERVAL_S, values=_VALUES)
    answer = await bench.call("GetPeriodicEventStream", {})
    [listed] = answer["constantStreamData"]  # step 6
    assert listed["id"] == stream.id, answer
    _is_announced(listed, stream.monitor_id, interval=_INTERVAL_S, values=_VALUES)
    for _ in range(2):  # steps 7 and 8
        assert len((await stream.message()).payload["data"]) in {9, 10}
    await bench.advance(3.0)
    assert await _set_monitor(bench, stream.monitor_id) == stream.monitor_id  # step 10
    rest = await stream.message()  # step 11
    assert len(rest.payload["data"]) in {2, 3, 4}, rest
    assert await bench.expect("ClosePeriodicEventStream") == {"id": stream.id}  # step 12
    await _expect_events(bench, stream.monitor_id, for_s=20)  # step 14
    assert len(stream.messages()) == 3
    assert await bench.call("GetPeriodicEventStream", {}) == {}
    Events(bench).rest()


@case_2_1("Core", "C", "DM-0")
async def test_tc_n_106_cs(bench: Bench) -> None:
    """Set Variable Monitoring - Set Frequent Periodic Variable Monitoring - CSMS rejects stream"""
    bench.on("OpenPeriodicEventStream", {"status": "Rejected"})
    stream = await _opened(bench, interval=_INTERVAL_S, values=_VALUES)
    await _expect_events(bench, stream.monitor_id, for_s=11)  # step 5
    assert stream.messages() == []
    await bench.silence("OpenPeriodicEventStream", for_s=2.0)
    Events(bench).rest()


@case_2_1("Core", "C", "DM-0")
async def test_tc_n_108_cs(bench: Bench) -> None:
    """Set Variable Monitoring - Close Periodic Event Streams"""
    stream = await _opened(bench, interval=_INTERVAL_S, values=_VALUES)
    answer = await bench.call("ClearVariableMonitoring", {"id": [stream.monitor_id]})
    [result] = answer["clearMonitoringResult"]  # step 6
    assert (result["status"], result["id"]) == ("Accepted", stream.monitor_id), answer
    assert await bench.expect("ClosePeriodicEventStream") == {"id": stream.id}  # step 7
    bench.take("NotifyPeriodicEventStream")  # what was collected until then
    await bench.silence("NotifyPeriodicEventStream", for_s=20.0)


@case_2_1("Core", "C", "DM-0")
async def test_tc_n_109_cs(bench: Bench) -> None:
    """Set Variable Monitoring - Adjust Periodic Event Streams"""
    stream = await _opened(bench, interval=_INTERVAL_S)
    await _check_gaps(stream, _INTERVAL_S)  # steps 5 to 7
    answer = await bench.call(
        "AdjustPeriodicEventStream", {"id": stream.id, "params": {"interval": _ADJUSTED_INTERVAL_S}}
    )
    assert answer["status"] == "Accepted", answer  # step 9
    await _check_gaps(stream, _ADJUSTED_INTERVAL_S)  # steps 10 to 12


async def _check_gaps(stream: Stream, interval_s: float) -> None:
    """Three messages of the stream, so far apart."""
    times = [(await stream.message()).at for _ in range(3)]
    gaps = [(after - before).total_seconds() for before, after in pairwise(times)]
    assert gaps == pytest.approx([interval_s] * 2, abs=_DEVIATION_S), times

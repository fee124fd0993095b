"""Measures the processor time of a simulated day of a station that charges once (`python -m bench.days`).

Station, vehicle, meters and CSMS are in this process, on a virtual clock. Simulating a thousand days of a station finds
errors that show after months.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from bench.csms import neutral_csms
from borne.composition.simulated import world_of
from borne.composition.station_assembly import host_process
from borne.station_runtime import StationRuntime
from foundation.event_loop import StationLoop
from simulator.vehicle import VehicleModel
from station.charging.charging_station import ChargingStation
from station.charging.evse_state import Authorization
from station.configuration.installation_file import Configuration
from station.core.model import IdToken, StoppedReason, TriggerReason

_CARD = IdToken("BENCH", "Local")
_VEHICLE = VehicleModel(phases=1, battery_wh=20_000.0)
"""charges 14 kWh, which takes two hours and a half"""
_PLUGGED_S = 10 * 3600.0
_REST_S = 14 * 3600.0
_STEP_S = 600.0
_LINKY = {
    "grid": {"phases": 1, "source": {"type": "linky"}},
    "simulation": {"rate": 0.0, "linky": {"mode": "standard", "phases": 1, "subscribed_va": 9000}},
}


async def measure_days(days: int, *, linky: bool) -> float:
    """Seconds of processor time for one simulated day, the median of `days`; `linky`: with a Linky as grid meter."""
    with tempfile.TemporaryDirectory() as folder:
        async with neutral_csms() as csms:
            process = host_process(
                Configuration.from_tree(
                    {
                        "station": {"identity": "BENCH-1", "storage": str(Path(folder) / "storage")},
                        "csms": {"url": csms.url},
                        "http": {"port": 0},
                        "evse": [{"phases": 1}],
                        **(_LINKY if linky else {"simulation": {"rate": 0.0}}),
                    }
                )
            )
            station = process.station
            running = asyncio.create_task(process.run_with_gc_control())
            await station.wait_until_started()
            await _advance(station, 60.0)
            took_s = [await _day_s(station) for _ in range(days)]
            process.stop()
            while not running.done():
                await world_of(station.hardware).clock.advance(0.5)
            await running
    return statistics.median(took_s)


async def _day_s(station: StationRuntime) -> float:
    """The processor time of one day.

    Raises:
        RuntimeError: the vehicle did not charge.
    """
    began_s = time.process_time()
    board, evse = world_of(station.hardware).boards[1], station.parts.get(ChargingStation).evses[1]
    board.plug(_VEHICLE)
    evse.authorize(Authorization(_CARD), TriggerReason.AUTHORIZED)
    await _advance(station, _PLUGGED_S)
    vehicle = board.vehicle
    if vehicle is None or vehicle.soc < 1.0:
        raise RuntimeError("the vehicle did not charge")
    evse.end_authorization(TriggerReason.STOP_AUTHORIZED, StoppedReason.LOCAL)
    await _advance(station, 60.0)
    board.unplug()
    await _advance(station, _REST_S)
    return time.process_time() - began_s


async def _advance(station: StationRuntime, seconds: float) -> None:
    clock = world_of(station.hardware).clock
    ends_s = clock.monotonic() + seconds
    while (left_s := ends_s - clock.monotonic()) > 0.0:
        await clock.advance(min(left_s, _STEP_S))


def run_days(days: int, *, linky: bool) -> float:
    """As `measure_days`, on the event loop that a simulated station runs on."""
    with asyncio.Runner(loop_factory=StationLoop) as runner:
        return runner.run(measure_days(days, linky=linky))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Measure the processor time of a simulated day of a station.")
    parser.add_argument("--days", type=int, default=1)
    parser.add_argument("--linky", action="store_true", help="with a Linky as grid meter")
    given = parser.parse_args()
    day_s = run_days(given.days, linky=given.linky)
    print(f"a day takes {day_s:.1f} s of a core, a thousand days {day_s / 3.6:.1f} h")

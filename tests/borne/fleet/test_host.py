"""A host of a fleet that is stopped early: its last report is complete, whatever its stations are doing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from borne.fleet.host import FleetHost
from borne.fleet.unit import HostTask
from simulator.fleet.plan import load_plan
from simulator.fleet.reports import HostReport, StationState
from tests.patience import PATIENCE_S
from tests.simulator.fleet.plans import write_plan

ROOT = Path(__file__).parents[3]
UNREACHABLE_CSMS = "ws://127.0.0.1:9/ocpp"


class StoppingControl:
    """A control (`HostControl`) that requests a stop at once."""

    def __init__(self) -> None:
        self.reports: list[HostReport] = []

    @property
    def continues(self) -> bool:
        """Nothing was lost."""
        return False

    def publish(self, report: HostReport) -> None:
        """Keep the report."""
        self.reports.append(report)

    def stop_requested(self) -> bool:
        """Stop."""
        return True


async def run_and_stop(folder: Path, more: str = "", *, stop_drain_s: float) -> HostReport:
    """The last report of two stations without a CSMS that are stopped at once."""
    loaded = load_plan(write_plan(folder, f'[fleet]\nstations = 2\ntemplate = "station.toml"\n{more}'))
    control = StoppingControl()
    task = HostTask(loaded, loaded.numbers, UNREACHABLE_CSMS, str(folder / "out"), 0.0)
    report = await FleetHost(task, control, stop_drain_s=stop_drain_s).run()
    assert control.reports[-1] == report
    return report


async def test_stations_whose_turn_in_the_ramp_has_not_come_do_not_delay_a_stop(tmp_path: Path) -> None:
    report = await run_and_stop(tmp_path, "[ramp]\nstations_per_s = 0.0001\n", stop_drain_s=1e6)
    assert (report.finished, report.failure) == (True, None)


async def test_a_stop_whose_time_is_over_still_gives_the_last_report(tmp_path: Path) -> None:
    report = await run_and_stop(tmp_path, stop_drain_s=0.0)
    assert (report.finished, report.failure) == (True, None)
    assert [station.state for station in report.stations] == [StationState.STOPPED] * 2


def test_a_full_disk_does_not_fill_the_terminal_with_errors_of_the_log(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "host-000001.log").symlink_to("/dev/full")
    write = (
        "import logging, sys; from pathlib import Path; from borne.fleet.host_log import log_to_file;"
        "from tests.borne.fleet.leased_hosts import task;"
        "log_to_file(task(Path(sys.argv[1]))); logging.getLogger('borne').error('a line')"
    )
    completed = subprocess.run(
        [sys.executable, "-c", write, str(tmp_path)], cwd=ROOT, capture_output=True, check=True, timeout=PATIENCE_S
    )
    assert b"Logging error" not in completed.stderr

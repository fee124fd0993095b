"""A leased host: runs while its parent lives and renews, and has its storage for itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from borne.fleet.leased_host import LEASE_ENDED, LOCKED, HostOrder, LeasedHostProcess
from borne.fleet.unit import Host
from simulator.fleet.reports import HostReport, decode_report
from tests.borne.fleet.leased_hosts import failing_host, patient_host, task
from tests.patience import PATIENCE_S, wait_until
from tests.processes import is_running

ROOT = Path(__file__).parents[3]


def started(
    folder: Path, host: Host = patient_host, *, lease_s: float = PATIENCE_S, lock: bool = False
) -> LeasedHostProcess:
    """A host that has been started."""
    lock_file = str(folder / "lock") if lock else None
    return LeasedHostProcess(HostOrder(host, task(folder), lease_s, lock_file=lock_file))


def outcome(process: LeasedHostProcess, *, stop: bool = False, renew: bool = True) -> tuple[list[HostReport], int]:
    """Renew until the host has ended; its reports, and its exit code."""
    reports: list[HostReport] = []
    given_up_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < given_up_s:
        encoded, exit_code = process.exchange(stop=stop)
        if encoded is not None:
            reports.append(decode_report(encoded))
        if exit_code is not None:
            return reports, exit_code
        time.sleep(0.01 if renew else 1.0)
    raise AssertionError("the host does not end")


def wait_for(path: Path) -> None:
    """Wait until a file exists and is not empty."""
    wait_until(lambda: path.exists() and path.stat().st_size)


def test_reports_arrive_in_order_and_the_last_one_before_the_exit_code(tmp_path: Path) -> None:
    process = started(tmp_path)
    wait_for(tmp_path / "parents")
    (tmp_path / "finish").touch()
    reports, exit_code = outcome(process)
    process.close()
    assert exit_code == 0
    assert [report.finished for report in reports] == [False] * (len(reports) - 1) + [True]
    assert (tmp_path / "logs" / "host-000001.log").exists()


def test_a_stop_reaches_the_host(tmp_path: Path) -> None:
    process = started(tmp_path)
    reports, exit_code = outcome(process, stop=True)
    process.close()
    assert (exit_code, reports[-1].finished) == (0, True)


def test_a_host_that_fails_has_its_reports_and_its_exit_code(tmp_path: Path) -> None:
    process = started(tmp_path, failing_host)
    reports, exit_code = outcome(process)
    process.close()
    assert (exit_code, [report.host for report in reports]) == (3, ["failing"])


def test_without_renewals_the_host_ends(tmp_path: Path) -> None:
    """As that of a worker that hangs, or is cut off from the fleet."""
    process = started(tmp_path, lease_s=0.5)
    assert outcome(process, renew=False)[1] == LEASE_ENDED
    process.close()


def test_closing_ends_the_host(tmp_path: Path) -> None:
    process = started(tmp_path)
    wait_for(tmp_path / "parents")
    assert process.close() == LEASE_ENDED


def test_a_killed_parent_ends_the_host(tmp_path: Path) -> None:
    command = (
        "import sys, signal; from pathlib import Path; from tests.borne.fleet.test_leased_host import started; "
        "process = started(Path(sys.argv[1])); signal.pause()"
    )
    with subprocess.Popen([sys.executable, "-c", command, str(tmp_path)], cwd=ROOT) as parent:
        wait_for(tmp_path / "parents")
        host = int((tmp_path / "parents").read_text(encoding="utf-8").split()[2])
        parent.send_signal(signal.SIGKILL)
    wait_until(lambda: not is_running(host))


def test_a_second_host_waits_until_the_first_has_ended(tmp_path: Path) -> None:
    first = started(tmp_path, lock=True)
    wait_for(tmp_path / "parents")
    second = started(tmp_path, lock=True)
    time.sleep(0.3)
    assert second.exchange(stop=False) == (None, None)
    first_host = int((tmp_path / "parents").read_text(encoding="utf-8").split()[2])
    os.kill(first_host, signal.SIGKILL)
    (tmp_path / "finish").touch()
    reports, exit_code = outcome(second)
    assert exit_code == 0
    assert reports[-1].stations[0].resumed
    first.close()
    second.close()


def test_a_host_whose_storage_stays_in_use_gives_up(tmp_path: Path) -> None:
    first = started(tmp_path, lock=True)
    wait_for(tmp_path / "parents")
    second = started(tmp_path, lock=True, lease_s=0.3)
    reports, exit_code = outcome(second)
    assert (reports, exit_code) == ([], LOCKED)
    first.close()
    second.close()


@pytest.mark.parametrize("data", [b"", b"\0\0\0\x05abc"])
def test_a_host_without_a_complete_order_ends(data: bytes) -> None:
    result = subprocess.run([sys.executable, "-m", "borne.fleet.leased_host"], cwd=ROOT, input=data, check=False)
    assert result.returncode == LEASE_ENDED

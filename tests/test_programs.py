"""A forked program is a process as any other."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.patience import until
from tests.processes import is_running
from tests.programs import Program, ProgramHost


def test_it_has_its_arguments_its_output_and_its_exit_code(program_host: ProgramHost, tmp_path: Path) -> None:
    good = program_host.launch(["version"], tmp_path / "good.log")
    failing = program_host.launch(["run", "--config", str(tmp_path / "none.toml")], tmp_path / "wrong.log")
    assert (good.wait(), good.poll()) == (0, 0)
    assert (failing.wait(), failing.poll()) == (2, 2)
    assert (tmp_path / "good.log").read_text().startswith("borne ")
    assert "none.toml" in (tmp_path / "wrong.log").read_text()


def test_a_statement_runs_before_it_and_what_that_changes_is_its_own(program_host: ProgramHost, tmp_path: Path) -> None:
    broken = program_host.launch(["version"], tmp_path / "log", "import os; os.environ['BROKEN'] = '1'; 1 / 0")
    assert broken.wait() == 1
    assert "ZeroDivisionError" in (tmp_path / "log").read_text()
    statement = "import os; assert 'BROKEN' not in os.environ"
    assert program_host.launch(["version"], tmp_path / "log", statement).wait() == 0


async def _start(host: ProgramHost, folder: Path) -> Program:
    """Fork a station without a CSMS; returns it once it is ready."""
    file, ready = folder / "station.toml", folder / "ready.json"
    file.write_text(f'[station]\nidentity = "FORKED"\nstorage = "{folder}/storage"\n[simulation]\nrate = 0.0\n')
    arguments = ["run", "--config", str(file), "--http-port", "0", "--ready-file", str(ready)]
    station = host.launch(arguments, folder / "log")
    await until(ready.exists)
    return station


async def test_a_station_stops_in_order_at_a_signal(program_host: ProgramHost, tmp_path: Path) -> None:
    station = await _start(program_host, tmp_path)
    assert station.pid not in {os.getpid(), os.getppid()}
    station.send_signal(signal.SIGTERM)
    assert station.wait() == 0


async def test_a_station_is_killed_as_a_process_is(program_host: ProgramHost, tmp_path: Path) -> None:
    station = await _start(program_host, tmp_path)
    assert station.poll() is None
    station.kill()
    assert station.wait() == -signal.SIGKILL
    station.kill()  # it has ended: no other process may get the signal


async def test_the_programs_of_a_host_end_with_it(tmp_path: Path) -> None:
    with ProgramHost() as host:
        station = await _start(host, tmp_path)
        assert is_running(station.pid)
    assert not is_running(station.pid)

"""The files for systemd are what systemd understands, and the unit is as closed as its document says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from energy.sources.iio import IioCapture
from station.configuration.installation_file import load_configuration
from station.interfaces.http.connection_limits import limits_for
from tests.energy.fake_converter import HZ, FakeConverter
from tests.patience import PATIENCE_S

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
ANALYZE = shutil.which("systemd-analyze")
SYSUSERS = shutil.which("systemd-sysusers")
UDEVADM = shutil.which("udevadm")
_EXPOSURE = 1.5
"""as docs/host-requirements.md tells; 0 is best"""


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command, and capture its output."""
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)


@pytest.fixture
def unit(tmp_path: Path) -> str:
    """The unit, with a program that is there."""
    text = (DEPLOY / "borne.service").read_text(encoding="utf-8")
    path = tmp_path / "borne.service"
    path.write_text(text.replace("/usr/bin/borne ", "/bin/true "), encoding="utf-8")
    return str(path)


def test_the_station_of_the_compose_file_lets_a_browser_on_the_host_in() -> None:
    """Which comes from another address, so that it needs a code; the comments say which."""
    station = load_configuration(DEPLOY / "compose-station.toml", {})
    assert station.http.installer_code is not None
    assert station.http.installer_code.get_secret_value() in (ROOT / "docker-compose.yml").read_text(encoding="utf-8")


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")
def test_systemd_understands_every_line_of_the_unit(unit: str) -> None:
    completed = run(str(ANALYZE), "verify", "--man=no", unit)
    assert (completed.returncode, completed.stderr) == (0, "")


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")
def test_the_unit_is_as_closed_as_its_document_says(unit: str) -> None:
    completed = run(str(ANALYZE), "security", "--offline=true", "--no-pager", unit)
    found = re.search(r"exposure level for borne\.service: ([\d.]+)", completed.stdout)
    assert found is not None, completed.stdout + completed.stderr
    assert float(found[1]) <= _EXPOSURE
    assert f"{_EXPOSURE} (OK" in (DEPLOY.parent / "docs" / "host-requirements.md").read_text(encoding="utf-8")


def test_the_unit_gives_descriptors_to_all_connections_and_everything_else() -> None:
    text = (DEPLOY / "borne.service").read_text(encoding="utf-8")
    found = re.search(r"^LimitNOFILE=(\d+)$", text, re.MULTILINE)
    assert found is not None
    assert int(found[1]) >= 8192
    assert limits_for(int(found[1]), tls=False) == limits_for(1_000_000, tls=False), "none is missing"


def test_a_document_that_is_killed_for_its_memory_does_not_stop_the_station() -> None:
    """By default systemd stops a unit of which the kernel has killed any process for want of memory."""
    text = (DEPLOY / "borne.service").read_text(encoding="utf-8")
    assert re.search(r"^OOMPolicy=continue$", text, re.MULTILINE)


@pytest.mark.skipif(SYSUSERS is None, reason="systemd-sysusers is not installed")
def test_the_users_can_be_made() -> None:
    assert run(str(SYSUSERS), "--dry-run", str(DEPLOY / "borne.sysusers")).returncode == 0


@pytest.mark.skipif(UDEVADM is None, reason="udevadm is not installed")
def test_udev_understands_the_rules() -> None:
    completed = run(str(UDEVADM), "verify", "--resolve-names=never", str(DEPLOY / "60-borne.rules"))
    assert completed.returncode == 0, completed.stdout + completed.stderr


def test_the_service_may_write_all_that_current_transformers_need(tmp_path: Path) -> None:
    """It has no capability, and what the kernel shows of a converter belongs to root until a rule of udev has run."""
    converter = FakeConverter(tmp_path)
    files = [file for file in converter.path.rglob("*") if file.is_file()]
    for file in files:
        os.utime(file, (0, 0))
    with IioCapture(converter.path, converter.node, (0, 1, 2), HZ):
        pass
    converter.close()
    written = {file for file in files if file.stat().st_mtime > 0}
    for line in (DEPLOY / "60-borne.rules").read_text(encoding="utf-8").splitlines():
        if line.startswith('SUBSYSTEM=="iio"') and (command := re.search(r"/bin/sh -c '(.+)'", line)):
            script = command[1].replace("/sys%p", str(converter.path)).replace("$$", "$")
            assert run("/bin/sh", "-c", script.replace("chgrp gpio", f"chgrp {os.getgid()}")).returncode == 0
    assert {file.name for file in written} >= {"enable", "length", "sampling_frequency", "in_voltage0_en"}
    assert [file for file in written if not file.stat().st_mode & 0o020] == []

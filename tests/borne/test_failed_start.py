"""A service that cannot write its disk waits for it: no restart each second, and a status that says why."""

from __future__ import annotations

import resource
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import PATIENCE_S
from tests.project import ROOT

_STATION = """\
[station]
identity = "B1"
storage = "{storage}"
[http]
port = 0
[[evse]]
"""


def _no_room() -> None:
    """Let no file of this process grow, as on a full disk; an empty one can be written there too."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux changes the limits of a running process")
def test_a_service_waits_until_a_full_disk_has_room(tmp_path: Path) -> None:
    file, name = tmp_path / "station.toml", str(tmp_path / "notify")
    file.write_text(_STATION.format(storage=tmp_path / "storage"), encoding="utf-8")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(name)
        systemd.settimeout(PATIENCE_S)
        with subprocess.Popen(
            [sys.executable, "-m", "borne", "run", "--config", str(file)],
            cwd=ROOT,
            env={"NOTIFY_SOCKET": name, "PATH": "/usr/bin"},
            stderr=subprocess.PIPE,
            preexec_fn=_no_room,
        ) as process:
            try:
                received = ""
                while "WATCHDOG=1" not in received:
                    received += systemd.recv(4096).decode() + "\n"
                assert "READY=1" in received
                assert "STATUS=out of service: " in received
                assert process.poll() is None
                resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
                _, errors = process.communicate(timeout=PATIENCE_S)
                assert process.returncode == 2
                assert f"waiting until {tmp_path / 'storage'} can be written" in errors.decode()
            finally:
                process.kill()

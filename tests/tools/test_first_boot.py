"""The script of the station image that takes the identity of a station from the boot partition.

It runs as in the image, with both partitions in a folder of the test, and as nobody in particular.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.project import ROOT

_SCRIPT = ROOT / "deploy/image/root" / "usr/lib/borne/first-boot"


class Station:
    """A boot partition, a data partition, and what `borne check` says of the new identity."""

    def __init__(self, folder: Path) -> None:
        self.boot, self.data = folder / "boot", folder / "data"
        self._run, self._programs = folder / "run", folder / "bin"
        for path in (self.boot, self.data / "identity", self.data / "ssh", self._run, self._programs):
            path.mkdir(parents=True)
        self.stand_in("chown", "true")
        self.stand_in("install", 'while [ $# -gt 2 ]; do shift; done; cp "$1" "$2"')
        self.stand_in("systemd-run", "true")

    def stand_in(self, name: str, command: str) -> None:
        """Put a program in the place of one of the machine's."""
        program = self._programs / name
        program.write_text(f"#!/bin/sh\n{command}\n", encoding="utf-8")
        program.chmod(0o755)

    def start(self) -> str:
        """Run the script, and return what it says."""
        text = _SCRIPT.read_text(encoding="utf-8")
        for place, folder in {"/boot": self.boot, "/data": self.data, "/run": self._run}.items():
            text = re.sub(rf"(?<![\w.}}]){place}(?=[/\s])", str(folder), text)
        environment = {"PATH": f"{self._programs}:{os.environ['PATH']}"}
        completed = subprocess.run(["sh"], input=text, env=environment, capture_output=True, text=True, check=False)
        assert completed.returncode == 0, completed.stderr
        return completed.stderr

    def taken(self) -> bytes | None:
        """The identity on the data partition; None: there is none."""
        file = self.data / "station.env"
        return file.read_bytes() if file.exists() else None


@pytest.fixture
def station(tmp_path: Path) -> Station:
    return Station(tmp_path)


@pytest.mark.parametrize("beginning", [b"", b"\xef\xbb\xbf"])
def test_a_file_of_any_system_is_taken_whole(beginning: bytes, station: Station) -> None:
    lines = beginning + b"BORNE_STATION_IDENTITY=DEV-0001\r\n\r\n# the CSMS\r\nBORNE_CSMS_PASSWORD=gr\xfc\xdfe\r\n"
    (station.boot / "station.env").write_bytes(lines)
    assert station.start() == ""
    assert station.taken() == lines.removeprefix(b"\xef\xbb\xbf").replace(b"\r", b"")
    assert list(station.boot.iterdir()) == []


@pytest.mark.parametrize("text", ["BORNE_STATION_IDENTITY DEV-0001", "=secret-1", "BORNE CSMS_PASSWORD=secret-2"])
def test_a_line_that_systemd_would_leave_out_is_named_by_its_number(text: str, station: Station) -> None:
    (station.boot / "station.env").write_text(f"BORNE_STATION_SERIAL_NUMBER=1\n{text}\n", encoding="utf-8")
    said = station.start()
    assert station.taken() is None
    error = (station.boot / "station.error").read_text(encoding="utf-8")
    assert error == "line 2: is not NAME=VALUE\n"
    assert "secret" not in error + said
    assert (station.boot / "station.env").exists()


def test_a_certificate_that_the_identity_names_and_nobody_has_brought_is_an_error(station: Station) -> None:
    name = station.data / "identity" / "csms-roots.pem"
    (station.boot / "station.env").write_text(f'BORNE_CSMS_CA_FILE="{name}"\n', encoding="utf-8")
    (station.boot / "csms-root.pem").touch()
    station.start()
    assert station.taken() is None
    assert f"BORNE_CSMS_CA_FILE: there is no {name}" in (station.boot / "station.error").read_text(encoding="utf-8")
    (station.boot / "csms-root.pem").rename(station.boot / "csms-roots.pem")
    station.start()
    assert station.taken() is not None
    assert name.exists()
    assert list(station.boot.iterdir()) == []


def test_what_the_program_does_not_accept_stays_and_is_explained(station: Station) -> None:
    station.stand_in("systemd-run", 'echo "BORNE_CSMS_URL: must be a URL"; exit 2')
    (station.boot / "station.env").write_text("BORNE_CSMS_URL=x\n", encoding="utf-8")
    assert "BORNE_CSMS_URL: must be a URL" in station.start()
    assert station.taken() is None
    assert sorted(file.name for file in station.boot.iterdir()) == ["station.env", "station.error"]
    assert sorted(file.name for file in station.data.iterdir()) == ["identity", "ssh"]

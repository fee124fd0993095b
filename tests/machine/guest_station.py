"""The station in a virtual machine, and what is around it on the host: CSMS, certificates, disks."""

from __future__ import annotations

import json
import shlex
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from simulator.pki.v2g_pki import PkiOptions, TestPki
from tests.machine.virtual_machine import GUEST_PATIENCE_S, HOST_ADDRESS, GuestError, VirtualMachine, overlay
from tests.project import ROOT

IDENTITY: Final = "DEV-0001"
CARD: Final = "04A3B2C1D5E680"
PASSWORD: Final = "0123456789abcdef"
_MIB: Final = 1 << 20


class HostCsms:
    """The bundled CSMS on the host, over TLS, with its bills on disk. A context manager."""

    def __init__(self, folder: Path) -> None:
        """`folder`: a new one, for its certificates and bills."""
        self._folder = folder
        self.pki = folder / "pki"
        TestPki.create(self.pki, PkiOptions(csms_host=HOST_ADDRESS))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its URL, as a guest reaches it."""
        return f"wss://{HOST_ADDRESS}:{self.port}/ocpp"

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self.stop()

    def start(self) -> None:
        """Start it, on the bills that it had."""
        command = [
            *(sys.executable, "-m", "borne", "csms", "--port", str(self.port), "--heartbeat", "5"),
            *("--storage", str(self._folder / "bills"), "--until-stdin-closes"),
            *("--certificate", str(self.pki / "csms.pem"), "--key", str(self.pki / "csms.key")),
        ]
        with (self._folder / "csms.log").open("ab") as log:
            self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=log, stderr=log)

    def stop(self) -> None:
        """Stop it, if it runs."""
        if self._process is not None:
            self._process.terminate()
            self._process.communicate()
            self._process = None

    @property
    def frames(self) -> str:
        """The frames so far, as it prints them."""
        return (self._folder / "csms.log").read_text(encoding="utf-8")

    def transactions(self) -> list[dict[str, Any]]:
        """The transactions of the station as the CSMS bills them."""
        context = ssl.create_default_context(cafile=self.pki / "csms-root.pem")
        context.check_hostname = False  # the certificate is for the address that guests use
        address = f"https://127.0.0.1:{self.port}/api/transactions?station={IDENTITY}"
        with urllib.request.urlopen(address, timeout=60, context=context) as answer:
            return json.load(answer)["transactions"]


class GuestStation:
    """The station in a machine, used through the API on its loopback and through systemd."""

    def __init__(self, machine: VirtualMachine) -> None:
        self.machine = machine

    def wait_until_active(self, within_s: float = GUEST_PATIENCE_S) -> None:
        """Wait until the service runs and answers.

        Raises:
            GuestError: it does not within the time.
        """
        deadline_s = time.monotonic() + within_s
        while self.machine.try_run("systemctl is-active borne.service")[0] != 0:
            if time.monotonic() > deadline_s:
                raise GuestError(self.machine.run("systemctl status --no-pager --lines=50 borne.service; true"))
            time.sleep(0.5)

    def request(self, method: str, path: str, body: object = None) -> Any:
        """Send a request to the API on the loopback of the guest, without a program that would have to be loaded.

        Raises:
            GuestError: the response is not one of success.
        """
        content = "" if body is None else json.dumps(body)
        headers = f"Host: localhost\\r\\nConnection: close\\r\\nContent-Length: {len(content.encode())}"
        text = f"{method} {path} HTTP/1.1\\r\\n{headers}\\r\\nContent-Type: application/json\\r\\n\\r\\n"
        script = f"exec 3<>/dev/tcp/127.0.0.1/8080; printf '{text}%s' {shlex.quote(content)} >&3; cat <&3"
        output = self.machine.run(f"bash -c {shlex.quote(script)}")
        head, _, answer = output.partition("\r\n\r\n")
        status = int(head.split()[1])
        if status >= 300:
            raise GuestError(f"{method} {path}: {output}")
        return json.loads(answer) if answer.strip() else None

    def status(self) -> dict[str, Any]:
        """What GET /api/status returns."""
        return self.request("GET", "/api/status")

    def register_wh(self) -> float:
        """The register of the first EVSE's billing meter, in Wh."""
        return float(self.status()["evses"][0]["meter"]["energy_import_wh"])

    def wait_for_state(self, **expected: object) -> dict[str, Any]:
        """Wait until the first EVSE has these values in /api/status; returns all its values.

        Raises:
            GuestError: it does not within the time.
        """
        deadline_s = time.monotonic() + GUEST_PATIENCE_S
        while True:
            evse = self.status()["evses"][0]
            if expected.items() <= evse.items():
                return evse
            if time.monotonic() > deadline_s:
                raise GuestError(f"not {expected}: {evse}")
            time.sleep(0.3)


def new_disk(image: Path, folder: Path, csms: HostCsms) -> Path:
    """A disk with this image, for a station that connects to this CSMS over TLS (security profile 2)."""
    return disk_for(image, folder, csms.url, csms.pki / "csms-root.pem")


def disk_for(image: Path, folder: Path, csms_url: str, csms_root: Path | None = None) -> Path:
    """A disk with this image, and the identity of the station on its boot partition, as a line worker writes it."""
    folder.mkdir(parents=True, exist_ok=True)
    raw = folder / "disk.img"
    subprocess.run(["cp", "--sparse=always", image, raw], check=True)
    values = {
        "BORNE_STATION_IDENTITY": IDENTITY,
        "BORNE_CSMS_URL": csms_url,
        "BORNE_CSMS_PASSWORD": PASSWORD,
    }
    if csms_root is not None:
        values["BORNE_CSMS_CA_FILE"] = "/data/identity/csms-roots.pem"
    identity = folder / "station.env"
    identity.write_text("".join(f"{name}={value}\r\n" for name, value in values.items()), encoding="utf-8")
    for file, name in ((identity, "station.env"), (csms_root, "csms-roots.pem")):
        if file is not None:
            subprocess.run(["mcopy", "-i", f"{raw}@@{_MIB}", file, f"::{name}"], check=True)
    return overlay(raw, folder / "disk.qcow2")

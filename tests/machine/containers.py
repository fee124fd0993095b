"""Containers of podman, with images, networks and volumes apart from those of the machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from tests.patience import wait_until

CONTAINER_PATIENCE_S: Final = 300.0
"""real seconds after which a test gives up on a container, on a machine that is four times as busy"""
RUNTIMES: Final = ("crun", "runc")
"""programs by which podman starts containers; crun cannot where cgroups of both versions are mounted at once"""
_STORAGE: Final = '[storage]\ndriver = "overlay"\ngraphroot = "{folder}/images"\nrunroot = "{folder}/run"\n'
_ENGINE: Final = '[engine]\nruntime = "{runtime}"\n\n[network]\nnetwork_config_dir = "{folder}/networks"\n'


STOP_LIMIT_S: Final = 60
"""seconds after which podman kills a container that it stops; by default 10, which is enough on an idle machine"""
_CARD: Final = '{"id_token": "04A3B2C1D5E680"}'
_INSIDE: Final = """
import json, os
processes = {}
for entry in filter(str.isdigit, os.listdir("/proc")):
    with open(f"/proc/{entry}/status") as file:
        lines = [line.split(":", 1) for line in file.read().splitlines()]
    processes[entry] = {name: text.strip() for name, text in lines}
def result_of_writing(path):
    try:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
    except OSError as error:
        return error.strerror
    os.unlink(path)
    return "written"
folders = ["/", "/etc", "/opt", "/usr/bin", "/tmp", "/var/lib/borne"]
writes = {folder: result_of_writing(f"{folder}/written-by-a-test") for folder in folders}
print(json.dumps({"user": os.getuid(), "processes": processes, "writes": writes}))
"""


class ContainerError(Exception):
    """A command of podman failed, or a container did not do what was awaited; with what was printed."""


def missing_container_tool() -> str | None:
    """What this machine lacks to run containers; None: nothing."""
    for tool in ("podman", "podman-compose", "buildah", "skopeo", "mmdebstrap"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    if not any(shutil.which(runtime) for runtime in RUNTIMES):
        return f"neither {' nor '.join(RUNTIMES)} is installed"
    return None if os.geteuid() == 0 else "only root can run containers without user namespaces"


@dataclass
class Podman:
    """An engine with a folder of its own, whose containers are removed at the end. A context manager."""

    folder: Path

    def __enter__(self) -> Self:
        """Write its configuration."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "storage.conf").write_text(_STORAGE.format(folder=self.folder), encoding="utf-8")
        self.use(next(runtime for runtime in RUNTIMES if shutil.which(runtime)))
        return self

    def use(self, runtime: str) -> None:
        """Start containers with this runtime from now on."""
        text = _ENGINE.format(runtime=runtime, folder=self.folder)
        (self.folder / "containers.conf").write_text(text, encoding="utf-8")

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove all containers, volumes and images."""
        for words in (["pod", "rm", "--all", "--force"], ["rm", "--all", "--force"], ["rmi", "--all", "--force"]):
            subprocess.run(["podman", *words], env=self.environment, capture_output=True, check=False)
        subprocess.run(["umount", self.folder / "images" / "overlay"], capture_output=True, check=False)

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables with which podman, buildah and podman-compose use this engine."""
        return {
            **os.environ,
            "CONTAINERS_CONF": str(self.folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf"),
            "PODMAN_IGNORE_CGROUPSV1_WARNING": "1",
            "BUILDAH_ISOLATION": "chroot",
        }

    def load(self, archive: Path) -> None:
        """Load an image with its health check, and choose the first runtime that can start a container of it.

        Raises:
            ContainerError: none can.
        """
        self.run("pull", "--quiet", f"docker-archive:{archive}")
        failures: list[str] = []
        for runtime in filter(shutil.which, RUNTIMES):
            self.use(runtime)
            try:
                self.run("run", "--rm", "borne", "version")
            except ContainerError as error:
                failures.append(str(error))
            else:
                return
        raise ContainerError("\n".join(failures))

    def run(self, *words: str | Path, check: bool = True) -> str:
        """Run a command of podman, and return what it printed.

        Raises:
            ContainerError: it failed, if `check`.
        """
        return self.command("podman", *words, check=check)

    def command(self, *words: str | Path, check: bool = True, more: Mapping[str, str] | None = None) -> str:
        """Run a program that uses this engine, and return what it printed.

        Raises:
            ContainerError: it failed, if `check`.
        """
        completed = subprocess.run(
            [str(word) for word in words],
            env={**self.environment, **(more or {})},
            capture_output=True,
            text=True,
            check=False,
        )
        if check and completed.returncode != 0:
            text = f"{completed.stdout}{completed.stderr}"
            raise ContainerError(f"{' '.join(map(str, words))}: exit code {completed.returncode}\n{text}")
        return completed.stdout


@dataclass(frozen=True)
class StationContainer:
    """A container in which a station runs."""

    podman: Podman
    name: str

    def borne(self, *words: str) -> str:
        """Run a command of the program in the container, and return what it printed."""
        return self.podman.run("exec", self.name, "borne", *words)

    def python(self, script: str) -> Any:
        """Run a script of Python in the container, and return the JSON that it prints."""
        return json.loads(self.podman.run("exec", self.name, "python3", "-I", "-c", script))

    def read_url(self, url: str) -> Any:
        """The JSON at a URL, as the container reaches it."""
        return self.python(f"import urllib.request as u; print(u.urlopen({url!r}, timeout=60).read().decode())")

    def status(self) -> dict[str, Any]:
        """What GET /api/status returns."""
        return json.loads(self.borne("sim", "status"))

    def inside(self) -> dict[str, Any]:
        """What a process in the container sees: its user, all processes (/proc/N/status), and where it can write."""
        return self.python(_INSIDE)

    def register_wh(self) -> float:
        """The register of the first EVSE's billing meter, in Wh; waits until it is read."""
        found: list[float | None] = []

        def is_read() -> bool:
            found.append(self.status()["evses"][0]["meter"]["energy_import_wh"])
            return found[-1] is not None

        wait_until(is_read, within_s=CONTAINER_PATIENCE_S)
        return float(found[-1] or 0.0)

    def charge(self, least_wh: float, *, card: bool = True) -> None:
        """Begin a charge, with a card or by plugging in, and wait until the vehicle has got an amount of energy."""
        begin_wh = self.register_wh()
        self.borne("sim", "evses/1/plug")
        if card:
            self.borne("sim", "/api/token", _CARD)
        wait_until(lambda: self.register_wh() > begin_wh + least_wh, within_s=CONTAINER_PATIENCE_S)

    def stop(self) -> None:
        """Stop the container as engines do; the program must end by itself, without an error, and is not killed."""
        self.podman.run("stop", "--time", str(STOP_LIMIT_S), self.name)
        state = self.state()
        assert (state["ExitCode"], state["OOMKilled"]) == (0, False), self.logs()

    def is_healthy(self) -> bool:
        """Run the health check of the image once; whether it passes."""
        words = ["podman", "healthcheck", "run", self.name]
        completed = subprocess.run(words, env=self.podman.environment, capture_output=True, text=True, check=False)
        return completed.returncode == 0

    def state(self) -> dict[str, Any]:
        """The state of the container, as podman reports it."""
        return json.loads(self.podman.run("inspect", "--format", "{{json .State}}", self.name))

    def wait_until_healthy(self) -> None:
        """Wait until the health check passes.

        Raises:
            ContainerError: it does not within the time, or the container has ended.
        """
        deadline_s = time.monotonic() + CONTAINER_PATIENCE_S
        while not self.is_healthy():
            if time.monotonic() > deadline_s or not self.state()["Running"]:
                raise ContainerError(f"{self.name}:\n{self.logs()}")
            time.sleep(0.3)

    def wait_for_state(self, **expected: object) -> dict[str, Any]:
        """Wait until the first EVSE has these values in /api/status; returns all its values.

        Raises:
            ContainerError: it does not within the time.
        """
        deadline_s = time.monotonic() + CONTAINER_PATIENCE_S
        while True:
            evse = self.status()["evses"][0]
            if expected.items() <= evse.items():
                return evse
            if time.monotonic() > deadline_s:
                raise ContainerError(f"{self.name}: not {expected}: {evse}")
            time.sleep(0.3)

    def logs(self) -> str:
        """What the container has printed, on both outputs."""
        words: Sequence[str] = ["podman", "logs", self.name]
        completed = subprocess.run(words, env=self.podman.environment, capture_output=True, text=True, check=False)
        return completed.stdout + completed.stderr

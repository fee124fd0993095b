"""Runs the shell commands of a page as a reader does: in one folder, each server in a terminal of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from tests.patience import PATIENCE_S, until

_SERVER: Final = re.compile(r"^((?:[A-Z_]+=\S+ )*)borne (csms|run) (?!call )([^#&]*)")
_READY: Final = "ready.json"
_BIN: Final = Path(sys.executable).parent
_PRELUDE: Final = """\
set -eu
borne() {
  local words=("$@")
  case "$* " in (sim\\ *" --url "*) ;; (sim\\ *|status\\ *) words+=(--url "$STATION_URL") ;;
    (scenario\\ record\\ *) words+=(--station "$STATION_URL") ;; esac
  until command borne "${words[@]}" 2> refusal; do
    cat refusal >&2
    grep -q "the cable is locked" refusal || return 1
  done
  afterwards "$@"
}
"""
"""`borne sim` finds the station at the free port that it got here, in place of 8080; a driver pulls until the cable is
unlocked"""


@dataclass
class _Server:
    process: subprocess.Popen[bytes]
    output: Path


class ShellSession:
    """The terminals of one reader. Ports are free ones, in place of those that a page names."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.station_url = ""
        """the address of the running station; empty: none runs"""
        self._csms_port = "9000"
        self._csms_page_port = "9001"
        self._servers: dict[str, _Server] = {}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("BORNE_")}
        self._environment = {**inherited, "PATH": f"{_BIN}{os.pathsep}{os.environ['PATH']}"}

    @property
    def csms_url(self) -> str:
        """The URL of the running CSMS, without identity."""
        return f"ws://127.0.0.1:{self._csms_port}/ocpp"

    async def run(self, text: str, *, afterwards: str = ":") -> None:
        """Run the commands of a block until they have ended, and start its servers; each must succeed.

        `afterwards`: a shell command to run after each `borne`, whose words are its parameters.
        """
        commands: list[str] = []
        for line in _lines(text):
            if (server := _SERVER.match(line)) is None:
                commands.append(line)
                continue
            await self._script(commands, afterwards)
            commands = []
            await self._start(server[2], server[1], server[3])
        await self._script(commands, afterwards)

    async def _script(self, commands: list[str], afterwards: str) -> None:
        if not commands:
            return
        text = (
            "\n".join(commands)
            .replace(":9000/", f":{self._csms_port}/")
            .replace(":9001", f":{self._csms_page_port}")
            .replace("--http-port 8090", "--http-port 0")
        )
        script = f"{_PRELUDE}afterwards() {{ {afterwards}\n}}\n{text}"
        result = await asyncio.to_thread(
            subprocess.run,
            ["bash", "-c", script],
            cwd=self.folder,
            env={**self._environment, "STATION_URL": self.station_url},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
        assert result.returncode == 0, f"{commands}:\n{result.stdout}{result.stderr}{self._outputs()}"

    async def _start(self, name: str, variables: str, arguments: str) -> None:
        await self.stop(name)  # with Ctrl-C, before the next one
        ready = self.folder / _READY
        ready.unlink(missing_ok=True)
        if name == "csms":
            arguments = arguments.replace("9000", "0")
        else:
            arguments += "" if "--http-port" in arguments else " --http-port 0"
            arguments += "" if "--ready-file" in arguments else f" --ready-file {_READY}"
        variables = variables.replace(":9000/", f":{self._csms_port}/")
        output = self.folder / f"{name}.output"
        process = self._server_process(f"{variables} borne {name} {arguments}", output)
        self._servers[name] = server = _Server(process, output)
        if name == "csms":
            announced = re.compile(r"^CSMS at ws://[\d.]+:(\d+)/", re.MULTILINE)
            await self._until(server, lambda: announced.search(output.read_text(encoding="utf-8")))
            (self._csms_port,) = announced.findall(output.read_text(encoding="utf-8"))
            page = re.compile(r"^page and API at http://[\d.]+:(\d+)/", re.MULTILINE)
            await self._until(server, lambda: page.search(output.read_text(encoding="utf-8")))
            (self._csms_page_port,) = page.findall(output.read_text(encoding="utf-8"))
        else:
            await self._until(server, ready.exists)
            self.station_url = f"http://127.0.0.1:{json.loads(ready.read_text(encoding='utf-8'))['http_port']}"
            if variables:
                await self._until(server, lambda: self.get("/api/status")["csms"]["connected"])

    def _server_process(self, command: str, output: Path) -> subprocess.Popen[bytes]:
        with output.open("wb") as file:
            return subprocess.Popen(
                ["bash", "-c", f"exec env {command}"],
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    async def _until(self, server: _Server, condition: Any) -> None:
        await until(lambda: server.process.poll() is not None or condition())
        assert server.process.poll() is None, self._outputs()

    def get(self, path: str) -> Any:
        """Read a resource of the running station."""
        answer = httpx.get(f"{self.station_url}{path}", timeout=PATIENCE_S, trust_env=False)
        assert answer.is_success, answer.text
        return answer.json() if "json" in answer.headers["content-type"] else answer.content

    async def stop(self, name: str) -> None:
        """Stop a server with Ctrl-C, if it runs; its exit code must be 0."""
        if (server := self._servers.pop(name, None)) is None:
            return
        server.process.send_signal(signal.SIGINT)
        await asyncio.to_thread(server.process.wait, PATIENCE_S)
        assert server.process.returncode == 0, server.output.read_text(encoding="utf-8")

    def _outputs(self) -> str:
        return "".join(server.output.read_text(encoding="utf-8")[-2000:] for server in self._servers.values())

    def kill(self) -> None:
        """Kill what still runs after a failure."""
        for server in self._servers.values():
            server.process.kill()
            server.process.wait()


@contextlib.asynccontextmanager
async def shell_session(folder: Path) -> AsyncGenerator[ShellSession]:
    """A session in a folder; its servers are stopped at the end, the station first."""
    session = ShellSession(folder)
    try:
        yield session
        for name in ("run", "csms"):
            await session.stop(name)
    finally:
        session.kill()


def _lines(text: str) -> Iterator[str]:
    """The commands of a block, each in one line."""
    return (line for line in text.replace("\\\n", " ").splitlines() if line.strip() and not line.startswith("#"))

"""`borne` as a process: started as a user starts it, or forked by a process that has loaded it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Protocol, Self

from tests.patience import PATIENCE_S

_ROOT: Final = Path(__file__).parents[1]


class Program(Protocol):
    """A process that has been started."""

    @property
    def pid(self) -> int:
        """Its id."""
        ...

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        ...

    def send_signal(self, sig: int) -> None:
        """Send a signal, unless it has ended."""
        ...

    def kill(self) -> None:
        """End it at once."""
        ...

    def wait(self) -> int:
        """Wait until it has ended; returns its exit code."""
        ...


Launch = Callable[[Sequence[str], Path, str], Program]
"""starts `borne` with these arguments; its output is added to the file; the Python statement, if any, runs before it"""


def launch_own(arguments: Sequence[str], log: Path, first: str = "") -> Program:
    """Start `python -m borne`, as a user does."""
    program = ["-c", f"{first}\nimport runpy\nrunpy.run_module('borne', run_name='__main__')"]
    command = [sys.executable, *(program if first else ["-m", "borne"]), *arguments]
    with log.open("ab") as output:
        return subprocess.Popen(command, cwd=_ROOT, stdout=output, stderr=output, env=_environment())


def _environment() -> dict[str, str]:
    """The environment of a program: nothing of this one overrides its installation file."""
    return {name: value for name, value in os.environ.items() if not name.startswith("BORNE_")}


class ProgramHost:
    """Context manager: a process that has loaded `borne` (`program_host.py`), and forks it in milliseconds."""

    def __enter__(self) -> Self:
        """Start the host."""
        command = [sys.executable, "-m", "tests.program_host"]
        self._process = subprocess.Popen(
            command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=_environment()
        )
        return self

    def __exit__(self, *_: object) -> None:
        """End the host and the programs that still run."""
        self._process.communicate(timeout=PATIENCE_S)

    def launch(self, arguments: Sequence[str], log: Path, first: str = "") -> Program:
        """Fork the program, which behaves as one that was started with these arguments."""
        return _ForkedProgram(self.request, self.request(start=list(arguments), log=str(log), first=first))

    def request(self, **request: object) -> Any:
        """Send a request to the host; returns its response."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        response = self._process.stdout.readline()
        assert response, "the host of the programs has ended; its error output says why"
        return json.loads(response)


class _ForkedProgram:
    """A program that the host has forked."""

    def __init__(self, request: Callable[..., Any], pid: int) -> None:
        self._request = request
        self.pid = pid

    def poll(self) -> int | None:
        return self._request(poll=self.pid)

    def send_signal(self, sig: int) -> None:
        self._request(signal=int(sig), to=self.pid)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def wait(self) -> int:
        return self._request(wait=self.pid)

"""A program that has loaded `borne` once and forks itself for each test.

It runs in a process of its own (`python -m tests.program_host`; `tests/programs.py` talks to it). A forked process is
`python -m borne` in everything but the 0.7 s of CPU time in which that loads its modules: arguments, output, signals,
exit code, event loop, threads and files are its own, and it is killed as any other process is. Each line of the input
is a request in JSON, answered by a line of the output:

- `{"start": [arguments of borne], "log": path, "first": Python statement or ""}`: the id of the new process, whose
  output is added to the file, and which runs the statement before the program
- `{"poll": id}`: its exit code, negative for a signal; null while it runs
- `{"signal": number, "to": id}`: null; sends a signal, unless the process has ended
- `{"wait": id}`: its exit code, once it has ended

The host kills the processes that still run, and ends, when its input does.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
import tempfile
from pathlib import Path

from borne import __main__
from borne.lazy_modules import load_lazily


class Processes:
    """The forked processes and their exit codes."""

    def __init__(self) -> None:
        self._exit_codes: dict[int, int | None] = {}

    def add(self, pid: int) -> int:
        """Add a new process; returns its id."""
        self._exit_codes[pid] = None
        return pid

    def poll(self, pid: int, *, options: int = os.WNOHANG) -> int | None:
        """The exit code of a process; None while it runs."""
        if self._exit_codes[pid] is None:
            ended, status = os.waitpid(pid, options)
            if ended:
                self._exit_codes[pid] = os.waitstatus_to_exitcode(status)
        return self._exit_codes[pid]

    def send_signal(self, pid: int, number: int) -> None:
        """Send a signal to a process, unless it has ended."""
        if self.poll(pid) is None:
            os.kill(pid, number)

    def wait(self, pid: int) -> int | None:
        """Wait until a process has ended; returns its exit code."""
        return self.poll(pid, options=0)

    def kill_all(self) -> None:
        """End all processes at once."""
        for pid in self._exit_codes:
            self.send_signal(pid, signal.SIGKILL)
            self.wait(pid)


def serve() -> str | None:
    """Answer the requests of the input until its end.

    Returns in each forked process too, with the statement that it has to run before the program; None in the host.
    """
    processes = Processes()
    for line in sys.stdin:
        response = None
        match json.loads(line):
            case {"start": [*arguments], "log": str(log), "first": str(first)}:
                if (pid := os.fork()) == 0:
                    _set_up([str(argument) for argument in arguments], log)
                    return first
                response = processes.add(pid)
            case {"poll": int(pid)}:
                response = processes.poll(pid)
            case {"signal": int(number), "to": int(pid)}:
                processes.send_signal(pid, number)
            case {"wait": int(pid)}:
                response = processes.wait(pid)
            case request:
                raise ValueError(f"no request: {request}")
        sys.stdout.write(json.dumps(response) + "\n")
        sys.stdout.flush()
    processes.kill_all()
    return None


def _set_up(arguments: list[str], log: str) -> None:
    """Make this process what a new one with these arguments and this output would be."""
    dev_null = os.open(os.devnull, os.O_RDONLY)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number, descriptor in ((0, dev_null), (1, output), (2, output)):
        os.dup2(descriptor, number)
    os.close(dev_null)
    os.close(output)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv[:] = ["borne", *arguments]


def warm_up() -> None:
    """Play a charge, so that every module is loaded and what the stations of a process share is computed.

    That is what never changes: schemas, descriptions of variables, the content of a new database.
    """
    load_lazily()  # first, as `borne` does
    # late: after that
    from foundation.event_loop import StationLoop
    from tests.walk import walking

    async def charge(storage: Path) -> None:
        async with walking(storage) as walk:
            await walk.web.load()
            await walk.accepted()
            await walk.plug()
            await walk.present()
            await walk.charging()

    with tempfile.TemporaryDirectory() as folder, asyncio.Runner(loop_factory=StationLoop) as runner:
        runner.run(charge(Path(folder) / "storage"))
    gc.collect()
    gc.freeze()  # pages that the collector does not touch stay shared


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for pytest, which then closes the input
    warm_up()
    if (first := serve()) is not None:
        exec(first)  # what a test breaks before the program begins
        __main__.main()

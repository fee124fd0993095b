"""Runs `borne` on a pseudo-terminal, as somebody at a keyboard does."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final

from tests.patience import until

_ROOT: Final = Path(__file__).parents[1]
CTRL_C: Final = "\x03"
CTRL_D: Final = "\x04"
CTRL_Q: Final = "\x11"
CTRL_S: Final = "\x13"


class Terminal:
    """A terminal on which a command runs: what it has shown so far, and its keyboard."""

    def __init__(self, process: subprocess.Popen[bytes], keyboard: int) -> None:
        self._process = process
        self._keyboard: int | None = keyboard
        self._shown = bytearray()
        os.set_blocking(keyboard, False)

    @property
    def text(self) -> str:
        """Everything that was shown, with what was typed."""
        self._read()
        return self._shown.decode("utf-8", "replace").replace("\r\n", "\n")

    @property
    def running(self) -> bool:
        """Whether the command has not ended."""
        return self._process.poll() is None

    async def wait_for(self, words: str, *, count: int = 1) -> None:
        """Wait until words have been shown, `count` times; fails if the command ends before."""
        await until(lambda: self.text.count(words) >= count or not self.running)
        assert self.text.count(words) >= count, self.text

    def type(self, keys: str) -> None:
        """Press keys."""
        assert self._keyboard is not None
        os.write(self._keyboard, keys.encode())

    def type_line(self, text: str) -> None:
        """Type a line, and Enter."""
        self.type(f"{text}\n")

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the command."""
        self._process.send_signal(number)

    def hang_up(self) -> None:
        """Take the terminal away, as a lost connection does."""
        self._read()
        if self._keyboard is not None:
            os.close(self._keyboard)
            self._keyboard = None

    async def exit_code(self) -> int:
        """Wait for the end of the command; returns its exit code, negative for a signal."""
        await until(lambda: (self._read(), not self.running)[1])
        self._read()
        return self._process.wait()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # nothing to read; or the other end is closed
            while self._keyboard is not None and (data := os.read(self._keyboard, 65536)):
                self._shown += data


@contextlib.asynccontextmanager
async def in_terminal(*arguments: str, cwd: Path, first: str = "", **environ: str) -> AsyncGenerator[Terminal]:
    """Run `borne` with these arguments on a terminal of its own; it is killed at the end of the block.

    `first`: Python that runs before the program, with the tests to import from.
    """
    keyboard, screen = os.openpty()
    program = ["-c", f"{first}\nimport runpy\nrunpy.run_module('borne', run_name='__main__')"]
    usual = {name: value for name, value in os.environ.items() if not name.startswith("BORNE_")}
    process = await asyncio.to_thread(
        subprocess.Popen[bytes],
        [sys.executable, *(program if first else ["-m", "borne"]), *arguments],
        cwd=cwd,
        env={**usual, "PYTHONPATH": str(_ROOT), "TERM": "xterm", "COLUMNS": "120", **environ},
        preexec_fn=lambda: os.login_tty(screen),
        close_fds=True,
        pass_fds=(screen,),
    )
    os.close(screen)
    try:
        yield Terminal(process, keyboard)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        with contextlib.suppress(OSError):
            os.close(keyboard)

"""Runs a command of the machine to its end, with a timeout, and returns why it failed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from foundation.frozen import Frozen
from station.core.hardware.updater import InstallError

if TYPE_CHECKING:
    from foundation.clock import Clock

_LONGEST_REASON = 200
_TAIL_BYTES = 4096
_KILL_WAIT_S = 5.0
"""longest wait for a killed command to end"""


class CommandResult(Frozen):
    """How a command ended."""

    status: int
    """its exit status; 0: it succeeded"""
    reason: str
    """the last line of its standard error; may be empty"""


async def run_command(command: Sequence[str | Path], timeout_s: float, clock: Clock) -> CommandResult:
    """Run a program with its arguments, without a shell, and wait for its end.

    When cancelled or after `timeout_s`, it is killed with all that it started. Its errors go to a file: a pipe would
    stay open as long as a background process of the command lives.

    Raises:
        InstallError: it cannot be started, or takes longer than `timeout_s`.
    """
    devnull = asyncio.subprocess.DEVNULL
    with _temporary_file() as errors:
        try:
            process = await asyncio.create_subprocess_exec(
                *command, stdin=devnull, stdout=devnull, stderr=errors, start_new_session=True
            )
        except OSError as error:
            raise InstallError(f"{command[0]} cannot be started: {error.strerror}") from error
        try:
            async with clock.timeout(timeout_s):
                status = await process.wait()
        except TimeoutError:
            raise InstallError(f"{command[0]} took longer than {timeout_s:g} s") from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # the whole process group
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_KILL_WAIT_S):
                        await process.wait()
        return CommandResult(status, _last_line(errors))


def _temporary_file() -> IO[bytes]:
    """A temporary file without a name.

    Raises:
        InstallError: the file cannot be created.
    """
    try:
        return tempfile.TemporaryFile()
    except OSError as error:
        raise InstallError(f"a temporary file cannot be created: {error.strerror}") from error


def _last_line(errors: IO[bytes]) -> str:
    errors.seek(-min(_TAIL_BYTES, errors.seek(0, os.SEEK_END)), os.SEEK_END)
    lines = errors.read().decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:_LONGEST_REASON] if lines else ""

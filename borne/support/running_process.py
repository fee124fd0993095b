"""The process that runs the station of a storage folder, as this machine shows it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

from foundation.frozen import Frozen
from station.storage.storage_lock import PID_NAME

_LOCKS: Final = Path("/proc/locks")
_TICKS_FIELD: Final = 19
"""position of `starttime` in /proc/PID/stat, counted after the name of the program"""


class RunningProcess(Frozen):
    """The process that holds the lock on a storage folder."""

    pid: int | None
    """None: it is hidden, as that of another container"""
    uptime_s: float | None
    """seconds since its start; None: not known"""
    http_port: int | None
    """the TCP port of the page that its command line demands; None: that of the installation file"""


def running_process(storage: Path) -> RunningProcess | None:
    """Return the process that runs the station of a storage folder; None if none does. Takes no lock itself."""
    try:
        inode = storage.stat().st_ino
        locks = _LOCKS.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    if not any(len(words := line.split()) > 5 and words[1] == "FLOCK" and _inode(words) == inode for line in locks):
        return None
    pid = _read_pid(storage / PID_NAME)
    if pid is None:
        return RunningProcess(None, None, None)
    return RunningProcess(pid, _uptime_s(pid), _http_port(pid))


def _inode(words: list[str]) -> int:
    """The inode of a line of /proc/locks; a waiting lock has an arrow before, and no flock of a station waits."""
    text = words[5].rpartition(":")[2]
    return int(text) if text.isdecimal() else -1


def _read_pid(file: Path) -> int | None:
    try:
        pid = int(file.read_text(encoding="ascii"))
        os.kill(pid, 0)
    except PermissionError:  # the process exists, but belongs to another user
        return int(file.read_text(encoding="ascii"))
    except (OSError, ValueError, OverflowError):
        return None
    return pid


def _uptime_s(pid: int) -> float | None:
    """Seconds since the start of a process, by a clock that nobody sets."""
    try:
        ticks = int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[_TICKS_FIELD])
        machine_s = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return None
    return max(machine_s - ticks / os.sysconf("SC_CLK_TCK"), 0.0)


def _http_port(pid: int) -> int | None:
    """The value of --http-port of `borne run`; None also for 0, any free port."""
    with contextlib.suppress(OSError, ValueError):
        words = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace").split("\0")
        return int(words[words.index("--http-port") + 1]) or None
    return None

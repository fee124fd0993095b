"""Notifications to systemd (ready, watchdog, status, stopping): datagrams to its socket (sd_notify(3))."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Mapping, MutableMapping
from datetime import timedelta
from pathlib import Path
from typing import Final

from foundation.frozen import Frozen
from station.core.model import BootReason

_log = logging.getLogger(__name__)

_SOCKET_VARIABLE: Final = "NOTIFY_SOCKET"
_RESULT_FILE: Final = "ended"
"""file in the runtime directory to which the unit writes how the last run ended ($SERVICE_RESULT)"""
_START_TIME_FILE: Final = "started"
"""file in the runtime directory with the time of the last start, monotonic seconds"""
_WATCHDOGS: Final = Path("/sys/class/watchdog")
_CARD_RESET: Final = 0x20
"""WDIOF_CARDRESET in the boot status of a watchdog (linux/watchdog.h)"""
_BOOT_S: Final = 600.0
"""longest time from a boot of the machine to the start of this program"""
_KILL_CAUSES: Final = {
    "watchdog": "killed by the watchdog",
    "core-dump": "ended by the system, with a core dump",
    "oom-kill": "killed, since the memory was full",
    "signal": "killed by a signal",
}
"""results of a service whose program was killed, with the cause for the log"""


class KilledProcess(Frozen):
    """The previous process of the service, which was killed from outside."""

    lasted: timedelta
    """from its start to that of this one"""
    cause: str
    """for the log"""


class SystemdNotifier:
    """Sends notifications (sd_notify) about the whole process to the systemd that started it."""

    def __init__(self, address: str, watchdog_s: float | None) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address  # an abstract socket
        self.watchdog_s = watchdog_s
        """seconds within which systemd expects WATCHDOG=1; None: no watchdog"""
        # Opened once, so that notifications work even if no file descriptor is free.
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)

    @classmethod
    def from_environment(cls, environ: MutableMapping[str, str]) -> SystemdNotifier | None:
        """Create it from systemd's variables in `environ`; None if systemd did not start this program or wants none.

        Removes these variables, so that child processes cannot notify.
        """
        address = environ.pop(_SOCKET_VARIABLE, "")
        microseconds, pid = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
        if not address.startswith(("/", "@")):
            return None
        watchdog_enabled = pid in {"", str(os.getpid())} and microseconds.isdecimal()
        return cls(address, (int(microseconds) / 1e6 or None) if watchdog_enabled else None)

    def notify(self, *assignments: str) -> None:
        """Send one or more of `READY=1`, `WATCHDOG=1`, `STATUS=…`, `STOPPING=1` without waiting; logs a failure."""
        try:
            self._socket.sendto("\n".join(assignments).encode(), self._address)
        except OSError as error:
            _log.warning(
                "the notification %s cannot be sent to the service manager: %s", assignments[0], error.strerror
            )

    def close(self) -> None:
        """Close the socket to systemd; sends nothing."""
        self._socket.close()


def boot_reason(environ: Mapping[str, str], watchdogs: Path = _WATCHDOGS, *, up_s: float | None = None) -> BootReason:
    """The reason of this start, for BootNotification: a restart by systemd and how the last run ended, or a boot.

    A boot is a power-up, unless the hardware watchdog has reset the machine. `environ`: RUNTIME_DIRECTORY names a
    folder that survives a restart by systemd, but not a boot; `watchdogs`: the folder with those of the kernel;
    `up_s`: seconds since the boot of the machine (default: its clock).
    """
    folder = _runtime_folder(environ)
    ended = _read(folder / _RESULT_FILE) if folder is not None else None
    if ended is None:
        return BootReason.WATCHDOG if folder is not None and _has_reset(watchdogs, up_s) else BootReason.POWER_UP
    known = {"watchdog": BootReason.WATCHDOG, "success": BootReason.LOCAL_RESET}
    return known.get(ended, BootReason.UNKNOWN)


def _has_reset(watchdogs: Path, up_s: float | None) -> bool:
    """Whether one of the hardware watchdogs has reset the machine before this boot, which was a short time ago."""
    if (time.clock_gettime(time.CLOCK_BOOTTIME) if up_s is None else up_s) > _BOOT_S:
        return False  # the service was stopped and started since
    statuses = (_read(watchdog / "bootstatus") or "" for watchdog in watchdogs.glob("watchdog*"))
    return any(status.isdecimal() and int(status) & _CARD_RESET for status in statuses)


def record_start(environ: Mapping[str, str]) -> KilledProcess | None:
    """Store the time of this start, and return how the previous process was killed; None: it was not, or unknown.

    `environ`: as for `boot_reason`. Call it once in a process: a second call takes this process for the previous one.
    """
    folder = _runtime_folder(environ)
    if folder is None:
        return None
    started_s, ended, now_s = _read(folder / _START_TIME_FILE), _read(folder / _RESULT_FILE), time.monotonic()
    try:
        (folder / _START_TIME_FILE).write_text(f"{now_s}\n", encoding="ascii")
    except OSError as error:
        _log.warning("the time of the start cannot be stored: %s", error.strerror)
    try:
        lasted_s = now_s - float(started_s or "")
    except ValueError:
        return None
    cause = _KILL_CAUSES.get(ended or "")
    return KilledProcess(timedelta(seconds=lasted_s), cause) if cause is not None else None


def _runtime_folder(environ: Mapping[str, str]) -> Path | None:
    folder = environ.get("RUNTIME_DIRECTORY", "")
    return Path(folder.split(":")[0]) if folder else None


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return None

"""Takes from a program what only Linux has, and the packages of the extra `board`: `restrict()`, before it begins.

What it refuses is also written to stderr at the end, since a program may catch the refusal. There is no uvloop either,
as on some platforms.
"""

from __future__ import annotations

import atexit
import os
import select
import sys
from importlib import import_module
from types import ModuleType
from typing import Final, cast

PACKAGES: Final = ("gpiod", "smbus2", "RPLCD")
FOLDERS: Final = ("/proc", "/sys")
PATH_EVENTS: Final = ("open", "os.listdir", "os.scandir", "os.chdir")
SOCKET_EVENTS: Final = ("socket.bind", "socket.connect", "socket.sendto")
LINUX_ATTRIBUTES: Final = {
    "select": ("epoll",),  # first: `selectors` takes its default from it
    "os": (
        *(
            "sched_getaffinity",
            "sched_setaffinity",
            "pidfd_open",
            "memfd_create",
            "eventfd",
            "copy_file_range",
            "splice",
        ),
        *("fdatasync", "posix_fallocate", "posix_fadvise", "getxattr", "setxattr", "O_DIRECT", "O_TMPFILE", "O_PATH"),
        *("getrandom", "setns", "unshare"),
    ),
    "socket": (
        *("TCP_KEEPIDLE", "TCP_USER_TIMEOUT", "TCP_QUICKACK", "SOCK_CLOEXEC", "SOCK_NONBLOCK", "SO_PEERCRED"),
        *("SO_BINDTODEVICE", "AF_NETLINK", "AF_PACKET", "MSG_NOSIGNAL"),
    ),
    "resource": ("prlimit", "RUSAGE_THREAD"),
    "signal": ("SIGRTMIN", "SIGRTMAX", "SIGPWR", "pidfd_send_signal"),
    "time": ("CLOCK_BOOTTIME", "CLOCK_TAI"),
}
"""of modules of the standard library, on Linux alone"""


def restrict() -> None:
    """Block Linux-only modules, files and packages in this process until it ends."""
    assert hasattr(select, "epoll"), "is this Linux?"
    assert "selectors" not in sys.modules
    for name, attributes in LINUX_ATTRIBUTES.items():
        module = import_module(name)
        for attribute in attributes:
            if hasattr(module, attribute):
                delattr(module, attribute)
    for package in (*PACKAGES, "uvloop"):
        sys.modules[package] = cast("ModuleType", None)  # for the import system: there is no such package
    sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    """Audit hook: refuse files below the folders and abstract unix sockets, and note imports of the packages."""
    if event == "import" and arguments[0] in PACKAGES:
        _report_refusal(f"import {arguments[0]}")
    elif event in PATH_EVENTS:
        path = os.fsdecode(arguments[0]) if isinstance(arguments[0], str | bytes) else ""
        if any(path == folder or path.startswith(f"{folder}/") for folder in FOLDERS):
            _report_refusal(f"{event} {path}")
            raise FileNotFoundError(2, "No such file or directory", path)
    elif event in SOCKET_EVENTS:
        address = arguments[1]
        if isinstance(address, str | bytes) and os.fsencode(address).startswith(b"\0"):
            _report_refusal(f"{event} {address!r}")
            raise OSError(22, "Invalid argument")


def _report_refusal(call: str) -> None:
    """Report at the end of the process that a call was refused."""
    atexit.register(sys.stderr.write, f"refused: {call}\n")

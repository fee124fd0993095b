"""Finds the process that has a device open, which a serial port does not tell who opens it a second time."""

from __future__ import annotations

import os
from pathlib import Path


def process_holding(device: str, processes: Path = Path("/proc")) -> str | None:
    """Name the other process that has a device open, such as "process 812 (borne)"; None: none that is visible.

    Without privileges only processes of the same user are visible.
    """
    path = os.path.realpath(device)
    for process in processes.glob("[0-9]*"):
        if process.name != str(os.getpid()) and path in _open_files(process):
            return f"process {process.name} ({_name(process)})"
    return None


def _open_files(process: Path) -> set[str]:
    """The paths of the files that a process has open; empty if they are not visible."""
    files: set[str] = set()
    try:
        for descriptor in (process / "fd").iterdir():
            files.add(os.readlink(descriptor))
    except OSError:  # it has ended, closes files just now, or belongs to somebody else
        pass
    return files


def _name(process: Path) -> str:
    try:
        return (process / "comm").read_text(encoding="utf-8").strip()
    except OSError:
        return "?"

"""Orphans: processes whose parent has ended, which process 1 of a container inherits and has to reap.

Without an init program in the container that is this program. Its own child processes are awaited where they are
started, within milliseconds of their end; here only what nobody awaits is reaped.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from foundation.frozen import Frozen

_INTERVAL_S: Final = 30.0
"""real seconds between two looks; much longer than an own child stays unawaited"""


class Zombie(Frozen):
    """A child process that has ended and was not awaited yet."""

    process_id: int
    started: str
    """when it started, in ticks of the kernel: tells it from a later process with the same number"""


class OrphanReaper:
    """Reaps children of this process that have been zombies for two looks."""

    def __init__(self) -> None:
        self._found = frozenset[Zombie]()

    def reap(self) -> None:
        """Look for zombies, and reap those that the last look has found too."""
        found = find_zombies()
        for zombie in found & self._found:
            with suppress(ChildProcessError):
                os.waitpid(zombie.process_id, os.WNOHANG)
        self._found = found

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            self.reap()
            await asyncio.sleep(_INTERVAL_S)


def find_zombies() -> frozenset[Zombie]:
    """The children of this process that are zombies, from /proc."""
    parent, found = str(os.getpid()), list[Zombie]()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        with suppress(OSError):  # it has ended meanwhile
            # proc(5): number, name in brackets, state, parent, …; the start is the twenty-second field
            fields = (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            if fields[0] == "Z" and fields[1] == parent:
                found.append(Zombie(int(entry.name), fields[19]))
    return frozenset(found)

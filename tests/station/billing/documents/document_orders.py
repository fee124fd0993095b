"""Document orders that fail, take too much memory or time, and one whose document describes its process."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from pathlib import Path

from foundation.frozen import Frozen


class FailingOrder(Frozen):
    """An order that fails with an error whose message must not be logged."""

    secret: str

    def draw(self) -> bytes:
        """Raise the error."""
        raise ValueError(self.secret)


class OversizedOrder(Frozen):
    """An order that takes more memory than its process may have."""

    def draw(self) -> bytes:
        """Allocate 1 GiB."""
        return bytes(2**30)


class EndlessOrder(Frozen):
    """An order that is never finished."""

    folder: Path
    """where the process creates a folder named by its id, as it may not write files"""

    def draw(self) -> bytes:
        """Wait for ever."""
        (self.folder / str(os.getpid())).mkdir()
        signal.pause()
        return b""


class ProcessReportOrder(Frozen):
    """An order whose document lists the arguments, environment and limits of its process."""

    def draw(self) -> bytes:
        """Return the list as JSON."""
        sys.stdout.write("something that a library says")
        limits = {
            name: resource.getrlimit(getattr(resource, name))[0]
            for name in ("RLIMIT_AS", "RLIMIT_CPU", "RLIMIT_CORE", "RLIMIT_FSIZE")
        }
        arguments = Path("/proc/self/cmdline").read_bytes().decode().split("\0")
        process_report = {"arguments": arguments, "environment": dict(os.environ), "path": sys.path, "limits": limits}
        return json.dumps(process_report).encode()

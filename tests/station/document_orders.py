"""Orders for documents that misbehave, and one that tells what the process knows that draws it."""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path

from metering.frozen import frozen


@frozen
class Failing:
    """Fails, with what nobody may read in a log."""

    secret: str

    def draw(self) -> bytes:
        """Fail."""
        raise ValueError(self.secret)


@frozen
class Hungry:
    """Wants more memory than there is on a small board."""

    def draw(self) -> bytes:
        """Take it."""
        return bytes(2**30)


@frozen
class Endless:
    """Is never finished."""

    folder: Path
    """gets a folder named by the process id; files may not be written"""

    def draw(self) -> bytes:
        """Wait for ever."""
        (self.folder / str(os.getpid())).mkdir()
        time.sleep(3600)
        return b""


@frozen
class Curious:
    """Tells what its process knows."""

    def draw(self) -> bytes:
        """As JSON."""
        sys.stdout.write("something that a library says")
        limits = {
            name: resource.getrlimit(getattr(resource, name))[0]
            for name in ("RLIMIT_AS", "RLIMIT_CPU", "RLIMIT_CORE", "RLIMIT_FSIZE")
        }
        arguments = Path("/proc/self/cmdline").read_bytes().decode().split("\0")
        told = {"arguments": arguments, "environment": dict(os.environ), "path": sys.path, "limits": limits}
        return json.dumps(told).encode()

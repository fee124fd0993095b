"""How long tests wait for what is real: processes, threads, sockets, the disk."""

from __future__ import annotations

from typing import Final

PATIENCE_S: Final = 120.0
"""real seconds after which a test gives up; one that works needs a fraction, however busy the machine is"""

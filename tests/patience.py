"""The time that tests wait for real processes, threads, sockets and the disk."""

from __future__ import annotations

from typing import Final

PATIENCE_S: Final = 120.0
"""real seconds after which a test fails; a passing one needs a fraction, even on a busy machine"""

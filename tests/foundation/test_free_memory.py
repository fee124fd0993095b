"""Memory between objects in use goes back to the operating system."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from foundation.free_memory import return_free_memory

_KIB = 1024


def resident_kib() -> int:
    fields = Path("/proc/self/status").read_text(encoding="ascii").split("VmRSS:")[1]
    return int(fields.split()[0])


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such function")
def test_pages_between_objects_in_use_are_returned() -> None:
    blocks = [bytes(64 * _KIB) for _ in range(1_000)]
    retained = blocks[::20]
    del blocks
    before = resident_kib()
    return_free_memory()
    assert before - resident_kib() > 30 * _KIB
    assert all(len(block) == 64 * _KIB for block in retained)

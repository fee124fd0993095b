"""Counts and exhausts the file descriptors of the process."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Generator


@contextlib.contextmanager
def no_free_descriptor() -> Generator[None]:
    """Leave no free file descriptor while the block runs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    probe = os.open(os.devnull, os.O_RDONLY)
    occupied = [probe]
    resource.setrlimit(resource.RLIMIT_NOFILE, (probe + 1, hard))
    try:
        with contextlib.suppress(OSError):
            while True:  # numbers below that one
                occupied.append(os.open(os.devnull, os.O_RDONLY))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in occupied:
            os.close(descriptor)


def open_descriptors() -> int:
    """The number of open file descriptors of the process."""
    return len(os.listdir("/proc/self/fd"))

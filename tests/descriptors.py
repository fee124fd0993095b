"""Counts and exhausts the file descriptors of the process."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Generator
from pathlib import Path


@contextlib.contextmanager
def no_free_descriptor(left: int = 0) -> Generator[None]:
    """Leave no free file descriptor, or only `left` of them, while the block runs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    spare = [os.open(os.devnull, os.O_RDONLY) for _ in range(left)]
    occupied = [os.open(os.devnull, os.O_RDONLY)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(spare + occupied) + 1, hard))
    try:
        with contextlib.suppress(OSError):
            while True:  # numbers below these
                occupied.append(os.open(os.devnull, os.O_RDONLY))
        for descriptor in spare:
            os.close(descriptor)
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in occupied:
            os.close(descriptor)


def open_descriptors() -> int:
    """The number of open file descriptors of the process."""
    return len(os.listdir("/proc/self/fd"))


def open_files(folder: Path) -> int:
    """The number of files below a folder that the process has open; other threads may close some meanwhile."""
    count = 0
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            count += str(folder) in os.readlink(f"/proc/self/fd/{descriptor}")
    return count

"""Returns freed memory to the operating system. A module of its own: `ctypes` takes 1.4 ms to import."""

from __future__ import annotations

import ctypes


def return_free_memory() -> None:
    """Return the pages that hold no object to the operating system; without effect unless the C library is glibc.

    By itself, glibc returns only what is free at the end of its heap. Takes some milliseconds per 100 MiB, in which
    other threads run but may have to wait for new memory.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)

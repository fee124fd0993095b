"""What must hold all the time, and how its failure is said."""

from __future__ import annotations


class InvariantError(AssertionError):
    """Something that must hold all the time does not; the message says what."""

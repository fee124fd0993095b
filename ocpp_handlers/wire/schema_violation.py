"""The fault of an invalid payload."""

from __future__ import annotations

from foundation.frozen import Frozen


class SchemaViolation(Frozen):
    """Fault of an invalid payload: an RPC framework error code (Part 4 table 8), and a readable sentence.

    The sentence names the path of the field, has 255 characters at most and never contains the value.
    """

    code: str
    description: str

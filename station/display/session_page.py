"""The address of the page on which drivers follow their charge, for the QR code on a display."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

_LONGEST: Final = 300
"""characters that a QR code on a display shows legibly from two metres"""


class SessionPage:
    """Fills in the configured address of the page."""

    def __init__(self, pattern: str, identity: str) -> None:
        """`pattern`: the address; {identity} and {evse} are replaced. Empty: no address."""
        self._pattern = pattern.replace("{identity}", quote(identity, safe=""))

    def address(self, evse_id: int) -> str | None:
        """The address for the charge at an EVSE; None: none."""
        address = self._pattern.replace("{evse}", str(evse_id))
        return address if 0 < len(address) <= _LONGEST else None

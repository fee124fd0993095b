"""How large a request of the CSMS about variables may be: ItemsPerMessage and BytesPerMessage."""

from __future__ import annotations

import json
from typing import Final

from ocpp_handlers.session import PayloadError

ITEMS_PER_MESSAGE: Final = 50
"""variables in one GetVariables, SetVariables or GetReport: an answer of some 15 kB"""
BYTES_PER_MESSAGE: Final = 65_536
"""of such a request: that many items with the longest value that the schema allows for one"""


def check_size(request: object, items: int) -> None:
    """Refuse a request that is larger than allowed. Its bytes are counted as we would write its payload.

    Raises:
        PayloadError: too many items (B05.FR.11, B06.FR.16, B08.FR.17) or bytes (B06.FR.17, B08.FR.18).
    """
    if items > ITEMS_PER_MESSAGE:
        raise PayloadError("OccurrenceConstraintViolation", f"at most {ITEMS_PER_MESSAGE} items in a message")
    if len(json.dumps(request, ensure_ascii=False, separators=(",", ":")).encode()) > BYTES_PER_MESSAGE:
        raise PayloadError("FormatViolation", f"at most {BYTES_PER_MESSAGE} bytes in a message")

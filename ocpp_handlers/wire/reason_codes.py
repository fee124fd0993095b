"""Reason codes of statusInfo that several functional blocks use (OCPP 2.0.1, part 2, appendix 5)."""

from __future__ import annotations

from collections.abc import Container
from typing import Literal


def unknown_evse_code(evses: Container[int], evse_id: int) -> Literal["UnknownEvse", "UnknownConnectorId"]:
    """The reasonCode for an address that does not exist: UnknownConnectorId if its EVSE does, else UnknownEvse."""
    return "UnknownConnectorId" if evse_id in evses else "UnknownEvse"

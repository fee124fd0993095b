"""Reason codes of statusInfo that more than one block gives (OCPP 2.0.1, part 2, appendix 5)."""

from __future__ import annotations

from collections.abc import Container
from typing import Literal


def unknown_place(evses: Container[int], evse_id: int) -> Literal["UnknownEvse", "UnknownConnectorId"]:
    """The reason code for an EVSE and connector that do not exist: which of the two is not known."""
    return "UnknownConnectorId" if evse_id in evses else "UnknownEvse"

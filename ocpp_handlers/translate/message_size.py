"""Checks the size of a request: ItemsPerMessage and BytesPerMessage."""

from __future__ import annotations

from typing import Final

from msgspec.json import Encoder

from ocpp_handlers.wire.session import PayloadError

_ENCODER: Final = Encoder()


def check_size(request: object, items: int, *, most_items: int, most_bytes: int) -> None:
    """Raise if a request has more than `most_items` items or its payload, as compact JSON, more than `most_bytes`.

    Raises:
        PayloadError: too many items (B05.FR.11, B06.FR.16, B08.FR.17) or bytes (B06.FR.17, B08.FR.18).
    """
    if items > most_items:
        raise PayloadError("OccurrenceConstraintViolation", f"at most {most_items} items in a message")
    if size_bytes(request) > most_bytes:
        raise PayloadError("FormatViolation", f"at most {most_bytes} bytes in a message")


def size_bytes(request: object) -> int:
    """Return the size of a payload as compact JSON in UTF-8, in bytes."""
    return len(_ENCODER.encode(request))

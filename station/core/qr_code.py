"""Draws QR codes (ISO/IEC 18004)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from segno import QRCode


def qr_code(text: str) -> QRCode:
    """Make the QR code of a text, with error correction level M.

    Raises:
        ValueError: the text is too long for a QR code.
    """
    import segno  # late: the import takes about 90 ms

    return segno.make(text, error="m", micro=False)

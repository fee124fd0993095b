"""The address of the page on which a driver follows the charge."""

from __future__ import annotations

import pytest

from station.display.session_page import SessionPage


@pytest.mark.parametrize(
    ("pattern", "address"),
    [
        ("https://charge.example/{identity}/{evse}", "https://charge.example/GATE%2F1/2"),
        ("http://gate-1.local:8080/", "http://gate-1.local:8080/"),
        ("", None),
        ("https://charge.example/" + "x" * 300, None),
    ],
)
def test_the_address_names_the_station_and_the_evse(pattern: str, address: str | None) -> None:
    """One that is too long for a legible QR code is not shown."""
    assert SessionPage(pattern, "GATE/1").address(2) == address

"""URLs of a CSMS: which host names are accepted."""

from __future__ import annotations

import pytest

from station.core.identifiers import check_url

LABEL = "a" * 63


def encodes(host: str) -> bool:
    """Whether the codec with which Python resolves addresses accepts a host name."""
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return True


@pytest.mark.parametrize(
    ("host", "accepted"),
    [
        ("csms.example", True),
        ("csms.example.", True),
        ("127.0.0.1", True),
        ("bücher.example", True),
        (f"{LABEL}.example", True),
        (f"{LABEL}a.example", False),
        (f"example.{LABEL}a", False),
        ("csms..example", False),
        (".example", False),
        ("ü" * 70, False),
        ("csms。example", True),
    ],
)
def test_a_host_name_is_accepted_if_its_address_can_be_looked_up(host: str, accepted: bool) -> None:
    assert encodes(host) is accepted
    if accepted:
        assert check_url(f"wss://{host}:443/ocpp") == f"wss://{host}:443/ocpp"
    else:
        with pytest.raises(ValueError, match="must contain a valid host name"):
            check_url(f"wss://{host}/ocpp")

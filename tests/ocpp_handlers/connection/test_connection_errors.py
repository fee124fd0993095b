"""What the station says of a connection attempt that failed: who tried, and the likely cause."""

from __future__ import annotations

import pytest
from websockets.datastructures import Headers
from websockets.exceptions import InvalidMessage, InvalidStatus, NegotiationError
from websockets.http11 import Response

from ocpp_handlers.connection.connection_errors import failure_text, no_subprotocol_text
from station.security.network_profile import NetworkProfile

OPEN = NetworkProfile("ws://csms/ocpp", 0, 30.0)
PASSWORD = NetworkProfile("wss://csms/ocpp", 2, 30.0)
CERTIFICATE = NetworkProfile("wss://csms/ocpp", 3, 30.0)
UNREADABLE = InvalidMessage("did not receive a valid HTTP response")


def status(code: int) -> InvalidStatus:
    """The error of an attempt that the CSMS answered with this HTTP status."""
    return InvalidStatus(Response(code, "", Headers()))


@pytest.mark.parametrize(
    ("error", "profile", "ending"),
    [
        (status(404), OPEN, 'HTTP 404; the CSMS may not know "DEV-1"'),
        (status(400), OPEN, "HTTP 400; the CSMS may not accept the subprotocol: offered was only ocpp2.0.1"),
        (status(401), PASSWORD, 'HTTP 401; the CSMS may not accept the password of "DEV-1"'),
        (status(401), OPEN, "HTTP 401; the CSMS may require a password"),
        (status(403), OPEN, 'HTTP 403; the CSMS may not admit "DEV-1"'),
        (status(302), OPEN, "HTTP 302; redirects are not followed"),
        (status(503), OPEN, "HTTP 503"),
        (NegotiationError("unsupported subprotocol: ocpp1.6"), OPEN, "ocpp1.6; offered was only ocpp2.0.1"),
        (UNREADABLE, PASSWORD, 'valid HTTP response; the CSMS may have refused the password of "DEV-1"'),
        (UNREADABLE, CERTIFICATE, 'valid HTTP response; the CSMS may have refused the certificate of "DEV-1"'),
        (UNREADABLE, OPEN, "did not receive a valid HTTP response"),
        (ConnectionResetError("reset"), PASSWORD, 'reset; the CSMS may have refused the password of "DEV-1"'),
        (TimeoutError("no answer within 20 s"), PASSWORD, "no answer within 20 s"),
        (EOFError(), OPEN, "EOFError"),
    ],
)
def test_a_failed_attempt_names_the_identity_and_the_likely_cause(
    error: Exception, profile: NetworkProfile, ending: str
) -> None:
    text = failure_text(error, profile, "DEV-1", requested=True)
    assert text.startswith(f'cannot connect to the CSMS at {profile.url} as "DEV-1": ')
    assert text.endswith(ending)


def test_before_the_request_was_sent_no_cause_is_guessed() -> None:
    text = failure_text(ConnectionRefusedError("refused"), PASSWORD, "DEV-1", requested=False)
    assert text == 'cannot connect to the CSMS at wss://csms/ocpp as "DEV-1": refused'


def test_a_csms_without_subprotocol_is_reported_with_the_one_that_was_offered() -> None:
    assert no_subprotocol_text(OPEN, "DEV-1").endswith("it accepts no subprotocol; offered was only ocpp2.0.1")

"""Describes why a connection to the CSMS failed, with the likely cause. Pure."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from websockets.exceptions import InvalidMessage, InvalidStatus, NegotiationError

from ocpp_handlers.wire.edition import editions_named

if TYPE_CHECKING:
    from station.security.network_profile import NetworkProfile


def failure_text(error: Exception, profile: NetworkProfile, identity: str, *, requested: bool) -> str:
    """Describe a failed connection attempt: URL, identity, error and its likely cause.

    `requested`: the HTTP request, which carries identity and password, was sent.
    """
    text = f'cannot connect to the CSMS at {profile.url} as "{identity}": {str(error) or type(error).__name__}'
    cause = _likely_cause(error, profile, identity) if requested else None
    return f"{text}; {cause}" if cause is not None else text


def no_subprotocol_text(profile: NetworkProfile, identity: str) -> str:
    """Describe that the CSMS has opened the websocket without a subprotocol."""
    offered = _offered_text(profile)
    return f'cannot connect to the CSMS at {profile.url} as "{identity}": it accepts no subprotocol; {offered}'


def _offered_text(profile: NetworkProfile) -> str:
    """Which subprotocols the station has offered."""
    return f"offered was only {' and '.join(edition.subprotocol for edition in editions_named(profile.versions))}"


def _likely_cause(error: Exception, profile: NetworkProfile, identity: str) -> str | None:
    """The likely cause of an error that followed the HTTP request; None: nothing better than the error is known."""
    match error:
        case InvalidStatus():
            return _cause_of_status(error.response.status_code, profile, identity)
        case NegotiationError():
            return _offered_text(profile)
        case InvalidMessage() | ConnectionError() | EOFError():
            # Some CSMSs close the connection instead of answering 401. With TLS 1.3 a refused certificate also shows
            # only now, since the station's part of the handshake has ended before the CSMS checks it.
            if profile.uses_client_certificate:
                return f'the CSMS may have refused the certificate of "{identity}"'
            return f'the CSMS may have refused the password of "{identity}"' if profile.uses_password else None
        case _:
            return None


def _cause_of_status(status: int, profile: NetworkProfile, identity: str) -> str | None:
    if status == HTTPStatus.NOT_FOUND:
        return f'the CSMS may not know "{identity}"'
    if status == HTTPStatus.BAD_REQUEST:
        return f"the CSMS may not accept the subprotocol: {_offered_text(profile)}"
    if status == HTTPStatus.UNAUTHORIZED:
        return (
            f'the CSMS may not accept the password of "{identity}"'
            if profile.uses_password
            else "the CSMS may require a password"
        )
    if status == HTTPStatus.FORBIDDEN:
        return f'the CSMS may not admit "{identity}"'
    return "redirects are not followed" if 300 <= status < 400 else None

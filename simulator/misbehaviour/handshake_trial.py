"""One connection attempt to the CSMS with a wrong subprotocol, certificate or password, and its outcome."""

from __future__ import annotations

import asyncio
import ssl
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from msgspec.structs import replace
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from foundation.frozen import Frozen
from foundation.secret import Secret
from ocpp_handlers.connection.connection import CsmsAccess, authorization_headers, csms_url
from ocpp_handlers.connection.tls import csms_tls_context
from ocpp_handlers.wire.edition import editions_named

if TYPE_CHECKING:
    from station.security.network_profile import NetworkProfile

_TIMEOUT_S: Final = 10.0
_CLOSE_WITHIN_S: Final = 1.0
"""real seconds that a CSMS has to close a connection that it has accepted by mistake"""


class HandshakeTrial(Frozen):
    """What is different from the station's own connection attempts."""

    subprotocols: Sequence[str] | None = None
    """offered; None: those of the station"""
    certificate: Literal["own", "unknown-root", "none"] = "own"
    """client certificate of security profile 3"""
    password: str | None = None
    """None: that of the station"""


class HandshakeAnswer(Frozen):
    """How a CSMS has answered."""

    accepted: bool
    status: int | None = None
    """HTTP status; None: no response"""
    subprotocol: str | None = None
    """chosen by the CSMS; None: none"""
    closed: str | None = None
    """code and reason with which it has closed the websocket at once; None: it has not"""
    error: str | None = None
    """why there is no connection"""


async def try_handshake(profile: NetworkProfile, access: CsmsAccess, trial: HandshakeTrial) -> HandshakeAnswer:
    """Connect once, and close the connection; returns how the CSMS has answered."""
    login = access.network.login(profile)
    if trial.password is not None:
        login = replace(login, password=Secret(trial.password))
    offered = trial.subprotocols
    if offered is None:
        offered = [edition.subprotocol for edition in editions_named(profile.versions)]
    try:
        context = await _tls_context(profile, access, trial)
        async with connect(
            csms_url(profile, login.identity),
            subprotocols=[Subprotocol(name) for name in offered] or None,
            additional_headers=authorization_headers(profile, login),
            ssl=context,
            open_timeout=_TIMEOUT_S,
            close_timeout=_CLOSE_WITHIN_S,
            user_agent_header=None,
            proxy=None,
        ) as websocket:
            closed = None
            try:
                async with asyncio.timeout(_CLOSE_WITHIN_S):
                    await websocket.recv()
            except TimeoutError:
                pass
            except ConnectionClosed as error:
                closed = str(error)
            return HandshakeAnswer(True, 101, websocket.subprotocol, closed)
    except InvalidStatus as error:
        return HandshakeAnswer(False, error.response.status_code, error=f"HTTP {error.response.status_code}")
    except (OSError, TimeoutError, EOFError, WebSocketException) as error:
        return HandshakeAnswer(False, error=str(error) or type(error).__name__)


async def _tls_context(profile: NetworkProfile, access: CsmsAccess, trial: HandshakeTrial) -> ssl.SSLContext | None:
    """The TLS context of the attempt; None: it uses none.

    Raises:
        OSError: a certificate cannot be read.
    """
    if not profile.url.lower().startswith("wss:"):
        return None
    own = profile.uses_client_certificate and trial.certificate == "own"
    material = await access.certificates.tls_material(client_certificate=own)
    if not profile.uses_client_certificate or trial.certificate != "unknown-root":
        return await asyncio.to_thread(csms_tls_context, material)
    from simulator.pki.authority import Authority, Validity, subject_name  # late: cryptography, for this trial only

    root = Authority.root("Root that no CSMS knows", Validity.of_days(1))
    issued = root.issue(subject_name(access.credentials.identity), Validity.of_days(1))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "station.pem"
        file.write_text(issued.key_pem + issued.pem + root.pem)
        return await asyncio.to_thread(csms_tls_context, replace(material, station=file))

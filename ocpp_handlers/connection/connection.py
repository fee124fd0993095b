"""The websocket to the CSMS: connect, detect a dead link, reconnect; no failure ends the loop."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import random
import ssl
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.typing import Subprotocol

from foundation.change_signal import ChangeSignal
from foundation.events import Event
from foundation.frozen import Frozen
from foundation.supervision import raise_lost_cancellation, result_or_exception
from ocpp_handlers.connection import handshake
from ocpp_handlers.connection.back_off import back_off
from ocpp_handlers.connection.connection_errors import failure_text, no_subprotocol_text
from ocpp_handlers.connection.csms_websocket import csms_websocket_class, dial
from ocpp_handlers.connection.link_settings import CsmsLinkSettings
from ocpp_handlers.wire.edition import chosen_edition, editions_named
from station.security.security_events import SecurityEventType
from station.storage.database import StorageError

if TYPE_CHECKING:
    from datetime import datetime

    from websockets.asyncio.client import ClientConnection

    from foundation.clock import Clock
    from foundation.supervision import AuxiliaryCalls
    from ocpp_handlers.wire.edition import Edition
    from station.security.certificates.certificate_results import TlsMaterial
    from station.security.certificates.certificate_store import CertificateStore
    from station.security.credentials import Credentials, Login
    from station.security.network_profile import NetworkProfile
    from station.security.network_profiles import NetworkProfiles
    from station.security.security_events import SecurityEvents
    from station.security.security_settings import SecuritySettings

_log = logging.getLogger(__name__)

_CONNECT_TIMEOUT_S = 20.0
_DIAL_WIRE_S = 2.0
_PONG_TIMEOUT_S = 20.0
_CLOSE_TIMEOUT_S = 1.0
_SHORTEST_RECONNECT_S = 2.0
"""the shortest delay after a close by the station: the CSMS may still be storing the new password or certificate"""
LARGEST_FRAME = 1 << 20

Serve = Callable[["ClientConnection", "Edition"], Awaitable[None]]
"""awaited with each open websocket and the edition that the CSMS has chosen: receives and sends messages until it
closes"""


class CsmsAccess(Frozen):
    """Network profiles, identity, password and certificates that the station uses to connect to a CSMS."""

    network: NetworkProfiles
    credentials: Credentials
    certificates: CertificateStore


class _OpenedConnection(Frozen):
    """An open websocket, and the TLS material that it was opened with (None: no TLS)."""

    websocket: ClientConnection
    material: TlsMaterial | None


def csms_url(profile: NetworkProfile, identity: str) -> str:
    """The URL of the CSMS with the percent-encoded identity as the last path segment (part 4 §3.1.1)."""
    parts = urlsplit(profile.url)
    return parts._replace(path=f"{parts.path.rstrip('/')}/{quote(identity, safe='')}").geturl()


def authorization_headers(profile: NetworkProfile, login: Login) -> dict[str, str]:
    """The HTTP Basic header as a dict; empty without password or if the profile uses none (A00.FR.204, A00.FR.303)."""
    if login.password is None or not profile.uses_password:
        return {}
    secret = base64.b64encode(f"{login.identity}:{login.password.get_secret_value()}".encode()).decode()
    return {"Authorization": f"Basic {secret}"}


class Connection:
    """The station's websocket to the CSMS: connects, pings, and reconnects with back-off whenever it is lost."""

    def __init__(
        self,
        access: CsmsAccess,
        settings: CsmsLinkSettings,
        security: SecuritySettings,
        clock: Clock,
        security_events: SecurityEvents,
        auxiliary: AuxiliaryCalls,
    ) -> None:
        self._auxiliary = auxiliary
        self._access = access
        self._settings = settings
        self._security_settings = security
        self._clock = clock
        self._security_events = security_events
        self._websocket: ClientConnection | None = None
        self._network_cut = False
        self._own_close_reason: str | None = None
        """why the station itself has closed this link; None: it has not"""
        self._request_sent = False
        """whether the current attempt has sent the HTTP request, which carries the password"""
        self._login_confirmed = False
        """whether the CSMS has sent anything on this link: it may open the websocket, then close it for the password"""
        self._confirming = asyncio.Lock()
        self._network_restored = ChangeSignal()
        self._reported_events: set[SecurityEventType] = set()
        self.connected_changed: Event[None] = Event()
        """published when the websocket opens, and when it has ended"""
        self.connected_since: datetime | None = None
        """when the current websocket opened; None while there is none"""
        self.last_error: str | None = None
        """why the last attempt failed or the link was lost; None if neither since the last successful one"""
        self.switched = False
        """whether this link uses another network profile than the previous one (B10.FR.10)"""

    @property
    def connected(self) -> bool:
        """Whether a websocket to the CSMS is open."""
        return self._websocket is not None

    @property
    def url(self) -> str:
        """The URL of the current network profile, without the station identity; empty if there is none."""
        profile = self._access.network.profile
        return profile.url if profile is not None else ""

    @property
    def security_profile(self) -> int:
        """The OCPP security profile of the current network profile; 0 if there is none."""
        profile = self._access.network.profile
        return profile.security_profile if profile is not None else 0

    @property
    def uses_password(self) -> bool:
        """Whether the current network profile uses HTTP Basic authentication."""
        profile = self._access.network.profile
        return profile is not None and profile.uses_password

    async def run(self, serve: Serve) -> None:
        """Connect and reconnect until cancelled, the network profiles in turn; await `serve` on each websocket."""
        network = self._access.network
        delays = back_off(self._settings, random.uniform)
        slots = network.attempt_slots()
        while True:
            count_before = self._network_restored.count
            while self._network_cut:
                count_before = await self._network_restored.wait(count_before)
            slot = next(slots)
            was_up = await asyncio.create_task(self._hold_link(slot, serve), name="link")  # noqa: TID251 - awaited at once
            raise_lost_cancellation()
            if was_up:  # part 4 §5.3 with errata 4.12: a successful connection restarts the back-off
                delays = back_off(self._settings, random.uniform)
                slots = network.attempt_slots(slot)
            delay_s = self._own_reconnect_s if self._own_close_reason is not None else next(delays)
            self._own_close_reason = None
            _log.info("next connection attempt to the CSMS in %.1f s", delay_s)
            await self._network_restored.wait_for(count_before, self._clock, delay_s)

    def cut_network(self) -> None:
        """Simulate a network failure: drop the link and do not connect until `restore_network`."""
        self._network_cut = True
        if self._websocket is not None:
            self._websocket.transport.abort()

    def restore_network(self) -> None:
        """End the simulated network failure and connect at once; without effect if there is none."""
        if self._network_cut:
            self._network_cut = False
            self._network_restored.notify()

    def drop(self) -> None:
        """Simulate that the connection is lost: abort it; `run` connects again by its back-off. Nothing without one."""
        if self._websocket is not None:
            self._websocket.transport.abort()

    async def reconnect(self, why: str) -> None:
        """Close the link, so that `run` connects again soon: the station's credentials changed (A01, A02.FR.08).

        Without effect while there is no link. `why`: the reason, for the log.
        """
        if self._websocket is not None:
            self._own_close_reason = why
            await _close_websocket(self._websocket)

    async def use_new_certificate(self) -> None:
        """Reconnect with the new station certificate, if the current profile uses a client certificate (A02.FR.08)."""
        profile = self._access.network.profile
        if profile is not None and profile.uses_client_certificate:
            await self.reconnect("the station has a new certificate")

    @property
    def _own_reconnect_s(self) -> float:
        """The delay before reconnecting after the station itself closed the link."""
        return max(_SHORTEST_RECONNECT_S, float(self._settings.retry_back_off_wait_minimum_s))

    async def _hold_link(self, slot: int, serve: Serve) -> bool:
        """Connect once and serve the link until it ends; returns whether it was ever up."""
        profile = self._access.network.profile
        if profile is None:
            return False
        self._request_sent = self._login_confirmed = False
        outcome = await result_or_exception(self._connect(profile))
        if isinstance(outcome, Exception):  # of any kind: the next attempt may use another network profile
            unforeseen = outcome if not isinstance(outcome, _expected_errors()) else None
            identity = self._access.network.login(profile).identity
            self._log_failure(failure_text(outcome, profile, identity, requested=self._request_sent), unforeseen)
            await self._note_failure(profile, outcome)
            return False
        websocket = outcome.websocket
        identity = self._access.network.login(profile).identity
        try:
            edition = chosen_edition(editions_named(profile.versions), websocket.subprotocol)
            if edition is None:
                self._log_failure(no_subprotocol_text(profile, identity))
                return False
            await self._note_success(slot, outcome.material)
            self._websocket = websocket
            self.connected_since = self._clock.now()
            self.last_error = None
            self.connected_changed.publish(None)
            _log.info('connected to the CSMS at %s as "%s", OCPP %s', profile.url, identity, edition.name)
            await self._serve_with_pings(websocket, profile, partial(serve, websocket, edition))
        except* ConnectionClosed as closed:
            if self._own_close_reason is None:
                self._log_failure(f"connection to the CSMS lost: {_first_error(closed)}")
            else:
                _log.info("connection to the CSMS closed by the station: %s", self._own_close_reason)
        finally:
            if not self._login_confirmed:
                self._note_login_rejected(profile)
            was_connected, self._websocket = self.connected, None
            self.connected_since = None
            if was_connected:
                self.connected_changed.publish(None)
            await _close_websocket(websocket)
        return True

    async def _connect(self, profile: NetworkProfile) -> _OpenedConnection:
        """Connect; if the CSMS does not verify against a newly installed root, try again with the replaced root.

        M05.FR.14, M05.FR.16; no second attempt while the station migrates to another CSMS (M05.FR.15).
        """
        if not profile.url.lower().startswith("wss:"):
            return _OpenedConnection(await self._open(profile, None), None)
        certificates = self._access.certificates
        material = await certificates.tls_material(client_certificate=profile.uses_client_certificate)
        try:
            return _OpenedConnection(await self._open(profile, material), material)
        except ssl.SSLCertVerificationError as error:
            if not certificates.has_fallback_root or self._access.network.migrating:
                raise
            _log.info(
                "the certificate of the CSMS does not verify against the new root (%s); trying the previous root", error
            )
            material = await certificates.tls_material(
                client_certificate=profile.uses_client_certificate, fallback_root=True
            )
            return _OpenedConnection(await self._open(profile, material), material)

    async def _open(self, profile: NetworkProfile, material: TlsMaterial | None) -> ClientConnection:
        access = self._access
        login = access.network.login(profile)
        with self._clock.outside_wait(_DIAL_WIRE_S):
            # In a thread: loading the system's roots would block the event loop long enough to delay the boards.
            context = await asyncio.to_thread(self._tls_context, material) if material is not None else None
            attempt = dial(
                csms_url(profile, login.identity),
                subprotocols=[Subprotocol(edition.subprotocol) for edition in editions_named(profile.versions)],
                additional_headers=authorization_headers(profile, login),
                create_connection=csms_websocket_class(self._set_request_sent, partial(self._confirm_login, profile)),
                ssl=context,
                open_timeout=None,  # below instead: the clock may be virtual
                close_timeout=_CLOSE_TIMEOUT_S,
                ping_interval=None,  # `_ping` instead: the interval is a variable, the clock may be virtual
                max_size=LARGEST_FRAME,
                max_queue=32,
                user_agent_header=None,
                proxy=None,
            )
            try:
                async with self._clock.timeout(_CONNECT_TIMEOUT_S):
                    return await attempt
            except TimeoutError as error:
                raise TimeoutError(f"no answer within {_CONNECT_TIMEOUT_S:g} s") from error

    def _tls_context(self, material: TlsMaterial) -> ssl.SSLContext:
        from ocpp_handlers.connection.tls import csms_tls_context  # late: only for wss

        context = csms_tls_context(material)
        lenient = self._security_settings.allow_csms_tls_wildcards
        context.sslobject_class = handshake.LenientHandshake if lenient else handshake.CheckedHandshake
        return context

    def _set_request_sent(self) -> None:
        self._request_sent = True

    async def _note_failure(self, profile: NetworkProfile, error: Exception) -> None:
        """Report the security event of a failed attempt, once for repeated attempts (A00.FR.316).

        A CSMS may refuse a login without HTTP 401, for example by closing the connection: any failure after the
        request was sent counts as a refusal.
        """
        if self._request_sent:
            self._note_login_rejected(profile)
        event = handshake.security_event_of(error)
        if event is not None and event not in self._reported_events:
            self._reported_events.add(event)
            await self._security_events.report(event, _error_text(error))

    async def _note_success(self, slot: int, material: TlsMaterial | None) -> None:
        access = self._access
        self._reported_events.clear()
        self.switched = await access.network.note_connected(slot)
        if material is not None:
            await access.certificates.note_connected(material)

    def _note_login_rejected(self, profile: NetworkProfile) -> None:
        if self._access.network.uses_common_login(profile):
            self._access.credentials.note_rejected(profile.url, uses_password=profile.uses_password)

    async def _confirm_login(self, profile: NetworkProfile) -> None:
        """Store that the CSMS accepts identity and password: it has sent something on the link.

        Concurrent callers wait: the first message may be the one that changes them.
        """
        async with self._confirming:
            if self._login_confirmed:
                return
            self._login_confirmed = True
            if self._access.network.uses_common_login(profile):
                try:
                    await self._access.credentials.note_accepted(profile.url, uses_password=profile.uses_password)
                except StorageError as error:
                    _log.error("the previous login at the CSMS could not be deleted: %s", error)

    async def _serve_with_pings(
        self, websocket: ClientConnection, profile: NetworkProfile, serve: Callable[[], Awaitable[None]]
    ) -> None:
        async with asyncio.TaskGroup() as group:
            pings = group.create_task(self._ping(websocket, profile), name="websocket-ping")
            try:
                await serve()
            finally:
                pings.cancel()

    async def _ping(self, websocket: ClientConnection, profile: NetworkProfile) -> None:
        """Send pings to detect a half-open link (part 4 §5.2, WebSocketPingInterval)."""
        changed = ChangeSignal()
        interval = self._settings.changed(CsmsLinkSettings.web_socket_ping_interval_s)
        unsubscribe = self._auxiliary.subscribe(interval, lambda _: changed.notify())
        try:
            await self._ping_until_dead(websocket, profile, changed)
        finally:
            unsubscribe()

    async def _ping_until_dead(
        self, websocket: ClientConnection, profile: NetworkProfile, changed: ChangeSignal
    ) -> None:
        while True:
            count_before, interval_s = changed.count, self._settings.web_socket_ping_interval_s
            if interval_s == 0:
                await changed.wait(count_before)
                continue
            if await changed.wait_for(count_before, self._clock, interval_s):
                continue
            try:
                with self._clock.outside_wait(_DIAL_WIRE_S):
                    async with self._clock.timeout(_PONG_TIMEOUT_S):
                        await (await websocket.ping())
                await self._confirm_login(profile)
            except TimeoutError:
                self._log_failure("the CSMS does not answer a ping: the connection is closed")
                websocket.transport.abort()
                return

    def _log_failure(self, text: str, unforeseen: Exception | None = None) -> None:
        """Log a failure as a warning; as debug if it is the same as the last one."""
        _log.log(logging.DEBUG if text == self.last_error else logging.WARNING, "%s", text, exc_info=unforeseen)
        self.last_error = text


def _expected_errors() -> tuple[type[Exception], ...]:
    """The expected errors of a connection attempt: network, TLS (an OSError), HTTP status, handshake, timeout."""
    return (OSError, TimeoutError, EOFError, WebSocketException)


async def _close_websocket(websocket: ClientConnection) -> None:
    """Close a websocket; abort it if the CSMS does not answer the Close frame in time."""
    with contextlib.suppress(*_expected_errors()):
        async with asyncio.timeout(_CLOSE_TIMEOUT_S):
            await websocket.close()
    websocket.transport.abort()


def _first_error(error: ConnectionClosed | BaseExceptionGroup[ConnectionClosed]) -> ConnectionClosed:
    """The first of the errors in nested exception groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _error_text(error: Exception) -> str:
    return str(error) or type(error).__name__

"""Block A: requests a new certificate if the CSMS triggers it or the current one expires (A02, A03).

There is one requester for the certificate of the station, and one for that of each SECC (V2G).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from foundation.change_signal import ChangeSignal
from foundation.supervision import run_together
from ocpp_handlers.blocks.m_certificates import status_info
from ocpp_handlers.wire import actions
from ocpp_handlers.wire.call_errors import CallRefusedError, CallTimeoutError
from ocpp_handlers.wire.session import HandlerResult, Handlers
from station.core.csms import NoAnswerError
from station.security.certificates.certificate_results import CertificateRefusal, CertificateRefusalReason

if TYPE_CHECKING:
    from foundation.clock import Clock
    from foundation.supervision import FollowUp
    from ocpp_handlers.blocks.f_trigger_message import TriggerResult
    from ocpp_handlers.connection.link import Link
    from ocpp_handlers.wire import messages as m
    from station.charging.evse import Evse
    from station.security.certificates.secc_certificates import SignedChainResult
    from station.security.security_settings import SecuritySettings

_log = logging.getLogger(__name__)

_EXPIRY_CHECK_S = 3_600.0
"""interval at which the expiry of the certificate is checked"""
_DAY_S = 86_400.0
"""wait before the station's next own request after a refused or unanswered one: renewal starts a month ahead"""
_LONGEST_WAIT_S = 30 * _DAY_S
_STATION_CERTIFICATE = "ChargingStationCertificate"
_V2G_CERTIFICATE = "V2GCertificate"


class RenewableCertificate(Protocol):
    """A certificate of the station, or of one of its SECCs, that the CSMS has signed."""

    @property
    def kind(self) -> m.CertificateSigningUseEnumType:
        """The type in SignCertificate."""
        ...

    @property
    def name(self) -> str:
        """What it is, for the log."""
        ...

    async def new_signing_request(self) -> str:
        """Create and store a key pair; return its signing request, PEM.

        Raises:
            OSError: the key could not be stored.
        """
        ...

    async def renewal_due(self) -> bool:
        """Return whether the certificate is about to expire.

        Raises:
            OSError: it cannot be read.
        """
        ...

    def note_rejected_request(self) -> None:
        """Called when the CSMS has rejected the signing request."""
        ...


class CertificateRequester:
    """Sends SignCertificate for one certificate, when triggered or when it is about to expire.

    Repeats it until the CSMS sends a certificate or CertSigningRepeatTimes is reached.
    """

    def __init__(self, link: Link, certificate: RenewableCertificate, settings: SecuritySettings, clock: Clock) -> None:
        self._link = link
        self._certificate = certificate
        self._settings = settings
        self._clock = clock
        self._changed = ChangeSignal()
        """notified when the CSMS triggers a request, sends a certificate, or is connected again"""
        self._triggered = False
        self._requesting = False
        self._certificate_sent = False
        self._own_requests_stopped = False
        """the station sends no requests of its own any more (A02.FR.19, A02.FR.20)"""
        self._next_own_request_s = 0.0

    def note_signed(self, *, valid: bool) -> None:
        """Note that the CSMS has sent the certificate: it is not requested again, after an invalid one not at all."""
        self._certificate_sent = True
        self._own_requests_stopped = not valid  # A02.FR.20
        self._changed.notify()

    @property
    def awaits_certificate(self) -> bool:
        """Whether a request is under way that the CSMS has not answered with a certificate."""
        return self._requesting and not self._certificate_sent

    def check_expiry(self) -> None:
        """Wake `run` to check the expiry of the certificate now instead of at the next hourly check.

        Called when the CSMS is connected.
        """
        self._changed.notify()

    async def run(self) -> None:
        """Request a certificate whenever triggered or when the current one is about to expire, until cancelled."""
        while True:
            count_before = self._changed.count
            if self._triggered:
                self._triggered = self._own_requests_stopped = False
                await self._request(requested=True)
            elif await self._renewal_due():
                await self._request(requested=False)
            else:
                await self._changed.wait_for(count_before, self._clock, _EXPIRY_CHECK_S)

    def trigger(self) -> TriggerResult:
        """Return Accepted and the follow-up that makes `run` send SignCertificate (A02.FR.02, F06.FR.04).

        For TriggerMessage; sends nothing itself.
        """

        async def request_certificate() -> None:
            self._triggered = True
            self._changed.notify()

        return "Accepted", request_certificate

    async def _renewal_due(self) -> bool:
        """Return whether the certificate is about to expire and a request may be sent now (A03.FR.02)."""
        if self._own_requests_stopped or not self._link.online or self._clock.monotonic() < self._next_own_request_s:
            return False
        try:
            return await self._certificate.renewal_due()
        except OSError as error:  # no reason to lose the link
            _log.error("the expiry of %s cannot be read: %s", self._certificate.name, error)
            return False

    async def _request(self, *, requested: bool) -> None:
        self._requesting = True
        try:
            await self._obtain(requested=requested)
        finally:
            self._requesting = False

    async def _obtain(self, *, requested: bool) -> None:
        """Send a request, and repeat it as long as it is accepted but no certificate is sent (A02.FR.17)."""
        self._certificate_sent = False
        self._next_own_request_s = self._clock.monotonic() + _DAY_S
        try:
            csr = await self._certificate.new_signing_request()
        except (OSError, ValueError) as error:
            _log.error("no key pair for %s could be created: %s", self._certificate.name, error)
            return
        wait_s = float(self._settings.cert_signing_wait_minimum_s)
        for _ in range(self._settings.cert_signing_repeat_times + 1):
            if not await self._send_request(csr, requested=requested) or await self._answer_within(wait_s):
                return
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)  # A02.FR.18
        if await self._send_request(csr, requested=requested):
            _log.warning("the CSMS has not sent %s; no further request until it triggers one", self._certificate.name)
            self._own_requests_stopped = True  # A02.FR.19

    async def _answer_within(self, wait_s: float) -> bool:
        """Wait; returns whether the CSMS sends a certificate or triggers a new request in this time."""
        count_before, until_s = self._changed.count, self._clock.monotonic() + wait_s
        while not (self._triggered or self._certificate_sent) and (left_s := until_s - self._clock.monotonic()) > 0.0:
            await self._changed.wait_for(count_before, self._clock, left_s)
            count_before = self._changed.count
        return self._triggered or self._certificate_sent

    async def _send_request(self, csr: str, *, requested: bool) -> bool:
        """Send the request (A02.FR.03); returns whether to wait for the certificate.

        Without a link the request is sent later: that does not count as an attempt towards the limit of A02.FR.19,
        else the certificate would expire.
        """
        request: m.SignCertificateRequest = {"csr": csr, "certificateType": self._certificate.kind}  # A02.FR.13
        while True:
            try:
                answer = await self._link.call(actions.SIGN_CERTIFICATE, request, requested=requested)
            except NoAnswerError as error:
                _log.warning("SignCertificate failed: %s", error)
                if isinstance(error, CallRefusedError):
                    return False
                if isinstance(error, CallTimeoutError):  # treated as accepted without a certificate
                    return True
                if await self._answer_within(self._settings.cert_signing_wait_minimum_s):
                    return True
                continue
            if answer["status"] != "Accepted":
                _log.warning("the CSMS rejected the signing request of %s", self._certificate.name)
                self._certificate.note_rejected_request()
            return answer["status"] == "Accepted"


class SignedCertificates(Protocol):
    """Stores the signed certificate of the station."""

    async def install_signed(self, pem: str, /) -> CertificateRefusal | None:
        """Check and store a signed certificate; None: installed."""
        ...


class SignedChains(Protocol):
    """Stores the signed chains of the SECCs."""

    async def install_signed(self, pem: str, /) -> SignedChainResult:
        """Check and store a signed chain, for the EVSE whose request it answers."""
        ...


class SeccSigning(Protocol):
    """The requests for the certificate of one SECC, and whether the CSMS may trigger one now."""

    def trigger_refusal(self) -> str | None:
        """Why no certificate may be requested for this SECC now, as a sentence; None: it may."""
        ...


class CertificateSigning:
    """Handles CertificateSigned, and runs the requesters of the station's certificate and those of the SECCs."""

    def __init__(
        self,
        station: CertificateRequester,
        station_certificates: SignedCertificates,
        use_new_certificate: Callable[[], Awaitable[None]],
        seccs: Mapping[int, tuple[CertificateRequester, SeccSigning]],
        secc_certificates: SignedChains | None,
    ) -> None:
        """`seccs`: the requester of each EVSE that has an SECC; `secc_certificates`: None: there are none."""
        self.station = station
        self._station_certificates = station_certificates
        self._use_new_certificate = use_new_certificate
        self._seccs = seccs
        self._secc_certificates = secc_certificates

    def register(self, handlers: Handlers) -> None:
        """Register the handler of CertificateSigned."""
        handlers.on(actions.CERTIFICATE_SIGNED, self.certificate_signed)

    async def run(self) -> None:
        """Request certificates when they are due, until cancelled."""
        await run_together(
            {
                **{f"secc-{evse_id}": requester.run() for evse_id, (requester, _) in self._seccs.items()},
                "station": self.station.run(),
            }
        )

    def check_expiry(self) -> None:
        """Check the expiry of all certificates now; called when the CSMS is connected."""
        self.station.check_expiry()
        for requester, _ in self._seccs.values():
            requester.check_expiry()

    async def certificate_signed(
        self, request: m.CertificateSignedRequest
    ) -> HandlerResult[m.CertificateSignedResponse]:
        """Install the certificate of CertificateSigned (A02.FR.06); follow-up: reconnect with it (A02.FR.08).

        A certificate of another type, or one that the store refuses, is Rejected.
        """
        kind = request.get("certificateType", _STATION_CERTIFICATE)
        if kind == _V2G_CERTIFICATE and self._secc_certificates is not None:
            result = await self._secc_certificates.install_signed(request["certificateChain"])
            requesters = [
                requester
                for evse_id, (requester, _) in self._seccs.items()
                if evse_id == result.evse_id or (result.evse_id is None and requester.awaits_certificate)
            ]
            return _note_installed(result.refusal, requesters, None)
        if kind != _STATION_CERTIFICATE:
            return HandlerResult({"status": "Rejected", "statusInfo": {"reasonCode": "UnsupportedParam"}})
        refusal = await self._station_certificates.install_signed(request["certificateChain"])
        return _note_installed(refusal, [self.station], self._use_new_certificate)

    def trigger_v2g(self, evses: Sequence[Evse]) -> TriggerResult:
        """Return the answer to a trigger of SignV2GCertificate for these EVSEs, and the follow-up (A02.FR.02).

        Rejected if none of them has an SECC whose certificate may be renewed.
        """
        addressed = [self._seccs[evse.id] for evse in evses if evse.id in self._seccs]
        allowed = [requester for requester, signing in addressed if signing.trigger_refusal() is None]
        if not allowed:
            return "Rejected", None

        async def request_certificates() -> None:
            for requester in allowed:
                if (follow_up := requester.trigger()[1]) is not None:
                    await follow_up()

        return "Accepted", request_certificates


def _note_installed(
    refusal: CertificateRefusal | None, requesters: Sequence[CertificateRequester], follow_up: FollowUp | None
) -> HandlerResult[m.CertificateSignedResponse]:
    """Tell the requesters of a certificate what became of it, and answer CertificateSigned.

    An invalid one ends their own requests (A02.FR.07, A02.FR.20); one that was not asked for changes nothing.
    """
    if refusal is None or refusal.reason is CertificateRefusalReason.INVALID:
        for requester in requesters:
            requester.note_signed(valid=refusal is None)
    if refusal is not None:
        return HandlerResult({"status": "Rejected", "statusInfo": status_info(refusal)})
    return HandlerResult({"status": "Accepted"}, follow_up)

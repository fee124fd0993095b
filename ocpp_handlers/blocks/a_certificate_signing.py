"""Block A: requests a new station certificate if the CSMS triggers it or the current one expires (A02, A03)."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from foundation.change_signal import ChangeSignal
from ocpp_handlers.blocks.m_certificates import status_info
from ocpp_handlers.wire import actions
from ocpp_handlers.wire.call_errors import CallRefusedError, CallTimeoutError
from ocpp_handlers.wire.session import HandlerResult, Handlers
from station.core.csms import NoAnswerError
from station.security.certificates.certificate_results import CertificateRefusalReason
from station.security.certificates.station_certificate import CertificateSubject

if TYPE_CHECKING:
    from foundation.clock import Clock
    from ocpp_handlers.blocks.f_trigger_message import TriggerResult
    from ocpp_handlers.connection.link import Link
    from ocpp_handlers.wire import messages as m
    from station.security.certificates.certificate_store import CertificateStore
    from station.security.security_settings import SecuritySettings

_log = logging.getLogger(__name__)

_EXPIRY_CHECK_S = 3_600.0
"""interval at which the expiry of the certificate is checked"""
_DAY_S = 86_400.0
"""wait before the station's next own request after a refused or unanswered one: renewal starts a month ahead"""
_LONGEST_WAIT_S = 30 * _DAY_S


class CertificateSigning:
    """Obtains a new station certificate when the CSMS triggers it or the current one is about to expire (A02, A03).

    It sends SignCertificate, repeats it until the CSMS sends a certificate or CertSigningRepeatTimes is reached, and
    handles CertificateSigned.
    """

    def __init__(
        self,
        link: Link,
        certificates: CertificateStore,
        settings: SecuritySettings,
        clock: Clock,
        serial_number: str,
        use_new_certificate: Callable[[], Awaitable[None]],
    ) -> None:
        self._link = link
        self._certificates = certificates
        self._settings = settings
        self._clock = clock
        self._serial_number = serial_number
        self._use_new_certificate = use_new_certificate
        self._changed = ChangeSignal()
        """notified when the CSMS triggers a request, sends a certificate, or is connected again"""
        self._triggered = False
        self._certificate_sent = False
        self._own_requests_stopped = False
        """the station sends no requests of its own any more (A02.FR.19, A02.FR.20)"""
        self._next_own_request_s = 0.0

    def register(self, handlers: Handlers) -> None:
        """Register the handler of CertificateSigned."""
        handlers.on(actions.CERTIFICATE_SIGNED, self.certificate_signed)

    async def certificate_signed(
        self, request: m.CertificateSignedRequest
    ) -> HandlerResult[m.CertificateSignedResponse]:
        """Install the station certificate of CertificateSigned (A02.FR.06); follow-up: reconnect with it (A02.FR.08).

        A certificate of another type, or one that the store refuses, is Rejected.
        """
        if request.get("certificateType", "ChargingStationCertificate") != "ChargingStationCertificate":
            return HandlerResult({"status": "Rejected", "statusInfo": {"reasonCode": "UnsupportedParam"}})
        refusal = await self._certificates.install_signed(request["certificateChain"])
        if refusal is not None and refusal.reason is not CertificateRefusalReason.INVALID:
            return HandlerResult({"status": "Rejected", "statusInfo": status_info(refusal)})
        self._certificate_sent = True
        self._own_requests_stopped = refusal is not None  # A02.FR.20
        self._changed.notify()
        if refusal is not None:  # A02.FR.07
            return HandlerResult({"status": "Rejected", "statusInfo": status_info(refusal)})
        return HandlerResult({"status": "Accepted"}, self._use_new_certificate)

    def check_expiry(self) -> None:
        """Wake `run` to check the expiry of the station certificate now instead of at the next hourly check.

        Called when the CSMS is connected.
        """
        self._changed.notify()

    async def run(self) -> None:
        """Request a certificate whenever triggered or when the current one is about to expire, until cancelled."""
        while True:
            count_before = self._changed.count
            if self._triggered:
                self._triggered = self._own_requests_stopped = False
                await self._obtain(requested=True)
            elif await self._renewal_due():
                await self._obtain(requested=False)
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
            return await self._certificates.renewal_due()
        except OSError as error:  # no reason to lose the link
            _log.error("the expiry of the station certificate cannot be read: %s", error)
            return False

    async def _obtain(self, *, requested: bool) -> None:
        """Send a request, and repeat it as long as it is accepted but no certificate is sent (A02.FR.17)."""
        self._certificate_sent = False
        self._next_own_request_s = self._clock.monotonic() + _DAY_S
        try:
            csr = await self._certificates.new_signing_request(self._subject())
        except OSError as error:
            _log.error("no key pair for a new station certificate could be created: %s", error)
            return
        wait_s = float(self._settings.cert_signing_wait_minimum_s)
        for _ in range(self._settings.cert_signing_repeat_times + 1):
            if not await self._send_request(csr, requested=requested) or await self._answer_within(wait_s):
                return
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)  # A02.FR.18
        if await self._send_request(csr, requested=requested):
            _log.warning("the CSMS has not sent a signed certificate; no further request until it triggers one")
            self._own_requests_stopped = True  # A02.FR.19

    def _subject(self) -> CertificateSubject:
        return CertificateSubject(self._serial_number, self._settings.organization_name)

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
        request: m.SignCertificateRequest = {"csr": csr, "certificateType": "ChargingStationCertificate"}
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
                _log.warning("the CSMS rejected the certificate signing request")
            return answer["status"] == "Accepted"

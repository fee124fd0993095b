"""The TLS handshake with the CSMS: checks that the TLS library leaves out, and security events of failures (A00)."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import cast

from websockets.exceptions import InvalidStatus

from station.security.security_events import SecurityEventType


class TlsVersionError(ssl.SSLError):
    """The CSMS only supports a TLS version older than 1.2."""


class CipherSuiteError(ssl.SSLError):
    """The CSMS only supports cipher suites that are not allowed."""


_TLS_VERSION_REASONS = frozenset(
    {"UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "WRONG_SSL_VERSION", "VERSION_TOO_LOW"}
)
_CIPHER_SUITE_REASONS = frozenset(
    {"NO_SHARED_CIPHER", "WRONG_CIPHER_RETURNED", "UNKNOWN_CIPHER_RETURNED", "DH_KEY_TOO_SMALL"}
)
_CLIENT_CERTIFICATE_REASONS = frozenset(
    {
        "SSLV3_ALERT_BAD_CERTIFICATE",
        "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        "SSLV3_ALERT_CERTIFICATE_REVOKED",
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
        "TLSV1_ALERT_ACCESS_DENIED",
        "TLSV1_ALERT_UNKNOWN_CA",
        "TLSV13_ALERT_CERTIFICATE_REQUIRED",
    }
)


class CheckedHandshake(ssl.SSLObject):
    """TLS object of a CSMS link: raises an exception for each cause of failure, rejects wildcards (A00.FR.309)."""

    def do_handshake(self) -> None:
        """Perform the handshake, then check the names in the certificate of the CSMS; called by the TLS library.

        Raises:
            TlsVersionError: A00.FR.316.
            CipherSuiteError: A00.FR.323.
            ssl.SSLCertVerificationError: A00.FR.310; also for a wildcard certificate, errata 2.62.
        """
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, ssl.SSLCertVerificationError):
            raise
        except ssl.SSLError as error:
            if (specific := self._specific_error(error)) is None:
                raise
            raise specific from error
        self._check_names()

    def _specific_error(self, error: ssl.SSLError) -> ssl.SSLError | None:
        if error.reason in _TLS_VERSION_REASONS:
            return TlsVersionError(error.errno, "the CSMS only supports TLS versions before 1.2")
        # A server sends the same alert to reject a client certificate, but only after a suite was agreed.
        none_agreed = error.reason == "SSLV3_ALERT_HANDSHAKE_FAILURE" and self.cipher() is None
        if error.reason in _CIPHER_SUITE_REASONS or none_agreed:
            return CipherSuiteError(error.errno, "the CSMS supports none of the allowed cipher suites")
        return None

    def _check_names(self) -> None:
        """Reject a certificate that only matches the host by a wildcard; the library has checked that it matches."""
        names = _names_of(self.getpeercert() or {})
        host = (self.server_hostname or "").casefold()
        if _is_address(host):  # a wildcard never matches an IP address
            return
        if host not in names and any("*" in name for name in names):
            raise ssl.SSLCertVerificationError(1, "the CSMS presents a wildcard certificate")


class LenientHandshake(CheckedHandshake):
    """A CheckedHandshake that accepts wildcard certificates of the CSMS (SecurityCtrlr.AllowCSMSTLSWildcards)."""

    def _check_names(self) -> None:
        pass


def security_event_of(error: BaseException) -> SecurityEventType | None:
    """The type of the security event for a failed connection attempt, by its causes; None: nothing to report."""
    if isinstance(error, InvalidStatus) and error.response.status_code == HTTPStatus.UNAUTHORIZED:
        return SecurityEventType.FAILED_TO_AUTHENTICATE_AT_CSMS
    cause: BaseException | None = error
    while cause is not None:
        match cause:
            case ssl.SSLCertVerificationError():  # A00.FR.310, A00.FR.413
                return SecurityEventType.INVALID_CSMS_CERTIFICATE
            case TlsVersionError():  # A00.FR.316, A00.FR.419
                return SecurityEventType.INVALID_TLS_VERSION
            case CipherSuiteError():  # A00.FR.323, A00.FR.426
                return SecurityEventType.INVALID_TLS_CIPHER_SUITE
            case ssl.SSLError() if cause.reason in _CLIENT_CERTIFICATE_REASONS:
                return SecurityEventType.FAILED_TO_AUTHENTICATE_AT_CSMS
            case _:
                cause = cause.__cause__ or cause.__context__
    return None


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _names_of(certificate: Mapping[str, object]) -> frozenset[str]:
    """The DNS names of a certificate from `getpeercert`: the subject alternative names, else the common name."""
    alternatives = cast("Sequence[tuple[str, str]]", certificate.get("subjectAltName", ()))
    subject = cast("Sequence[Sequence[tuple[str, str]]]", certificate.get("subject", ()))
    names = [name for kind, name in alternatives if kind == "DNS"]
    common = [value for part in subject for key, value in part if key == "commonName"]
    return frozenset(name.casefold() for name in names or common)

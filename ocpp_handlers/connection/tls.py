"""The TLS context of the link to the CSMS (A00: TLS 1.2 or newer, the CSMS's certificate is verified)."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from station.security.certificates.certificate_results import TlsMaterial

# The specification's cipher suites for TLS 1.2 (A00.FR.318, A00.FR.422); TLS 1.3 defines its own.
_CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384:AES128-GCM-SHA256:AES256-GCM-SHA384"
)


def csms_tls_context(material: TlsMaterial) -> ssl.SSLContext:
    """Create the TLS context of a link: trusts the roots in `material`, sends the station's certificate if it has one.

    A00.FR.308, A00.FR.401. Reads files, so it blocks.

    Raises:
        OSError: a certificate or key is missing or invalid (ssl.SSLError is an OSError).
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    # A root that was signed by a previous root (M05.FR.10) is a trust anchor even after that one was deleted.
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    if material.system_roots:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if material.roots:
        context.load_verify_locations(cadata=material.roots)
    if material.revocations is not None:
        context.load_verify_locations(cafile=material.revocations)
        context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
    if material.station is not None:
        context.load_cert_chain(material.station)
    return context

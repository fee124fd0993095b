"""The TLS of the link to the CSMS (A00: TLS 1.2 or newer, the CSMS's certificate is checked)."""

from __future__ import annotations

import ssl
from pathlib import Path

# The specification's cipher suites for TLS 1.2 (A00.FR.318); TLS 1.3 brings its own.
_CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384:AES128-GCM-SHA256:AES256-GCM-SHA384"
)


def client_context(ca_file: Path | None, certificate_file: Path | None, key_file: Path | None) -> ssl.SSLContext:
    """A context that believes the given roots, or the system's, and shows the station's certificate.

    Raises:
        OSError: a file cannot be read or is not what it should be (ssl.SSLError is an OSError).
    """
    context = ssl.create_default_context(cafile=str(ca_file) if ca_file is not None else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    if certificate_file is not None:
        context.load_cert_chain(certificate_file, key_file)
    return context

"""The certificate of the local page: that of the installation file, the station's own, or one that it makes itself."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from metering.frozen import frozen
from station.security import private_files

if TYPE_CHECKING:
    from station.web.host import Host

_VALID_DAYS = 3650


@frozen
class TlsFiles:
    """PEM files."""

    certificate: Path
    key: Path | None = None
    """None: it is in the file of the certificate"""


def tls_files(host: Host) -> TlsFiles | None:
    """What https is served with; None: http is.

    Raises:
        OSError: the disk refuses.
    """
    http = host.configuration.http
    if not http.tls:
        return None
    if http.certificate_file is not None:
        return TlsFiles(http.certificate_file, http.key_file)
    own = host.life.certificates.own_file if host.life is not None else None
    if own is not None and _is_whole(own):
        return TlsFiles(own)
    made = Path(host.configuration.station.storage) / "page.pem"
    if not _is_whole(made):
        private_files.write(made, _self_signed(host.configuration.station.identity, host.clock.now()))
    return TlsFiles(made)


def _is_whole(file: Path) -> bool:
    """Whether a key and its certificate are there, and flash memory has spoilt neither."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(file)
    except OSError:  # which an ssl.SSLError is too
        return False
    return True


def _self_signed(identity: str, now: datetime.datetime) -> str:
    """A key and a certificate that browsers ask about once: nobody vouches for a station on its own."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, identity)])
    label = "".join(character if character.isalnum() else "-" for character in identity.lower())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=_VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(f"{label}.local")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return secret.decode() + certificate.public_bytes(serialization.Encoding.PEM).decode()

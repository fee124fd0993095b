"""A small public-key infrastructure for tests: roots, server and client certificates, as files and as TLS contexts."""

from __future__ import annotations

import hashlib
import ipaddress
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.conformance.frames import Payload

Key = ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Issued:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: Key

    @property
    def pem(self) -> str:
        """The certificate, PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        """The key, PEM without a password."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()


class Pki:
    """Makes certificates; `root` is the CSMS root of the test system."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._root: Issued | None = None

    @property
    def root(self) -> Issued:
        """The CSMS root, made when first asked for."""
        if self._root is None:
            self._root = self.make_root("Conformance CSMS Root")
        return self._root

    def make_root(self, name: str, *, signed_by: Issued | None = None, days: int = 3650) -> Issued:
        """A certificate authority, self-signed or signed by another; negative `days`: expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(name, key.public_key(), days=days)
        builder = builder.issuer_name(signed_by.certificate.subject if signed_by else _name(name))
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        builder = builder.add_extension(_key_usage(ca=True), critical=True)
        return Issued(builder.sign(signed_by.key if signed_by else key, hashes.SHA256()), key)

    def server(
        self,
        *,
        issuer: Issued | None = None,
        host: str = "localhost",
        days: int = 365,
        begins_in_days: int | None = None,
        address: str | None = None,
    ) -> Issued:
        """A CSMS's certificate for a host name, and perhaps an IP address; negative `days`: expired; `begins_in_days`:
        not valid yet."""
        issuer = issuer or self.root
        key = ec.generate_private_key(ec.SECP256R1())
        names: list[x509.GeneralName] = [x509.DNSName(host)]
        if host == "localhost":
            address = "127.0.0.1"
        if address is not None:
            names.append(x509.IPAddress(ipaddress.ip_address(address)))
        builder = self._builder(host, key.public_key(), days=days, begins_in_days=begins_in_days)
        builder = builder.issuer_name(issuer.certificate.subject)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        return Issued(builder.sign(issuer.key, hashes.SHA256()), key)

    def station(
        self, common_name: str, *, issuer: Issued | None = None, organization: str = "borne", days: int = 365
    ) -> Issued:
        """A charging station's certificate."""
        issuer = issuer or self.root
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
                x509.NameAttribute(NameOID.COMMON_NAME, common_name),
            ]
        )
        builder = self._builder_for(name, key.public_key(), days=days).issuer_name(issuer.certificate.subject)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        return Issued(builder.sign(issuer.key, hashes.SHA256()), key)

    def sign_csr(
        self, csr_pem: str, *, issuer: Issued | None = None, days: float = 365, subject: x509.Name | None = None
    ) -> str:
        """The certificate that a certificate authority makes of a station's CSR, PEM; `subject`: another one."""
        issuer = issuer or self.root
        csr = x509.load_pem_x509_csr(csr_pem.encode())
        assert csr.is_signature_valid
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject or csr.subject)
            .issuer_name(issuer.certificate.subject)
            .public_key(csr.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        )
        signed = builder.sign(issuer.key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM).decode()

    def write_pem(self, name: str, text: str) -> Path:
        """Write a PEM file that only its owner may read."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)
        return path

    def server_context(
        self,
        issued: Issued | None = None,
        *,
        client_root: Issued | None = None,
        versions: tuple[ssl.TLSVersion, ssl.TLSVersion] | None = None,
        ciphers: str | None = None,
    ) -> ssl.SSLContext:
        """The TLS of a CSMS; with `client_root` it asks for a client certificate of that root."""
        issued = issued or self.server()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        name = f"server-{issued.certificate.serial_number}"
        context.load_cert_chain(
            self.write_pem(f"{name}.pem", issued.pem), self.write_pem(f"{name}.key", issued.key_pem)
        )
        if versions is not None:
            context.minimum_version, context.maximum_version = versions
        if ciphers is not None:
            context.set_ciphers(ciphers)
        if client_root is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=client_root.pem)
        return context

    def _builder(
        self, name: str, key: ec.EllipticCurvePublicKey, *, days: int, begins_in_days: int | None = None
    ) -> x509.CertificateBuilder:
        return self._builder_for(_name(name), key, days=days, begins_in_days=begins_in_days)

    @staticmethod
    def _builder_for(
        name: x509.Name, key: ec.EllipticCurvePublicKey, *, days: int, begins_in_days: int | None = None
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        begin = now - timedelta(days=1) if days > 0 else now + timedelta(days=days - 30)
        if begins_in_days is not None:
            begin = now + timedelta(days=begins_in_days)
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(now + timedelta(days=days))
        )


def hash_data(certificate: Issued | str, issuer: Issued) -> Payload:
    """The CertificateHashDataType of a certificate (object or PEM), by SHA-256."""
    if isinstance(certificate, str):
        loaded = x509.load_pem_x509_certificate(certificate.encode())
    else:
        loaded = certificate.certificate
    key = issuer.certificate.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )  # the bits of subjectPublicKey, without tag and length
    return {
        "hashAlgorithm": "SHA256",
        "issuerNameHash": hashlib.sha256(loaded.issuer.public_bytes()).hexdigest(),
        "issuerKeyHash": hashlib.sha256(key).hexdigest(),
        "serialNumber": f"{loaded.serial_number:x}",
    }


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )

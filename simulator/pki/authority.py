"""Certificates and the authorities that issue them, for tests: ECDSA P-256 with SHA-256, as ISO 15118-2 requires."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from foundation.clock import SystemClock
from foundation.frozen import Frozen

CLIENT_AUTH: Final = ExtendedKeyUsageOID.CLIENT_AUTH
SERVER_AUTH: Final = ExtendedKeyUsageOID.SERVER_AUTH


class Validity(Frozen):
    """When a certificate is valid."""

    begin: datetime
    end: datetime

    @classmethod
    def of_days(cls, days: float, *, begins_in_days: float = -1.0, now: datetime | None = None) -> Validity:
        """Valid for `days` from now on, or from another day on; times in whole seconds, UTC."""
        moment = (now or SystemClock().now()).replace(microsecond=0)
        begin = moment + timedelta(days=begins_in_days)
        return cls(begin, max(begin + timedelta(seconds=1), moment + timedelta(days=days)))


class Issued(Frozen):
    """A certificate with its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> str:
        """The certificate, PEM."""
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        """The private key, PEM (PKCS #8) without a password."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    @classmethod
    def from_pem(cls, text: str) -> Issued:
        """Parse a text with a private key and its certificate.

        Raises:
            ValueError: it has not both, or the key is not one of an elliptic curve.
        """
        key = load_pem_private_key(text.encode(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError("the private key must be one of an elliptic curve")
        return cls(x509.load_pem_x509_certificate(text.encode()), key)


class Authority(Issued):
    """A certificate authority: a root, or a sub-authority of another one."""

    ocsp_url: str = ""
    """where it answers OCSP requests; empty: nowhere"""

    @classmethod
    def root(cls, name: str, validity: Validity, *, ocsp_url: str = "", domain: str = "") -> Authority:
        """Make a self-signed root."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = subject_name(name, domain=domain)
        return cls(_signed(subject, subject, key, key, validity, path_length=None, ocsp_url=""), key, ocsp_url)

    def sub_authority(
        self, name: str, validity: Validity, *, path_length: int | None = None, domain: str = ""
    ) -> Authority:
        """Make a sub-authority, with the same responder."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = subject_name(name, domain=domain)
        certificate = _signed(
            subject, self.certificate.subject, key, self.key, validity, path_length=path_length, ocsp_url=self.ocsp_url
        )
        return Authority(certificate, key, self.ocsp_url)

    def issue(
        self,
        subject: x509.Name,
        validity: Validity,
        *,
        usages: tuple[x509.ObjectIdentifier, ...] = (),
        names: tuple[x509.GeneralName, ...] = (),
    ) -> Issued:
        """Issue a certificate with a new key; `usages`: extended key usages, `names`: alternative names."""
        key = ec.generate_private_key(ec.SECP256R1())
        return Issued(self.sign(key.public_key(), subject, validity, usages=usages, names=names), key)

    def sign(
        self,
        public_key: ec.EllipticCurvePublicKey,
        subject: x509.Name,
        validity: Validity,
        *,
        usages: tuple[x509.ObjectIdentifier, ...] = (),
        names: tuple[x509.GeneralName, ...] = (),
    ) -> x509.Certificate:
        """Issue a certificate for a public key."""
        builder = _builder(subject, self.certificate.subject, public_key, validity)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_key_usage(authority=False), critical=True)
        if usages:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return _with_responder(builder, self.ocsp_url).sign(self.key, SHA256())

    def sign_request(self, request_pem: str, validity: Validity) -> x509.Certificate:
        """Issue the certificate that a signing request asks for.

        Raises:
            ValueError: it cannot be read, is not signed with its key, or that is not one of an elliptic curve.
        """
        request = x509.load_pem_x509_csr(request_pem.encode())
        public_key = request.public_key()
        if not isinstance(public_key, ec.EllipticCurvePublicKey) or not request.is_signature_valid:
            raise ValueError("the signing request must be signed with its key, of an elliptic curve")
        return self.sign(public_key, request.subject, validity, usages=(SERVER_AUTH, CLIENT_AUTH))


def subject_name(common_name: str, *, organization: str = "", country: str = "", domain: str = "") -> x509.Name:
    """Make a name of its parts; empty ones are left out. `domain`: domain component, such as V2G, CPO or MO."""
    parts = (
        (NameOID.COUNTRY_NAME, country),
        (NameOID.ORGANIZATION_NAME, organization),
        (NameOID.COMMON_NAME, common_name),
        (NameOID.DOMAIN_COMPONENT, domain),
    )
    return x509.Name([x509.NameAttribute(kind, text) for kind, text in parts if text])


def _signed(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    signing_key: ec.EllipticCurvePrivateKey,
    validity: Validity,
    *,
    path_length: int | None,
    ocsp_url: str,
) -> x509.Certificate:
    builder = _builder(subject, issuer, key.public_key(), validity)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
    builder = builder.add_extension(_key_usage(authority=True), critical=True)
    return _with_responder(builder, ocsp_url).sign(signing_key, SHA256())


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, validity: Validity
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(validity.begin)
        .not_valid_after(validity.end)
    )


def _with_responder(builder: x509.CertificateBuilder, url: str) -> x509.CertificateBuilder:
    if not url:
        return builder
    access = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(url))
    return builder.add_extension(x509.AuthorityInformationAccess([access]), critical=False)


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )

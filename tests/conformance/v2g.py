"""The certificates of ISO 15118 for tests: V2G and mobility operator roots, contracts, signed CSRs, OCSP responses."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from tests.conformance.frames import Payload
from tests.conformance.pki import Issued

RESPONDER = "http://ocsp.invalid/v2g"
"""the responder in all certificates; the test system answers for it"""
EMAID = "NLCTTC00000001X"
"""<Configured valid ISO 15118 IdToken>"""
CONTRACT_TOKEN: Payload = {"idToken": EMAID, "type": "eMAID"}


@dataclass
class V2g:
    """A root with two sub-authorities for the station, and one for contracts."""

    known: dict[int, tuple[x509.Certificate, Issued]] = field(
        default_factory=dict[int, tuple[x509.Certificate, Issued]]
    )
    """the certificates that were issued, with their issuers, by serial number"""

    @cached_property
    def root(self) -> Issued:
        """The V2G root."""
        return self._authority("V2G Root", None, 2)

    @cached_property
    def sub_ca_1(self) -> Issued:
        """The first sub-authority of the station's operator."""
        return self._authority("CPO Sub-CA 1", self.root, 1)

    @cached_property
    def sub_ca_2(self) -> Issued:
        """The second one, which signs the certificates of SECCs."""
        return self._authority("CPO Sub-CA 2", self.sub_ca_1, 0)

    @cached_property
    def mo_root(self) -> Issued:
        """The root of the mobility operator."""
        return self._authority("MO Root", None, 2)

    @cached_property
    def mo_sub_ca_1(self) -> Issued:
        """Its first sub-authority."""
        return self._authority("MO Sub-CA 1", self.mo_root, 1)

    @cached_property
    def mo_sub_ca_2(self) -> Issued:
        """Its second one, which signs contract certificates."""
        return self._authority("MO Sub-CA 2", self.mo_sub_ca_1, 0)

    def contract(self, emaid: str = EMAID) -> Payload:
        """A contract as the simulated vehicle takes it: eMAID and PEM of its chain."""
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = self._leaf(_name(emaid), key.public_key(), self.mo_sub_ca_2)
        return {"emaid": emaid, "chain": _pem(leaf) + self.mo_sub_ca_2.pem + self.mo_sub_ca_1.pem}

    def sign_csr(self, csr_pem: str) -> list[x509.Certificate]:
        """The chain for the CSR of an SECC: leaf, sub-CA 2, sub-CA 1."""
        csr = x509.load_pem_x509_csr(csr_pem.encode())
        key = csr.public_key()
        assert csr.is_signature_valid
        assert isinstance(key, ec.EllipticCurvePublicKey), "ISO 15118 cannot be used with RSA"
        leaf = self._leaf(csr.subject, key, self.sub_ca_2)
        return [leaf, self.sub_ca_2.certificate, self.sub_ca_1.certificate]

    def ocsp_result(self, request: Payload) -> str:
        """The ocspResult for an ocspRequestData: good, signed by the issuer, DER in base64."""
        certificate, issuer = self.known[int(request["serialNumber"], 16)]
        now = datetime.now(UTC).replace(microsecond=0)
        response = (
            ocsp.OCSPResponseBuilder()
            .add_response(
                certificate,
                issuer.certificate,
                hashes.SHA256(),
                ocsp.OCSPCertStatus.GOOD,
                now - timedelta(minutes=1),
                now + timedelta(days=30),
                None,
                None,
            )
            .responder_id(ocsp.OCSPResponderEncoding.HASH, issuer.certificate)
            .sign(issuer.key, hashes.SHA256())
        )
        return base64.b64encode(response.public_bytes(serialization.Encoding.DER)).decode()

    def _authority(self, name: str, issuer: Issued | None, path_length: int) -> Issued:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(name)
        builder = _builder(subject, issuer.certificate.subject if issuer else subject, key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        if issuer is not None:
            builder = builder.add_extension(_responder(), critical=False)
        made = Issued(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key)
        self.known[made.certificate.serial_number] = (made.certificate, issuer or made)
        return made

    def _leaf(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, issuer: Issued) -> x509.Certificate:
        builder = _builder(subject, issuer.certificate.subject, key)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        leaf = builder.add_extension(_responder(), critical=False).sign(issuer.key, hashes.SHA256())
        self.known[leaf.serial_number] = (leaf, issuer)
        return leaf


def pem_of_chain(chain: list[x509.Certificate]) -> str:
    """The PEM of a chain, in its order."""
    return "".join(map(_pem, chain))


def hash_data_of(certificate: x509.Certificate, issuer: x509.Certificate) -> Payload:
    """The CertificateHashDataType of a certificate, by SHA-256."""
    key = issuer.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )  # the bits of subjectPublicKey, without tag and length
    return {
        "hashAlgorithm": "SHA256",
        "issuerNameHash": hashlib.sha256(certificate.issuer.public_bytes()).hexdigest(),
        "issuerKeyHash": hashlib.sha256(key).hexdigest(),
        "serialNumber": f"{certificate.serial_number:x}",
    }


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365))
    )


def _responder() -> x509.AuthorityInformationAccess:
    location = x509.UniformResourceIdentifier(RESPONDER)
    return x509.AuthorityInformationAccess([x509.AccessDescription(AuthorityInformationAccessOID.OCSP, location)])


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()

"""OCSP queries and responses of the test PKI, as the station stores them."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.ocsp import OCSPRequestBuilder

from simulator.pki.v2g_pki import TestPki
from station.core.csms import OcspRequest
from station.security.certificates.certificate_checks import hash_of
from station.security.certificates.secc_certificates import StatusQuery

URL = "http://ocsp.invalid/"


def query_of(pki: TestPki, name: str = "valid", *, evse_id: int = 1) -> StatusQuery:
    """What identifies the leaf of a contract of the PKI, and its issuer."""
    leaf, issuer = x509.load_pem_x509_certificates(pki.contract(name).chain.encode())[:2]
    hashed = hash_of(leaf, issuer)
    identity = (hashed.algorithm, hashed.issuer_name_hash, hashed.issuer_key_hash, hashed.serial_number)
    pems = [certificate.public_bytes(Encoding.PEM).decode() for certificate in (leaf, issuer)]
    return StatusQuery(evse_id, OcspRequest(*identity, URL), *pems)


def response_of(pki: TestPki, query: StatusQuery, now: Callable[[], datetime] | None = None) -> str:
    """The response of the PKI's responder for a query, DER in base64; `now`: its clock."""
    certificate, issuer = (
        x509.load_pem_x509_certificate(pem.encode()) for pem in (query.certificate_pem, query.issuer_pem)
    )
    request = OCSPRequestBuilder().add_certificate(certificate, issuer, SHA256()).build()
    return base64.b64encode(pki.responder(now).answer(request.public_bytes(Encoding.DER))).decode()

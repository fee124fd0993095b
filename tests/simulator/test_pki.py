"""The test PKI, its OCSP responder, and the bundled CSMS that uses it."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.ocsp import OCSPCertStatus, OCSPRequestBuilder, OCSPResponseStatus, load_der_ocsp_response

from simulator.pki.contracts import CONTRACTS, PkiError
from simulator.pki.v2g_pki import TestPki
from station.security.certificates.contract_check import ContractStatus, check_contract

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> TestPki:
    return TestPki.create(tmp_path_factory.mktemp("pki") / "new")


EXPECTED = {
    "valid": ContractStatus.VALID,
    "second": ContractStatus.VALID,
    "expired": ContractStatus.EXPIRED,
    "not-yet-valid": ContractStatus.NOT_YET_VALID,
    "revoked": ContractStatus.VALID,  # only its OCSP status says so
    "wrong-chain": ContractStatus.INVALID,
}


@pytest.mark.parametrize("name", CONTRACTS)
def test_each_contract_is_what_its_name_says(pki: TestPki, name: str) -> None:
    contract = TestPki.load(pki.folder).contract(name)
    assert contract.emaid == CONTRACTS[name]
    roots = [pki.authorities["mo-root"].certificate]
    assert check_contract(contract, roots, NOW).status is EXPECTED[name]


def test_a_contract_of_another_operator_has_an_unknown_root_and_can_be_passed_on(pki: TestPki) -> None:
    contract = pki.contract("valid")
    check = check_contract(contract, [pki.authorities["v2g-root"].certificate], NOW)
    assert check.status is ContractStatus.UNKNOWN_ROOT
    assert check.chain == contract.chain
    assert len(check.hashes) == 2  # the issuer of the last certificate is not known


def test_a_folder_has_one_pki(pki: TestPki) -> None:
    with pytest.raises(PkiError, match="has a PKI already"):
        TestPki.create(pki.folder)


def test_a_folder_without_a_pki_is_named(tmp_path: Path) -> None:
    with pytest.raises(PkiError, match="is not a PKI of `borne pki`"):
        TestPki.load(tmp_path)


@pytest.mark.parametrize(("name", "status"), [("valid", OCSPCertStatus.GOOD), ("revoked", OCSPCertStatus.REVOKED)])
def test_the_responder_knows_what_is_revoked(pki: TestPki, name: str, status: OCSPCertStatus) -> None:
    leaf = x509.load_pem_x509_certificate(pki.contract(name).chain.encode())
    issuer = pki.authorities["mo-sub-ca-2"].certificate
    request = OCSPRequestBuilder().add_certificate(leaf, issuer, SHA256()).build()
    response = load_der_ocsp_response(pki.responder().answer(request.public_bytes(Encoding.DER)))
    assert response.certificate_status is status


def test_the_responder_answers_for_its_own_certificates_only(pki: TestPki, tmp_path: Path) -> None:
    other = TestPki.create(tmp_path / "other")
    leaf = x509.load_pem_x509_certificate(other.contract("valid").chain.encode())
    request = OCSPRequestBuilder().add_certificate(leaf, other.authorities["mo-sub-ca-2"].certificate, SHA256()).build()
    answered = load_der_ocsp_response(pki.responder().answer(request.public_bytes(Encoding.DER)))
    assert answered.response_status is OCSPResponseStatus.UNAUTHORIZED
    malformed = load_der_ocsp_response(pki.responder().answer(base64.b64decode("AAAA")))
    assert malformed.response_status is OCSPResponseStatus.MALFORMED_REQUEST

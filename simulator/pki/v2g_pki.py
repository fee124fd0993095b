"""The test PKI: its authorities, contracts and certificates, made once and kept in a folder."""

from __future__ import annotations

import base64
import ipaddress
import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.ocsp import OCSPRequestBuilder, OCSPResponseStatus, load_der_ocsp_response

from foundation.clock import SystemClock
from foundation.frozen import Frozen
from foundation.json_values import is_list
from simulator.pki.authority import CLIENT_AUTH, SERVER_AUTH, Authority, Issued, Validity, subject_name
from simulator.pki.contracts import CONTRACTS, PkiError, read_contract
from simulator.pki.ocsp import OcspResponder
from station.core.vehicle_link import Contract
from station.storage import private_files

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from simulator.csms.vehicle_answers import NamedCertificate

_DAYS: Final = 3_650.0
_REVOKED: Final = "revoked.json"
_AUTHORITIES: Final = ("v2g-root", "cpo-sub-ca-1", "cpo-sub-ca-2", "mo-root", "mo-sub-ca-1", "mo-sub-ca-2", "csms-root")
"""the authorities, by the name of their file"""


class PkiOptions(Frozen):
    """The options of a new PKI."""

    ocsp_url: str = "http://127.0.0.1:9320/ocsp"
    """where its responder will listen (`borne pki serve`); it is in all certificates"""
    csms_host: str = "localhost"
    """host name of the CSMS, for its certificate"""
    station_serial: str = "0001"
    """serial number of the station, for its certificate of security profile 3"""
    organization: str = "borne test"


class TestPki:
    """The authorities and contracts of a folder."""

    __test__ = False  # not a test, for pytest

    def __init__(self, folder: Path, authorities: dict[str, Authority]) -> None:
        self.folder = folder
        self.authorities = authorities
        """by name: v2g-root, cpo-sub-ca-1, cpo-sub-ca-2, mo-root, mo-sub-ca-1, mo-sub-ca-2, csms-root"""

    @classmethod
    def create(cls, folder: Path, options: PkiOptions | None = None) -> TestPki:
        """Make a PKI in a folder that has none.

        Raises:
            PkiError: the folder has one already, or cannot be written.
        """
        options = options or PkiOptions()
        if (folder / "v2g-root.pem").exists():
            raise PkiError(f"{folder}: has a PKI already")
        validity, url = Validity.of_days(_DAYS), options.ocsp_url
        v2g = Authority.root("borne test V2G root", validity, ocsp_url=url, domain="V2G")
        cpo_1 = v2g.sub_authority("borne test CPO sub-CA 1", validity, path_length=1, domain="V2G")
        cpo_2 = cpo_1.sub_authority("borne test CPO sub-CA 2", validity, path_length=0, domain="V2G")
        mo = Authority.root("borne test MO root", validity, ocsp_url=url, domain="MO")
        mo_1 = mo.sub_authority("borne test MO sub-CA 1", validity, path_length=1, domain="MO")
        mo_2 = mo_1.sub_authority("borne test MO sub-CA 2", validity, path_length=0, domain="MO")
        csms = Authority.root("borne test CSMS root", validity)
        pki = cls(folder, dict(zip(_AUTHORITIES, (v2g, cpo_1, cpo_2, mo, mo_1, mo_2, csms), strict=True)))
        try:
            for name, authority in pki.authorities.items():
                private_files.write(folder / f"{name}.pem", authority.pem)
                private_files.write(folder / "keys" / f"{name}.pem", authority.key_pem + authority.pem)
            private_files.write(folder / "options.json", json.dumps({"ocsp_url": url}))
            pki._write_leaves(options)
            for name, emaid in CONTRACTS.items():
                pki.add_contract(name, emaid)
        except OSError as error:
            raise PkiError(f"{folder}: {error}") from error
        return pki

    @classmethod
    def load(cls, folder: Path) -> TestPki:
        """Read the PKI of a folder.

        Raises:
            PkiError: there is none, or a file of it cannot be read.
        """
        try:
            url = str(json.loads((folder / "options.json").read_text(encoding="utf-8"))["ocsp_url"])
            authorities = {
                name: _authority((folder / "keys" / f"{name}.pem").read_text(encoding="utf-8"), url)
                for name in _AUTHORITIES
            }
        except OSError as error:
            file = Path(str(error.filename)).name
            raise PkiError(f"{folder}: is not a PKI of `borne pki`: {file}: {error.strerror}") from error
        except (ValueError, KeyError) as error:
            raise PkiError(f"{folder}: is not a PKI of `borne pki`: {error}") from error
        return cls(folder, authorities)

    # V2G certificates

    @property
    def vehicle_roots(self) -> dict[str, str]:
        """The roots that stations need for vehicles, PEM, by InstallCertificateUseEnumType."""
        return {
            "V2GRootCertificate": self.authorities["v2g-root"].pem,
            "MORootCertificate": self.authorities["mo-root"].pem,
        }

    def sign(self, request_pem: str, *, v2g: bool) -> str:
        """Sign the request of an SECC (`v2g`) or a station; returns the chain, PEM.

        Raises:
            ValueError: the request is not valid.
        """
        if v2g:
            return self.sign_secc(request_pem)
        return _pem(self.authorities["csms-root"].sign_request(request_pem, Validity.of_days(730.0)))

    def status_of(self, named: NamedCertificate) -> str | None:
        """The OCSP response for a certificate, DER in base64; None: no authority of the PKI has issued it."""
        kind = {"SHA256": SHA256, "SHA384": SHA384, "SHA512": SHA512}[named.algorithm]
        request = OCSPRequestBuilder().add_certificate_by_hash(
            bytes.fromhex(named.issuer_name_hash), bytes.fromhex(named.issuer_key_hash), named.serial_number, kind()
        )
        response = self.responder().answer(request.build().public_bytes(Encoding.DER))
        successful = load_der_ocsp_response(response).response_status is OCSPResponseStatus.SUCCESSFUL
        return base64.b64encode(response).decode() if successful else None

    def is_revoked(self, named: NamedCertificate) -> bool:
        """Whether a certificate of the PKI is revoked."""
        return named.serial_number in self.revoked()

    def contract_status(self, chain: str) -> str:
        """The status of a contract certificate by its chain, PEM (AuthorizeCertificateStatusEnumType)."""
        try:
            certificates = x509.load_pem_x509_certificates(chain.encode())
        except ValueError:
            return "CertChainError"
        issuers = [*certificates[1:], self.authorities["mo-root"].certificate]
        now = SystemClock().now()
        if any(now > each.not_valid_after_utc for each in certificates):
            return "CertificateExpired"
        try:
            for certificate, issuer in zip(certificates, issuers, strict=True):
                certificate.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature):
            return "CertChainError"
        if any(now < each.not_valid_before_utc for each in certificates):
            return "CertChainError"
        revoked = self.revoked()
        return "CertificateRevoked" if any(each.serial_number in revoked for each in certificates) else "Accepted"

    def sign_secc(self, request_pem: str, *, days: float = 90.0) -> str:
        """Sign the request of an SECC; returns its chain, PEM: leaf, sub-CA 2, sub-CA 1.

        Raises:
            ValueError: the request is not valid.
        """
        leaf = self.authorities["cpo-sub-ca-2"].sign_request(request_pem, Validity.of_days(days))
        return _pem(leaf) + self.authorities["cpo-sub-ca-2"].pem + self.authorities["cpo-sub-ca-1"].pem

    # Contracts

    def add_contract(self, name: str, emaid: str) -> Contract:
        """Make a contract certificate; the names of `CONTRACTS` make expired, revoked and wrong ones.

        Raises:
            OSError: it cannot be written.
        """
        sub_1, sub_2 = self.authorities["mo-sub-ca-1"], self.authorities["mo-sub-ca-2"]
        validity = {
            "expired": Validity.of_days(-1.0, begins_in_days=-400.0),
            "not-yet-valid": Validity.of_days(400.0, begins_in_days=30.0),
        }.get(name, Validity.of_days(730.0))
        leaf = sub_2.issue(subject_name(emaid, organization="borne test", domain="MO"), validity)
        chain = [leaf.pem, sub_2.pem, sub_1.pem]
        if name == "wrong-chain":
            chain = [chain[0], chain[2], chain[1]]
        if name == "revoked":
            self.revoke(leaf.certificate.serial_number)
        private_files.write(self.folder / "contracts" / f"{name}.pem", "".join(chain))
        private_files.write(self.folder / "contracts" / f"{name}.key", leaf.key_pem)
        return Contract(emaid, "".join(chain))

    def contract(self, name: str) -> Contract:
        """Read a contract, as its vehicle presents it.

        Raises:
            PkiError: there is none of this name.
        """
        return read_contract(self.folder / "contracts" / f"{name}.pem")

    # Revocation

    def revoke(self, serial_number: int) -> None:
        """Revoke a certificate: from now on its OCSP status is revoked.

        Raises:
            OSError: that cannot be stored.
        """
        revoked = sorted({*self.revoked(), serial_number})
        private_files.write(self.folder / _REVOKED, json.dumps([f"{number:x}" for number in revoked]))

    def revoke_file(self, file: Path) -> int:
        """Revoke the first certificate of a PEM file; returns its serial number.

        Raises:
            PkiError: the file has no certificate.
            OSError: the file cannot be read, or the revocation cannot be stored.
        """
        try:
            certificate = x509.load_pem_x509_certificate(file.read_bytes())
        except ValueError as error:
            raise PkiError("has no PEM encoded certificate") from error
        self.revoke(certificate.serial_number)
        return certificate.serial_number

    def revoked(self) -> frozenset[int]:
        """The serial numbers of the certificates that are revoked."""
        try:
            stored: object = json.loads((self.folder / _REVOKED).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return frozenset()
        return frozenset(int(str(number), 16) for number in stored) if is_list(stored) else frozenset()

    def responder(self, now: Callable[[], datetime] | None = None) -> OcspResponder:
        """Make the OCSP responder of all authorities; `now`: its clock, without it that of the machine."""
        return OcspResponder(list(self.authorities.values()), self.revoked, now or SystemClock().now)

    def _write_leaves(self, options: PkiOptions) -> None:
        """Write the certificates of the CSMS and of a station, and one of an SECC."""
        csms, host = self.authorities["csms-root"], options.csms_host
        names: list[x509.GeneralName] = [_host_name(host)]
        if host == "localhost":
            names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
        organization, two_years = options.organization, Validity.of_days(730.0)
        server_name = subject_name(host, organization=organization)
        server = csms.issue(server_name, two_years, usages=(SERVER_AUTH,), names=tuple(names))
        station_name = subject_name(options.station_serial, organization=organization)
        station = csms.issue(station_name, two_years, usages=(CLIENT_AUTH,))
        secc_name = subject_name("BORNE-0001-1", organization=organization, country="FR", domain="CPO")
        secc = self.authorities["cpo-sub-ca-2"].issue(
            secc_name, Validity.of_days(90.0), usages=(SERVER_AUTH, CLIENT_AUTH)
        )
        sub_chain = self.authorities["cpo-sub-ca-2"].pem + self.authorities["cpo-sub-ca-1"].pem
        for name, issued, chain in (("csms", server, ""), ("station", station, ""), ("secc", secc, sub_chain)):
            private_files.write(self.folder / f"{name}.pem", issued.pem + chain)
            private_files.write(self.folder / f"{name}.key", issued.key_pem)


def _authority(text: str, ocsp_url: str) -> Authority:
    issued = Issued.from_pem(text)
    return Authority(issued.certificate, issued.key, ocsp_url)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def _host_name(host: str) -> x509.GeneralName:
    """The name of a host in its certificate: an address is one of another kind."""
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)

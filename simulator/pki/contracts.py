"""The contracts of a test PKI: those that it has from the beginning, and how one is read from its file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from foundation.expected_error import ExpectedError
from station.core.vehicle_link import Contract

if TYPE_CHECKING:
    from pathlib import Path

CONTRACTS: Final = {
    "valid": "FRBRNC00000001X",
    "second": "FRBRNC00000002X",
    "expired": "FRBRNC00000003X",
    "not-yet-valid": "FRBRNC00000004X",
    "revoked": "FRBRNC00000005X",
    "wrong-chain": "FRBRNC00000006X",
}
"""their names, which say what is wrong with them, and their eMAIDs"""


class PkiError(ExpectedError):
    """The folder of the PKI cannot be read or written; the message says why."""


def read_contract(file: Path) -> Contract:
    """Read a contract, as its vehicle presents it: a PEM file with the contract certificate and its sub-authorities.

    Raises:
        PkiError: it cannot be read, or is no contract certificate.
    """
    try:
        return contract_of(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise PkiError(f"{file}: {error.strerror}") from error
    except ValueError as error:
        raise PkiError(f"{file}: {error}") from error


def contract_of(chain: str) -> Contract:
    """The contract of a chain, PEM: its eMAID is the common name of the contract certificate.

    Raises:
        ValueError: it has no certificate, or one without a common name.
    """
    from cryptography import x509  # late: cryptography

    try:
        subject = x509.load_pem_x509_certificate(chain.encode()).subject
    except ValueError as error:
        raise ValueError("has no PEM encoded certificate") from error
    names = subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    if not names:
        raise ValueError("has no eMAID: the certificate has no common name")
    return Contract(str(names[0].value), chain)

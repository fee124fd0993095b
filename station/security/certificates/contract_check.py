"""Validation of the contract certificate of a vehicle (C07; ISO 15118-2 annex F). Pure; takes some milliseconds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import Enum, auto
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from foundation.frozen import Frozen
from station.core.csms import OcspRequest
from station.security.certificates.certificate_checks import (
    HASH_ALGORITHMS,
    CertificateHash,
    InvalidCertificateError,
    find_issuer,
    hash_of,
    is_issued_by,
    organization_and_common_name,
    parse,
    pem_of,
    require_authority,
    require_properties,
    require_valid_at,
    responder_url,
)
from station.security.certificates.contract_records import comparable_emaid

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from station.core.vehicle_link import Contract

_MAX_IN_CHAIN: Final = 4
"""contract certificate, two sub-authorities, and perhaps their root"""
_MAX_HASHES: Final = 4
"""iso15118CertificateHashData (its schema)"""
_MAX_FORWARDED: Final = 5_500
"""characters of AuthorizeRequest.certificate (its schema)"""


class ContractStatus(Enum):
    """The result of the validation of a contract certificate."""

    VALID = auto()
    """it leads to an installed root, and all of its chain is valid now"""
    UNKNOWN_ROOT = auto()
    """nothing is wrong with it, but its root is not installed"""
    EXPIRED = auto()
    NOT_YET_VALID = auto()
    INVALID = auto()


class ContractCheck(Frozen):
    """The result of the validation of a contract certificate, and what a CSMS needs to validate it."""

    status: ContractStatus
    emaid: str = ""
    """as the certificate has it: a vehicle may write it with other separators; empty: the certificate is not one"""
    info: str = ""
    """why it is not valid, as the end of a sentence about it; empty: it is"""
    hashes: tuple[OcspRequest, ...] = ()
    """what identifies leaf and sub-authorities, as far as their issuers are known"""
    identities: tuple[CertificateHash, ...] = ()
    """the hash data of the contract certificate, by each algorithm; empty: its issuer is not known"""
    chain: str = ""
    """PEM of leaf and sub-authorities, without a root; empty: it is not to be passed on"""


def check_contract(contract: Contract, roots: Sequence[Certificate], now: datetime) -> ContractCheck:
    """Validate the contract of a vehicle against the installed roots (MO and V2G), at a moment.

    Raises nothing: what is wrong is in the result.
    """
    try:
        chain, emaid = _parse_chain(contract)
    except InvalidCertificateError as error:
        return ContractCheck(ContractStatus.INVALID, info=str(error))
    known = [*chain[1:], *roots]
    status, info = _validity(chain, now)
    hashes = tuple(
        OcspRequest(
            hashed.algorithm,
            hashed.issuer_name_hash,
            hashed.issuer_key_hash,
            hashed.serial_number,
            responder_url(certificate),
        )
        for certificate in chain
        if (issuer := find_issuer(certificate, known)) is not None and issuer != certificate
        for hashed in (hash_of(certificate, issuer),)
    )
    forwarded = "".join(pem_of(certificate) for certificate in chain if certificate.subject != certificate.issuer)
    if status is ContractStatus.VALID and not _leads_to_root(chain, roots, now):
        status, info = ContractStatus.UNKNOWN_ROOT, "does not lead to an installed root certificate"
        if len(forwarded) > _MAX_FORWARDED:
            return ContractCheck(ContractStatus.INVALID, emaid, f"has more than {_MAX_FORWARDED} characters", hashes)
    leaf_issuer = find_issuer(chain[0], known)
    identities = (
        tuple(hash_of(chain[0], leaf_issuer, algorithm) for algorithm in HASH_ALGORITHMS)
        if leaf_issuer is not None and leaf_issuer != chain[0]
        else ()
    )
    return ContractCheck(status, emaid, info, hashes[:_MAX_HASHES], identities, forwarded)


def _parse_chain(contract: Contract) -> tuple[list[Certificate], str]:
    """The certificates of a contract in order, and its eMAID; signatures among them and key sizes are valid.

    Raises:
        InvalidCertificateError: they are not.
    """
    chain = parse(contract.chain)
    if not 0 < len(chain) <= _MAX_IN_CHAIN:
        raise InvalidCertificateError(f"must be a chain of at most {_MAX_IN_CHAIN} certificates")
    for certificate in chain:
        require_properties(certificate)
    for below, (certificate, issuer) in enumerate(pairwise(chain)):
        if not is_issued_by(certificate, issuer):
            raise InvalidCertificateError("is not a chain: each certificate must be signed by the next")
        require_authority(issuer, below, anchor=issuer.subject == issuer.issuer)
    _, common_name = organization_and_common_name(chain[0].subject)
    if common_name is None or comparable_emaid(common_name) != comparable_emaid(contract.emaid):
        raise InvalidCertificateError("is for another eMAID than the vehicle has presented")
    return chain, common_name


def _validity(chain: Sequence[Certificate], now: datetime) -> tuple[ContractStatus, str]:
    for certificate in chain:
        try:
            require_valid_at(certificate, now)
        except InvalidCertificateError as error:
            expired = now > certificate.not_valid_after_utc
            return ContractStatus.EXPIRED if expired else ContractStatus.NOT_YET_VALID, str(error)
    return ContractStatus.VALID, ""


def _leads_to_root(chain: Sequence[Certificate], roots: Sequence[Certificate], now: datetime) -> bool:
    last = chain[-1]
    root = last if last in roots else find_issuer(last, roots)
    if root is None or root not in roots:
        return False
    try:
        require_valid_at(root, now)
        require_authority(root, len(chain) - 1)
    except InvalidCertificateError:
        return False
    return True

"""The certificate store: what it trusts, what it refuses, and that no switch leaves the station without a way back."""

from __future__ import annotations

import base64
import stat
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.ocsp import OCSPRequestBuilder
from msgspec.structs import replace

from ocpp_handlers.connection.tls import csms_tls_context
from simulator.clock import VirtualClock
from station.security.certificates.certificate_checks import CertificateHash
from station.security.certificates.certificate_results import (
    CertificateRefusal,
    CertificateRefusalReason,
    ConfiguredFiles,
)
from station.security.certificates.certificate_store import MAX_CERTIFICATES, CertificateStore, CertificateUse
from station.security.certificates.station_certificate import CertificateSubject
from station.security.security_events import SecurityEvents, SecurityEventType
from station.security.security_settings import SecuritySettings
from tests.conformance.pki import Issued, Pki
from tests.databases import open_database

CSMS, MAKER = CertificateUse.CSMS_ROOT, CertificateUse.MANUFACTURER_ROOT
OWNER = CertificateSubject("0000001", "borne")
SIGNED_WITH_SHA1 = """\
-----BEGIN CERTIFICATE-----
MIIC/zCCAeegAwIBAgIUHnfvSyM4WEkCvovshhFondHu4wowDQYJKoZIhvcNAQEF
BQAwDjEMMAoGA1UEAwwDb2xkMCAXDTI2MTEyNTAzMTkyMFoYDzIxMjYxMTAxMDMx
OTIwWjAOMQwwCgYDVQQDDANvbGQwggEiMA0GCSqGSIb3DQEBAQUAA4IBDwAwggEK
AoIBAQDXnMfEGpQNcLqZ13qhR2SzescRPtVF+7z8eP37NFSU0DEE5iMTFyFrnAD5
eIgoS8cRYWMwCdqzpUPxUETMorfhwh1ypU18cEgbDxt9TdEmLYXH2I3f0IhtjJrf
Nxdho9c0l1nzxemuC53OO1e/yuAsYQDFjm0KOQsNphg0nLXe9gpem9Xf3j/Jz5N2
MP6fU7sxzKgUwBcSnh4R4SLFtBZinRMNCcPY7wA1IIgSbqoN7tH7MB0fPWIwSFgh
KILEe4lTSe01gHhqcfLe3rJEUtOUgzL5haMn4NoJRFF/Lje1f59aymUCWrT8LDZA
fIp8c3GWj+ImjJNgf9yIulwbyntLAgMBAAGjUzBRMB0GA1UdDgQWBBSfOTg85Ikr
076WwVUrPQXYR0n1kjAfBgNVHSMEGDAWgBSfOTg85Ikr076WwVUrPQXYR0n1kjAP
BgNVHRMBAf8EBTADAQH/MA0GCSqGSIb3DQEBBQUAA4IBAQA5zGb96domqlTrzPTv
9od9jskfHfyP78zEFbBTdZCeGVV9jaxyHK6Hbt4IRl79sskVII3fOiZ01vVs7j2B
37y9Ncz91+uLIaxFFHlR5kWZd1QbTk8KuPaX7jgpsH5FzVA97coW7x1vrGZCkywm
bhYXxcMiH2kpH9a68gBUIB1/Ac+GDieRDLk+Q/lO9Oe4G/M9eIx5v3WY/F/1xCmh
SO2xpBoLbbOWwovIzdedpCeZmAtZGATgpz5uSv3gByxUtj2uFzhutE3NMXD8qRGe
rtVkQxFgVFlP67ZsZmV0YQXA0lAHx6IXYfUzjKIUSV9WB4mdcJ8ml25RQAjL97A4
ttZ6
-----END CERTIFICATE-----
"""
"""a root of 2048 bits, made with openssl: nobody else signs so any more"""

_ODD = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "odd")])


class Storage:
    """A certificate store with its folder, settings, PKI and security events."""

    def __init__(self, folder: Path, pki: Pki, events: SecurityEvents, clock: VirtualClock) -> None:
        self.folder = folder / "certificates"
        self.pki = pki
        self.settings = SecuritySettings()
        self.events = events
        self.clock = clock
        self.store = self.open()

    def open(self, seed: ConfiguredFiles | None = None) -> CertificateStore:
        """A store on the files of this folder."""
        self.store = CertificateStore(self.folder, seed or ConfiguredFiles(), self.settings, self.clock, self.events)
        return self.store

    async def reopen(self, seed: ConfiguredFiles | None = None) -> CertificateStore:
        """The store after a restart of the station."""
        self.open(seed)
        await self.store.load()
        return self.store

    def check_roots(self) -> None:
        """Set AdditionalRootCertificateCheck to true."""
        self.settings.override(SecuritySettings.additional_root_certificate_check, True)

    def no_authority(self) -> Issued:
        """A certificate signed by the CSMS root that lacks the basic constraints of an authority."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = self.clock.now()
        builder = x509.CertificateBuilder().subject_name(_ODD).issuer_name(self.pki.root.certificate.subject)
        builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=365))
        return Issued(builder.sign(self.pki.root.key, hashes.SHA256()), key)

    async def reported(self) -> list[str]:
        """The types of the security events so far."""
        return [event.type for event in await self.events.entries()]

    async def serial_numbers(self, *uses: CertificateUse) -> set[str]:
        """The serial numbers of the roots that are installed."""
        return {root.hash.serial_number for root in await self.store.installed_roots(uses or tuple(CertificateUse))}


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncGenerator[Storage]:
    clock = VirtualClock()
    async with open_database(tmp_path / "records.sqlite", clock) as database:
        yield Storage(tmp_path, Pki(tmp_path), SecurityEvents(database, clock), clock)


def _serial(issued: Issued) -> str:
    return f"{issued.certificate.serial_number:x}"


def _hash(issued: Issued, issuer: Issued) -> CertificateHash:
    request = OCSPRequestBuilder().add_certificate(issued.certificate, issuer.certificate, hashes.SHA256()).build()
    return CertificateHash(
        "SHA256", request.issuer_name_hash.hex(), request.issuer_key_hash.hex(), f"{request.serial_number:x}"
    )


def _self_signed(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, storage: Storage, *, ca: bool = True) -> str:
    """A self-signed root certificate with a given key."""
    name, now = _ODD, storage.clock.now()
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return signed.public_bytes(serialization.Encoding.PEM).decode()


# Roots (M03, M04, M05)


async def test_an_installed_root_is_listed_with_its_hash_and_survives_a_restart(storage: Storage) -> None:
    """M03.FR.03, M03.FR.04, M05.FR.02."""
    root = storage.pki.root
    assert await storage.store.install(CSMS, root.pem) is None
    store = await storage.reopen()
    (installed,) = await store.installed_roots({CSMS})
    assert installed.hash == _hash(root, root)
    assert await store.installed_roots({MAKER}) == []
    assert store.count == 1


async def test_a_root_that_is_installed_again_takes_the_place_of_itself(storage: Storage) -> None:
    """M05.FR.17."""
    for _ in range(2):
        assert await storage.store.install(CSMS, storage.pki.root.pem) is None
    assert storage.store.count == 1


async def test_no_more_roots_than_there_may_be(storage: Storage) -> None:
    """M05.FR.06; what is there already may still be replaced."""
    roots = [storage.pki.make_root(f"root {number}") for number in range(MAX_CERTIFICATES + 1)]
    for root in roots[:-1]:
        assert await storage.store.install(MAKER, root.pem) is None
    refused = await storage.store.install(MAKER, roots[-1].pem)
    assert isinstance(refused, CertificateRefusal)
    assert refused.reason is CertificateRefusalReason.TOO_MANY
    assert await storage.store.install(MAKER, roots[0].pem) is None


@pytest.mark.parametrize(
    "defect", ["text", "two", "expired", "leaf", "weak key", "weak curve", "sha1", "orphan", "key only", "future"]
)
async def test_an_invalid_root_is_refused_and_nothing_is_kept(storage: Storage, defect: str) -> None:
    """M05.FR.07, A00.FR.501-504."""
    pki, curve = storage.pki, ec.generate_private_key(ec.SECP256R1())
    match defect:
        case "text":
            pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
        case "two":
            pem = pki.root.pem + pki.make_root("second").pem
        case "expired":
            storage.clock.adjust(timedelta(days=3651))
            pem = pki.root.pem
        case "future":
            storage.clock.adjust(-timedelta(days=2))
            pem = pki.root.pem
        case "leaf":
            pem = _self_signed(curve, storage, ca=False)
        case "weak key":
            pem = _self_signed(rsa.generate_private_key(65537, 1024), storage)
        case "weak curve":
            pem = _self_signed(ec.generate_private_key(ec.SECP192R1()), storage)
        case "sha1":
            pem = SIGNED_WITH_SHA1
        case "key only":
            pem = pki.root.key_pem
        case _:
            pem = pki.make_root("intermediate", signed_by=pki.root).pem
    refused = await storage.store.install(CSMS, pem)
    assert isinstance(refused, CertificateRefusal)
    assert refused.reason is CertificateRefusalReason.INVALID
    assert storage.store.count == 0
    assert not list(storage.folder.rglob("*.pem"))


async def test_a_root_is_deleted_by_its_hash(storage: Storage) -> None:
    """M04.FR.02, M04.FR.04."""
    root, unknown = storage.pki.root, storage.pki.make_root("other")
    await storage.store.install(CSMS, root.pem)
    refused = await storage.store.delete(_hash(unknown, unknown), link_needs_root=False)
    assert isinstance(refused, CertificateRefusal)
    assert refused.reason is CertificateRefusalReason.NOT_FOUND
    wrong_key = replace(_hash(root, root), issuer_key_hash="00" * 32)
    assert isinstance(await storage.store.delete(wrong_key, link_needs_root=False), CertificateRefusal)
    assert await storage.store.delete(_hash(root, root), link_needs_root=False) is None
    assert (await storage.reopen()).count == 0


async def test_the_root_that_the_link_rests_on_is_not_deleted_while_there_is_no_other(storage: Storage) -> None:
    """M04.FR.03."""
    first, second = storage.pki.root, storage.pki.make_root("second")
    await storage.store.install(CSMS, first.pem)
    assert isinstance(await storage.store.delete(_hash(first, first), link_needs_root=True), CertificateRefusal)
    await storage.store.install(CSMS, second.pem)
    assert await storage.store.delete(_hash(first, first), link_needs_root=True) is None


async def test_a_root_of_two_uses_is_deleted_for_the_one_that_the_link_does_not_rest_on(storage: Storage) -> None:
    """M04.FR.02, M04.FR.03."""
    root = storage.pki.root
    for use in (CSMS, MAKER):
        await storage.store.install(use, root.pem)
    assert await storage.store.delete(_hash(root, root), link_needs_root=True) is None
    assert (await storage.serial_numbers(CSMS), await storage.serial_numbers(MAKER)) == ({_serial(root)}, set())
    refused = await storage.store.delete(_hash(root, root), link_needs_root=True)
    assert isinstance(refused, CertificateRefusal)
    assert refused.reason is CertificateRefusalReason.IN_USE


async def test_a_full_disk_is_a_failure_and_changes_nothing(storage: Storage) -> None:
    """M05.FR.03."""
    storage.folder.write_text("a file where the folder should be")
    refused = await storage.store.install(CSMS, storage.pki.root.pem)
    assert isinstance(refused, CertificateRefusal)
    assert refused.reason is CertificateRefusalReason.STORAGE
    assert storage.store.count == 0


# AdditionalRootCertificateCheck


async def test_a_new_csms_root_must_be_signed_by_the_one_it_replaces(storage: Storage) -> None:
    """M05.FR.10, M05.FR.11."""
    storage.check_roots()
    old, stranger = storage.pki.root, storage.pki.make_root("stranger")
    assert await storage.store.install(CSMS, old.pem) is None
    assert isinstance(await storage.store.install(CSMS, stranger.pem), CertificateRefusal)
    assert await storage.serial_numbers() == {_serial(old)}
    assert await storage.store.install(MAKER, stranger.pem) is None  # only CSMS roots are checked so


async def test_the_replaced_root_is_kept_until_the_new_one_works(storage: Storage) -> None:
    """M05.FR.12, M05.FR.13."""
    storage.check_roots()
    old = storage.pki.root
    new = storage.pki.make_root("new", signed_by=old)
    await storage.store.install(CSMS, old.pem)
    assert await storage.store.install(CSMS, new.pem) is None
    store = await storage.reopen()
    assert await storage.serial_numbers() == {_serial(old), _serial(new)}
    assert store.has_fallback_root
    material = await store.tls_material(client_certificate=False)
    assert (material.roots, material.with_fallback_root) == (new.pem, False)
    fallback = await store.tls_material(client_certificate=False, fallback_root=True)
    assert (fallback.roots, fallback.with_fallback_root) == (old.pem, True)
    await store.note_connected(fallback)  # M05.FR.14: nothing is decided yet
    assert await storage.serial_numbers() == {_serial(old), _serial(new)}
    await store.note_connected(material)
    assert await storage.serial_numbers() == {_serial(new)}
    (installed,) = await (await storage.reopen()).installed_roots({CSMS})
    assert installed.hash == _hash(new, old)  # though its issuer is gone


async def test_a_root_that_never_worked_is_not_what_is_fallen_back_to(storage: Storage) -> None:
    storage.check_roots()
    old = storage.pki.root
    second = storage.pki.make_root("second", signed_by=old)
    third = storage.pki.make_root("third", signed_by=second)
    for root in (old, second, third):
        assert await storage.store.install(CSMS, root.pem) is None
    assert await storage.serial_numbers() == {_serial(old), _serial(third)}
    assert (await storage.store.tls_material(client_certificate=False, fallback_root=True)).roots == old.pem


async def test_a_link_that_came_up_with_the_old_root_does_not_remove_it_when_it_is_replaced_meanwhile(
    storage: Storage,
) -> None:
    storage.check_roots()
    old = storage.pki.root
    await storage.store.install(CSMS, old.pem)
    material = await storage.store.tls_material(client_certificate=False)
    await storage.store.install(CSMS, storage.pki.make_root("new", signed_by=old).pem)
    await storage.store.note_connected(material)
    assert storage.store.has_fallback_root


async def test_where_only_the_replaced_root_is_left_it_is_believed(storage: Storage) -> None:
    storage.check_roots()
    old = storage.pki.root
    new = storage.pki.make_root("new", signed_by=old)
    await storage.store.install(CSMS, old.pem)
    await storage.store.install(CSMS, new.pem)
    assert await storage.store.delete(_hash(new, old), link_needs_root=False) is None
    material = await storage.store.tls_material(client_certificate=False)
    assert material.roots == old.pem
    await storage.store.note_connected(material)
    assert await storage.serial_numbers() == {_serial(old)}


# The installation file


async def test_the_roots_of_the_installation_file_are_taken_over_once(storage: Storage) -> None:
    first, second, third = (storage.pki.make_root(name) for name in ("first", "second", "third"))
    file = storage.pki.write_pem("roots.pem", first.pem + second.pem)
    store = await storage.reopen(ConfiguredFiles(ca_file=file))
    assert await storage.serial_numbers() == {_serial(first), _serial(second)}
    assert await store.delete(_hash(first, first), link_needs_root=False) is None
    await storage.reopen(ConfiguredFiles(ca_file=file))
    assert await storage.serial_numbers() == {_serial(second)}  # what the CSMS deletes stays deleted
    storage.pki.write_pem("roots.pem", first.pem + third.pem)  # the installer replaces one
    await storage.store.tls_material(client_certificate=False)
    assert await storage.serial_numbers() == {_serial(third)}


async def test_the_system_s_roots_are_believed_unless_the_installer_chose_others_or_only_one_root_counts(
    storage: Storage,
) -> None:
    material = await storage.store.tls_material(client_certificate=False)
    assert (material.roots, material.system_roots) == ("", True)
    await storage.store.install(
        CSMS, storage.pki.root.pem
    )  # a CSMS that a public authority vouches for is not shut out by it
    assert (await storage.store.tls_material(client_certificate=False)).system_roots
    storage.check_roots()  # M05.FR.09: one root, and no other
    assert not (await storage.store.tls_material(client_certificate=False)).system_roots
    store = await storage.reopen(ConfiguredFiles(ca_file=storage.pki.write_pem("roots.pem", storage.pki.root.pem)))
    assert not (await store.tls_material(client_certificate=False)).system_roots
    await store.remove_unchecked(CSMS)
    with pytest.raises(OSError, match="no CSMS root certificate"):
        await store.tls_material(client_certificate=False)


@pytest.mark.parametrize("damage", [b"\xff" * 8, b"AAAAAAAA"])
async def test_a_spoilt_revocation_list_is_taken_from_the_installation_file_again(
    storage: Storage, damage: bytes
) -> None:
    """Otherwise no CSMS would be trusted any more."""
    root = storage.pki.root
    builder = x509.CertificateRevocationListBuilder().issuer_name(root.certificate.subject)
    builder = builder.last_update(storage.clock.now()).next_update(storage.clock.now() + timedelta(days=1))
    crl = builder.sign(root.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
    seed = ConfiguredFiles(ca_file=storage.pki.write_pem("roots.pem", root.pem + crl))
    await storage.reopen(seed)
    file = storage.folder / "revocations.pem"
    content = file.read_bytes()
    file.write_bytes(content[:100] + damage + content[108:])
    material = await (await storage.reopen(seed)).tls_material(client_certificate=False)
    assert material.revocations == file
    assert file.read_bytes() == content


async def test_a_revocation_list_counts_until_it_expires(storage: Storage) -> None:
    now, root = storage.clock.now(), storage.pki.root
    builder = x509.CertificateRevocationListBuilder().issuer_name(root.certificate.subject)
    builder = builder.last_update(now - timedelta(days=1)).next_update(now + timedelta(days=1))
    crl = builder.sign(root.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
    store = await storage.reopen(ConfiguredFiles(ca_file=storage.pki.write_pem("roots.pem", root.pem + crl)))
    revocations = (await store.tls_material(client_certificate=False)).revocations
    assert revocations is not None
    assert revocations.read_text().strip() == crl.strip()
    storage.clock.adjust(timedelta(days=2))
    assert (await store.tls_material(client_certificate=False)).revocations is None


async def test_the_certificate_of_the_installation_file_is_taken_over_and_its_key_is_private(storage: Storage) -> None:
    own_certificate = storage.pki.station("0000001")
    seed = ConfiguredFiles(
        None,
        storage.pki.write_pem("own_certificate.pem", own_certificate.pem),
        storage.pki.write_pem("own_certificate.key", own_certificate.key_pem),
    )
    store = await storage.reopen(seed)
    file = (await store.tls_material(client_certificate=True)).station
    assert file is not None
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text() == own_certificate.key_pem + own_certificate.pem
    assert await store.remove_unchecked(None) == 1
    store = await storage.reopen(seed)  # forgotten is forgotten
    assert not await store.has_valid_station_certificate()
    with pytest.raises(OSError, match="no charging station certificate"):
        await store.tls_material(client_certificate=True)


# The station's own certificate (A02, A03)


async def _install_certificate(storage: Storage, own_certificate: Issued | None = None) -> Issued:
    """Install the CSMS root and a station certificate issued by it; returns the latter."""
    own_certificate = own_certificate or storage.pki.station("0000001")
    await storage.store.install_unchecked(CSMS, storage.pki.root.pem)
    await storage.store.install_unchecked(None, own_certificate.key_pem + own_certificate.pem)
    return own_certificate


async def test_a_signed_certificate_is_used_and_the_old_one_goes_when_it_has_worked(storage: Storage) -> None:
    """A02.FR.02, A02.FR.08, A02.FR.10."""
    own_certificate = await _install_certificate(storage)
    csr = await storage.store.new_signing_request(OWNER)
    assert x509.load_pem_x509_csr(csr.encode()).subject.rfc4514_string() == "CN=0000001,O=borne"
    assert await storage.store.install_signed(storage.pki.sign_csr(csr)) is None
    store = await storage.reopen()
    material = await store.tls_material(client_certificate=True)
    assert material.station is not None
    assert own_certificate.pem not in material.station.read_text()
    assert stat.S_IMODE(material.station.stat().st_mode) == 0o600
    await store.note_connected(material)
    store.alternate_station_certificate()  # there is nothing to go back to any more
    texts = [file.read_text() for file in (storage.folder / "station").iterdir()]
    assert not any(own_certificate.key_pem in text for text in texts)
    assert await storage.reported() == []


async def test_where_the_renewed_certificate_does_not_work_the_old_one_is_used_and_the_failure_reported(
    storage: Storage,
) -> None:
    """A02.FR.10, A02.FR.28, A02.FR.29."""
    own_certificate = await _install_certificate(storage)
    assert (
        await storage.store.install_signed(storage.pki.sign_csr(await storage.store.new_signing_request(OWNER))) is None
    )
    renewed_first: list[bool] = []
    for _ in range(3):  # after every entry of the priority list has failed
        storage.store.alternate_station_certificate()
        file = (await storage.store.tls_material(client_certificate=True)).station
        assert file is not None
        renewed_first.append(own_certificate.pem in file.read_text())
    assert renewed_first == [True, False, True]
    await storage.store.note_connected(await storage.store.tls_material(client_certificate=True))
    assert await storage.reported() == [SecurityEventType.DISCARDED_RENEWED_CLIENT_CERTIFICATE]
    await storage.reopen()
    file = (await storage.store.tls_material(client_certificate=True)).station
    assert file is not None
    assert own_certificate.pem in file.read_text()


@pytest.mark.parametrize(
    "defect",
    [
        "text",
        "other key",
        "expired",
        "future",
        "stranger's",
        "other subject",
        "none asked for",
        "no authority",
        "broken chain",
    ],
)
async def test_an_invalid_signed_certificate_is_refused_and_reported(storage: Storage, defect: str) -> None:
    """A02.FR.06, A02.FR.07."""
    own_certificate, pki = await _install_certificate(storage), storage.pki
    csr = await storage.store.new_signing_request(OWNER)
    signed = pki.sign_csr(csr)
    match defect:
        case "text":
            signed = "no certificate"
        case "other key":
            signed = pki.station("0000001").pem
        case "expired":
            storage.clock.adjust(timedelta(days=366))
        case "future":
            storage.clock.adjust(-timedelta(days=2))
        case "stranger's":
            signed = pki.sign_csr(csr, issuer=pki.make_root("stranger"))
        case "other subject":
            await storage.store.new_signing_request(OWNER)
            csr = _csr_with_other_subject(storage.folder / "station" / "pending.pem")
            signed = pki.sign_csr(csr)
        case "no authority":  # RFC 5280 §6.1.4 k: it does not say that it is one
            between = storage.no_authority()
            signed = pki.sign_csr(csr, issuer=between) + between.pem
        case "none asked for":
            (storage.folder / "station" / "pending.pem").unlink()
        case _:
            signed += pki.make_root("in between", signed_by=pki.root).pem
    refused = await storage.store.install_signed(signed)
    assert isinstance(refused, CertificateRefusal)
    assert refused.reason is CertificateRefusalReason.INVALID
    assert await storage.reported() == [SecurityEventType.INVALID_CHARGING_STATION_CERTIFICATE]
    file = (await storage.store.tls_material(client_certificate=True)).station
    assert file is not None
    assert own_certificate.pem in file.read_text()


def _csr_with_other_subject(pending: Path) -> str:
    """A CSR by the key of the pending one, for another subject."""
    text = pending.read_text()
    key = serialization.load_pem_private_key(text.encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "another station")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


async def test_a_chain_over_an_intermediate_authority_is_taken(storage: Storage) -> None:
    await _install_certificate(storage)
    between = storage.pki.make_root("in between", signed_by=storage.pki.root)
    signed = storage.pki.sign_csr(await storage.store.new_signing_request(OWNER), issuer=between)
    assert isinstance(
        await storage.store.install_signed(signed), CertificateRefusal
    )  # nothing tells who signed the one in between
    assert await storage.store.install_signed(signed + between.pem) is None


@pytest.mark.parametrize(("organization_name", "accepted"), [("", True), ("borne", False)])
async def test_the_authority_may_add_an_organization_and_change_none(
    storage: Storage, organization_name: str, accepted: bool
) -> None:
    """A00.FR.509."""
    await _install_certificate(storage)
    csr = await storage.store.new_signing_request(CertificateSubject("0000001", organization_name))
    organization = x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Operator")
    subject = x509.Name([organization, x509.NameAttribute(x509.NameOID.COMMON_NAME, "0000001")])
    refused = await storage.store.install_signed(storage.pki.sign_csr(csr, subject=subject))
    assert (refused is None) is accepted


async def test_too_long_a_chain_is_refused_without_an_alarm(storage: Storage) -> None:
    """A02.FR.16."""
    await _install_certificate(storage)
    storage.settings.override(SecuritySettings.max_certificate_chain_size, 100)
    refused = await storage.store.install_signed(storage.pki.sign_csr(await storage.store.new_signing_request(OWNER)))
    assert isinstance(refused, CertificateRefusal)
    assert refused.reason is CertificateRefusalReason.TOO_LARGE
    assert await storage.reported() == []


async def test_an_answer_that_comes_twice_is_refused_without_an_alarm(storage: Storage) -> None:
    await _install_certificate(storage)
    signed = storage.pki.sign_csr(await storage.store.new_signing_request(OWNER))
    assert await storage.store.install_signed(signed) is None
    refused = await storage.store.install_signed(signed)
    assert isinstance(refused, CertificateRefusal)
    assert refused.reason is CertificateRefusalReason.UNASKED
    assert await storage.reported() == []


async def test_the_station_s_certificate_is_not_deleted_over_ocpp(storage: Storage) -> None:
    """M04.FR.06."""
    own_certificate = await _install_certificate(storage)
    refused = await storage.store.delete(_hash(own_certificate, storage.pki.root), link_needs_root=False)
    assert isinstance(refused, CertificateRefusal)
    assert refused.reason is CertificateRefusalReason.IN_USE
    assert await storage.store.has_valid_station_certificate()


async def test_renewal_is_due_a_month_before_the_certificate_expires(storage: Storage) -> None:
    """A03.FR.02."""
    assert not await storage.store.renewal_due()
    await _install_certificate(storage, storage.pki.station("0000001", days=60))
    assert not await storage.store.renewal_due()
    storage.clock.adjust(timedelta(days=31))
    assert await storage.store.renewal_due()
    assert await storage.store.has_valid_station_certificate()
    storage.clock.adjust(timedelta(days=30))
    assert not await storage.store.has_valid_station_certificate()


async def test_a_station_with_an_rsa_key_asks_for_a_certificate_of_an_rsa_key(storage: Storage) -> None:
    key = rsa.generate_private_key(65537, 2048)
    pem = _self_signed(key, storage)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    ).decode()
    await storage.store.install_unchecked(None, secret + pem)
    request = x509.load_pem_x509_csr((await storage.store.new_signing_request(OWNER)).encode())
    public_key = request.public_key()
    assert isinstance(public_key, rsa.RSAPublicKey)
    assert public_key.key_size >= 2048
    assert request.is_signature_valid


async def test_a_first_certificate_is_used_at_once(storage: Storage) -> None:
    await storage.store.install_unchecked(CSMS, storage.pki.root.pem)
    signed = storage.pki.sign_csr(await storage.store.new_signing_request(OWNER))
    assert await storage.store.install_signed(signed) is None
    assert await storage.store.has_valid_station_certificate()
    file = (await storage.store.tls_material(client_certificate=True)).station
    assert file is not None
    assert signed in file.read_text()


# What must not shut the station out


async def test_the_replaced_root_is_not_deleted_while_the_link_rests_on_it(storage: Storage) -> None:
    """M04.FR.03: its successor has not proved itself yet; the other way round nothing is lost."""
    storage.check_roots()
    old = storage.pki.root
    new = storage.pki.make_root("new", signed_by=old)
    await storage.store.install(CSMS, old.pem)
    await storage.store.install(CSMS, new.pem)
    await storage.store.note_connected(await storage.store.tls_material(client_certificate=False, fallback_root=True))
    refused = await storage.store.delete(_hash(old, old), link_needs_root=True)
    assert isinstance(refused, CertificateRefusal)
    assert refused.reason is CertificateRefusalReason.IN_USE
    assert await storage.store.delete(_hash(new, old), link_needs_root=True) is None
    assert await storage.serial_numbers() == {_serial(old)}


async def test_a_root_that_has_worked_outlives_one_that_has_not(storage: Storage) -> None:
    """M04.FR.03: else a CSMS could delete what the link rests on, with a mistyped root beside it."""
    first, second = storage.pki.root, storage.pki.make_root("second")
    await storage.store.install(CSMS, first.pem)
    await storage.store.note_connected(await storage.store.tls_material(client_certificate=False))
    await storage.store.install(CSMS, second.pem)
    assert isinstance(await storage.store.delete(_hash(first, first), link_needs_root=True), CertificateRefusal)
    await storage.store.note_connected(await storage.store.tls_material(client_certificate=False))
    assert await storage.store.delete(_hash(first, first), link_needs_root=True) is None


async def test_a_damaged_file_takes_no_other_root_away(storage: Storage) -> None:
    first, second = storage.pki.root, storage.pki.make_root("second")
    await storage.store.install(CSMS, first.pem)
    await storage.store.install(CSMS, second.pem)
    damaged, _ = sorted((storage.folder / "csms-roots").iterdir())
    damaged.write_bytes(b"\xff\x00" * 300)
    assert (await storage.reopen()).count == 1
    assert (await storage.store.tls_material(client_certificate=False)).roots in {first.pem, second.pem}


@pytest.mark.parametrize("damage", ["A" * 64, "é" * 64])
async def test_a_root_with_a_spoilt_line_keeps_no_other_from_being_believed(storage: Storage, damage: str) -> None:
    first, second = storage.pki.root, storage.pki.make_root("second")
    await storage.store.install(CSMS, first.pem)
    await storage.store.install(CSMS, second.pem)
    damaged, intact = sorted((storage.folder / "csms-roots").iterdir())
    lines = damaged.read_text(encoding="utf-8").splitlines(keepends=True)
    damaged.write_text("".join([*lines[:2], f"{damage}\n", *lines[3:]]), encoding="utf-8")
    await storage.reopen()
    csms_tls_context(await storage.store.tls_material(client_certificate=False))  # takes what it is given
    assert [root.public_bytes(serialization.Encoding.PEM).decode() for root in storage.store.trusted_roots(CSMS)] == [
        intact.read_text(encoding="utf-8")
    ]
    assert len(await storage.store.installed_roots({CSMS})) == 1
    assert await storage.store.install(CSMS, storage.pki.make_root("third").pem) is None


async def test_a_spoilt_root_of_the_installation_file_is_taken_from_it_again(storage: Storage) -> None:
    """Otherwise no CSMS would be trusted any more; roots that the CSMS has deleted stay deleted all the same."""
    first, second = storage.pki.root, storage.pki.make_root("second")
    seed = ConfiguredFiles(ca_file=storage.pki.write_pem("roots.pem", first.pem + second.pem))
    await storage.reopen(seed)
    assert await storage.store.delete(_hash(second, second), link_needs_root=False) is None
    (file,) = (storage.folder / "csms-roots").iterdir()
    content = file.read_bytes()
    file.write_bytes(content.replace(content[100:108], b"AAAAAAAA"))
    await storage.reopen(seed)
    assert await storage.serial_numbers() == {_serial(first)}
    assert file.read_bytes() == content


async def test_a_spoilt_issuer_beside_a_root_hides_no_other_root(storage: Storage) -> None:
    first, third = storage.pki.root, storage.pki.make_root("other")
    await storage.store.install(CSMS, first.pem)
    await storage.store.install(CSMS, storage.pki.make_root("second", signed_by=first).pem)
    await storage.store.install(CSMS, third.pem)
    for file in (storage.folder / "csms-roots").iterdir():
        text = file.read_text(encoding="utf-8")
        if text.count("BEGIN") == 2:
            head, tail = text[:-200], text[-200:]
            file.write_text(head + tail.replace(tail[:60], "A" * 60, 1), encoding="utf-8")
    await storage.reopen()
    assert await storage.serial_numbers() == {_serial(first), _serial(third)}
    assert await storage.store.delete(_hash(third, third), link_needs_root=False) is None


_ECDSA_WITH_SHA256 = bytes.fromhex("06082a8648ce3d040302")
_VERSION_3 = bytes.fromhex("a003020102")


@pytest.mark.parametrize(
    ("original", "changed"),
    [
        (_ECDSA_WITH_SHA256, bytes.fromhex("06082a8648ce55040302")),  # an algorithm that nobody knows
        (_VERSION_3, bytes.fromhex("a003020109")),
        (bytes.fromhex("0603551d0f"), bytes.fromhex("0603551d13")),  # a second basicConstraints, in place of keyUsage
    ],
)
async def test_a_root_that_the_library_stumbles_over_is_refused(
    storage: Storage, original: bytes, changed: bytes
) -> None:
    """M05.FR.07."""
    der = storage.pki.root.certificate.public_bytes(serialization.Encoding.DER)
    assert original in der
    body = base64.encodebytes(der.replace(original, changed)).decode()
    refused = await storage.store.install(CSMS, f"-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n")
    assert isinstance(refused, CertificateRefusal)
    assert refused.reason is CertificateRefusalReason.INVALID

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
    """A store on a disk of its own, and what it reports."""

    def __init__(self, folder: Path, pki: Pki, events: SecurityEvents, clock: VirtualClock) -> None:
        self.folder = folder / "certificates"
        self.pki = pki
        self.settings = SecuritySettings()
        self.events = events
        self.clock = clock
        self.store = self.open()

    def open(self, seed: ConfiguredFiles | None = None) -> CertificateStore:
        """The store as the next start finds it."""
        self.store = CertificateStore(self.folder, seed or ConfiguredFiles(), self.settings, self.clock, self.events)
        return self.store

    async def reopen(self, seed: ConfiguredFiles | None = None) -> CertificateStore:
        """After a restart of the station."""
        self.open(seed)
        await self.store.load()
        return self.store

    def check_roots(self) -> None:
        """AdditionalRootCertificateCheck is true."""
        self.settings.override(SecuritySettings.additional_root_certificate_check, True)

    def no_authority(self) -> Issued:
        """A certificate of the CSMS root that says nothing of its being an authority."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = self.clock.now()
        builder = x509.CertificateBuilder().subject_name(_ODD).issuer_name(self.pki.root.certificate.subject)
        builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=365))
        return Issued(builder.sign(self.pki.root.key, hashes.SHA256()), key)

    async def reported(self) -> list[str]:
        """The types of the security events so far."""
        return [event.type for event in await self.events.entries()]

    async def names(self, *uses: CertificateUse) -> set[str]:
        """The serial numbers of the roots that are installed."""
        return {one.hash.serial_number for one in await self.store.installed_roots(uses or tuple(CertificateUse))}


@pytest.fixture
async def on(tmp_path: Path) -> AsyncGenerator[Storage]:
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


def _self_signed(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, on: Storage, *, ca: bool = True) -> str:
    """A root with something about it that is not as it should be."""
    name, now = _ODD, on.clock.now()
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


async def test_an_installed_root_is_told_with_its_hash_and_survives_a_restart(on: Storage) -> None:
    """M03.FR.03, M03.FR.04, M05.FR.02."""
    root = on.pki.root
    assert await on.store.install(CSMS, root.pem) is None
    store = await on.reopen()
    (told,) = await store.installed_roots({CSMS})
    assert told.hash == _hash(root, root)
    assert await store.installed_roots({MAKER}) == []
    assert store.count == 1


async def test_a_root_that_is_installed_again_takes_the_place_of_itself(on: Storage) -> None:
    """M05.FR.17."""
    for _ in range(2):
        assert await on.store.install(CSMS, on.pki.root.pem) is None
    assert on.store.count == 1


async def test_no_more_roots_than_there_may_be(on: Storage) -> None:
    """M05.FR.06; what is there already may still be replaced."""
    roots = [on.pki.make_root(f"root {number}") for number in range(MAX_CERTIFICATES + 1)]
    for root in roots[:-1]:
        assert await on.store.install(MAKER, root.pem) is None
    refused = await on.store.install(MAKER, roots[-1].pem)
    assert isinstance(refused, CertificateRefusal)
    assert refused.reason is CertificateRefusalReason.TOO_MANY
    assert await on.store.install(MAKER, roots[0].pem) is None


@pytest.mark.parametrize(
    "what", ["text", "two", "expired", "leaf", "weak key", "weak curve", "sha1", "orphan", "key only", "future"]
)
async def test_an_invalid_root_is_refused_and_nothing_is_kept(on: Storage, what: str) -> None:
    """M05.FR.07, A00.FR.501-504."""
    pki, curve = on.pki, ec.generate_private_key(ec.SECP256R1())
    match what:
        case "text":
            pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
        case "two":
            pem = pki.root.pem + pki.make_root("second").pem
        case "expired":
            on.clock.adjust(timedelta(days=3651))
            pem = pki.root.pem
        case "future":
            on.clock.adjust(-timedelta(days=2))
            pem = pki.root.pem
        case "leaf":
            pem = _self_signed(curve, on, ca=False)
        case "weak key":
            pem = _self_signed(rsa.generate_private_key(65537, 1024), on)
        case "weak curve":
            pem = _self_signed(ec.generate_private_key(ec.SECP192R1()), on)
        case "sha1":
            pem = SIGNED_WITH_SHA1
        case "key only":
            pem = pki.root.key_pem
        case _:
            pem = pki.make_root("intermediate", signed_by=pki.root).pem
    refused = await on.store.install(CSMS, pem)
    assert isinstance(refused, CertificateRefusal)
    assert refused.reason is CertificateRefusalReason.INVALID
    assert on.store.count == 0
    assert not list(on.folder.rglob("*.pem"))


async def test_a_root_is_deleted_by_its_hash(on: Storage) -> None:
    """M04.FR.02, M04.FR.04."""
    root, other = on.pki.root, on.pki.make_root("other")
    await on.store.install(CSMS, root.pem)
    refused = await on.store.delete(_hash(other, other), link_needs_root=False)
    assert isinstance(refused, CertificateRefusal)
    assert refused.reason is CertificateRefusalReason.NOT_FOUND
    wrong_key = replace(_hash(root, root), issuer_key_hash="00" * 32)
    assert isinstance(await on.store.delete(wrong_key, link_needs_root=False), CertificateRefusal)
    assert await on.store.delete(_hash(root, root), link_needs_root=False) is None
    assert (await on.reopen()).count == 0


async def test_the_root_that_the_link_rests_on_is_not_deleted_while_there_is_no_other(on: Storage) -> None:
    """M04.FR.03."""
    first, second = on.pki.root, on.pki.make_root("second")
    await on.store.install(CSMS, first.pem)
    assert isinstance(await on.store.delete(_hash(first, first), link_needs_root=True), CertificateRefusal)
    await on.store.install(CSMS, second.pem)
    assert await on.store.delete(_hash(first, first), link_needs_root=True) is None


async def test_a_root_of_two_uses_is_deleted_for_the_one_that_the_link_does_not_rest_on(on: Storage) -> None:
    """M04.FR.02, M04.FR.03."""
    root = on.pki.root
    for use in (CSMS, MAKER):
        await on.store.install(use, root.pem)
    assert await on.store.delete(_hash(root, root), link_needs_root=True) is None
    assert (await on.names(CSMS), await on.names(MAKER)) == ({_serial(root)}, set())
    refused = await on.store.delete(_hash(root, root), link_needs_root=True)
    assert isinstance(refused, CertificateRefusal)
    assert refused.reason is CertificateRefusalReason.IN_USE


async def test_a_full_disk_is_a_failure_and_changes_nothing(on: Storage) -> None:
    """M05.FR.03."""
    on.folder.write_text("a file where the folder should be")
    refused = await on.store.install(CSMS, on.pki.root.pem)
    assert isinstance(refused, CertificateRefusal)
    assert refused.reason is CertificateRefusalReason.STORAGE
    assert on.store.count == 0


# AdditionalRootCertificateCheck


async def test_a_new_csms_root_must_be_signed_by_the_one_it_replaces(on: Storage) -> None:
    """M05.FR.10, M05.FR.11."""
    on.check_roots()
    old, stranger = on.pki.root, on.pki.make_root("stranger")
    assert await on.store.install(CSMS, old.pem) is None
    assert isinstance(await on.store.install(CSMS, stranger.pem), CertificateRefusal)
    assert await on.names() == {_serial(old)}
    assert await on.store.install(MAKER, stranger.pem) is None  # only CSMS roots are checked so


async def test_the_replaced_root_is_kept_until_the_new_one_works(on: Storage) -> None:
    """M05.FR.12, M05.FR.13."""
    on.check_roots()
    old = on.pki.root
    new = on.pki.make_root("new", signed_by=old)
    await on.store.install(CSMS, old.pem)
    assert await on.store.install(CSMS, new.pem) is None
    store = await on.reopen()
    assert await on.names() == {_serial(old), _serial(new)}
    assert store.has_fallback_root
    material = await store.tls_material(client_certificate=False)
    assert (material.roots, material.with_fallback_root) == (new.pem, False)
    fallback = await store.tls_material(client_certificate=False, fallback_root=True)
    assert (fallback.roots, fallback.with_fallback_root) == (old.pem, True)
    await store.note_connected(fallback)  # M05.FR.14: nothing is decided yet
    assert await on.names() == {_serial(old), _serial(new)}
    await store.note_connected(material)
    assert await on.names() == {_serial(new)}
    (told,) = await (await on.reopen()).installed_roots({CSMS})
    assert told.hash == _hash(new, old)  # though its issuer is gone


async def test_a_root_that_never_worked_is_not_what_is_fallen_back_to(on: Storage) -> None:
    on.check_roots()
    old = on.pki.root
    second = on.pki.make_root("second", signed_by=old)
    third = on.pki.make_root("third", signed_by=second)
    for root in (old, second, third):
        assert await on.store.install(CSMS, root.pem) is None
    assert await on.names() == {_serial(old), _serial(third)}
    assert (await on.store.tls_material(client_certificate=False, fallback_root=True)).roots == old.pem


async def test_a_link_that_came_up_with_the_old_root_does_not_remove_it_when_it_is_replaced_meanwhile(
    on: Storage,
) -> None:
    on.check_roots()
    old = on.pki.root
    await on.store.install(CSMS, old.pem)
    material = await on.store.tls_material(client_certificate=False)
    await on.store.install(CSMS, on.pki.make_root("new", signed_by=old).pem)
    await on.store.note_connected(material)
    assert on.store.has_fallback_root


async def test_where_only_the_replaced_root_is_left_it_is_believed(on: Storage) -> None:
    on.check_roots()
    old = on.pki.root
    new = on.pki.make_root("new", signed_by=old)
    await on.store.install(CSMS, old.pem)
    await on.store.install(CSMS, new.pem)
    assert await on.store.delete(_hash(new, old), link_needs_root=False) is None
    material = await on.store.tls_material(client_certificate=False)
    assert material.roots == old.pem
    await on.store.note_connected(material)
    assert await on.names() == {_serial(old)}


# The installation file


async def test_the_roots_of_the_installation_file_are_taken_over_once(on: Storage) -> None:
    first, second, third = (on.pki.make_root(name) for name in ("first", "second", "third"))
    file = on.pki.file("roots.pem", first.pem + second.pem)
    store = await on.reopen(ConfiguredFiles(ca_file=file))
    assert await on.names() == {_serial(first), _serial(second)}
    assert await store.delete(_hash(first, first), link_needs_root=False) is None
    await on.reopen(ConfiguredFiles(ca_file=file))
    assert await on.names() == {_serial(second)}  # what the CSMS deletes stays deleted
    on.pki.file("roots.pem", first.pem + third.pem)  # the installer replaces one
    await on.store.tls_material(client_certificate=False)
    assert await on.names() == {_serial(third)}


async def test_the_system_s_roots_are_believed_unless_the_installer_chose_others_or_only_one_root_counts(
    on: Storage,
) -> None:
    material = await on.store.tls_material(client_certificate=False)
    assert (material.roots, material.system_roots) == ("", True)
    await on.store.install(CSMS, on.pki.root.pem)  # a CSMS that a public authority vouches for is not shut out by it
    assert (await on.store.tls_material(client_certificate=False)).system_roots
    on.check_roots()  # M05.FR.09: one root, and no other
    assert not (await on.store.tls_material(client_certificate=False)).system_roots
    store = await on.reopen(ConfiguredFiles(ca_file=on.pki.file("roots.pem", on.pki.root.pem)))
    assert not (await store.tls_material(client_certificate=False)).system_roots
    await store.remove_unchecked(CSMS)
    with pytest.raises(OSError, match="no CSMS root certificate"):
        await store.tls_material(client_certificate=False)


@pytest.mark.parametrize("damage", [b"\xff" * 8, b"AAAAAAAA"])
async def test_a_spoilt_revocation_list_is_taken_from_the_installation_file_again(on: Storage, damage: bytes) -> None:
    """Else no CSMS would be believed any more."""
    root = on.pki.root
    builder = x509.CertificateRevocationListBuilder().issuer_name(root.certificate.subject)
    builder = builder.last_update(on.clock.now()).next_update(on.clock.now() + timedelta(days=1))
    crl = builder.sign(root.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
    seed = ConfiguredFiles(ca_file=on.pki.file("roots.pem", root.pem + crl))
    await on.reopen(seed)
    kept = on.folder / "revocations.pem"
    whole = kept.read_bytes()
    kept.write_bytes(whole[:100] + damage + whole[108:])
    material = await (await on.reopen(seed)).tls_material(client_certificate=False)
    assert material.revocations == kept
    assert kept.read_bytes() == whole


async def test_a_revocation_list_counts_until_it_expires(on: Storage) -> None:
    now, root = on.clock.now(), on.pki.root
    builder = x509.CertificateRevocationListBuilder().issuer_name(root.certificate.subject)
    builder = builder.last_update(now - timedelta(days=1)).next_update(now + timedelta(days=1))
    crl = builder.sign(root.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
    store = await on.reopen(ConfiguredFiles(ca_file=on.pki.file("roots.pem", root.pem + crl)))
    revocations = (await store.tls_material(client_certificate=False)).revocations
    assert revocations is not None
    assert revocations.read_text().strip() == crl.strip()
    on.clock.adjust(timedelta(days=2))
    assert (await store.tls_material(client_certificate=False)).revocations is None


async def test_the_certificate_of_the_installation_file_is_taken_over_and_its_key_is_private(on: Storage) -> None:
    mine = on.pki.station("0000001")
    seed = ConfiguredFiles(None, on.pki.file("mine.pem", mine.pem), on.pki.file("mine.key", mine.key_pem))
    store = await on.reopen(seed)
    file = (await store.tls_material(client_certificate=True)).station
    assert file is not None
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text() == mine.key_pem + mine.pem
    assert await store.remove_unchecked(None) == 1
    store = await on.reopen(seed)  # forgotten is forgotten
    assert not await store.has_valid_station_certificate()
    with pytest.raises(OSError, match="no charging station certificate"):
        await store.tls_material(client_certificate=True)


# The station's own certificate (A02, A03)


async def _with_certificate(on: Storage, mine: Issued | None = None) -> Issued:
    """A store that trusts the CSMS root and has a certificate of it."""
    mine = mine or on.pki.station("0000001")
    await on.store.install_unchecked(CSMS, on.pki.root.pem)
    await on.store.install_unchecked(None, mine.key_pem + mine.pem)
    return mine


async def test_a_signed_certificate_is_used_and_the_old_one_goes_when_it_has_worked(on: Storage) -> None:
    """A02.FR.02, A02.FR.08, A02.FR.10."""
    mine = await _with_certificate(on)
    csr = await on.store.new_signing_request(OWNER)
    assert x509.load_pem_x509_csr(csr.encode()).subject.rfc4514_string() == "CN=0000001,O=borne"
    assert await on.store.install_signed(on.pki.sign_csr(csr)) is None
    store = await on.reopen()
    material = await store.tls_material(client_certificate=True)
    assert material.station is not None
    assert mine.pem not in material.station.read_text()
    assert stat.S_IMODE(material.station.stat().st_mode) == 0o600
    await store.note_connected(material)
    store.alternate_station_certificate()  # there is nothing to go back to any more
    kept = [file.read_text() for file in (on.folder / "station").iterdir()]
    assert not any(mine.key_pem in text for text in kept)
    assert await on.reported() == []


async def test_where_the_renewed_certificate_does_not_work_the_old_one_is_used_and_the_csms_is_told(
    on: Storage,
) -> None:
    """A02.FR.10, A02.FR.28, A02.FR.29."""
    mine = await _with_certificate(on)
    assert await on.store.install_signed(on.pki.sign_csr(await on.store.new_signing_request(OWNER))) is None
    shown: list[bool] = []
    for _ in range(3):  # after every entry of the priority list has failed
        on.store.alternate_station_certificate()
        file = (await on.store.tls_material(client_certificate=True)).station
        assert file is not None
        shown.append(mine.pem in file.read_text())
    assert shown == [True, False, True]
    await on.store.note_connected(await on.store.tls_material(client_certificate=True))
    assert await on.reported() == [SecurityEventType.DISCARDED_RENEWED_CLIENT_CERTIFICATE]
    await on.reopen()
    file = (await on.store.tls_material(client_certificate=True)).station
    assert file is not None
    assert mine.pem in file.read_text()


@pytest.mark.parametrize(
    "what",
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
async def test_an_invalid_signed_certificate_is_refused_and_reported(on: Storage, what: str) -> None:
    """A02.FR.06, A02.FR.07."""
    mine, pki = await _with_certificate(on), on.pki
    csr = await on.store.new_signing_request(OWNER)
    signed = pki.sign_csr(csr)
    match what:
        case "text":
            signed = "no certificate"
        case "other key":
            signed = pki.station("0000001").pem
        case "expired":
            on.clock.adjust(timedelta(days=366))
        case "future":
            on.clock.adjust(-timedelta(days=2))
        case "stranger's":
            signed = pki.sign_csr(csr, issuer=pki.make_root("stranger"))
        case "other subject":
            await on.store.new_signing_request(OWNER)
            csr = _same_key_other_name(on.folder / "station" / "pending.pem")
            signed = pki.sign_csr(csr)
        case "no authority":  # RFC 5280 §6.1.4 k: it does not say that it is one
            between = on.no_authority()
            signed = pki.sign_csr(csr, issuer=between) + between.pem
        case "none asked for":
            (on.folder / "station" / "pending.pem").unlink()
        case _:
            signed += pki.make_root("in between", signed_by=pki.root).pem
    refused = await on.store.install_signed(signed)
    assert isinstance(refused, CertificateRefusal)
    assert refused.reason is CertificateRefusalReason.INVALID
    assert await on.reported() == [SecurityEventType.INVALID_CHARGING_STATION_CERTIFICATE]
    file = (await on.store.tls_material(client_certificate=True)).station
    assert file is not None
    assert mine.pem in file.read_text()


def _same_key_other_name(pending: Path) -> str:
    text = pending.read_text()
    key = serialization.load_pem_private_key(text.encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "another station")])
    other = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return other.public_bytes(serialization.Encoding.PEM).decode()


async def test_a_chain_over_an_intermediate_authority_is_taken(on: Storage) -> None:
    await _with_certificate(on)
    between = on.pki.make_root("in between", signed_by=on.pki.root)
    signed = on.pki.sign_csr(await on.store.new_signing_request(OWNER), issuer=between)
    assert isinstance(
        await on.store.install_signed(signed), CertificateRefusal
    )  # nothing tells who signed the one in between
    assert await on.store.install_signed(signed + between.pem) is None


@pytest.mark.parametrize(("asked", "taken"), [("", True), ("borne", False)])
async def test_the_authority_may_add_an_organization_and_change_none(on: Storage, asked: str, taken: bool) -> None:
    """A00.FR.509."""
    await _with_certificate(on)
    csr = await on.store.new_signing_request(CertificateSubject("0000001", asked))
    organization = x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Operator")
    subject = x509.Name([organization, x509.NameAttribute(x509.NameOID.COMMON_NAME, "0000001")])
    refused = await on.store.install_signed(on.pki.sign_csr(csr, subject=subject))
    assert (refused is None) is taken


async def test_too_long_a_chain_is_refused_without_an_alarm(on: Storage) -> None:
    """A02.FR.16."""
    await _with_certificate(on)
    on.settings.override(SecuritySettings.max_certificate_chain_size, 100)
    refused = await on.store.install_signed(on.pki.sign_csr(await on.store.new_signing_request(OWNER)))
    assert isinstance(refused, CertificateRefusal)
    assert refused.reason is CertificateRefusalReason.TOO_LARGE
    assert await on.reported() == []


async def test_an_answer_that_comes_twice_is_refused_without_an_alarm(on: Storage) -> None:
    await _with_certificate(on)
    signed = on.pki.sign_csr(await on.store.new_signing_request(OWNER))
    assert await on.store.install_signed(signed) is None
    refused = await on.store.install_signed(signed)
    assert isinstance(refused, CertificateRefusal)
    assert refused.reason is CertificateRefusalReason.UNASKED
    assert await on.reported() == []


async def test_the_station_s_certificate_is_not_deleted_over_ocpp(on: Storage) -> None:
    """M04.FR.06."""
    mine = await _with_certificate(on)
    refused = await on.store.delete(_hash(mine, on.pki.root), link_needs_root=False)
    assert isinstance(refused, CertificateRefusal)
    assert refused.reason is CertificateRefusalReason.IN_USE
    assert await on.store.has_valid_station_certificate()


async def test_renewal_is_due_a_month_before_the_certificate_expires(on: Storage) -> None:
    """A03.FR.02."""
    assert not await on.store.renewal_due()
    await _with_certificate(on, on.pki.station("0000001", days=60))
    assert not await on.store.renewal_due()
    on.clock.adjust(timedelta(days=31))
    assert await on.store.renewal_due()
    assert await on.store.has_valid_station_certificate()
    on.clock.adjust(timedelta(days=30))
    assert not await on.store.has_valid_station_certificate()


async def test_a_station_with_an_rsa_key_asks_for_a_certificate_of_an_rsa_key(on: Storage) -> None:
    key = rsa.generate_private_key(65537, 2048)
    pem = _self_signed(key, on)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    ).decode()
    await on.store.install_unchecked(None, secret + pem)
    request = x509.load_pem_x509_csr((await on.store.new_signing_request(OWNER)).encode())
    asked = request.public_key()
    assert isinstance(asked, rsa.RSAPublicKey)
    assert asked.key_size >= 2048
    assert request.is_signature_valid


async def test_a_first_certificate_is_used_at_once(on: Storage) -> None:
    await on.store.install_unchecked(CSMS, on.pki.root.pem)
    signed = on.pki.sign_csr(await on.store.new_signing_request(OWNER))
    assert await on.store.install_signed(signed) is None
    assert await on.store.has_valid_station_certificate()
    file = (await on.store.tls_material(client_certificate=True)).station
    assert file is not None
    assert signed in file.read_text()


# What must not shut the station out


async def test_the_replaced_root_is_not_deleted_while_the_link_rests_on_it(on: Storage) -> None:
    """M04.FR.03: its successor has not proved itself yet; the other way round nothing is lost."""
    on.check_roots()
    old = on.pki.root
    new = on.pki.make_root("new", signed_by=old)
    await on.store.install(CSMS, old.pem)
    await on.store.install(CSMS, new.pem)
    await on.store.note_connected(await on.store.tls_material(client_certificate=False, fallback_root=True))
    refused = await on.store.delete(_hash(old, old), link_needs_root=True)
    assert isinstance(refused, CertificateRefusal)
    assert refused.reason is CertificateRefusalReason.IN_USE
    assert await on.store.delete(_hash(new, old), link_needs_root=True) is None
    assert await on.names() == {_serial(old)}


async def test_a_root_that_has_worked_outlives_one_that_has_not(on: Storage) -> None:
    """M04.FR.03: else a CSMS could delete what the link rests on, with a mistyped root beside it."""
    first, second = on.pki.root, on.pki.make_root("second")
    await on.store.install(CSMS, first.pem)
    await on.store.note_connected(await on.store.tls_material(client_certificate=False))
    await on.store.install(CSMS, second.pem)
    assert isinstance(await on.store.delete(_hash(first, first), link_needs_root=True), CertificateRefusal)
    await on.store.note_connected(await on.store.tls_material(client_certificate=False))
    assert await on.store.delete(_hash(first, first), link_needs_root=True) is None


async def test_a_damaged_file_takes_no_other_root_away(on: Storage) -> None:
    first, second = on.pki.root, on.pki.make_root("second")
    await on.store.install(CSMS, first.pem)
    await on.store.install(CSMS, second.pem)
    damaged, _ = sorted((on.folder / "csms-roots").iterdir())
    damaged.write_bytes(b"\xff\x00" * 300)
    assert (await on.reopen()).count == 1
    assert (await on.store.tls_material(client_certificate=False)).roots in {first.pem, second.pem}


@pytest.mark.parametrize("damage", ["A" * 64, "é" * 64])
async def test_a_root_with_a_spoilt_line_keeps_no_other_from_being_believed(on: Storage, damage: str) -> None:
    first, second = on.pki.root, on.pki.make_root("second")
    await on.store.install(CSMS, first.pem)
    await on.store.install(CSMS, second.pem)
    damaged, whole = sorted((on.folder / "csms-roots").iterdir())
    lines = damaged.read_text(encoding="utf-8").splitlines(keepends=True)
    damaged.write_text("".join([*lines[:2], f"{damage}\n", *lines[3:]]), encoding="utf-8")
    await on.reopen()
    csms_tls_context(await on.store.tls_material(client_certificate=False))  # takes what it is given
    assert [root.public_bytes(serialization.Encoding.PEM).decode() for root in on.store.trusted_roots(CSMS)] == [
        whole.read_text(encoding="utf-8")
    ]
    assert len(await on.store.installed_roots({CSMS})) == 1
    assert await on.store.install(CSMS, on.pki.make_root("third").pem) is None


async def test_a_spoilt_root_of_the_installation_file_is_taken_from_it_again(on: Storage) -> None:
    """Else nobody would be believed any more; what the CSMS has deleted stays deleted all the same."""
    first, second = on.pki.root, on.pki.make_root("second")
    seed = ConfiguredFiles(ca_file=on.pki.file("roots.pem", first.pem + second.pem))
    await on.reopen(seed)
    assert await on.store.delete(_hash(second, second), link_needs_root=False) is None
    (file,) = (on.folder / "csms-roots").iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole.replace(whole[100:108], b"AAAAAAAA"))
    await on.reopen(seed)
    assert await on.names() == {_serial(first)}
    assert file.read_bytes() == whole


async def test_a_spoilt_issuer_beside_a_root_hides_no_other_root(on: Storage) -> None:
    first, other = on.pki.root, on.pki.make_root("other")
    await on.store.install(CSMS, first.pem)
    await on.store.install(CSMS, on.pki.make_root("second", signed_by=first).pem)
    await on.store.install(CSMS, other.pem)
    for file in (on.folder / "csms-roots").iterdir():
        text = file.read_text(encoding="utf-8")
        if text.count("BEGIN") == 2:
            head, tail = text[:-200], text[-200:]
            file.write_text(head + tail.replace(tail[:60], "A" * 60, 1), encoding="utf-8")
    await on.reopen()
    assert await on.names() == {_serial(first), _serial(other)}
    assert await on.store.delete(_hash(other, other), link_needs_root=False) is None


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
async def test_a_root_that_the_library_stumbles_over_is_refused(on: Storage, original: bytes, changed: bytes) -> None:
    """M05.FR.07."""
    der = on.pki.root.certificate.public_bytes(serialization.Encoding.DER)
    assert original in der
    body = base64.encodebytes(der.replace(original, changed)).decode()
    refused = await on.store.install(CSMS, f"-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n")
    assert isinstance(refused, CertificateRefusal)
    assert refused.reason is CertificateRefusalReason.INVALID

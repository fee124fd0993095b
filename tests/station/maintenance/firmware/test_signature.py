"""Who may sign firmware, and what counts as a signature (L01.FR.04, L01.FR.12, L01.FR.21)."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from station.maintenance.firmware.orders import decode_signature
from station.maintenance.firmware.signature import check_signing_certificate, is_signed
from tests.conformance.firmware import signer
from tests.conformance.pki import Pki

NOW = datetime.now(UTC)


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    """Certificates in a temporary folder."""
    return Pki(tmp_path)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A firmware image to sign."""
    path = tmp_path / "image"
    path.write_bytes(b"firmware" * 50_000)
    return path


@pytest.mark.parametrize("kind", ["EC", "RSA"])
def test_a_signature_holds_for_its_file_and_its_key_only(pki: Pki, image: Path, kind: str) -> None:
    root = pki.make_root("Maker")
    maker_signer, other_signer = signer(pki, root, kind=kind), signer(pki, root, kind=kind)
    signature = decode_signature(maker_signer.sign(image.read_bytes()))
    assert is_signed(image, signature, maker_signer.pem)
    assert not is_signed(image, signature, other_signer.pem)
    assert not is_signed(image, signature[:-1], maker_signer.pem)
    assert not is_signed(image, b"", maker_signer.pem)
    image.write_bytes(image.read_bytes() + b"\x00")
    assert not is_signed(image, signature, maker_signer.pem)


@pytest.mark.parametrize("salt", [0, 20, padding.PSS.MAX_LENGTH])
def test_rsa_pss_holds_with_any_salt(pki: Pki, image: Path, salt: int) -> None:
    maker_signer = signer(pki, pki.make_root("Maker"), kind="RSA")
    assert isinstance(maker_signer.key, rsa.RSAPrivateKey)
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=salt)
    assert is_signed(image, maker_signer.key.sign(image.read_bytes(), pss, hashes.SHA256()), maker_signer.pem)


def test_what_signing_tools_make_by_default_holds_too(pki: Pki, image: Path) -> None:
    maker_signer = signer(pki, pki.make_root("Maker"), kind="RSA")
    assert isinstance(maker_signer.key, rsa.RSAPrivateKey)
    assert is_signed(
        image, maker_signer.key.sign(image.read_bytes(), padding.PKCS1v15(), hashes.SHA256()), maker_signer.pem
    )
    assert not is_signed(
        image, maker_signer.key.sign(image.read_bytes(), padding.PKCS1v15(), hashes.SHA512()), maker_signer.pem
    )


def test_base64_may_be_broken_into_lines() -> None:
    signature = bytes(range(200))
    assert decode_signature(base64.encodebytes(signature).decode()) == signature
    with pytest.raises(ValueError, match="not valid base64"):
        decode_signature("!nonsense!")


def test_only_the_manufacturer_says_who_signs(pki: Pki) -> None:
    maker, other_root = pki.make_root("Maker"), pki.make_root("Stranger")
    roots = [maker.certificate]
    assert check_signing_certificate(signer(pki, maker).pem, roots, NOW) is None
    assert check_signing_certificate(signer(pki, maker).pem, [], NOW) is not None
    assert check_signing_certificate(signer(pki, other_root).pem, roots, NOW) is not None
    assert check_signing_certificate("nonsense", roots, NOW) is not None
    two = signer(pki, maker).pem + maker.pem
    assert check_signing_certificate(two, roots, NOW) is not None


def test_no_intermediate_authority_stands_between(pki: Pki) -> None:
    maker = pki.make_root("Maker")
    between = pki.make_root("Between", signed_by=maker)
    assert check_signing_certificate(signer(pki, between).pem, [maker.certificate], NOW) is not None


@pytest.mark.parametrize("days", [-1, 366])
def test_its_time_must_have_come_and_not_be_over(pki: Pki, days: int) -> None:
    maker = pki.make_root("Maker")
    moment = NOW + timedelta(days=days) - timedelta(hours=1)
    assert check_signing_certificate(signer(pki, maker).pem, [maker.certificate], moment) is not None


def test_a_certificate_that_is_not_for_signing_data_signs_no_firmware(pki: Pki) -> None:
    """A00.FR.512: the key usage extension, where there is one, says what a certificate is for."""
    maker = pki.make_root("Maker")
    like = signer(pki, maker).certificate
    usage = x509.KeyUsage(False, False, True, False, False, False, False, False, False)  # encipherment of keys
    builder = x509.CertificateBuilder(
        like.issuer,
        like.subject,
        like.public_key(),
        like.serial_number,
        like.not_valid_before_utc,
        like.not_valid_after_utc,
        [x509.Extension(x509.KeyUsage.oid, True, usage)],
    )
    certificate = builder.sign(maker.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
    assert check_signing_certificate(certificate, [maker.certificate], NOW) == "lacks the key usage digitalSignature"

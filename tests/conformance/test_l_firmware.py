"""Block L, firmware management: the Core cases of Part 6, with errata 2025-09."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.conformance import states
from tests.conformance.bench import Bench
from tests.conformance.cases import case, setup
from tests.conformance.firmware import VERSION, FileServer, Signer, image, signer, update_request
from tests.conformance.frames import Payload

_TWO_HOURS_S = 7_200.0
_OFFSET_S = 60.0
"""<Configured Install Offset Period>, <Configured Download Offset Period>"""
_SAME = object()
_FIRMWARE_EVENTS = {"FirmwareUpdated", "InvalidFirmwareSignature", "InvalidFirmwareSigningCertificate"}


@dataclass
class Manufacturer:
    """The configuration of the test system: <Configured firmware_location>, signingCertificate, signature."""

    files: FileServer
    signer: Signer
    content: bytes

    def request(
        self,
        bench: Bench,
        request_id: int,
        *,
        name: str = "firmware.bin",
        signature: Any = _SAME,
        certificate: Any = _SAME,
        retrieve_in_s: float = -_TWO_HOURS_S,
        install_in_s: float = -_TWO_HOURS_S,
    ) -> Payload:
        """The UpdateFirmwareRequest of a case; None leaves a field out."""
        times = bench.iso(retrieve_in_s), bench.iso(install_in_s)
        request = update_request(request_id, self.files.url(name), *times)
        signed = self.signer.sign(self.content) if signature is _SAME else signature
        pem = self.signer.pem if certificate is _SAME else certificate
        request["firmware"] |= {"signature": signed} if signed is not None else {}
        request["firmware"] |= {"signingCertificate": pem} if pem is not None else {}
        return request


@pytest.fixture(params=["EC", "RSA"])
def key_kind(request: pytest.FixtureRequest) -> str:
    """The kind of the signing key; tests that do not name it sign with EC."""
    return request.param


@pytest.fixture
async def maker(bench: Bench, request: pytest.FixtureRequest) -> AsyncGenerator[Manufacturer]:
    """A manufacturer whose root the station trusts, and the file server with its firmware."""
    kind = request.getfixturevalue("key_kind") if "key_kind" in request.fixturenames else "EC"
    root = bench.pki.make_root("Conformance Manufacturer Root")
    await states.certificate_installed(bench, "ManufacturerRootCertificate", root)
    content = image()
    async with FileServer({"firmware.bin": content}) as files:
        yield Manufacturer(files, signer(bench.pki, root, kind=kind), content)


# Steps


async def _firmware_status(bench: Bench, status: str, request_id: int, *, within_s: float = 60.0) -> None:
    notification = await bench.expect("FirmwareStatusNotification", within_s=within_s)
    assert notification == {"status": status, "requestId": request_id}, (status, notification)


async def _next_of(bench: Bench, *actions: str, within_s: float = 60.0) -> tuple[str, Payload]:
    """The next unread CALL among some actions: where the order between them counts."""

    def oldest() -> Any:
        return next((received for received in bench.csms.unread if received.action in actions), None)

    received = await bench.until(oldest, within_s=within_s, why=f"none of {actions}")
    bench.csms.unread.remove(received)
    return received.action, received.payload


async def _expect_download(bench: Bench, request_id: int) -> None:
    """Downloading, Downloaded, SignatureVerified."""
    await _firmware_status(bench, "Downloading", request_id)
    await _firmware_status(bench, "Downloaded", request_id)
    await _firmware_status(bench, "SignatureVerified", request_id)


async def _set_unavailable(bench: Bench, *evses: int) -> None:
    """Expect status Unavailable of these connectors, or all, before any firmware status."""
    remaining = set(evses or range(1, bench.setup.evses + 1))
    while remaining:
        action, payload = await _next_of(bench, "StatusNotification", "FirmwareStatusNotification")
        assert action == "StatusNotification", payload
        assert payload["connectorStatus"] == "Unavailable", payload
        remaining.remove(payload["evseId"])


async def _expect_installation(bench: Bench, request_id: int, *, version: str = VERSION) -> None:
    """Installing, the activating reboot, and what follows it; the boot reports the new version."""
    await _firmware_status(bench, "Installing", request_id)
    boot = await states.reboot_before_firmware_activation(bench, request_id)
    assert boot["chargingStation"]["firmwareVersion"] == version, boot
    await _firmware_status(bench, "Installed", request_id)
    await _security_event(bench, "FirmwareUpdated")
    assert not [received for received in bench.csms.unread if received.action == "FirmwareStatusNotification"]


async def _security_event(bench: Bench, kind: str) -> None:
    event = await bench.expect("SecurityEventNotification", where=lambda event: event["type"] in _FIRMWARE_EVENTS)
    assert event["type"] == kind, event


async def _expect_no_call(bench: Bench, seconds: float, *actions: str) -> None:
    """Let time pass without a CALL of these actions or a firmware status."""
    await bench.advance(seconds)
    await bench.settle()
    payloads = [
        received.payload
        for received in bench.csms.unread
        if received.action in (*actions, "FirmwareStatusNotification")
    ]
    assert payloads == []


# Cases


@case("Core", "M")
async def test_tc_l_01_cs(bench: Bench, maker: Manufacturer, key_kind: str) -> None:
    """Secure Firmware Update - Installation successful"""
    answer = await bench.call("UpdateFirmware", maker.request(bench, 0))
    assert answer["status"] == "Accepted", answer
    await _expect_download(bench, 0)
    await _set_unavailable(bench)
    await _expect_installation(bench, 0)


@pytest.mark.smoke
@case("Core", "M", "C-15")
async def test_tc_l_02_cs(bench: Bench, maker: Manufacturer) -> None:
    """Secure Firmware Update - InstallScheduled"""
    answer = await bench.call("UpdateFirmware", maker.request(bench, 2, install_in_s=_OFFSET_S))
    assert answer["status"] == "Accepted", answer
    await _expect_download(bench, 2)
    await _firmware_status(bench, "InstallScheduled", 2)
    await _expect_no_call(bench, _OFFSET_S - 10.0, "StatusNotification")
    await _set_unavailable(bench)
    await _expect_installation(bench, 2)


@case("Core", "M", "C-15")
async def test_tc_l_03_cs(bench: Bench, maker: Manufacturer) -> None:
    """Secure Firmware Update - DownloadScheduled"""
    answer = await bench.call("UpdateFirmware", maker.request(bench, 3, retrieve_in_s=_OFFSET_S))
    assert answer["status"] == "Accepted", answer
    await _firmware_status(bench, "DownloadScheduled", 3)
    await _expect_no_call(bench, _OFFSET_S - 10.0)
    assert maker.files.requested_names == []
    await _expect_download(bench, 3)
    await _set_unavailable(bench)
    await _expect_installation(bench, 3)


@case("Core", "M")
async def test_tc_l_05_cs(bench: Bench, maker: Manufacturer) -> None:
    """Secure Firmware Update - InvalidCertificate"""
    trusted = bench.pki.make_root("Conformance CSMS Root 2")  # trusted, but as a CSMS, not as a manufacturer
    await states.certificate_installed(bench, "CSMSRootCertificate", trusted)
    foreign = signer(bench.pki, trusted)
    request = maker.request(bench, 5, certificate=foreign.pem)
    answer = await bench.call("UpdateFirmware", request)
    assert answer["status"] in {"InvalidCertificate", "RevokedCertificate"}, answer
    await _security_event(bench, "InvalidFirmwareSigningCertificate")
    await _expect_no_call(bench, 20.0)
    assert maker.files.requested_names == []


@case("Core", "M")
async def test_tc_l_06_cs(bench: Bench, maker: Manufacturer) -> None:
    """Secure Firmware Update - InvalidSignature"""
    invalid = maker.signer.sign(b"something else")
    answer = await bench.call("UpdateFirmware", maker.request(bench, 6, signature=invalid))
    assert answer["status"] == "Accepted", answer
    await _firmware_status(bench, "Downloading", 6)
    await _firmware_status(bench, "Downloaded", 6)
    await _firmware_status(bench, "InvalidSignature", 6)
    await _security_event(bench, "InvalidFirmwareSignature")
    await _expect_no_call(bench, 20.0)


@case("Core", "M")
async def test_tc_l_07_cs(bench: Bench, maker: Manufacturer) -> None:
    """Secure Firmware Update - DownloadFailed"""
    answer = await bench.call("UpdateFirmware", maker.request(bench, 7, name="firmware.bin_doesNotExist"))
    assert answer["status"] == "Accepted", answer
    await _firmware_status(bench, "Downloading", 7)
    await _firmware_status(bench, "DownloadFailed", 7)
    assert set(maker.files.requested_names) == {"firmware.bin_doesNotExist"}


@case("Core", "M")
async def test_tc_l_08_cs(bench: Bench, maker: Manufacturer) -> None:
    """Secure Firmware Update - InstallVerificationFailed or InstallationFailed"""
    maker.files.files["invalid.bin"] = maker.content = image(intact=False)
    version = await bench.get_variable("ChargingStation", "FirmwareVersion")
    answer = await bench.call("UpdateFirmware", maker.request(bench, 8, name="invalid.bin"))
    assert answer["status"] == "Accepted", answer
    await _expect_download(bench, 8)
    await _set_unavailable(bench)
    await _firmware_status(bench, "Installing", 8)
    notification = await bench.expect("FirmwareStatusNotification")
    assert notification["status"] in {"InstallVerificationFailed", "InstallationFailed"}, notification
    assert notification["requestId"] == 8, notification
    await bench.expect_all_statuses("Available")  # the previous firmware keeps running
    assert await bench.get_variable("ChargingStation", "FirmwareVersion") == version
    await _expect_no_call(bench, 20.0)


@case("Core", "C", "C-60")
async def test_tc_l_10_cs(bench: Bench, maker: Manufacturer) -> None:
    """Secure Firmware Update - AcceptedCanceled"""
    maker.files.files["slow.bin"] = maker.content
    maker.files.held = {"slow.bin"}
    answer = await bench.call("UpdateFirmware", maker.request(bench, 101, name="slow.bin"))
    assert answer["status"] == "Accepted", answer
    await _firmware_status(bench, "Downloading", 101)
    answer = await bench.call("UpdateFirmware", maker.request(bench, 102))
    assert answer["status"] == "AcceptedCanceled", answer
    await _expect_download(bench, 102)
    await _set_unavailable(bench)
    await _expect_installation(bench, 102)


@case("Core", "C", "C-20 and NOT C-43 and AQ-7 and HFS-8 > 1")
@setup(evses=2)
async def test_tc_l_14_cs(bench: Bench, maker: Manufacturer) -> None:
    """
    Secure Firmware Update - Unable to install and activate firmware with ongoing transaction
    -AllowNewSessionsPendingFirmwareUpdate is true
    """
    await bench.configure("ChargingStation", "AllowNewSessionsPendingFirmwareUpdate", "true")
    await states.energy_transfer_started(bench)
    answer = await bench.call("UpdateFirmware", maker.request(bench, 14))
    assert answer["status"] == "Accepted", answer
    await _expect_download(bench, 14)
    await _firmware_status(bench, "InstallScheduled", 14)
    await states.energy_transfer_started(bench, evse_id=2)
    await states.parking_bay_unoccupied(bench)
    await _expect_no_call(bench, 20.0)
    await states.stop_authorized(bench, evse_id=2)
    await _set_unavailable(bench, 1, 2)
    await bench.disconnect_ev(evse_id=2)
    bench.new_session(2)
    await _expect_installation(bench, 14)


@case("Core", "C", "NOT C-43 and AQ-7")
@setup(evses=2)
async def test_tc_l_15_cs(bench: Bench, maker: Manufacturer) -> None:
    """
    Secure Firmware Update - Unable to install and activate firmware with ongoing transaction
    -AllowNewSessionsPendingFirmwareUpdate is false
    """
    await bench.configure("ChargingStation", "AllowNewSessionsPendingFirmwareUpdate", "false")
    await states.energy_transfer_started(bench)
    answer = await bench.call("UpdateFirmware", maker.request(bench, 15))
    assert answer["status"] == "Accepted", answer
    await _expect_download(bench, 15)
    await _firmware_status(bench, "InstallScheduled", 15)
    await _set_unavailable(bench, 2)
    await _expect_no_call(bench, 20.0)
    await states.stop_authorized(bench)
    await _set_unavailable(bench, 1)
    await bench.disconnect_ev()
    bench.new_session()
    await _expect_installation(bench, 15)


@case("Core", "M")
async def test_tc_l_18_cs(bench: Bench, maker: Manufacturer) -> None:
    """Secure Firmware Update - Missing firmware signing certificate and signature"""
    answer = await bench.call("UpdateFirmware", maker.request(bench, 18, certificate=None, signature=None))
    assert answer["status"] in {"Rejected", "InvalidCertificate"}, answer
    await _expect_no_call(bench, 20.0)
    assert maker.files.requested_names == []

"""Firmware updates of a whole station: power cuts at any status, rollback, cancellation, bad requests."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from datetime import timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from station.maintenance.firmware import firmware
from tests.conformance.firmware import VERSION, FileServer, Signer, image, signer, update_request
from tests.conformance.pki import Pki
from tests.csms import NO_ANSWER, CallErrorAnswer, Csms, Payload
from tests.walk import Walk, walking

THE_WAY = [
    "Downloading",
    "Downloaded",
    "SignatureVerified",
    "Installing",
    "InstallRebooting",
    "Installed",
]
PAST = "2020-01-01T00:00:00Z"


class Maker:
    """A manufacturer with a signing certificate and a file server."""

    def __init__(self, files: FileServer, pki: Pki) -> None:
        self.files = files
        self.root = pki.make_root("Manufacturer")
        self.signer: Signer = signer(pki, self.root)

    async def is_trusted(self, walk: Walk) -> None:
        """The station has the manufacturer's root."""
        certificate = {"certificateType": "ManufacturerRootCertificate", "certificate": self.root.pem}
        assert (await walk.csms.call("InstallCertificate", certificate))["status"] == "Accepted"

    def order(self, request_id: int, content: bytes, *, name: str = "image", **more: Any) -> Payload:
        """An UpdateFirmwareRequest for an image that is offered from now on; `more` goes into its firmware."""
        self.files.files[name] = content
        request = update_request(request_id, self.files.url(name), PAST)
        signed = {"signingCertificate": self.signer.pem, "signature": self.signer.sign(content)}
        request["firmware"] |= signed | more
        return request


@pytest.fixture
async def maker(tmp_path: Path) -> AsyncGenerator[Maker]:
    """The manufacturer."""
    async with FileServer() as files:
        yield Maker(files, Pki(tmp_path))


async def update(walk: Walk, request: Payload) -> str:
    """Order an update; the answer."""
    return str((await walk.csms.call("UpdateFirmware", request))["status"])


def statuses(walk: Walk, request_id: int) -> list[str]:
    """The statuses of an update that the CSMS has received."""
    notifications = walk.csms.received("FirmwareStatusNotification")
    return [notification["status"] for notification in notifications if notification.get("requestId") == request_id]


def events(walk: Walk) -> list[str]:
    """The security events of firmware that the CSMS has received."""
    types = [event["type"] for event in walk.csms.received("SecurityEventNotification")]
    return [kind for kind in types if "Firmware" in kind]


def at_status(csms: Csms, status: str, do: Callable[[], None]) -> None:
    """Do something once, when the CSMS receives a status, before it answers."""
    calls: list[bool] = []

    def answer(payload: Payload) -> Payload:
        if payload["status"] == status and not calls:
            calls.append(True)
            do()
        return {}

    csms.answers["FirmwareStatusNotification"] = answer


@pytest.mark.parametrize("status", THE_WAY)
async def test_an_update_goes_on_after_a_power_cut_at_any_status(tmp_path: Path, maker: Maker, status: str) -> None:
    """L01.FR.01: nothing is left out; only what was not answered may be sent twice."""
    async with walking(tmp_path / "storage") as walk:
        await walk.accepted()
        await maker.is_trusted(walk)
        cut: list[bool] = []
        at_status(walk.csms, status, lambda: cut.append(True))
        assert await update(walk, maker.order(1, image())) == "Accepted"
        await walk.until(lambda: cut)
        await walk.application.cut_power()
        await walk.application.restore_power()
        await walk.until(lambda: "Installed" in statuses(walk, 1), within_s=120.0)
        await walk.until(lambda: "FirmwareUpdated" in events(walk))
        assert [reported for reported, _ in groupby(statuses(walk, 1))] == THE_WAY
        assert walk.parts.firmware.version == VERSION
        boot = walk.csms.received("BootNotification")[-1]
        assert boot["chargingStation"]["firmwareVersion"] == VERSION
        await walk.until(lambda: walk.csms.received("StatusNotification")[-1]["connectorStatus"] == "Available")


async def test_the_power_fails_often(tmp_path: Path, maker: Maker) -> None:
    """Whatever the moment, the update comes to its end, once."""
    async with walking(tmp_path / "storage") as walk:
        await walk.accepted()
        await maker.is_trusted(walk)
        assert await update(walk, maker.order(1, image())) == "Accepted"
        for number in range(25):
            await walk.advance(0.1 * (number % 13))
            await walk.application.cut_power()
            await walk.application.restore_power()
        await walk.until(lambda: "Installed" in statuses(walk, 1), within_s=120.0)
        assert [reported for reported, _ in groupby(statuses(walk, 1))] == THE_WAY


async def test_firmware_that_does_not_come_up_is_rolled_back(tmp_path: Path, maker: Maker) -> None:
    """The boot loader goes back to what ran before; the update has failed."""
    async with walking(tmp_path / "storage") as walk:
        await walk.accepted()
        await maker.is_trusted(walk)
        before = walk.csms.received("BootNotification")[-1]["chargingStation"]["firmwareVersion"]
        assert await update(walk, maker.order(1, image(boots=False))) == "Accepted"
        await walk.until(lambda: "InstallVerificationFailed" in statuses(walk, 1), within_s=120.0)
        boot = walk.csms.received("BootNotification")[-1]
        assert (boot["reason"], boot["chargingStation"]["firmwareVersion"]) == ("FirmwareUpdate", before)
        assert statuses(walk, 1)[-2:] == ["InstallRebooting", "InstallVerificationFailed"]
        await walk.until(lambda: walk.csms.received("StatusNotification")[-1]["connectorStatus"] == "Available")
        assert events(walk) == []


async def test_a_second_update_replaces_the_first_in_the_other_slot(tmp_path: Path, maker: Maker) -> None:
    """A/B: each update goes where the running firmware is not."""
    async with walking(tmp_path / "storage") as walk:
        await walk.accepted()
        await maker.is_trusted(walk)
        for number in (1, 2, 3):
            assert await update(walk, maker.order(number, image(f"{number}.0"))) == "Accepted"
            await walk.until(lambda number=number: "Installed" in statuses(walk, number), within_s=120.0)
            assert walk.csms.received("BootNotification")[-1]["chargingStation"]["firmwareVersion"] == f"{number}.0"
        assert sorted(path.name for path in (tmp_path / "storage" / "firmware").glob("image-*")) == []


async def test_a_scheduled_installation_is_cancelled_by_the_next_order(tmp_path: Path, maker: Maker) -> None:
    """L01.FR.24: also by one for a file that does not exist, which the CSMS may use to cancel."""
    async with walking(tmp_path / "storage") as walk:
        await walk.accepted()
        await maker.is_trusted(walk)
        later = maker.order(1, image(), installDateTime="2099-01-01T00:00:00Z")
        assert await update(walk, later) == "Accepted"
        await walk.until(lambda: statuses(walk, 1)[-1:] == ["InstallScheduled"])
        missing_image = maker.order(2, b"nothing", name="gone")
        del maker.files.files["gone"]
        assert await update(walk, missing_image | {"retries": 0}) == "AcceptedCanceled"
        await walk.until(lambda: statuses(walk, 2) == ["Downloading", "DownloadFailed"])
        await walk.advance(60.0)
        assert statuses(walk, 1)[-1] == "InstallScheduled"
        assert await update(walk, maker.order(3, image())) == "Accepted"  # the last one has ended: nothing to cancel


async def test_an_update_that_is_cancelled_frees_no_evse_while_the_station_is_to_restart(
    tmp_path: Path, maker: Maker
) -> None:
    """B12, scenario 3a."""
    async with walking(tmp_path / "storage", evse=[{"id": 1}, {"id": 2}]) as walk:
        await walk.accepted()
        await maker.is_trusted(walk)
        await walk.plug()
        await walk.present()
        await walk.charging()
        assert await update(walk, maker.order(1, image())) == "Accepted"
        free = walk.parts.station.evses[2]
        await walk.until(lambda: free.connector_status == "Unavailable")
        assert (await walk.csms.call("Reset", {"type": "OnIdle"}))["status"] == "Scheduled"
        later = maker.order(2, image(), retrieveDateTime="2090-01-01T00:00:00Z")
        assert await update(walk, later) == "AcceptedCanceled"
        await walk.advance(20)
        assert free.connector_status == "Unavailable"


async def test_no_installation_begins_that_a_restart_would_interrupt(tmp_path: Path, maker: Maker) -> None:
    """B11.FR.06: it waits for the restart, although nobody charges any more."""
    csms = Csms()
    async with walking(tmp_path / "storage", csms) as walk:
        await walk.accepted()
        await maker.is_trusted(walk)
        await walk.plug()
        await walk.present()
        await walk.charging()
        assert await update(walk, maker.order(1, image())) == "Accepted"
        await walk.until(lambda: "InstallScheduled" in statuses(walk, 1))
        csms.answers["TransactionEvent"] = lambda _: NO_ANSWER  # the end is not answered: the restart waits for that
        record = walk.parts.firmware.record
        assert (await csms.call("Reset", {"type": "Immediate"}))["status"] == "Accepted"
        await walk.until(lambda: len(csms.received("BootNotification")) == 2, within_s=120.0)
        assert record.update is not None
        assert record.update.status == "InstallScheduled"
        del csms.answers["TransactionEvent"]
        await walk.until(lambda: "Installed" in statuses(walk, 1), within_s=120.0)


async def test_an_activation_cannot_be_cancelled_nor_reset(tmp_path: Path, maker: Maker) -> None:
    """L01.FR.27, B11.FR.06."""
    async with walking(tmp_path / "storage") as walk:
        await walk.accepted()
        await maker.is_trusted(walk)
        walk.csms.answers["FirmwareStatusNotification"] = lambda notification: (
            NO_ANSWER if notification["status"] == "InstallRebooting" else {}
        )
        assert await update(walk, maker.order(1, image())) == "Accepted"
        await walk.until(lambda: "InstallRebooting" in statuses(walk, 1))
        assert await update(walk, maker.order(2, image())) == "Rejected"
        answer = await walk.csms.call("Reset", {"type": "Immediate"})
        assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", "FwUpdateInProgress")
        del walk.csms.answers["FirmwareStatusNotification"]
        await walk.until(lambda: "Installed" in statuses(walk, 1), within_s=180.0)


async def test_the_download_is_tried_as_often_as_ordered(tmp_path: Path, maker: Maker) -> None:
    """L01.FR.30: `retries` more attempts, `retryInterval` apart; the file may come meanwhile."""
    async with walking(tmp_path / "storage") as walk:
        await walk.accepted()
        await maker.is_trusted(walk)
        content = image()
        request = maker.order(1, content, name="late") | {"retries": 2, "retryInterval": 30}
        del maker.files.files["late"]
        assert await update(walk, request) == "Accepted"
        await walk.until(lambda: len(maker.files.requested_names) == 1)
        await walk.advance(29.0)
        assert len(maker.files.requested_names) == 1
        await walk.until(lambda: len(maker.files.requested_names) == 2, within_s=5.0)
        maker.files.files["late"] = content
        await walk.until(lambda: "Installed" in statuses(walk, 1), within_s=120.0)
        assert len(maker.files.requested_names) == 3
        assert statuses(walk, 1) == THE_WAY


async def test_a_reset_on_idle_does_not_wait_for_the_next_attempt_to_download(tmp_path: Path, maker: Maker) -> None:
    """B11, errata 2025-09 2.14: the update goes on after it."""
    async with walking(tmp_path / "storage") as walk:
        await walk.accepted()
        await maker.is_trusted(walk)
        order = maker.order(1, content := image()) | {"retries": 100, "retryInterval": 3600}
        maker.files.files.clear()
        assert await update(walk, order) == "Accepted"
        await walk.until(lambda: maker.files.requested_names)
        await walk.advance(30)
        maker.files.files["image"] = content
        await walk.csms.call("Reset", {"type": "OnIdle"})
        await walk.until(lambda: len(walk.csms.received("BootNotification")) == 2)
        await walk.until(lambda: "Installed" in statuses(walk, 1), within_s=120.0)


async def test_an_image_beyond_the_bound_is_not_taken(tmp_path: Path, maker: Maker) -> None:
    """FirmwareCtrlr.MostBytes keeps the disk free."""
    async with walking(tmp_path / "storage") as walk:
        await walk.accepted()
        await maker.is_trusted(walk)
        await walk.set_variable("FirmwareCtrlr", "MostBytes", "100000")
        assert await update(walk, maker.order(1, image(size=200_000))) == "Accepted"
        await walk.until(lambda: statuses(walk, 1) == ["Downloading", "DownloadFailed"])
        assert maker.files.requested_names == ["image"]
        assert list((tmp_path / "storage" / "firmware").glob("image-*")) == []


async def test_a_station_that_is_configured_so_takes_unsigned_firmware(tmp_path: Path, maker: Maker) -> None:
    """L02: without certificate and signature there is nothing to verify."""
    async with walking(tmp_path / "storage", firmware={"type": "simulated", "allow_unsigned": True}) as walk:
        await walk.accepted()
        maker.files.files["image"] = image()
        assert await update(walk, update_request(1, maker.files.url("image"), PAST)) == "Accepted"
        await walk.until(lambda: "Installed" in statuses(walk, 1), within_s=120.0)
        assert statuses(walk, 1) == [status for status in THE_WAY if status != "SignatureVerified"]


async def test_unsigned_firmware_waits_for_its_date_and_then_for_the_end_of_a_charge(
    tmp_path: Path, maker: Maker
) -> None:
    """L02.FR.02, L02.FR.03, L02.FR.10, L02.FR.17, L02.FR.22."""
    async with walking(tmp_path / "storage", firmware={"type": "simulated", "allow_unsigned": True}) as walk:
        await walk.accepted()
        await walk.plug()
        await walk.present()
        await walk.charging()
        maker.files.files["image"] = image()
        order = update_request(1, maker.files.url("image"), PAST)
        order["firmware"]["installDateTime"] = (walk.csms.now() + timedelta(hours=1)).isoformat()
        assert await update(walk, order) == "Accepted"
        await walk.until(lambda: "InstallScheduled" in statuses(walk, 1))
        before = len(walk.csms.received("FirmwareStatusNotification"))
        await walk.csms.call("TriggerMessage", {"requestedMessage": "FirmwareStatusNotification"})
        await walk.until(lambda: len(walk.csms.received("FirmwareStatusNotification")) > before)
        waits = ["Downloading", "Downloaded", "InstallScheduled", "InstallScheduled"]
        assert statuses(walk, 1) == waits
        await walk.advance(4000)
        assert sum(walk.board.currents_a) > 0
        assert statuses(walk, 1) == waits
        await walk.present()
        await walk.until(lambda: "Installed" in statuses(walk, 1), within_s=120.0)
        assert statuses(walk, 1) == [*waits, "Installing", "InstallRebooting", "Installed"]


async def test_a_missing_signature_is_an_invalid_one(tmp_path: Path, maker: Maker) -> None:
    """L01, scenario 5: a certificate without a signature; also where unsigned firmware is allowed."""
    async with walking(tmp_path / "storage", firmware={"type": "simulated", "allow_unsigned": True}) as walk:
        await walk.accepted()
        await maker.is_trusted(walk)
        request = maker.order(1, image())
        del request["firmware"]["signature"]
        assert await update(walk, request) == "Accepted"
        await walk.until(lambda: statuses(walk, 1) == ["Downloading", "Downloaded", "InvalidSignature"])
        await walk.until(lambda: events(walk) == ["InvalidFirmwareSignature"])


@pytest.mark.parametrize(
    ("change", "status", "reason", "event"),
    [
        ({"location": "nonsense"}, "Rejected", "InvalidURL", None),
        ({"location": "gopher://host/image"}, "Rejected", "InvalidURL", None),
        ({"location": "http://"}, "Rejected", "InvalidURL", None),
        ({"signature": "!nonsense!"}, "Rejected", "InvalidValue", "InvalidFirmwareSignature"),
        (
            {"signingCertificate": "nonsense", "signature": "nonsense", "location": "nonsense"},
            "InvalidCertificate",
            "InvalidCertificate",
            "InvalidFirmwareSigningCertificate",
        ),
        ({"signingCertificate": ""}, "InvalidCertificate", "InvalidCertificate", "InvalidFirmwareSigningCertificate"),
        ({"signingCertificate": "", "signature": ""}, "Rejected", "MissingParam", None),
    ],
)
async def test_nonsense_is_refused_in_order(
    tmp_path: Path, maker: Maker, change: Payload, status: str, reason: str, event: str | None
) -> None:
    """The answer says why, nothing is begun, and an update under way goes on."""
    async with walking(tmp_path / "storage") as walk:
        await walk.accepted()
        await maker.is_trusted(walk)
        ongoing = maker.order(1, image(), installDateTime="2099-01-01T00:00:00Z")
        assert await update(walk, ongoing) == "Accepted"
        await walk.until(lambda: statuses(walk, 1)[-1:] == ["InstallScheduled"])
        answer = await walk.csms.call("UpdateFirmware", maker.order(2, image(), **change))
        assert (answer["status"], answer["statusInfo"]["reasonCode"]) == (status, reason)
        if event is not None:
            await walk.until(lambda: events(walk) == [event])
        await walk.advance(30.0)
        assert statuses(walk, 2) == []
        update_on_record = walk.parts.firmware.record.update
        assert update_on_record is not None
        assert update_on_record.order.request_id == 1


async def test_a_date_that_is_none_is_a_callerror(tmp_path: Path, maker: Maker) -> None:
    """The schema does not look at dates."""
    async with walking(tmp_path / "storage") as walk:
        await walk.accepted()
        request = maker.order(1, image(), retrieveDateTime="soon")
        answer = await walk.csms.request("UpdateFirmware", request)
        assert answer[0] == 4
        assert answer[2] == "PropertyConstraintViolation"


async def test_a_csms_that_takes_no_statuses_does_not_stop_an_update(tmp_path: Path, maker: Maker) -> None:
    """What is refused is not sent again."""
    async with walking(tmp_path / "storage") as walk:
        await walk.accepted()
        await maker.is_trusted(walk)
        walk.csms.answers["FirmwareStatusNotification"] = lambda _: CallErrorAnswer("NotImplemented")
        assert await update(walk, maker.order(1, image())) == "Accepted"
        await walk.until(lambda: "Installed" in statuses(walk, 1), within_s=120.0)
        assert statuses(walk, 1) == THE_WAY


async def test_statuses_of_an_update_without_a_link_are_sent_later(tmp_path: Path, maker: Maker) -> None:
    """The update does not wait for the CSMS; the CSMS hears all of it in order."""
    async with walking(tmp_path / "storage") as walk:
        await walk.accepted()
        await maker.is_trusted(walk)
        maker.files.held = {"image"}
        assert await update(walk, maker.order(1, image()) | {"retries": 5}) == "Accepted"
        await walk.until(lambda: statuses(walk, 1) == ["Downloading"])
        walk.csms.http_status = 503  # also for the station's next life, which connects again
        walk.stack.cut_network()
        maker.files.release_downloads()
        await walk.until(lambda: walk.parts.firmware.version == VERSION, within_s=300.0)
        assert statuses(walk, 1) == ["Downloading"]
        walk.csms.http_status = None
        await walk.until(lambda: "Installed" in statuses(walk, 1), within_s=300.0)
        assert statuses(walk, 1) == THE_WAY


async def test_the_status_that_a_trigger_asks_for(tmp_path: Path, maker: Maker) -> None:
    """L01.FR.25, L01.FR.26, F06.FR.16; also after a power cut."""
    async with walking(tmp_path / "storage") as walk:
        await walk.accepted()
        await maker.is_trusted(walk)

        async def triggered() -> Payload:
            before = len(walk.csms.received("FirmwareStatusNotification"))
            answer = await walk.csms.call("TriggerMessage", {"requestedMessage": "FirmwareStatusNotification"})
            assert answer["status"] == "Accepted"
            await walk.until(lambda: len(walk.csms.received("FirmwareStatusNotification")) > before)
            return walk.csms.received("FirmwareStatusNotification")[-1]

        assert await triggered() == {"status": "Idle"}
        assert await update(walk, maker.order(1, image(), signature=maker.signer.sign(b"other"))) == "Accepted"
        await walk.until(lambda: "InvalidSignature" in statuses(walk, 1))
        await walk.settle()
        await walk.application.cut_power()
        await walk.application.restore_power()
        await walk.until(lambda: len(walk.csms.received("BootNotification")) == 2)
        await walk.settle()
        assert await triggered() == {"status": "InvalidSignature", "requestId": 1}
        assert await update(walk, maker.order(2, image())) == "Accepted"
        await walk.until(lambda: "Installed" in statuses(walk, 2), within_s=120.0)
        await walk.settle()
        assert await triggered() == {"status": "Idle"}


async def test_a_download_that_fails_in_an_unforeseen_way_has_failed(
    tmp_path: Path, maker: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would be restarted for ever, and a reset on idle would wait for it."""

    async def stumble(*_: object, **__: object) -> None:
        raise OverflowError("nobody thought of this")

    monkeypatch.setattr(firmware, "download", stumble)
    async with walking(tmp_path / "storage") as walk:
        await walk.accepted()
        await maker.is_trusted(walk)
        assert await update(walk, maker.order(1, image()) | {"retries": 0}) == "Accepted"
        await walk.until(lambda: statuses(walk, 1) == ["Downloading", "DownloadFailed"])

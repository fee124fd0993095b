"""A CSMS fetches logs of a whole station, from servers over HTTP, HTTPS, FTP and SFTP (N01)."""

from __future__ import annotations

import gzip
import logging
import ssl
from pathlib import Path
from typing import Any

import pytest

from ocpp_handlers.wire import timestamps
from tests.conformance.pki import Pki
from tests.csms import NO_ANSWER, CallErrorAnswer, Csms
from tests.file_server import FileServer, serving
from tests.transfer_servers import ftp_server, sftp_server
from tests.walk import CARD, Walk, walking
from tests.walks.steps import charge


async def get_log(
    walk: Walk, url: str, *, kind: str = "DiagnosticsLog", log: dict[str, Any] | None = None, **more: Any
) -> Any:
    """Send GetLog; returns the response."""
    place: dict[str, Any] = {"remoteLocation": url} | (log or {})
    return await walk.csms.call("GetLog", {"logType": kind, "requestId": 0, "log": place} | more)


def log_statuses(walk: Walk) -> list[tuple[str, int | None]]:
    """Return status and request id of each LogStatusNotification."""
    return [
        (notification["status"], notification.get("requestId"))
        for notification in walk.csms.received("LogStatusNotification")
    ]


async def until_upload_ended(walk: Walk, status: str, *, within_s: float = 60.0) -> None:
    """Wait for the final status of an upload."""
    await walk.until(lambda: log_statuses(walk) and log_statuses(walk)[-1][0] == status, within_s=within_s)


def uploaded_content(server: FileServer) -> str:
    """Return the content of the only uploaded file, unpacked."""
    ((_, packed),) = server.files.items()
    return gzip.decompress(packed).decode()


async def test_a_diagnostics_log_is_detailed_and_has_no_secret(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """N01.FR.04; id tokens are shortened. The requestId may be 0."""
    caplog.set_level(logging.INFO)
    async with serving() as server, walking(tmp_path, csms={"password": "SecretSecretSecret"}) as walk:
        transaction = await charge(walk)
        answer = await get_log(walk, f"http://bob:hidden@127.0.0.1:{server.port}/logs/")
        assert answer["status"] == "Accepted"
        await until_upload_ended(walk, "Uploaded")
        assert log_statuses(walk) == [("Uploading", 0), ("Uploaded", 0)]
        assert list(server.files) == [f"/logs/{answer['filename']}"]
        log = uploaded_content(server)
    assert f"{transaction} #0 Started" in log
    assert '"charging_state": "Charging"' in log
    assert "TxCtrlr.EVConnectionTimeOut = " in log
    assert "station.maintenance.logs.upload" not in log.split("== Log")[0]
    assert "INFO    " in log.split("== Log")[1]
    assert CARD.value not in log
    assert "SecretSecretSecret" not in log
    assert "hidden" not in log
    assert not list((tmp_path / "uploads").iterdir())


async def test_a_log_of_a_time_of_which_there_is_none_is_rejected(tmp_path: Path) -> None:
    """N01.FR.05."""
    async with serving() as server, walking(tmp_path) as walk:
        await walk.accepted()
        for kind in ("DiagnosticsLog", "SecurityLog"):
            for log in (
                {"latestTimestamp": "2001-01-01T00:00:00Z"},
                {"oldestTimestamp": "2099-01-01T00:00:00Z"},
            ):
                answer = await get_log(walk, f"{server.url}/", kind=kind, log=log)
                assert answer["status"] == "Rejected"
                assert "filename" not in answer
        assert log_statuses(walk) == []


async def test_a_log_has_what_lies_between_its_two_moments(tmp_path: Path) -> None:
    async with serving() as server, walking(tmp_path) as walk:
        first = await charge(walk)
        await walk.present()
        await walk.until(lambda: not walk.board.locked)
        await walk.unplug()
        await walk.advance(600.0)
        between = timestamps.encode(walk.application.clock.now())
        await walk.advance(600.0)
        await walk.present()
        await walk.plug()
        await walk.charging()
        await walk.settle()
        second = walk.csms.received("TransactionEvent")[-1]["transactionInfo"]["transactionId"]
        assert (await get_log(walk, f"{server.url}/", log={"oldestTimestamp": between}))["status"] == "Accepted"
        await until_upload_ended(walk, "Uploaded")
        log = uploaded_content(server)
    events = log.split("== Transaction events")[1].split("== Log")[0]
    assert second in events
    assert first not in events


@pytest.mark.parametrize("url", ["", "nonsense", "gopher://127.0.0.1/", "http://"])
async def test_a_url_that_is_none_is_rejected(tmp_path: Path, url: str) -> None:
    async with walking(tmp_path) as walk:
        await walk.accepted()
        answer = await get_log(walk, url)
        assert answer["status"] == "Rejected"
        assert answer["statusInfo"]["reasonCode"] == "InvalidURL"


@pytest.mark.parametrize(
    ("status", "expected_status"),
    [(400, "BadMessage"), (403, "PermissionDenied"), (501, "NotSupportedOperation"), (500, "UploadFailure")],
)
async def test_a_failure_is_reported_by_its_kind(tmp_path: Path, status: int, expected_status: str) -> None:
    """N01.FR.10."""
    async with serving() as server, walking(tmp_path) as walk:
        await walk.accepted()
        server.refusals = {"PUT": status, "POST": status}
        await get_log(walk, f"{server.url}/", retries=0)
        await until_upload_ended(walk, expected_status)
        assert log_statuses(walk) == [("Uploading", 0), (expected_status, 0)]


async def test_a_csms_cannot_aim_an_upload_at_our_own_api(tmp_path: Path) -> None:
    """What only this machine may change is not changed by a file that the CSMS sends there through us."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await walk.plug()
        await walk.present()
        await walk.charging()
        own_url = f"http://127.0.0.1:{walk.web.port}/api/evses/1/stop"
        await get_log(walk, own_url, retries=0)
        await until_upload_ended(walk, "PermissionDenied")
        assert walk.evse.authorized_token is not None


async def test_an_upload_is_tried_again_until_it_succeeds(tmp_path: Path) -> None:
    async with serving() as server, walking(tmp_path) as walk:
        await walk.accepted()
        server.refusals = {"PUT": 503}
        await get_log(walk, f"{server.url}/", retries=100, retryInterval=30)
        await walk.advance(70.0)
        assert len(server.requests) == 3
        server.refusals = {}
        await until_upload_ended(walk, "Uploaded")
        assert log_statuses(walk) == [("Uploading", 0), ("Uploaded", 0)]


async def test_hostile_numbers_neither_fail_nor_flood(tmp_path: Path) -> None:
    async with serving() as server, walking(tmp_path) as walk:
        await walk.accepted()
        server.refusals = {"PUT": 503}
        answer = await get_log(walk, f"{server.url}/", retries=2**31 - 1, retryInterval=-5)
        assert answer["status"] == "Accepted"
        await walk.advance(10.0)
        assert len(server.requests) <= 11
        refused = await walk.csms.request(
            "GetLog", {"logType": "SecurityLog", "requestId": 1e300, "log": {"remoteLocation": server.url}}
        )
        assert refused[0] == 4


async def test_a_third_request_cancels_what_has_not_even_begun(tmp_path: Path) -> None:
    """N01.FR.12, N01.FR.20."""
    async with serving() as server, walking(tmp_path) as walk:
        await walk.accepted()
        server.refusals = {"PUT": 503}
        answers: list[str] = []
        for number in (1, 2, 3):
            request = {"logType": "DiagnosticsLog", "log": {"remoteLocation": f"{server.url}/"}, "requestId": number}
            answers.append((await walk.csms.call("GetLog", request | {"retryInterval": 100}))["status"])
        server.refusals = {}
        await until_upload_ended(walk, "Uploaded", within_s=200.0)
        assert answers == ["Accepted", "AcceptedCanceled", "AcceptedCanceled"]
        ends = [status_of_request for status_of_request in log_statuses(walk) if status_of_request[0] != "Uploading"]
        assert ends == [("AcceptedCanceled", 1), ("AcceptedCanceled", 2), ("Uploaded", 3)]
        assert log_statuses(walk)[-2] == ("Uploading", 3)


async def test_a_triggered_status_says_what_goes_on(tmp_path: Path) -> None:
    """F06.FR.14, F06.FR.15, N01.FR.13."""
    async with serving() as server, walking(tmp_path) as walk:
        await walk.accepted()
        server.refusals = {"PUT": 503}
        trigger = {"requestedMessage": "LogStatusNotification"}
        await walk.csms.call("TriggerMessage", trigger)
        await until_upload_ended(walk, "Idle")
        assert log_statuses(walk) == [("Idle", None)]
        await get_log(walk, f"{server.url}/", retries=5, retryInterval=60)
        await walk.until(lambda: server.requests)
        await walk.csms.call("TriggerMessage", trigger)
        await walk.until(lambda: len(log_statuses(walk)) == 3)
        assert log_statuses(walk)[1:] == [("Uploading", 0), ("Uploading", 0)]


async def test_a_csms_that_does_not_know_the_notification_gets_its_log_all_the_same(tmp_path: Path) -> None:
    csms = Csms()
    csms.answers["LogStatusNotification"] = lambda _: CallErrorAnswer("NotImplemented")
    async with serving() as server, walking(tmp_path, csms) as walk:
        await walk.accepted()
        await get_log(walk, f"{server.url}/")
        await walk.until(lambda: server.files)
        await walk.advance(3600.0)
        assert log_statuses(walk) == [("Uploading", 0), ("Uploaded", 0)]


async def test_an_upload_goes_on_without_the_link_and_its_end_is_reported_afterwards(tmp_path: Path) -> None:
    async with serving() as server, walking(tmp_path) as walk:
        await walk.accepted()
        server.refusals = {"PUT": 503}
        await get_log(walk, f"{server.url}/", retries=5, retryInterval=60)
        await walk.until(lambda: server.requests)
        walk.stack.cut_network()
        server.refusals = {}
        await walk.until(lambda: server.files, within_s=120.0)
        assert log_statuses(walk) == [("Uploading", 0)]
        walk.stack.restore_network()
        await until_upload_ended(walk, "Uploaded", within_s=120.0)


async def test_a_power_cut_leaves_no_file_behind(tmp_path: Path) -> None:
    async with serving() as server, walking(tmp_path) as walk:
        await walk.accepted()
        server.refusals = {"PUT": 503}
        await get_log(walk, f"{server.url}/", retries=5, retryInterval=60)
        await walk.until(lambda: server.requests)
        (left,) = (tmp_path / "uploads").iterdir()
        await walk.application.cut_power()
        left.write_bytes(b"as a real cut leaves it")
        await walk.application.restore_power()
        assert not list((tmp_path / "uploads").iterdir())


async def test_an_ftp_server_and_an_sftp_server_get_the_security_log(tmp_path: Path) -> None:
    """N01.FR.03."""
    folder = tmp_path / "server"
    folder.mkdir()
    async with walking(tmp_path / "station") as walk, sftp_server(folder) as sftp:
        await walk.accepted()
        with ftp_server(folder) as ftp:
            await get_log(walk, ftp.url("security-ftp.gz", "ftp"), kind="SecurityLog")
            await until_upload_ended(walk, "Uploaded")
            walk.csms.calls.clear()
        await get_log(walk, sftp.url("security-sftp.gz", "sftp"), kind="SecurityLog")
        await until_upload_ended(walk, "Uploaded")
    for name in ("security-ftp.gz", "security-sftp.gz"):
        assert "StartupOfTheDevice" in gzip.decompress((folder / name).read_bytes()).decode()


async def test_https_believes_the_root_of_the_csms(tmp_path: Path) -> None:
    """N01.FR.15."""
    pki = Pki(tmp_path)
    issued = pki.server()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki.write_pem("s.pem", issued.pem), pki.write_pem("s.key", issued.key_pem))
    root = pki.write_pem("root.pem", pki.root.pem)
    async with serving(context) as server, walking(tmp_path / "1", csms={"ca_file": str(root)}) as walk:
        await walk.accepted()
        await get_log(walk, f"{server.url}/")
        await until_upload_ended(walk, "Uploaded")
    async with serving(context) as server, walking(tmp_path / "2") as walk:
        await walk.accepted()
        await get_log(walk, f"{server.url}/", retries=0)
        await until_upload_ended(walk, "UploadFailure")


async def test_a_reset_on_idle_does_not_wait_for_the_next_attempt_to_upload(tmp_path: Path) -> None:
    """B11, errata 2025-09 2.14."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await get_log(walk, "http://127.0.0.1:1/", retries=100, retryInterval=3600)
        await walk.advance(30)
        assert (await walk.csms.call("Reset", {"type": "OnIdle"}))["status"] == "Accepted"
        await walk.until(lambda: len(walk.csms.received("BootNotification")) == 2)


@pytest.mark.parametrize("cut", [True, False])
async def test_an_upload_that_a_restart_or_a_power_cut_ends_has_failed(tmp_path: Path, cut: bool) -> None:
    """N01.FR.10."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await get_log(walk, "http://127.0.0.1:1/", requestId=7, retries=5, retryInterval=60)
        await walk.until(lambda: log_statuses(walk) == [("Uploading", 7)])
        if cut:
            await walk.application.cut_power()
            await walk.application.restore_power()
        else:
            assert (await walk.csms.call("Reset", {"type": "Immediate"}))["status"] == "Accepted"
        await walk.until(lambda: len(walk.csms.received("BootNotification")) == 2)
        await walk.until(lambda: len(log_statuses(walk)) > 1)
        await walk.application.cut_power()
        await walk.application.restore_power()
        await walk.until(lambda: len(walk.csms.received("BootNotification")) == 3)
        await walk.advance(600)
        assert log_statuses(walk) == [("Uploading", 7), ("UploadFailure", 7)]


async def test_a_csms_that_answers_no_status_gets_the_next_log_all_the_same(tmp_path: Path) -> None:
    """N01.FR.12."""
    csms = Csms()
    csms.answers["LogStatusNotification"] = lambda _: NO_ANSWER
    async with serving() as server, walking(tmp_path, csms) as walk:
        await walk.accepted()
        await get_log(walk, "http://127.0.0.1:1/", requestId=1, retries=0)
        await walk.advance(60)
        await get_log(walk, f"{server.url}/", requestId=2)
        await walk.until(lambda: server.files)

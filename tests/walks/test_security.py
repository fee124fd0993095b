"""Security events on their way to the CSMS, a new password, and network profiles, over a websocket (A01, A04, B10)."""

from __future__ import annotations

import base64
import logging
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from station.security.security_events import SecurityEventType
from tests.csms import NO_ANSWER, Answer, CallErrorAnswer, Csms, running_csms
from tests.full_disk import FullDisk
from tests.walk import Walk, configuration, powered, walking
from tests.walks.test_link import EXACT, comm

PASSWORD = "correct-horse-battery-staple"
NEW_PASSWORD = "another-horse-0123456789"
CRITICAL = (
    SecurityEventType.TAMPER_DETECTION_ACTIVATED,
    SecurityEventType.MEMORY_EXHAUSTION,
    SecurityEventType.INVALID_FIRMWARE_SIGNATURE,
)


@dataclass
class PasswordCheckingCsms(Csms):
    """A CSMS that requires a password, and records the received ones."""

    password: str | None = None
    received_passwords: list[str] = field(default_factory=list[str])

    def _refuse_handshake(self, connection: ServerConnection, request: Request) -> Response | None:
        secret = request.headers.get("Authorization", "Basic ").removeprefix("Basic ")
        password = base64.b64decode(secret).decode().partition(":")[2]
        self.received_passwords.append(password)
        if self.password is not None and password != self.password:
            return connection.respond(401, "who are you\n")
        return super()._refuse_handshake(connection, request)


def received_security_events(csms: Csms) -> list[str]:
    """Return the types of the security events that the CSMS has received."""
    return [event["type"] for event in csms.received("SecurityEventNotification")]


async def logged_security_events(walk: Walk) -> list[str]:
    """Return the entries of the security log."""
    return [event.type for event in await walk.parts.security_events.entries()]


async def report_security_events(walk: Walk, *kinds: SecurityEventType) -> None:
    """Record these security events at the station."""
    for kind in kinds:
        await walk.parts.security_events.report(kind, "info")
    await walk.settle()


# Security events (A04)


async def test_a_boot_is_reported_once_with_its_reason(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await walk.until(lambda: received_security_events(walk.csms) == ["StartupOfTheDevice"])
        await walk.csms.call("Reset", {"type": "Immediate"})
        await walk.until(lambda: len(received_security_events(walk.csms)) == 2)
        assert received_security_events(walk.csms) == ["StartupOfTheDevice", "ResetOrReboot"]


async def test_critical_events_are_reported_at_once_and_others_only_logged(tmp_path: Path) -> None:
    """A04.FR.01, A04.FR.04."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await report_security_events(walk, SecurityEventType.INVALID_MESSAGES, *CRITICAL)
        await walk.until(lambda: len(received_security_events(walk.csms)) == 4)
        assert received_security_events(walk.csms)[1:] == list(CRITICAL)
        assert await logged_security_events(walk) == ["StartupOfTheDevice", "InvalidMessages", *CRITICAL]
        event = walk.csms.received("SecurityEventNotification")[-1]
        assert event["techInfo"] == "info"
        assert event["timestamp"].endswith("Z")


async def test_events_of_an_offline_time_come_in_their_order_with_the_time_they_happened(tmp_path: Path) -> None:
    """A04.FR.02, also across a power cut."""
    async with walking(tmp_path, variable=EXACT) as walk:
        await walk.accepted()
        walk.stack.cut_network()
        happened = walk.application.clock.now()
        await report_security_events(walk, *CRITICAL)
        await walk.advance(3_600)
        await walk.application.cut_power()
        await walk.application.restore_power()
        await walk.until(lambda: len(received_security_events(walk.csms)) == 5)
        assert received_security_events(walk.csms)[1:] == [*CRITICAL, "StartupOfTheDevice"]
        moment = happened.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        assert walk.csms.received("SecurityEventNotification")[1]["timestamp"] == moment


@pytest.mark.parametrize("code", ["NotImplemented", "NotSupported"])
async def test_a_csms_that_does_not_know_the_message_is_sent_each_event_once(tmp_path: Path, code: str) -> None:
    """Neither at the next connection again, nor after a power cut; and a later event does not wait behind it."""
    csms = Csms(answers={"SecurityEventNotification": lambda _: CallErrorAnswer(code)})
    async with walking(tmp_path, csms, variable=EXACT) as walk:
        await walk.accepted()
        await report_security_events(walk, *CRITICAL)
        await walk.until(lambda: received_security_events(csms) == ["StartupOfTheDevice", *CRITICAL])
        await walk.plug()  # every other message is sent before
        await walk.until(lambda: walk.events())
        for number in (2, 3):
            csms.drop()
            await walk.until(lambda number=number: csms.connections == number and walk.stack.link.online)
        await walk.advance(600)
        assert received_security_events(csms) == ["StartupOfTheDevice", *CRITICAL]
        await walk.application.cut_power()
        await walk.application.restore_power()
        await walk.until(lambda: len(received_security_events(csms)) == 5)
        await walk.advance(600)
        assert received_security_events(csms)[4:] == ["StartupOfTheDevice"]
        assert (await logged_security_events(walk))[:4] == ["StartupOfTheDevice", *CRITICAL]


async def test_refusals_count_over_links_that_are_lost_in_between(tmp_path: Path) -> None:
    """Else a poor link would have the same event sent with each connection, and the next one wait for ever."""
    csms = Csms(answers={"SecurityEventNotification": lambda _: CallErrorAnswer("InternalError")})
    async with walking(tmp_path, csms, variable=EXACT) as walk:
        await walk.accepted()
        await walk.until(lambda: received_security_events(csms))
        await report_security_events(walk, CRITICAL[0])
        for number in (2, 3, 4):
            csms.drop()
            await walk.until(lambda number=number: csms.connections == number and walk.stack.link.online)
            await walk.settle()
        await walk.until(lambda: CRITICAL[0] in received_security_events(csms))
        assert received_security_events(csms)[:4] == ["StartupOfTheDevice"] * 3 + [CRITICAL[0]]


async def test_an_event_that_is_refused_again_and_again_makes_room_for_the_next(tmp_path: Path) -> None:
    def answer(event: dict[str, Any]) -> Answer:
        return CallErrorAnswer("InternalError") if event["type"] == CRITICAL[0] else {}

    csms = Csms(answers={"SecurityEventNotification": answer})
    rows = comm(RetryBackOffRandomRange=0)
    async with walking(tmp_path, csms, variable=rows) as walk:
        await walk.accepted()
        await report_security_events(walk, *CRITICAL)
        await walk.until(lambda: received_security_events(csms)[-1] == CRITICAL[-1], within_s=300)
        assert received_security_events(csms)[1:] == [CRITICAL[0]] * 3 + list(CRITICAL[1:])
        assert await logged_security_events(walk) == ["StartupOfTheDevice", *CRITICAL]


async def test_an_event_that_is_not_answered_is_sent_until_it_is(tmp_path: Path) -> None:
    """A04.FR.02: guaranteed delivery."""
    silences = iter([NO_ANSWER] * 8)

    def answer(event: dict[str, Any]) -> Answer:
        del event
        return next(silences, dict[str, Any]())

    csms = Csms(answers={"SecurityEventNotification": answer})
    async with walking(tmp_path, csms, csms={"message_timeout_s": 2.0}) as walk:
        await walk.accepted()
        await walk.until(lambda: len(received_security_events(csms)) == 9, within_s=1_200, step_s=5)
        assert set(received_security_events(csms)) == {"StartupOfTheDevice"}
        await report_security_events(walk, CRITICAL[0])
        await walk.until(lambda: received_security_events(csms)[-1] == CRITICAL[0])


async def test_nonsense_of_the_csms_is_logged_once_a_minute(tmp_path: Path) -> None:
    """InvalidMessages: a hostile CSMS must not wear out the flash memory."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        for number in range(20):
            await walk.csms.send_raw("nonsense")
            assert (await walk.csms.request("Reset", {"type": number}))[0] == 4
        await walk.settle()
        assert (await logged_security_events(walk)).count("InvalidMessages") == 1
        await walk.advance(61)
        assert (await walk.csms.request("Reset", {"type": "Now"}))[0] == 4
        await walk.settle()
        assert (await logged_security_events(walk)).count("InvalidMessages") == 2
        assert "InvalidMessages" not in received_security_events(walk.csms)


@pytest.mark.parametrize(("moved_s", "reported"), [(10, False), (3_600, True), (-3_600, True)])
async def test_a_clock_that_is_moved_far_is_reported(tmp_path: Path, moved_s: int, reported: bool) -> None:
    """SettingSystemTime, ClockCtrlr.TimeAdjustmentReportingThreshold."""
    async with walking(tmp_path, simulation={"follow_csms_time": True}) as walk:
        await walk.accepted()
        right = walk.csms.now
        walk.csms.now = lambda: right() + timedelta(seconds=moved_s)
        before = walk.application.clock.now()
        await walk.advance(300)  # a Heartbeat
        walk.csms.now = right
        await walk.settle()
        moved = (walk.application.clock.now() - before).total_seconds()
        assert moved == pytest.approx(300 + moved_s, abs=30)
        assert ("SettingSystemTime" in received_security_events(walk.csms)) == reported


# Passwords (A01)


async def test_a_new_password_is_used_with_the_next_connection_and_kept_and_never_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A01.FR.01, A01.FR.11, A01.FR.12, TC_A_09_CS."""
    caplog.set_level(logging.DEBUG, "ocpp")
    caplog.set_level(logging.DEBUG, "ocpp_handlers")
    caplog.set_level(logging.DEBUG, "station")
    csms = PasswordCheckingCsms(password=PASSWORD)
    async with running_csms(csms):
        config = configuration(tmp_path, csms.url, csms={"password": PASSWORD}, variable=EXACT)
        async with powered(config, csms) as walk:
            await walk.accepted()
            csms.password = NEW_PASSWORD
            await walk.set_variable("SecurityCtrlr", "BasicAuthPassword", NEW_PASSWORD)
            await walk.until(lambda: csms.connections == 2, within_s=6)
            await walk.application.cut_power()
            await walk.application.restore_power()
            await walk.until(lambda: csms.connections == 3)
            assert csms.received_passwords == [PASSWORD, NEW_PASSWORD, NEW_PASSWORD]
            assert "ReconfigurationOfSecurityParameters" in await logged_security_events(walk)
            assert NEW_PASSWORD not in str(await walk.parts.security_events.entries())
            rows = [
                row
                for row in walk.parts.variables.rows()
                if row.variable == "BasicAuthPassword" and row.component == "SecurityCtrlr"
            ]
            assert [(row.value, row.mutability) for row in rows] == [(None, "WriteOnly")]
    assert NEW_PASSWORD not in caplog.text
    assert "SetVariables" in caplog.text


async def test_a_csms_that_never_heard_of_the_new_password_still_gets_the_old_one(tmp_path: Path) -> None:
    """A01.FR.04: whose answer was lost assumes that nothing has changed."""
    csms = PasswordCheckingCsms(password=PASSWORD)
    async with running_csms(csms):
        config = configuration(tmp_path, csms.url, csms={"password": PASSWORD}, variable=EXACT)
        async with powered(config, csms) as walk:
            await walk.accepted()
            await walk.set_variable("SecurityCtrlr", "BasicAuthPassword", NEW_PASSWORD)
            await walk.until(lambda: csms.connections == 2, within_s=30)
            assert csms.received_passwords == [PASSWORD, NEW_PASSWORD, PASSWORD]
            csms.drop()
            await walk.until(lambda: csms.connections == 3)
            assert csms.received_passwords[-1] == PASSWORD
            assert "FailedToAuthenticateAtCsms" in await logged_security_events(walk)


async def test_a_csms_that_opens_the_link_and_then_closes_it_for_the_password_is_not_locked_out(tmp_path: Path) -> None:
    """It has accepted a password with its first message, not with the handshake."""

    @dataclass
    class Late(PasswordCheckingCsms):
        """A CSMS that checks the password after the handshake, and closes the connection."""

        def _refuse_handshake(self, connection: ServerConnection, request: Request) -> Response | None:
            expected_password, self.password = self.password, None
            answer = super()._refuse_handshake(connection, request)
            self.password = expected_password
            return answer

        async def _serve(self, websocket: ServerConnection) -> None:
            if self.received_passwords[-1] != self.password:
                self.connections += 1
                await websocket.close(1008, "who are you")
                return
            await super()._serve(websocket)

    csms = Late(password=PASSWORD)
    async with running_csms(csms):
        config = configuration(tmp_path, csms.url, csms={"password": PASSWORD}, variable=EXACT)
        async with powered(config, csms) as walk:
            await walk.accepted()
            await walk.set_variable("SecurityCtrlr", "BasicAuthPassword", NEW_PASSWORD)
            await walk.until(lambda: len(csms.received_passwords) == 3, within_s=60)
            assert csms.received_passwords == [PASSWORD, NEW_PASSWORD, PASSWORD]
            await walk.until(lambda: csms.connected and walk.stack.connected)
            csms.password = NEW_PASSWORD
            csms.drop()
            await walk.until(lambda: csms.received_passwords[-1] == NEW_PASSWORD and walk.stack.connected, within_s=60)


@pytest.mark.parametrize(("minimum_s", "wait_s"), [(1, 2.0), (7, 7.0)])
async def test_after_a_close_of_its_own_the_station_waits_for_the_csms_to_store_what_is_new(
    tmp_path: Path, minimum_s: int, wait_s: float
) -> None:
    """RetryBackOffWaitMinimum, and never less than 2 s."""
    csms = PasswordCheckingCsms(password=PASSWORD)
    rows = comm(RetryBackOffWaitMinimum=minimum_s, RetryBackOffRandomRange=0)
    async with running_csms(csms):
        config = configuration(tmp_path, csms.url, csms={"password": PASSWORD}, variable=rows)
        async with powered(config, csms) as walk:
            await walk.accepted()
            csms.password = NEW_PASSWORD
            await walk.set_variable("SecurityCtrlr", "BasicAuthPassword", NEW_PASSWORD)
            await walk.until(lambda: not walk.stack.connected, step_s=0.01)
            closed_s = walk.application.clock.monotonic()
            await walk.until(lambda: csms.connections == 2, step_s=0.05)
            assert wait_s - 0.1 <= walk.application.clock.monotonic() - closed_s <= wait_s + 1.0
            assert csms.received_passwords == [PASSWORD, NEW_PASSWORD]


@pytest.mark.parametrize("text", ["short", "x" * 65, "0123456789abcdef\n", ""])
async def test_a_password_that_may_not_be_one_changes_nothing(tmp_path: Path, text: str) -> None:
    """TC_A_10_CS."""
    csms = PasswordCheckingCsms(password=PASSWORD)
    async with running_csms(csms):
        config = configuration(tmp_path, csms.url, csms={"password": PASSWORD}, variable=EXACT)
        async with powered(config, csms) as walk:
            await walk.accepted()
            item = {
                "component": {"name": "SecurityCtrlr"},
                "variable": {"name": "BasicAuthPassword"},
                "attributeValue": text,
            }
            answer = await csms.call("SetVariables", {"setVariableData": [item]})
            assert answer["setVariableResult"][0]["attributeStatus"] == "Rejected"
            await walk.advance(30)
            assert csms.connections == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_not_followed(tmp_path: Path, status: int) -> None:
    """The password belongs to the address that was configured, and to no other."""

    @dataclass
    class Redirecting(Csms):
        location: str = ""

        def _refuse_handshake(self, connection: ServerConnection, request: Request) -> Response | None:
            response = connection.respond(status, "over there\n")
            response.headers["Location"] = self.location
            return response

    async with (
        running_csms(PasswordCheckingCsms()) as redirect_target,
        running_csms(Redirecting(location=redirect_target.url)) as csms,
    ):
        assert isinstance(redirect_target, PasswordCheckingCsms)
        config = configuration(tmp_path, csms.url, csms={"password": PASSWORD}, variable=EXACT)
        async with powered(config, csms) as walk:
            await walk.advance(60)
            assert not walk.stack.connected
            assert redirect_target.received_passwords == []
            assert walk.stack.last_error is not None
            assert str(status) in walk.stack.last_error


async def test_a_link_that_the_station_closes_itself_is_no_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ocpp_handlers.connection")
    csms = PasswordCheckingCsms(password=PASSWORD)
    async with running_csms(csms):
        config = configuration(tmp_path, csms.url, csms={"password": PASSWORD}, variable=EXACT)
        async with powered(config, csms) as walk:
            await walk.accepted()
            csms.password = NEW_PASSWORD
            await walk.set_variable("SecurityCtrlr", "BasicAuthPassword", NEW_PASSWORD)
            await walk.until(lambda: csms.connections == 2, within_s=6)
            await walk.until(lambda: walk.stack.connected)
            assert "connection to the CSMS closed by the station: the CSMS has set a new password" in caplog.messages
            assert [record.getMessage() for record in caplog.records if record.levelno > logging.INFO] == []
            csms.drop()
            await walk.until(lambda: csms.connections == 3, within_s=60)
            assert any("connection to the CSMS lost" in message for message in caplog.messages)


# Network profiles (B09, B10)


async def test_a_network_profile_that_the_disk_does_not_take_has_failed(tmp_path: Path, disk: FullDisk) -> None:
    """B09.FR.03."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        with disk.refusing("'network'"):
            answer = await set_network_profile(walk.csms, 2, "ws://elsewhere/", securityProfile=0)
        assert answer == {"status": "Failed", "statusInfo": {"reasonCode": "OutOfStorage"}}
        assert set(walk.parts.network.slots) == {1}


async def set_network_profile(csms: Csms, slot: int, url: str, **changed: Any) -> dict[str, Any]:
    """Send SetNetworkProfile; returns the response."""
    data = {
        "messageTimeout": 30,
        "ocppCsmsUrl": url,
        "ocppInterface": "Wired0",
        "ocppTransport": "JSON",
        "ocppVersion": "OCPP20",
        "securityProfile": 1,
    }
    return await csms.call("SetNetworkProfile", {"configurationSlot": slot, "connectionData": {**data, **changed}})


@pytest.mark.parametrize(
    "changed",
    [
        {"ocppTransport": "SOAP"},
        {"securityProfile": 5},
        {"messageTimeout": 0},
        {"apn": {"apn": "iot", "apnPassword": "apn-secret-1", "apnAuthentication": "PAP"}},
        {"vpn": {"server": "h", "user": "u", "password": "vpn-secret-2", "key": "vpn-secret-3", "type": "IPSec"}},
    ],
)
async def test_what_the_station_cannot_do_is_refused_and_secrets_in_it_are_not_logged(
    tmp_path: Path, changed: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """B09.FR.02, A01.FR.12."""
    caplog.set_level(logging.DEBUG, "ocpp")
    async with running_csms() as csms:
        config = configuration(tmp_path, csms.url, csms={"password": PASSWORD})
        async with powered(config, csms) as walk:
            await walk.accepted()
            answer = await set_network_profile(csms, 2, "ws://other/ocpp", **changed)
            assert answer["status"] == "Rejected"
            assert answer["statusInfo"]["reasonCode"] == "InvalidNetworkConf"
    assert "SetNetworkProfile" in caplog.text
    assert "-secret-" not in caplog.text


async def test_another_csms_is_asked_for_its_consent_without_a_reboot(tmp_path: Path) -> None:
    """B10.FR.03, B10.FR.10: the first is lost, the second in the order takes over and hears a BootNotification."""
    async with running_csms() as first, running_csms() as second:
        config = configuration(tmp_path, first.url, csms={"password": PASSWORD}, variable=EXACT)
        async with powered(config, first) as walk:
            second.now = first.now
            await walk.accepted()
            assert (await set_network_profile(first, 2, second.url, messageTimeout=7))["status"] == "Accepted"
            await walk.set_variable("OCPPCommCtrlr", "NetworkConfigurationPriority", "1,2")
            await walk.application.cut_power()
            await walk.application.restore_power()
            await walk.until(lambda: len(first.received("BootNotification")) == 2)
            assert second.connections == 0
            first.http_status = 503
            first.drop()
            await walk.until(lambda: second.received("StatusNotification"), within_s=200)
            assert len(second.received("BootNotification")) == 1
            assert walk.stack.url == second.url
            assert walk.parts.network.active == 2
            assert walk.parts.network.message_timeout_s == 7
            second.http_status = 503
            first.http_status = None
            second.drop()
            await walk.until(lambda: len(first.received("BootNotification")) == 3, within_s=400)
            assert len(first.received("StatusNotification")) == 3


async def test_no_boot_is_reported_to_the_same_csms_where_there_was_none(tmp_path: Path) -> None:
    """Part 4 §5.3."""
    async with walking(tmp_path, variable=EXACT) as walk:
        await walk.accepted()
        for _ in range(3):
            count = walk.csms.connections
            walk.csms.drop()
            await walk.until(lambda count=count: walk.csms.connections > count)
        await walk.advance(30)
        assert len(walk.csms.received("BootNotification")) == 1

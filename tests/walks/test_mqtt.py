"""The link to an MQTT broker, with a real one: it gets the reasons, it sends limits, and it may be gone."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import socket
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from energy.grid import GridSample, MeterTariff
from energy.tariff import ChargePlan, TariffMode
from simulator.vehicle import VehicleModel
from station.core.model import Fault
from tests.patience import PATIENCE_S
from tests.patience import until as until_real
from tests.walk import Walk, walking
from tests.walks.visit import visiting

_BROKER = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
pytestmark = pytest.mark.skipif(_BROKER is None, reason="the broker mosquitto is not installed")
ROOT = "borne/BORNE-TEST"


def _free_port() -> int:
    with socket.socket() as free_socket:
        free_socket.bind(("127.0.0.1", 0))
        return free_socket.getsockname()[1]


@contextlib.asynccontextmanager
async def broker(folder: Path, port: int) -> AsyncGenerator[None]:
    """A mosquitto of its own, until the end."""
    file = folder / "mosquitto.conf"
    file.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n", encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        str(_BROKER), "-c", str(file), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        await until_real(lambda: _accepts(port))
        yield
    finally:
        process.terminate()
        await process.wait()


async def _accepts(port: int) -> bool:
    """Whether somebody listens at a port."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


class Peer:
    """A home automation at the same broker."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self.client = client
        self.payloads: dict[str, str] = {}
        self.discovered: dict[str, str] = {}
        """by topic: the last message of the discovery of Home Assistant"""

    async def listen(self) -> None:
        """Store the last payload of each topic."""
        await self.client.subscribe(f"{ROOT}/#")
        await self.client.subscribe("homeassistant/#")
        async for message in self.client.messages:
            if str(message.topic).startswith("homeassistant/"):
                self.discovered[str(message.topic)] = bytes(message.payload).decode()
                continue
            self.payloads[str(message.topic).removeprefix(f"{ROOT}/")] = bytes(message.payload).decode()

    async def order(self, topic: str, payload: object) -> None:
        """Ask for a limit."""
        text = payload if isinstance(payload, str) else json.dumps(payload)
        await self.client.publish(f"{ROOT}/{topic}", text, qos=1)

    def state(self) -> dict[str, Any]:
        """The published state of EVSE 1."""
        return json.loads(self.payloads["evse/1/state"])

    def reason(self) -> dict[str, Any]:
        """The published reason for the offer of EVSE 1."""
        return json.loads(self.payloads["evse/1/reason"])

    def limit_a(self, setter: str) -> float | None:
        """The limit that a setter has published, in amperes; None as long as there is none."""
        limit: dict[str, Any] | None = json.loads(self.payloads[f"limit/{setter}"])
        return limit["current_a"] if limit is not None else None


async def until(walk: Walk, condition: Callable[[], object]) -> None:
    """The broker's time is real, the station's is not."""

    def met() -> bool:
        with contextlib.suppress(KeyError):
            return bool(condition())
        return False

    await walk.advance(0.1)
    await until_real(met, meanwhile=lambda: walk.advance(0.1))


@contextlib.asynccontextmanager
async def peering(port: int) -> AsyncGenerator[Peer]:
    """A peer that listens."""
    async with aiomqtt.Client("127.0.0.1", port) as client:
        peer = Peer(client)
        listening = asyncio.create_task(peer.listen())
        try:
            yield peer
        finally:
            listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listening


async def test_the_broker_gets_the_reason_and_sends_limits(tmp_path: Path) -> None:
    port = _free_port()
    mqtt = {"host": "127.0.0.1", "port": port}
    async with broker(tmp_path, port), peering(port) as peer, walking(tmp_path, mqtt=mqtt) as walk:
        await walk.accepted()
        await until(walk, lambda: peer.payloads["online"] == "true")
        await walk.plug(phases=3)
        await walk.present()
        await until(walk, lambda: peer.reason()["offered_a"] == 32.0)
        assert peer.reason()["reason"]["source"] == "hardware"
        await peer.order("limit/user/set", {"current_a": 10, "for_s": 30, "by": "solar"})
        await until(walk, lambda: peer.reason()["offered_a"] == 10.0)
        assert peer.reason()["reason"]["words"] == "the owner's limit (solar)"
        await until(walk, lambda: peer.limit_a("user") == 10.0)
        await peer.order("limit/operator/set", {"power_w": 4200})
        await until(walk, lambda: peer.reason()["offered_a"] == 6.0)
        assert peer.reason()["reason"]["source"] == "grid-operator"
        await peer.order("limit/operator/set", "")
        await until(walk, lambda: peer.reason()["offered_a"] in {10.0, 32.0})
        await walk.advance(31)
        await until(walk, lambda: peer.reason()["offered_a"] == 32.0)
        await until(walk, lambda: peer.payloads["limit/user"] == "null")


async def test_status_log_broker_and_csms_give_one_reason(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One object for all of them; the CSMS has its own word for who limits, and the state that it leads to (K11)."""
    caplog.set_level("INFO")
    port = _free_port()
    mqtt = {"host": "127.0.0.1", "port": port}
    async with (
        broker(tmp_path, port),
        peering(port) as peer,
        walking(tmp_path, mqtt=mqtt) as walk,
        visiting(walk) as api,
    ):
        await walk.accepted()
        await until(walk, lambda: peer.payloads["online"] == "true")
        await walk.plug(phases=3)
        await walk.present()
        await until(walk, lambda: peer.reason()["offered_a"] == 32.0)
        await walk.advance(3)
        await peer.order("limit/operator/set", {"current_a": 4, "for_s": 600})
        await until(walk, lambda: peer.reason()["offered_a"] == 0.0)
        reason = peer.reason()["reason"]
        assert (reason["source"], reason["current_a"]) == ("grid-operator", 4.0)
        assert reason["next_change"] is not None
        assert reason == (await api.evse())["limit"] == (await api.get("/api/load-management"))["reasons"]["1"]
        message = f"EVSE 1 may draw 0.0 A: {reason['source']}, {reason['words']}"
        assert message in [record.getMessage() for record in caplog.records]
        await until(walk, lambda: walk.csms.received("NotifyChargingLimit"))
        assert walk.csms.received("NotifyChargingLimit")[-1]["chargingLimit"]["chargingLimitSource"] == "SO"
        await until(walk, lambda: walk.events()[-1]["transactionInfo"]["chargingState"] == "SuspendedEVSE")
        assert walk.events()[-1]["triggerReason"] == "ChargingStateChanged"


@pytest.mark.parametrize("payload", ["{", "[]", "1", '{"amps": 3}', '{"current_a": -1}', "[" * 990, "x" * 1001])
async def test_an_order_that_makes_no_sense_changes_nothing_and_is_answered(tmp_path: Path, payload: str) -> None:
    port = _free_port()
    mqtt = {"host": "127.0.0.1", "port": port}
    async with broker(tmp_path, port), peering(port) as peer, walking(tmp_path, mqtt=mqtt) as walk:
        await until(walk, lambda: peer.payloads["online"] == "true")
        await peer.order("limit/user/set", payload)
        await until(walk, lambda: peer.payloads["limit/user/error"])
        assert walk.parts.load.limits.shared == {}
        await peer.order("limit/somebody/set", {"current_a": 6})
        await peer.order("limit/user/set", {"current_a": 16})
        await until(walk, lambda: peer.payloads["limit/user/error"] == "")
        assert list(walk.parts.load.limits.shared) == ["user"]


async def test_a_broker_that_comes_late_or_is_gone_for_a_while_is_found_again(tmp_path: Path) -> None:
    port = _free_port()
    mqtt = {"host": "127.0.0.1", "port": port}
    async with walking(tmp_path, mqtt=mqtt) as walk:
        await walk.accepted()
        for _ in range(2):
            async with broker(tmp_path, port), peering(port) as peer:
                await until(walk, lambda peer=peer: peer.payloads["online"] == "true")
                await until(walk, lambda peer=peer: peer.reason())
            await walk.advance(5)
        await walk.plug(phases=3)
        await walk.present()
        await walk.charging()


async def test_an_order_that_the_broker_kept_does_not_come_back_with_each_connection(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    port = _free_port()
    mqtt = {"host": "127.0.0.1", "port": port}
    async with broker(tmp_path, port), peering(port) as peer:
        for topic, order in (("limit/user/set", '{"current_a": 0}'), ("pause/set", "ON")):
            await peer.client.publish(f"{ROOT}/{topic}", order, qos=1, retain=True)
        async with walking(tmp_path, mqtt=mqtt) as walk:
            await until(walk, lambda: "limit/user/set: retained command ignored" in caplog.text)
            await until(walk, lambda: "pause/set: retained command ignored" in caplog.text)
            assert walk.parts.load.limits.shared == {}
            await peer.client.publish(f"{ROOT}/limit/user/set", '{"current_a": 9}', qos=1, retain=True)  # now it is new
            await until(walk, lambda: "user" in walk.parts.load.limits.shared)


CONFIG = "homeassistant/device/borne_BORNE-TEST/config"


async def test_home_assistant_finds_every_topic_that_is_announced_to_it(tmp_path: Path) -> None:
    port = _free_port()
    mqtt = {"host": "127.0.0.1", "port": port}
    async with broker(tmp_path, port), peering(port) as peer, walking(tmp_path, mqtt=mqtt) as walk:
        await until(walk, lambda: peer.payloads["pause"] == "OFF")
        await until(walk, lambda: peer.discovered[CONFIG])
        device = json.loads(peer.discovered[CONFIG])
        for part in device["components"].values():
            if "state_topic" in part:
                await until(walk, lambda part=part: peer.payloads[part["state_topic"].removeprefix(f"{ROOT}/")])
        assert device["device"]["serial_number"] == "0001"
        assert peer.payloads[device["availability"][0]["topic"].removeprefix(f"{ROOT}/")] == "true"


async def test_what_an_evse_does_is_published_as_it_happens(tmp_path: Path) -> None:
    port = _free_port()
    mqtt = {"host": "127.0.0.1", "port": port}
    async with broker(tmp_path, port), peering(port) as peer, walking(tmp_path, mqtt=mqtt) as walk:
        await until(walk, lambda: peer.state()["status"] == "Available")
        await until(walk, lambda: json.loads(peer.payloads["light"])["colour"] == "green")
        await walk.plug(phases=3)
        await walk.present()
        await until(walk, lambda: peer.state()["charging_state"] == "Charging")
        await until(walk, lambda: (peer.state()["power_w"] or 0) > 20_000)
        assert peer.state()["current_a"] == pytest.approx(32.0, abs=0.5)
        await until(walk, lambda: peer.state()["energy_wh"] > 0)
        assert peer.state()["reason"] == peer.reason()["reason"]["words"]
        await until(walk, lambda: json.loads(peer.payloads["light"])["reason"] == "charging")


async def test_a_charge_is_paused_and_resumed_from_home_assistant(tmp_path: Path) -> None:
    port = _free_port()
    mqtt = {"host": "127.0.0.1", "port": port}
    async with broker(tmp_path, port), peering(port) as peer, walking(tmp_path, mqtt=mqtt) as walk:
        await until(walk, lambda: peer.payloads["pause"] == "OFF")
        await walk.plug(phases=3)
        await walk.present()
        await walk.charging()
        await peer.order("pause/set", "ON")
        await until(walk, lambda: peer.payloads["pause"] == "ON")
        await until(walk, lambda: peer.reason()["offered_a"] == 0.0)
        await peer.order("pause/set", "OFF")
        await until(walk, lambda: peer.payloads["pause"] == "OFF")
        await until(walk, lambda: peer.reason()["offered_a"] == 32.0)
        await peer.order("limit/user/set", {"current_a": 10})
        await until(walk, lambda: peer.reason()["offered_a"] == 10.0)
        await peer.order("pause/set", "OFF")
        await peer.order("pause/set", "perhaps")
        await walk.advance(5)
        await until(walk, lambda: peer.reason()["offered_a"] == 10.0)
        assert "user" in walk.parts.load.limits.shared, "to end a pause ends no limit"
        await peer.order("pause/set", "RESUME")
        await until(walk, lambda: peer.reason()["offered_a"] == 32.0)


async def test_the_owners_limit_holds_again_after_a_pause_and_both_outlive_a_restart(tmp_path: Path) -> None:
    port = _free_port()
    mqtt = {"host": "127.0.0.1", "port": port}
    async with broker(tmp_path, port), peering(port) as peer, walking(tmp_path, mqtt=mqtt) as walk:
        await until(walk, lambda: peer.payloads["pause"] == "OFF")
        await peer.order("limit/user/set", {"current_a": 10, "lasting": True, "by": "Home Assistant"})
        await until(walk, lambda: peer.limit_a("user") == 10.0)
        assert json.loads(peer.payloads["limit/user"])["until"] is None
        await peer.order("pause/set", "ON")
        await until(walk, lambda: peer.payloads["pause"] == "ON")
        await walk.application.cut_power()
        await walk.application.restore_power()
        await walk.accepted()
        await until(walk, lambda: peer.payloads["pause"] == "ON")
        assert walk.parts.load.limits.shared["user"].current_a == 0.0
        await peer.order("limit/user/set", {"current_a": 12, "lasting": True})
        await walk.advance(1)
        assert peer.payloads["pause"] == "ON", "another limit ends no pause"
        await peer.order("pause/set", "OFF")
        await until(walk, lambda: peer.limit_a("user") == 12.0)
        await walk.application.cut_power()
        await walk.application.restore_power()
        await walk.accepted()
        await until(walk, lambda: walk.parts.load.limits.shared["user"].current_a == 12.0)
        await peer.order("pause/set", "ON")
        await until(walk, lambda: peer.payloads["pause"] == "ON")
        await peer.order("pause/set", "RESUME")
        await until(walk, lambda: peer.payloads["limit/user"] == "null")


async def test_an_order_that_is_not_understood_is_logged_once_and_answered(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    port = _free_port()
    mqtt = {"host": "127.0.0.1", "port": port}
    async with broker(tmp_path, port), peering(port) as peer, walking(tmp_path, mqtt=mqtt) as walk:
        await until(walk, lambda: peer.payloads["pause"] == "OFF")
        await peer.order("limit/user/set", "current = 6")
        await until(walk, lambda: peer.payloads["limit/user/error"].startswith("the command is not valid JSON: "))
        for _ in range(3):
            await peer.order("pause/set", b"\xff".decode("latin-1"))
        await until(walk, lambda: peer.payloads["pause/error"] == "the command must be ON, OFF or RESUME")
        await peer.order("evse/1/charge-now/set", "PRESS")
        await until(
            walk,
            lambda: peer.payloads["evse/1/charge-now/error"] == "no charge is in progress or authorized at this EVSE",
        )
        await peer.order("evse/7/charge-now/set", "PRESS")
        await until(walk, lambda: peer.payloads["error"] == "'evse/7/charge-now/set': unknown topic")
        await peer.order("limit/somebody/set", {"current_a": 6})
        await until(walk, lambda: peer.payloads["error"] == "'limit/somebody/set': unknown topic")
        await peer.order("pause/set", "OFF")
        await until(walk, lambda: peer.payloads["pause/error"] == "")
        assert caplog.text.count("pause/error: the command must be ON, OFF or RESUME") == 1
        assert "evse/1/charge-now/error: no charge is in progress or authorized at this EVSE" in caplog.text


async def test_charge_now_overrides_the_waiting_for_cheap_hours(tmp_path: Path) -> None:
    port = _free_port()
    mqtt = {"host": "127.0.0.1", "port": port}
    async with broker(tmp_path, port), peering(port) as peer, walking(tmp_path, mqtt=mqtt) as walk:
        await until(walk, lambda: peer.payloads["pause"] == "OFF")
        await walk.parts.load.plans.change(1, ChargePlan(TariffMode.OFF_PEAK))
        tariff = walk.parts.load.tariff
        tariff.process_sample(GridSample(walk.application.clock.now(), tariff=MeterTariff(off_peak=False)))
        await peer.order("evse/1/charge-now/set", "PRESS")
        await peer.order("evse/7/charge-now/set", "PRESS")
        await walk.plug(phases=3)
        await walk.present()
        await until(walk, lambda: peer.reason()["reason"]["source"] == "tariff")
        assert peer.reason()["offered_a"] == 0.0, "it was pressed before anybody charged"
        await peer.order("evse/1/charge-now/set", "PRESS")
        await until(walk, lambda: peer.reason()["offered_a"] == 32.0)


async def test_no_discovery_is_sent_where_it_is_switched_off_and_what_was_sent_is_removed(
    tmp_path: Path,
) -> None:
    port = _free_port()
    mqtt = {"host": "127.0.0.1", "port": port}
    async with broker(tmp_path, port), peering(port) as peer:
        async with walking(tmp_path / "on", mqtt=mqtt) as walk:
            await until(walk, lambda: peer.discovered[CONFIG])
        async with walking(tmp_path / "off", mqtt=mqtt | {"discovery": False}) as walk:
            await until(walk, lambda: peer.discovered[CONFIG] == "")


async def test_a_station_that_is_stopped_says_that_it_is_not_online_any_more(tmp_path: Path) -> None:
    """The broker keeps what was published last, and carries no will out for one who says goodbye."""
    port = _free_port()
    async with broker(tmp_path, port), peering(port) as peer:
        async with walking(tmp_path, mqtt={"host": "127.0.0.1", "port": port}) as walk:
            await walk.accepted()
            await until(walk, lambda: peer.payloads["online"] == "true")
        async with aiomqtt.Client("127.0.0.1", port) as late, asyncio.timeout(PATIENCE_S):
            await late.subscribe(f"{ROOT}/online")
            assert (await anext(late.messages)).payload == b"false"


async def test_an_unknown_key_that_is_no_text_is_answered_and_ends_no_connection(tmp_path: Path) -> None:
    port = _free_port()
    mqtt = {"host": "127.0.0.1", "port": port}
    async with broker(tmp_path, port), peering(port) as peer, walking(tmp_path, mqtt=mqtt) as walk:
        await walk.accepted()
        await until(walk, lambda: peer.payloads["online"] == "true")
        await peer.order("limit/user/set", '{"\\ud800": 1}')
        await until(walk, lambda: "is not a known key" in peer.payloads["limit/user/error"])


async def test_a_plus_in_the_identity_is_written_as_a_topic_can_hold_it(tmp_path: Path) -> None:
    port = _free_port()
    mqtt = {"host": "127.0.0.1", "port": port}
    async with broker(tmp_path, port), aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe("borne/GATE%2B1/online")
        async with walking(tmp_path, mqtt=mqtt, station={"identity": "GATE+1"}) as walk:
            hearing = asyncio.create_task(anext(client.messages))
            await until(walk, hearing.done)
            assert (await hearing).payload == b"true"


async def test_events_of_monitors_and_faults_are_published_once(tmp_path: Path) -> None:
    """They are of the moment: not kept by the broker."""
    port = _free_port()
    mqtt = {"host": "127.0.0.1", "port": port}
    async with broker(tmp_path, port), peering(port) as peer, walking(tmp_path, mqtt=mqtt) as walk:
        await walk.accepted()
        await until(walk, lambda: peer.payloads["online"] == "true")
        walk.board.raise_fault(Fault.GROUND_FAULT)
        await until(walk, lambda: "device-event" in peer.payloads)
        device_event = json.loads(peer.payloads["device-event"])
        assert (device_event["component"], device_event["evse"], device_event["variable"], device_event["value"]) == (
            "RCD",
            1,
            "Tripped",
            "true",
        )
        assert device_event["notification_type"] == "HardWiredNotification"
        async with peering(port) as late:
            await until(walk, lambda: "online" in late.payloads)
            assert "device-event" not in late.payloads


async def test_a_display_with_an_output_of_type_mqtt_is_published_and_others_are_not(tmp_path: Path) -> None:
    port = _free_port()
    mqtt = {"host": "127.0.0.1", "port": port}
    display = {"evses": [2], "output": [{"type": "mqtt", "evse": 2}]}
    evses = [{"id": 1}, {"id": 2}]
    async with (
        broker(tmp_path, port),
        peering(port) as peer,
        walking(tmp_path, mqtt=mqtt, display=display, evse=evses, reader=[{"type": "simulated"}]) as walk,
    ):
        await walk.accepted()

        def texts() -> list[str]:
            return [line["text"] for line in json.loads(peer.payloads["evse/2/display"])["lines"]]

        await until(walk, lambda: texts() == ["Ready to charge", "Present your card."])
        walk.world.boards[2].plug(VehicleModel())
        await until(walk, lambda: texts()[0] == "Plugged in")
        assert "display" not in peer.payloads


async def test_a_station_stops_even_if_the_broker_answers_at_that_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before Python 3.12, `asyncio.wait_for` returns as if nothing were when it is cancelled at that moment."""
    publish, lost = aiomqtt.Client.publish, list[str]()

    async def answered_at_the_stop(client: aiomqtt.Client, topic: str, *arguments: Any, **options: Any) -> None:
        if topic == f"{ROOT}/light" and not lost:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            lost.append(topic)
        else:
            await publish(client, topic, *arguments, **options)

    monkeypatch.setattr(aiomqtt.Client, "publish", answered_at_the_stop)
    port = _free_port()
    async with broker(tmp_path, port), peering(port) as peer, asyncio.timeout(PATIENCE_S):
        async with walking(tmp_path, mqtt={"host": "127.0.0.1", "port": port}) as walk:
            await walk.accepted()
            await until(walk, lambda: peer.payloads["online"] == "true" and peer.state())
            assert not lost
        assert lost
        await walk.application.wait_until_ended()

"""Publishes limits and states to an MQTT broker, and receives limits and other commands from it.

Topics below `{topic}/{identity}/`, where `%2B` replaces a `+` in the identity, which topics may not contain:
- `evse/{id}/reason` (retained): the limit that applies, as in the API, the offered current, and if the limit is that of
  the house connection, its explanation as in the API;
- `evse/{id}/state` (retained): status, charging state, current, power and energy, the offer and its reason in words,
  and what a vehicle that communicates wants;
- `evse/{id}/charge-now/set`: charge without waiting for low prices; any payload;
- `light` (retained): colour, pattern and reason of the status light;
- `display` and `evse/{id}/display` (retained): what a display shows, as in the API, if it has an output of type "mqtt";
- `pause` (retained) and `pause/set`: ON pauses all charging until OFF, after which the owner's limit applies again;
  RESUME ends the pause and the owner's limit;
- `grid` (retained): the current of the house connection, its limit, and the current of the house without the EVSEs;
- `online` (retained, with a last will): true or false, also when the station is stopped;
- `limit/operator/set` and `limit/user/set`: `{"current_a": 10, "for_s": 600}` or `{"power_w": 4200}`; an empty payload
  removes the limit; with `"lasting": true` in place of `for_s` it applies until it is removed;
- `limit/{operator|user}` (retained): the limit that applies, or null;
- `limit/{…}/error`, `pause/error`, `evse/{id}/charge-now/error` (retained): why the last command was rejected; empty if
  it was accepted;
- `device-event`: each event of a monitor or fault, as in `GET /api/device-events`; those that occur while the broker is
  away are not published;
- `error` (retained): why a command on an unknown topic was rejected.

A retained command is ignored: the broker would send it again at each connection, when it is outdated.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import ssl
from collections import deque
from typing import TYPE_CHECKING

from aiomqtt import Client, MqttError, Will

from energy.grid_explanation import explanation_to_json
from energy.limit import LimitSource, limit_to_json, tightest
from foundation.frozen import Frozen
from foundation.supervision import raise_lost_cancellation
from station.core.screen import screen_to_json
from station.interfaces.monitoring_report import event_to_json
from station.interfaces.mqtt.home_assistant import discovery_message, discovery_topic
from station.interfaces.status_light import light_to_json
from station.load.shared_limits import LimitSetter, parse_limit_request
from station.storage.database import StorageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from energy.limit import Limit
    from foundation.clock import Clock
    from foundation.events import Event
    from foundation.supervision import AuxiliaryCalls
    from station.charging.evse import Evse
    from station.configuration.network_tables import MqttConfig
    from station.display.display_message import DisplayAddress
    from station.display.display_screens import PublishedDisplays
    from station.interfaces.mqtt.home_assistant import DiscoveryDevice
    from station.interfaces.status_light import StatusLight
    from station.load.load_management import LoadManagement
    from station.load.shared_limits import SharedLimits
    from station.maintenance.monitoring.monitor import MonitoringEvent

_log = logging.getLogger(__name__)

_PUBLISH_EVERY_S = 10.0
"""interval of slowly changing values; decisions are published at once"""
_OFFLINE_TIMEOUT_S = 1.0
"""timeout of the last message, so that a slow broker does not delay the stop of the station"""
_MAX_WAITING_EVENTS = 200
"""device events that wait for the broker"""
_LONGEST_COMMAND = 1000
_LONGEST_TOPIC = 100
_LONGEST_STATE = 255
"""characters of a state in Home Assistant"""


class PublishedState(Frozen):
    """What the broker receives of charging."""

    evses: Mapping[int, Evse]
    load: LoadManagement
    device_events: Event[MonitoringEvent]


class PublishedIndicators(Frozen):
    """What drivers see at the station, which the broker receives too."""

    light: StatusLight
    displays: PublishedDisplays


class MqttBridge:
    """Publishes the state of a station to one broker, and applies commands from it. Auxiliary."""

    def __init__(
        self,
        config: MqttConfig,
        device: DiscoveryDevice,
        state: PublishedState,
        indicators: PublishedIndicators,
        limits: SharedLimits,
        clock: Clock,
        auxiliary: AuxiliaryCalls,
    ) -> None:
        self._config = config
        self._evses = state.evses
        self._load = state.load
        self._limits = limits
        self._light = indicators.light
        self._device_events = state.device_events
        self._displays = indicators.displays
        self._clock = clock
        self._auxiliary = auxiliary
        self._device = device
        self._root = f"{config.topic}/{device.identity.replace('+', '%2B')}"
        self._publish_now = asyncio.Event()
        self._published: dict[str, str] = {}
        self._logged_retained: set[str] = set()
        """topics for which an ignored retained command has been logged"""

    def publish_display(self, display: DisplayAddress) -> None:
        """Publish the screen of a display at once, if it is one of those to publish; returns at once."""
        if display in self._displays.addresses:
            self._publish_now.set()

    async def run(self) -> None:
        """Connect, publish, and apply commands until cancelled or the link fails.

        Raises:
            OSError: the broker cannot be reached, or the link is lost.
        """
        config = self._config
        try:
            async with Client(
                config.host,
                config.port,
                username=config.user,
                password=config.password.get_secret_value() if config.password is not None else None,
                tls_context=_create_tls_context() if config.tls else None,
                will=Will(f"{self._root}/online", "false", qos=1, retain=True),
            ) as client:
                _log.info("MQTT broker %s: connected", config.host)
                self._published.clear()
                for orders in ("limit/+/set", "pause/set", "evse/+/charge-now/set"):
                    await client.subscribe(f"{self._root}/{orders}", qos=1)
                    raise_lost_cancellation()
                await self._publish_discovery(client)
                await self._publish(client, "online", "true")
                try:
                    await self._run_tasks(client)
                except asyncio.CancelledError:
                    await self._publish_offline(client)
                    raise
        except MqttError as error:
            raise ConnectionError(f"MQTT broker {config.host}: {error}") from error
        except ExceptionGroup as group:
            mqtt_errors = group.subgroup(MqttError)
            if mqtt_errors is None or mqtt_errors.exceptions != group.exceptions:
                raise
            raise ConnectionError(f"MQTT broker {config.host}: {mqtt_errors.exceptions[0]}") from group

    async def _run_tasks(self, client: Client) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._receive_commands(client), name="mqtt-orders")
            group.create_task(self._publish_reasons(client), name="mqtt-reasons")
            group.create_task(self._watch_decisions(), name="mqtt-decisions")
            group.create_task(self._publish_device_events(client), name="mqtt-device-events")
            for evse in self._evses.values():
                group.create_task(self._watch_evse(evse), name=f"mqtt-evse-{evse.id}")

    async def _publish_offline(self, client: Client) -> None:
        """Publish `online` false: the broker does not send the last will after a regular disconnect."""
        with contextlib.suppress(MqttError):
            await client.publish(f"{self._root}/online", "false", qos=1, retain=True, timeout=_OFFLINE_TIMEOUT_S)

    async def _receive_commands(self, client: Client) -> None:
        async for message in client.messages:
            payload, topic = bytes(message.payload), str(message.topic).removeprefix(f"{self._root}/")
            if message.retain:
                if topic not in self._logged_retained:
                    self._logged_retained.add(topic)
                    _log.warning("MQTT: %s: retained command ignored; publish commands without retain", topic)
                continue
            await self._apply_command(client, topic, payload)

    async def _apply_command(self, client: Client, topic: str, payload: bytes) -> None:
        """Apply a command; a rejected command changes nothing, and the reason is published on its error topic."""
        error_topic = f"{topic.removesuffix('/set')}/error"
        try:
            match topic.split("/"):
                case ["limit", "operator" | "user" as name, "set"]:
                    await self._set_limit(LimitSetter(name), payload)
                case ["pause", "set"]:
                    await self._set_pause(payload)
                case ["evse", number, "charge-now", "set"] if (evse := self._find_evse(number)) is not None:
                    self._charge_now(evse)
                case _:
                    error_topic = "error"
                    raise ValueError(f"{topic[:_LONGEST_TOPIC]!a}: unknown topic")
        except ValueError as error:
            await self._reject_command(client, error_topic, str(error))
        except StorageError as error:
            _log.error("MQTT: %s: the command could not be stored: %s", topic, error)
        else:
            await self._publish(client, error_topic, "")
        await self._publish_limits(client)

    async def _reject_command(self, client: Client, error_topic: str, reason: str) -> None:
        """Publish why a command is rejected; a repeated reason is logged as a warning only once."""
        repeats = self._published.get(error_topic) == reason
        _log.log(logging.DEBUG if repeats else logging.WARNING, "MQTT: command rejected: %s: %s", error_topic, reason)
        await self._publish(client, error_topic, reason)

    async def _set_limit(self, setter: LimitSetter, payload: bytes) -> None:
        if len(payload) > _LONGEST_COMMAND:
            raise ValueError(f"the command is longer than {_LONGEST_COMMAND} bytes")
        if payload.strip():
            await self._limits.set_limit(setter, parse_limit_request(_parse_json(payload)))
        else:
            await self._limits.clear_limit(setter)

    async def _set_pause(self, order: bytes) -> None:
        limits = self._limits
        match order.strip():
            case b"ON":
                await limits.pause()
            case b"OFF":
                await limits.resume()
            case b"RESUME":
                await limits.clear_limit(LimitSetter.USER)
            case _:
                raise ValueError("the command must be ON, OFF or RESUME")

    def _find_evse(self, number: str) -> Evse | None:
        return next((evse for evse in self._evses.values() if str(evse.id) == number), None)

    def _charge_now(self, evse: Evse) -> None:
        """Let the authorized charge at an EVSE proceed without waiting for low prices; authorizes nothing."""
        if evse.state.authorization is None:
            raise ValueError("no charge is in progress or authorized at this EVSE")
        self._load.tariff.ignore_tariff(evse.id)
        self._load.decisions.request()

    async def _publish_discovery(self, client: Client) -> None:
        """Publish the discovery message of Home Assistant, or remove it; before any state is published."""
        topic = discovery_topic(self._config.discovery_prefix, self._device.identity)
        text = json.dumps(discovery_message(self._device, self._root)) if self._config.discovery else ""
        await _send(client, topic, text, retain=True)

    async def _watch_evse(self, evse: Evse) -> None:
        """Publish at once when the status of an EVSE changes; meter values follow at the interval."""
        published: object = None
        while True:
            change_count = evse.changed.count
            status = (evse.connector_status, evse.state.charging_state)
            if status != published:
                published = status
                self._publish_now.set()
            await evse.changed.wait(change_count)

    async def _watch_decisions(self) -> None:
        """Publish at once when load management has changed a limit."""
        changed = self._load.decisions.limits_changed
        while True:
            change_count = changed.count
            self._publish_now.set()
            await changed.wait(change_count)

    async def _publish_device_events(self, client: Client) -> None:
        """Publish each event from now on; of a burst that the broker is too slow for, the newest ones."""
        waiting: deque[MonitoringEvent] = deque(maxlen=_MAX_WAITING_EVENTS)
        arrived = asyncio.Event()

        def queue_event(event: MonitoringEvent) -> None:
            waiting.append(event)
            arrived.set()

        with contextlib.ExitStack() as subscription:
            subscription.callback(self._auxiliary.subscribe(self._device_events, queue_event))
            while True:
                await arrived.wait()
                arrived.clear()
                while waiting:
                    text = json.dumps(event_to_json(waiting.popleft()))
                    await _send(client, f"{self._root}/device-event", text, retain=False)

    async def _publish_reasons(self, client: Client) -> None:
        grid = self._load.grid
        while True:
            for evse in self._evses.values():
                reason = tightest(evse.limits)
                explained = grid.explain(evse.id) if _is_grid(reason) else None
                reasons = {
                    "offered_a": evse.offered_a,
                    "reason": limit_to_json(reason) if reason is not None else None,
                    "grid_explanation": explanation_to_json(explained) if explained is not None else None,
                }
                await self._publish(client, f"evse/{evse.id}/reason", json.dumps(reasons))
                await self._publish(client, f"evse/{evse.id}/state", json.dumps(_state_to_json(evse, reason)))
            await self._publish(client, "light", json.dumps(light_to_json(self._light.station)))
            for display in self._displays.addresses:
                topic = "display" if display.evse_id is None else f"evse/{display.evse_id}/display"
                screen = screen_to_json(self._displays.screens.current(display))
                await self._publish(client, topic, json.dumps(screen, ensure_ascii=False))
            if (sample := grid.last_sample) is not None:
                values = {
                    "currents_a": list(sample.currents_a),
                    "limit_a": grid.limit_a,
                    "house_a": list(grid.house_currents_a),
                }
                await self._publish(client, "grid", json.dumps(values))
            await self._publish_limits(client)
            await self._wait_to_publish()

    async def _wait_to_publish(self) -> None:
        """Wait until something has to be published at once, or the interval is over."""
        due = self._clock.call_later(_PUBLISH_EVERY_S, self._publish_now.set)
        await self._publish_now.wait()
        self._publish_now.clear()
        due.cancel()

    async def _publish_limits(self, client: Client) -> None:
        limits = self._limits.to_json()
        for setter in LimitSetter:
            await self._publish(client, f"limit/{setter}", json.dumps(limits.get(setter)))
        await self._publish(client, "pause", "ON" if self._limits.paused else "OFF")

    async def _publish(self, client: Client, topic: str, text: str) -> None:
        """Publish a text if it differs from the last one on its topic."""
        if self._published.get(topic) != text:
            await _send(client, f"{self._root}/{topic}", text, retain=True)
            self._published[topic] = text


async def _send(client: Client, topic: str, text: str, *, retain: bool) -> None:
    """Publish a text, and raise a cancellation that arrived at the moment of the acknowledgement: aiomqtt loses it."""
    await client.publish(topic, text, qos=1, retain=retain)
    raise_lost_cancellation()


def _is_grid(reason: Limit | None) -> bool:
    return reason is not None and reason.source is LimitSource.GRID


def _state_to_json(evse: Evse, reason: Limit | None) -> dict[str, object]:
    """The state of an EVSE for a home automation; unknown values are null."""
    reading, vehicle = evse.meter.latest, evse.vehicle_details.current
    drawn = [abs(current_a) for current_a in reading.currents_a if current_a is not None] if reading else []
    return {
        "status": evse.connector_status.value,
        "charging_state": evse.state.charging_state.value,
        "current_a": max(drawn, default=None),
        "offered_a": evse.offered_a,
        "reason": reason.source_text[:_LONGEST_STATE] if reason is not None else None,
        "power_w": reading.power_w if reading else None,
        "energy_wh": reading.energy_import_wh if reading else None,
        "vehicle_wants_wh": vehicle.needs.energy_wh if vehicle.needs is not None else None,
        "vehicle_departs_at": vehicle.departs_at.isoformat() if vehicle.departs_at is not None else None,
        "vehicle_soc_percent": round(100 * vehicle.soc) if vehicle.soc is not None else None,
    }


def _parse_json(payload: bytes) -> object:
    """Parse the JSON value of a command.

    Raises:
        ValueError: it is not JSON; carries the position.
    """
    try:
        return json.loads(payload)
    except ValueError as error:
        raise ValueError(f"the command is not valid JSON: {error}") from error
    except RecursionError:
        raise ValueError("the command is not valid JSON: nested too deeply") from None


def _create_tls_context() -> ssl.SSLContext:
    return ssl.create_default_context()

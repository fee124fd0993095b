"""Tells an MQTT broker why which current is offered, and takes limits from it.

Below `{topic}/{identity}/`:
- `evse/{id}/reason` (retained): the limit that binds, as in the API, and what is offered;
- `grid` (retained): what the house draws; `online` (retained, with a last will): true or false;
- `limit/operator/set` and `limit/user/set`: `{"current_a": 10, "for_s": 600}` or `{"power_w": 4200}`; empty: no limit;
- `limit/{operator|user}` (retained): what holds; `limit/{…}/error`: why the last order was refused.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING

from energy.limit import told
from station.database import StorageError
from station.shared_limits import Setter, checked

if TYPE_CHECKING:
    import ssl

    from aiomqtt import Client

    from station.config import MqttConfig
    from station.life import Life

_log = logging.getLogger(__name__)

_TELL_EVERY_S = 10.0
"""of what changes slowly; what is decided is told at once"""
_LONGEST_ORDER = 1000


class Mqtt:
    """The link to one broker. Auxiliary: it may fail all day; limits that came through it end by their time-out."""

    def __init__(self, config: MqttConfig, identity: str, life: Life) -> None:
        self._config = config
        self._life = life
        self._root = f"{config.topic}/{identity}"
        self._told: dict[str, str] = {}

    async def run(self) -> None:
        """Connect, tell and listen; ends with the broker's error, for whoever restarts it.

        Raises:
            OSError: the broker cannot be reached, or is gone.
        """
        from aiomqtt import Client, MqttError, Will

        config = self._config
        try:
            async with Client(
                config.host,
                config.port,
                username=config.user,
                password=config.password.get_secret_value() if config.password is not None else None,
                tls_context=_tls() if config.tls else None,
                will=Will(f"{self._root}/online", "false", qos=1, retain=True),
            ) as client:
                _log.info("MQTT broker %s: connected", config.host)
                self._told.clear()
                await client.subscribe(f"{self._root}/limit/+/set", qos=1)
                await self._tell(client, "online", "true")
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._listen(client), name="mqtt-orders")
                    group.create_task(self._keep_telling(client), name="mqtt-reasons")
        except MqttError as error:
            raise ConnectionError(f"MQTT broker {config.host}: {error}") from error
        except ExceptionGroup as group:
            known = group.subgroup(MqttError)
            if known is None or known.exceptions != group.exceptions:
                raise
            raise ConnectionError(f"MQTT broker {config.host}: {known.exceptions[0]}") from group

    async def _listen(self, client: Client) -> None:
        async for message in client.messages:
            name = str(message.topic).removeprefix(f"{self._root}/limit/").removesuffix("/set")
            await self._obey(client, name, bytes(message.payload))

    async def _obey(self, client: Client, name: str, payload: bytes) -> None:
        """An order of somebody; one that cannot be understood changes nothing."""
        try:
            setter = Setter(name)
        except ValueError:
            return
        try:
            if len(payload) > _LONGEST_ORDER:
                raise ValueError(f"longer than {_LONGEST_ORDER} bytes")
            if payload.strip():
                await self._life.shared_limits.put(setter, checked(json.loads(payload)))
            else:
                await self._life.shared_limits.clear(setter)
            await self._tell(client, f"limit/{name}/error", "")
        except (ValueError, RecursionError) as error:
            _log.warning("MQTT: the limit of %s is refused: %s", name, error)
            await self._tell(client, f"limit/{name}/error", str(error) or "cannot be read")
        except StorageError as error:
            _log.error("MQTT: the limit of %s is not saved: %s", name, error)
        await self._tell_limits(client)

    async def _keep_telling(self, client: Client) -> None:
        load = self._life.load
        while True:
            for evse in self._life.station.evses.values():
                reason = load.reasons[evse.id]
                shown = {"offered_a": evse.offered_a, "reason": told(reason) if reason is not None else None}
                await self._tell(client, f"evse/{evse.id}/reason", json.dumps(shown))
            if (sample := load.controller.last_sample) is not None:
                grid = {"currents_a": list(sample.currents_a), "limit_a": load.controller.grid_limit_a}
                await self._tell(client, "grid", json.dumps(grid))
            await self._tell_limits(client)
            await load.decided.wait_at_most(self._life.clock, _TELL_EVERY_S)

    async def _tell_limits(self, client: Client) -> None:
        shown = self._life.shared_limits.shown()
        for setter in Setter:
            await self._tell(client, f"limit/{setter}", json.dumps(shown.get(setter)))

    async def _tell(self, client: Client, topic: str, text: str) -> None:
        """Publish what has changed."""
        if self._told.get(topic) != text:
            await client.publish(f"{self._root}/{topic}", text, qos=1, retain=True)
            self._told[topic] = text


def _tls() -> ssl.SSLContext:
    import ssl

    return ssl.create_default_context()

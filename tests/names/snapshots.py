"""Every name by which others know this program, as lines of text: what is stored, sent, shown, configured and called.

Each function gives the lines of one file beside this one. `test_names.py` compares them; a name that is meant to change
is changed by `python -m tests.names.snapshots`, and the difference of the files is what a reviewer looks at.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import json
import re
import socket
import sqlite3
import sys
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Final, cast

import aiomqtt
from prometheus_client.parser import text_string_to_metric_families
from pydantic import TypeAdapter

from borne.cli import COMMANDS, GROUPS
from energy.charging_profile import ChargingProfile
from foundation.table import given_values
from foundation.table_model import table_model
from metering.journal_entry import JournalEvent
from ocpp_handlers.variables.variable import Variable
from simulator.clock import VirtualClock
from station.billing.price import Bill, PriceList
from station.charging.reservations.reservation import Reservation, ReservationEnd
from station.configuration.installation_file import Configuration
from station.core.invalid_messages import InvalidMessage, InvalidMessageCounts
from station.core.model import IdTokenInfo, TransactionEvent
from station.core.sampling import MeterValue
from station.core.setting_kinds import Setting
from station.display.display_message import DisplayMessage
from station.interfaces.mqtt import mqtt
from station.interfaces.mqtt.home_assistant import DiscoveryDevice, discovery_message, discovery_topic
from station.maintenance.firmware.state import FirmwareStatus, UpdateOrder
from station.maintenance.logs.upload import UploadStatus
from station.maintenance.monitoring.monitor import Monitor, MonitoringEvent
from station.security.security_events import SecurityEventType
from tests import project
from tests.command_line import invoke
from tests.csms import Csms, running_csms
from tests.databases import open_database
from tests.stored.make import all_settings, visiting
from tests.stored.storage import DATABASE, all_stored, station_configuration
from tests.stored.test_stored import kinds_of_facts, revived
from tests.walk import Walk, powered
from tests.walks.house import House
from tests.walks.test_mqtt import Peer, broker, until

HERE: Final = Path(__file__).parent
Lines = list[str]


# What is stored


def database() -> Lines:
    """Tables, columns, indices and triggers, as all migrations together make them."""

    async def made(folder: Path) -> Lines:
        async with open_database(folder / DATABASE, VirtualClock()):
            pass
        with contextlib.closing(sqlite3.connect(folder / DATABASE)) as opened:
            ((version,),) = opened.execute("PRAGMA user_version")
            rows = opened.execute(
                "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'"
                " ORDER BY type, name"
            ).fetchall()
            columns = [
                f"column {name}.{column[1]} {column[2]}"
                for kind, name, _ in rows
                if kind == "table"
                for column in opened.execute(f"PRAGMA table_info({name})")
            ]
        others = [f"{kind} {name}: {' '.join(sql.split())}" for kind, name, sql in rows if kind != "table"]
        return [f"version {version}", *columns, *others]

    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(made(Path(folder)))


STORED_JSON: Final[Mapping[str, object]] = {
    "events.payload, awaited_ends.payload": TransactionEvent,
    "ended_samples.payload": MeterValue,
    "charging_profiles.payload": ChargingProfile,
    "reservations.payload": Reservation,
    "display_messages.payload": DisplayMessage,
    "firmware_updates.payload": UpdateOrder,
    "authorization_cache.info": IdTokenInfo,
    "local_list.info": IdTokenInfo,
    "transactions.prices, facts prices/*": PriceList,
    "transactions.bill": Bill,
    "monitors.monitor": Monitor,
    "monitoring_events.event": MonitoringEvent,
}
STORED_WORDS: Final[tuple[type[Enum], ...]] = (
    JournalEvent,
    SecurityEventType,
    FirmwareStatus,
    UploadStatus,
    ReservationEnd,
)


def payloads() -> Lines:
    """The fields of what is stored as JSON, with their types and words; and the words of other columns."""
    lines: Lines = []
    for place, kind in STORED_JSON.items():
        adapter: TypeAdapter[object] = TypeAdapter(kind)
        lines.append(f"[{place}]")
        lines += sorted(_fields(adapter.json_schema(mode="serialization"), ""))
    for words in STORED_WORDS:
        lines += [f"[{words.__name__}]", *sorted(str(word.value) for word in words)]
    return lines


def _fields(schema: Any, path: str, root: Any = None, resolved: tuple[str, ...] = ()) -> Iterator[str]:
    """The paths of a JSON schema, each with what may stand there; names of definitions are left out."""
    root = schema if root is None else root
    if (name := schema.get("$ref", "").rpartition("/")[2]) != "":
        if name in resolved:
            yield f"{path}: as above"
            return
        yield from _fields(root["$defs"][name], path, root, (*resolved, name))
        return
    for alternative in schema.get("allOf", []):
        yield from _fields(alternative, path, root, resolved)
    kinds = schema.get("anyOf", schema.get("oneOf"))
    if kinds is not None:
        for alternative in kinds:
            yield from _fields(alternative, path, root, resolved)
        return
    if "enum" in schema or "const" in schema:
        for word in schema.get("enum", [schema.get("const")]):
            yield f"{path} = {json.dumps(word, ensure_ascii=False)}"
        return
    for key, inner in schema.get("properties", {}).items():
        yield from _fields(inner, f"{path}.{key}" if path else key, root, resolved)
    if isinstance(extra := schema.get("additionalProperties"), dict):
        yield from _fields(extra, f"{path}.*", root, resolved)
    for place, inner in enumerate(schema.get("prefixItems", [])):
        yield from _fields(inner, f"{path}[{place}]", root, resolved)
    if "items" in schema and isinstance(schema["items"], dict):
        yield from _fields(schema["items"], f"{path}[]", root, resolved)
    if (kind := schema.get("type")) not in {None, "object", "array"}:
        bounds = {
            key: schema[key]
            for key in ("format", "pattern", "minimum", "exclusiveMinimum", "maximum", "minLength", "maxLength")
            if key in schema
        }
        # Python keeps one of two equal annotations, with bounds of 0 or of 0.0, by the order of imports.
        bounds = "".join(
            f" {key}={value:.12g}" if isinstance(value, float) else f" {key}={value}" for key, value in bounds.items()
        )
        yield f"{path}: {kind}{bounds}"


def facts() -> Lines:
    """The kinds of facts."""
    return sorted(kinds_of_facts())


def files() -> Lines:
    """The files of the storage directory, and the keys of those that are JSON, in the fixture of this release."""
    stored = all_stored()[-1]
    lines: set[str] = set()
    for file in sorted((stored.folder / "files").rglob("*")):
        if file.is_dir():
            continue
        name = re.sub(r"[0-9a-f]{40,}", "*", str(file.relative_to(stored.folder / "files")))
        lines.add(name)
        if file.suffix in {".json", ".jsonl"}:
            for text in (
                file.read_text(encoding="utf-8").splitlines() if file.suffix == ".jsonl" else [file.read_text()]
            ):
                lines |= {f"{name}: {path}" for path in _paths(json.loads(text), "")}
    with tempfile.TemporaryDirectory() as folder:
        stored.restore(Path(folder))
        with contextlib.closing(sqlite3.connect(Path(folder) / DATABASE)) as opened:
            for name, text in opened.execute("SELECT name, value FROM facts"):
                kind = str(name).partition("/")[0]
                with contextlib.suppress(ValueError):
                    lines |= {f"fact {kind}: {path}" for path in _paths(json.loads(text), "")}
    return sorted(lines)


def settings() -> Lines:
    """The settings: name, kind, default, bounds and words."""

    def line(setting: Setting[Any]) -> str:
        usual = setting.format(setting.default)
        properties = [f"default {usual!r}", f"bounds {setting.bounds}"] + (
            [f"of {','.join(setting.choices)}"] * bool(setting.choices)
        )
        return f"{setting.name}: {type(setting).__name__}, {', '.join(properties)}"

    return sorted(line(setting) for setting in all_settings())


# What is configured and called


def configuration_keys() -> Lines:
    """The keys of the installation file, with their types, words and bounds."""
    return sorted(set(_fields(table_model(Configuration).model_json_schema(), "")))


def environment() -> Lines:
    """The environment variables that the program reads, besides those that stand for keys of the installation file."""
    found: set[str] = set()
    for file in project.modules().values():
        if "environ" not in file.read_text(encoding="utf-8"):
            continue
        whole = list(project.nodes_of(file))
        texts = {node.value for node in whole if isinstance(node, ast.Constant) and isinstance(node.value, str)}
        ours = {node.id for node in whole if isinstance(node, ast.Name)}  # what __all__ names
        found |= {text for text in texts - ours if re.fullmatch(r"[A-Z]+(?:_[A-Z]*)+", text)}
    return sorted(found)


def command_line() -> Lines:
    """How each command is called: its arguments and options, as its usage says."""
    named = [(name,) for name in COMMANDS if name not in GROUPS]
    named += [(group, name) for group, inner in GROUPS.items() for name in inner]
    return ["borne --version", *sorted(_usage(*words) for words in [*named, ("fleet", "init"), ("meter", "probe")])]


def _usage(*command: str) -> str:
    usage = invoke([*command, "--help"]).stdout.partition("\n\n")[0]
    return " ".join(usage.removeprefix("usage: ").split())


# What is shown and sent


def home_assistant() -> Lines:
    """The message by which Home Assistant knows the station."""
    device = DiscoveryDevice("ID", "vendor", "model", "serial", "version", [1, 2], 32.0)
    message = json.dumps(discovery_message(device, "root/ID"), indent=1, sort_keys=True, ensure_ascii=False)
    return [discovery_topic("homeassistant", "ID"), *message.splitlines()]


def mqtt_orders() -> Lines:
    """The fixed topics in the source of the MQTT interface.

    These are the commands that it subscribes to, and `online` and `error`, which it publishes.
    """
    tree = ast.parse(Path(mqtt.__file__).read_text(encoding="utf-8"))
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return sorted(text for text in texts if re.fullmatch(r"[a-z+/-]+/set|[a-z-]+/error|error|online", text))


async def mqtt_topics() -> Lines:
    """The topics that are published, with the keys of what is said there; needs the broker mosquitto."""
    with tempfile.TemporaryDirectory() as place:
        folder, port = Path(place), _free_port()
        stored = all_stored()[-1]
        async with broker(folder, port), running_csms(Csms()) as csms:
            stored.restore(folder / "storage", csms.port)
            made = station_configuration(folder / "storage", csms.url)
            config = Configuration.from_tree(
                given_values(made) | {"mqtt": {"host": "127.0.0.1", "port": port}, "csms": {"url": csms.url}}
            )
            async with powered(config, csms, at=stored.ended_at) as walk, aiomqtt.Client("127.0.0.1", port) as client:
                peer = Peer(client)
                async with asyncio.TaskGroup() as group:
                    listening = group.create_task(peer.listen())
                    await _run_house(walk)
                    await until(walk, lambda: peer.payloads["grid"] and peer.payloads["evse/3/state"])
                    await peer.order("limit/user/set", "nonsense")
                    await until(walk, lambda: peer.payloads["limit/user/error"])
                    listening.cancel()
    lines: set[str] = set()
    for topic, text in peer.payloads.items():
        if topic.endswith("/set"):
            continue  # our own order
        name = re.sub(r"/\d+/", "/{id}/", topic)
        lines.add(name)
        with contextlib.suppress(ValueError):
            lines |= {f"{name}: {path}" for path in _paths(json.loads(text), "")}
    return sorted(lines)


def _free_port() -> int:
    with socket.socket() as server_socket:
        server_socket.bind(("127.0.0.1", 0))
        return int(server_socket.getsockname()[1])


async def _run_house(walk: Walk) -> None:
    await House(walk).live(2)


async def device_model() -> Lines:
    """The components and variables of OCPP, with their instances, attributes, types and words."""
    async with _fixture() as walk:
        return sorted({_variable(variable) for variable in walk.device_model})


def _variable(variable: Variable) -> str:
    place = variable.component
    level = "@evse" * (place.evse_id is not None) + "@connector" * (place.connector_id is not None)
    component_name = place.name + (f"[{place.instance}]" if place.instance else "") + level
    variable_name = variable.name + (f"[{variable.instance}]" if variable.instance else "")
    words = f" of {','.join(variable.description.values)}" if variable.description.values else ""
    unit = f" in {variable.description.unit}" if variable.description.unit else ""
    data_type, mutability = variable.description.data_type.value, variable.mutability.value
    return f"{component_name} {variable_name}: {variable.attribute.value} {data_type} {mutability}{unit}{words}"


async def metrics() -> Lines:
    """The metrics of /metrics, with their types, labels, and the words of labels that name kinds of things."""
    async with _fixture() as walk, visiting(walk) as api:
        await _run_house(walk)
        invalid = walk.parts.parts.get(InvalidMessageCounts)
        invalid.add(InvalidMessage("Heartbeat", sent=True))
        walk.invalid_messages += invalid.counts()
        text = (await api.client.get("/metrics")).text
    lines: set[str] = set()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            lines.add(f"{sample.name} {family.type} {{{','.join(sorted(sample.labels))}}}")
            words = {label: word for label, word in sample.labels.items() if label in {"status", "fault", "phase"}}
            lines |= {f"{sample.name} {label}={word}" for label, word in words.items()}
    return sorted(lines)


async def api_requests() -> Lines:
    """Paths, methods, parameters, fields of bodies and status codes of the API, as its own document says."""
    async with _fixture() as walk, visiting(walk) as api:
        document = await api.get("/api/openapi.json")
    lines: Lines = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            name = f"{method.upper()} {path}"
            lines.append(f"{name} -> {','.join(sorted(operation['responses']))}")
            for parameter in operation.get("parameters", []):
                lines += [
                    f"{name} {parameter['in']} {field}"
                    for field in _fields(_whole(parameter["schema"], document), parameter["name"])
                ]
            for kind, content in operation.get("requestBody", {}).get("content", {}).items():
                lines += [f"{name} {kind} {field}" for field in _fields(_whole(content["schema"], document), "body")]
    return sorted(set(lines))


def _whole(schema: Any, document: Any) -> Any:
    text = json.dumps(schema | {"$defs": document["components"]["schemas"]})
    return json.loads(text.replace("#/components/schemas/", "#/$defs/"))


async def api_answers() -> Lines:
    """The fields of what each path answers to GET, as the station of the fixture of this release fills them."""
    lines: set[str] = set()
    async with _fixture() as walk, visiting(walk) as api:
        await walk.accepted()
        await _run_house(walk)
        await walk.until(lambda: len({event["eventType"] for event in walk.events()}) == 3, within_s=900)
        await walk.settle()
        found = (await api.get("/api/transactions"))["transactions"]
        places = {
            "evse_id": "1",
            "transaction_id": found[-1]["transaction_id"],
            "identity": found[-1]["transaction_id"],
        }
        document = await api.get("/api/openapi.json")
        for path, methods in sorted(document["paths"].items()):
            if "get" not in methods or path.endswith(("/openapi.json", "/events")):
                continue
            names = re.findall(r"{(\w+)}", path)
            if any(name not in places for name in names):
                lines.add(f"{path}: not asked, for want of {', '.join(names)}")
                continue
            query = {"month": "2020-01"} if "monthly" in path else {}
            answer = await api.client.get(path.format(**places), params=query)
            kind = answer.headers.get("content-type", "").partition(";")[0]
            lines.add(f"{path}: {answer.status_code} {kind}")
            if kind == "application/json":
                lines |= {f"{path}: {field}" for field in _paths(answer.json(), "")}
            elif kind == "text/csv":
                lines.add(f"{path}: {answer.text.splitlines()[0].lstrip(chr(0xFEFF))}")
    return sorted(lines)


_UNPACKED = {"light": "as `light` of /api/status", "device-event": "as one of /api/device-events"}
"""the fields of events that are published as a whole"""


def feed() -> Lines:
    """The events of the stream at /api/events and their fields, as they are published."""
    lines: set[str] = set()
    for _, node in project.nodes():
        called = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "publish"
        if not called or not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
            continue
        if not isinstance(node.args[0].value, str):  # an `Event` between parts of the station, which has no name
            continue
        kind = node.args[0].value
        lines.add(f"{kind}: {', '.join(keyword.arg or _UNPACKED[kind] for keyword in node.keywords)}")
    return sorted(lines)


def _paths(value: object, path: str) -> Iterator[str]:
    """The paths of a JSON value; what stands for an id or another name of the day is *."""
    if isinstance(value, dict):
        for key, inner in cast("dict[str, object]", value).items():
            name = "*" if re.fullmatch(r"\d+|[0-9a-f-]{32,}|evse_\d+", key) else key
            yield from _paths(inner, f"{path}.{name}" if path else name)
        if not value:
            yield path
    elif isinstance(value, list):
        for inner in cast("list[object]", value):
            yield from _paths(inner, f"{path}[]")
        if not value:
            yield f"{path}[]"
    else:
        yield path


@contextlib.asynccontextmanager
async def _fixture() -> AsyncGenerator[Walk]:
    """The station of the newest fixture, running."""
    with tempfile.TemporaryDirectory() as folder:
        async with revived(all_stored()[-1], Path(folder)) as walk:
            await walk.accepted()
            yield walk


SNAPSHOTS: Final[Mapping[str, Callable[[], Lines | Awaitable[Lines]]]] = {
    "stored_database": database,
    "stored_payloads": payloads,
    "stored_facts": facts,
    "stored_files": files,
    "settings": settings,
    "configuration": configuration_keys,
    "environment": environment,
    "command_line": command_line,
    "home_assistant": home_assistant,
    "mqtt_orders": mqtt_orders,
    "mqtt_topics": mqtt_topics,
    "device_model": device_model,
    "metrics": metrics,
    "api_requests": api_requests,
    "api_answers": api_answers,
    "feed": feed,
}


def file_of(name: str) -> Path:
    """Where the lines are kept."""
    return HERE / f"{name}.txt"


async def lines_of(name: str) -> Lines:
    """The lines as they are now."""
    made = SNAPSHOTS[name]
    if inspect.iscoroutinefunction(made):
        return cast("Lines", await made())
    return cast("Lines", await asyncio.to_thread(made))


def main(names: Iterable[str]) -> None:
    """Rewrite the files: all of them, or those that are named."""
    for name in names or SNAPSHOTS:
        lines = asyncio.run(lines_of(name))
        file_of(name).write_text("\n".join(lines) + "\n", encoding="utf-8")
        sys.stdout.write(f"{name}: {len(lines)} lines\n")


if __name__ == "__main__":
    main(sys.argv[1:])

"""The typed words of OCPP: generated faithfully, true to the schemas, and understood by the type checker."""

# pyright: reportUnnecessaryTypeIgnoreComment=true
# With that, an ignored error below is the proof that pyright sees it.

from __future__ import annotations

import json
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    NotRequired,
    TypedDict,
    assert_type,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from ocpp_handlers.wire import actions, messages
from ocpp_handlers.wire.actions import BOOT_NOTIFICATION, HEARTBEAT, Action, RequestT, ResponseT, UnansweredAction
from tests.rows import each_row

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ocpp_handlers.wire import messages as m

Schema = TypedDict(
    "Schema",
    {
        "$ref": str,
        "type": str,
        "enum": list[str],
        "items": "Schema",
        "properties": "dict[str, Schema]",
        "required": list[str],
        "definitions": "dict[str, Schema]",
    },
    total=False,
)

ROOT = Path(__file__).resolve().parents[3]
SCHEMAS = {
    file.name.removesuffix(".json"): cast("Schema", json.loads(file.read_text(encoding="utf-8")))
    for file in (files("ocpp") / "v21" / "schemas").iterdir()
}
SCALARS = {"string": str, "integer": int, "number": float, "boolean": bool}


def test_generating_again_gives_the_committed_files(tmp_path: Path) -> None:
    subprocess.run([sys.executable, ROOT / "tools" / "generate_messages.py", tmp_path], check=True)
    for name in ("messages.py", "actions.py", "action_names.py", "new_fields.py"):
        assert (tmp_path / name).read_text() == (ROOT / "ocpp_handlers" / "wire" / name).read_text()


def test_importing_the_actions_does_not_load_the_messages() -> None:
    program = "import sys, ocpp_handlers.wire.actions; assert 'ocpp_handlers.wire.messages' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


def test_every_request_of_the_standard_has_its_action() -> None:
    named = {value.name for value in vars(actions).values() if isinstance(value, Action)}
    assert named == {message.removesuffix("Request") for message in SCHEMAS if message.endswith("Request")}
    unanswered = {value.name for value in vars(actions).values() if isinstance(value, UnansweredAction)}
    assert unanswered == {message for message in SCHEMAS if not message.endswith(("Request", "Response"))}


@each_row("message", sorted(SCHEMAS))
def test_a_type_has_the_fields_of_its_schema_with_their_types_and_optional_ones_marked(message: str) -> None:
    def compare(hint: object, schema: Schema) -> None:
        if "$ref" in schema:
            name = schema["$ref"].removeprefix("#/definitions/")
            if name == "CustomDataType":
                assert hint == dict[str, object]
            else:
                compare(hint, SCHEMAS[message].get("definitions", {})[name])
        elif "enum" in schema:
            assert get_args(hint) == tuple(schema["enum"])
        elif "properties" in schema:
            compare_fields(hint, schema["properties"], set(schema.get("required", ())))
        elif "items" in schema:
            assert get_origin(hint) is list
            compare(get_args(hint)[0], schema["items"])
        else:
            assert hint is (SCALARS[schema["type"]] if "type" in schema else object)

    def compare_fields(hint: object, fields: dict[str, Schema], required: set[str]) -> None:
        hints = get_type_hints(hint, include_extras=True)
        assert list(hints) == list(fields)
        for name, schema in fields.items():
            optional = get_origin(hints[name]) is NotRequired
            assert optional == (name not in required)
            compare(get_args(hints[name])[0] if optional else hints[name], schema)

    compare(getattr(messages, message), SCHEMAS[message])


class Session:
    """What calling and serving look like to the type checker; it serves its own calls."""

    def __init__(self) -> None:
        self._handlers: dict[str, object] = {}

    def on(self, action: Action[RequestT, ResponseT], handler: Callable[[RequestT], Awaitable[ResponseT]]) -> None:
        self._handlers[action.name] = handler

    async def call(self, action: Action[RequestT, ResponseT], request: RequestT) -> ResponseT:
        handler = cast("Callable[[RequestT], Awaitable[ResponseT]]", self._handlers[action.name])
        return await handler(request)


async def accept(request: m.BootNotificationRequest) -> m.BootNotificationResponse:
    assert_type(request["chargingStation"].get("serialNumber"), str | None)
    return {"currentTime": "2024-05-06T07:08:09Z", "interval": 300, "status": "Accepted"}


async def test_the_type_checker_knows_what_an_action_asks_and_answers() -> None:
    session = Session()
    session.on(BOOT_NOTIFICATION, accept)
    answer = await session.call(
        BOOT_NOTIFICATION, {"reason": "PowerUp", "chargingStation": {"model": "Wall", "vendorName": "Acme"}}
    )
    assert_type(answer, "m.BootNotificationResponse")
    assert_type(answer["status"], "m.RegistrationStatusEnumType")
    assert answer["interval"] == 300


async def test_the_type_checker_refuses_a_wrong_handler_and_a_wrong_request() -> None:
    session = Session()
    session.on(BOOT_NOTIFICATION, accept)
    session.on(HEARTBEAT, accept)  # pyright: ignore[reportArgumentType] the proof
    station: m.ChargingStationType = {"model": "Wall", "vendorName": "Acme"}
    # At run time nothing stops these but the schema check, which this session does without.
    await session.call(
        BOOT_NOTIFICATION,
        {"reason": "Boredom", "chargingStation": station},  # pyright: ignore[reportArgumentType] the proof
    )
    answer = await session.call(
        BOOT_NOTIFICATION,
        {"reason": "PowerUp", "chargingStation": station, "x": 2},  # pyright: ignore[reportArgumentType] same
    )
    assert answer["interval"] == 300

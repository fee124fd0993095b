"""What `tests/test_places.py` adds to a copy of the program: each addition as its row in docs/architecture.md says."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests import project


@dataclass(frozen=True)
class Edit:
    """A text of an existing file, and what takes its place."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Addition:
    """What the row of an addition says, done: new files with their contents, and edits of others."""

    row: str
    files: dict[str, str]
    edits: tuple[Edit, ...]
    most_places: int

    @property
    def places(self) -> set[str]:
        """The files that it touches; a folder that is new as a whole is one."""
        new = {str(Path(file).parent) if file.endswith("__init__.py") else file for file in self.files}
        inside = {file for file in new for folder in new if file.startswith(f"{folder}/")}
        return (new - inside) | {edit.file for edit in self.edits}


MESSAGE = Addition(
    "an OCPP message",
    {},
    (
        Edit(
            "ocpp_handlers/blocks/p_data_transfer.py",
            "        handlers.on(actions.DATA_TRANSFER, self.data_transfer)\n",
            "        handlers.on(actions.DATA_TRANSFER, self.data_transfer)\n"
            "        handlers.on(actions.UNPUBLISH_FIRMWARE, self.unpublish)\n",
        ),
        Edit(
            "ocpp_handlers/blocks/p_data_transfer.py",
            "    def set_response(",
            "    async def unpublish(\n"
            "        self, request: m.UnpublishFirmwareRequest\n"
            "    ) -> HandlerResult[m.UnpublishFirmwareResponse]:\n"
            '        return HandlerResult({"status": "NoFirmware"})\n\n'
            "    def set_response(",
        ),
    ),
    1,
)
BLOCK = Addition(
    "a functional block",
    {
        "ocpp_handlers/blocks/l_local_controller.py": '''"""Block L: what a local controller publishes."""
from __future__ import annotations
from typing import TYPE_CHECKING
from ocpp_handlers.wire import actions
from ocpp_handlers.wire.session import HandlerResult, Handlers
if TYPE_CHECKING:
    from ocpp_handlers.wire import messages as m

class LocalControllerBlock:
    def register(self, handlers: Handlers) -> None:
        handlers.on(actions.UNPUBLISH_FIRMWARE, self.unpublish)

    async def unpublish(self, request: m.UnpublishFirmwareRequest) -> HandlerResult[m.UnpublishFirmwareResponse]:
        return HandlerResult({"status": "NoFirmware"})
'''
    },
    (
        Edit(
            "borne/composition/ocpp_stack.py",
            "from ocpp_handlers.blocks.p_data_transfer import DataTransfer\n",
            "from ocpp_handlers.blocks.p_data_transfer import DataTransfer\n"
            "from ocpp_handlers.blocks.l_local_controller import LocalControllerBlock\n",
        ),
        Edit(
            "borne/composition/ocpp_stack.py",
            "            self._data_transfer,\n        )",
            "            self._data_transfer,\n            LocalControllerBlock(),\n        )",
        ),
    ),
    2,
)
GRID_METER = Addition(
    "another kind of grid meter",
    {
        "energy/sources/gateway.py": '''"""A gateway that reports the meter over the network."""
from __future__ import annotations
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal
from msgspec import Meta
from energy.grid import GridSample
from energy.sources.grid_source_table import GridSourceTable, MeterPort
from energy.sources.source_context import THREE_PHASES, SourceContext
from metering.reading import Phases
if TYPE_CHECKING:
    from foundation.clock import Clock

class GatewayConfig(GridSourceTable, tag_field="type", tag="gateway"):
    """[grid.source] of type "gateway": a meter behind a gateway."""

    type: ClassVar[Literal["gateway"]] = "gateway"
    host: Annotated[str, Meta(min_length=1, examples=["192.168.1.30"])]
    """the address of the gateway"""

    @property
    def meter_port(self) -> MeterPort:
        return MeterPort.RS_485

    def open(self, clock: Clock, context: SourceContext = THREE_PHASES, /) -> GatewaySource:
        return GatewaySource(clock)

class GatewaySource:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def samples(self) -> AsyncGenerator[GridSample]:
        while True:
            yield GridSample(self._clock.now(), currents_a=Phases(7.0, 8.0, 9.0))
            await self._clock.sleep(1)
'''
    },
    (
        Edit(
            "energy/sources/grid_source_config.py",
            "from energy.sources.linky import LinkyConfig\n",
            "from energy.sources.gateway import GatewayConfig\nfrom energy.sources.linky import LinkyConfig\n",
        ),
        Edit("energy/sources/grid_source_config.py", "= CtConfig | ", "= CtConfig | GatewayConfig | "),
    ),
    3,
)
BOARD = Addition(
    "a board",
    {
        "station/devices/relay/__init__.py": '"""A board of relays."""\n',
        "station/devices/relay/relay_board_config.py": '''"""[board] of relays."""
from __future__ import annotations
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal
from msgspec import Meta
from foundation.device_table import Resource, ResourceKind
from foundation.table import Table
from station.core.hardware.back_plate import ConfiguredBackPlate
from station.core.hardware.board_table import BoardTable
from station.devices.linux.wiring import GpioLine
from station.devices.relay.board import RelayBoard
if TYPE_CHECKING:
    from foundation.clock import Clock
    from metering.drivers.bus_registry import BusRegistry
    from station.core.hardware.back_plate import BackPlate
    from station.core.hardware.board import Board
    from station.core.installation_file.charging_tables import EvseConfig

class RelayEvse(Table):
    """[[board.evse]]: the relay of one EVSE."""

    coil: Annotated[GpioLine, Meta(examples=[{"line": 3}])]
    """closes the contactor while active"""

class RelayBoardConfig(BoardTable, tag_field="type", tag="relay"):
    """[board] of type "relay": a relay for each EVSE."""

    type: ClassVar[Literal["relay"]] = "relay"
    evse: Annotated[tuple[RelayEvse, ...], Meta(min_length=1)]

    @property
    def wired_evses(self) -> int:
        return len(self.evse)

    @property
    def resources(self) -> tuple[Resource, ...]:
        return tuple(
            Resource(ResourceKind.GPIO_LINE, (relay.coil.chip, relay.coil.line), ("evse", position, "coil", "line"))
            for position, relay in enumerate(self.evse)
        )

    def open(self, evse: EvseConfig, clock: Clock, buses: BusRegistry) -> Board:
        return RelayBoard(clock)

    def open_back_plate(self, _: Clock) -> BackPlate:
        return ConfiguredBackPlate("16")
''',
        "station/devices/relay/board.py": '''"""The driver."""
from __future__ import annotations
from collections.abc import AsyncGenerator
from foundation.change_signal import ChangeSignal
from foundation.clock import Clock
from station.core.hardware.board import SAFE_OUTPUTS, Observation, Outputs, SelfTest, Sensor
from station.core.model import PilotState

class RelayBoard:
    sensors: frozenset[Sensor] = frozenset()
    observation_task = None

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._applied = ChangeSignal()
        self.outputs = SAFE_OUTPUTS

    async def observations(self) -> AsyncGenerator[Observation]:
        while True:
            count, now = self._applied.count, self.outputs
            yield Observation(PilotState.C, cable_plugged=True, contactor_closed=now.contactor, locked=now.lock)
            await self._applied.wait_for(count, self._clock, 60.0)

    async def apply(self, outputs: Outputs) -> None:
        self.outputs = outputs
        self._applied.notify()

    async def test_residual_monitor(self) -> SelfTest:
        return SelfTest.ABSENT

    async def close(self) -> None:
        await self.apply(SAFE_OUTPUTS)
''',
    },
    (
        Edit(
            "station/devices/device_config.py",
            "from station.devices.serial_reader import SerialReaderConfig\n",
            "from station.devices.relay.relay_board_config import RelayBoardConfig\n"
            "from station.devices.serial_reader import SerialReaderConfig\n",
        ),
        Edit(
            "station/devices/device_config.py",
            "LinuxBoardConfig | ModbusBoardConfig\n",
            "LinuxBoardConfig | ModbusBoardConfig | RelayBoardConfig\n",
        ),
    ),
    3,
)
READER = Addition(
    "a card reader",
    {
        "station/devices/file_reader.py": '''"""A reader that is a file."""
from __future__ import annotations
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal
from msgspec import Meta
from station.devices.reader_table import ReaderTable
if TYPE_CHECKING:
    from foundation.clock import Clock

class FileReaderConfig(ReaderTable, kw_only=True, tag_field="type", tag="file"):
    """[[reader]] of type "file": UIDs in a file."""

    type: ClassVar[Literal["file"]] = "file"
    path: Annotated[str, Meta(min_length=1, examples=["/run/cards"])]
    """the file"""

    def open(self, clock: Clock) -> FileReader:
        return FileReader(self)

class FileReader:
    def __init__(self, config: FileReaderConfig) -> None:
        self._config = config

    async def reads(self) -> AsyncGenerator[str | None]:
        yield None
        yield "04A3B2C1"
'''
    },
    (
        Edit(
            "station/devices/device_config.py",
            "from station.devices.keyboard_reader import",
            "from station.devices.file_reader import FileReaderConfig\nfrom station.devices.keyboard_reader import",
        ),
        Edit(
            "station/devices/device_config.py",
            "SerialReaderConfig | KeyboardReaderConfig\n",
            "SerialReaderConfig | KeyboardReaderConfig | FileReaderConfig\n",
        ),
    ),
    3,
)
DISPLAY = Addition(
    "a display",
    {
        "station/devices/lines_display.py": '''"""A display that prints lines."""
from __future__ import annotations
from pathlib import Path
from station.core.screen import Screen

class LinesDisplay:
    def __init__(self, path: Path) -> None:
        self._path = path

    async def show(self, screen: Screen) -> None:
        self._path.write_text("\\n".join(line.text for line in screen.lines))

    async def close(self) -> None:
        self._path.unlink(missing_ok=True)
'''
    },
    (
        Edit(
            "station/devices/display_config.py",
            "from station.devices.file_display import FileDisplay\n",
            "from station.devices.file_display import FileDisplay\n"
            "from station.devices.lines_display import LinesDisplay\n",
        ),
        Edit(
            "station/devices/display_config.py",
            "class MqttDisplayConfig(",
            '''class LinesDisplayConfig(_OutputTable, kw_only=True, tag_field="type", tag="lines"):
    """[[display.output]] of type "lines": the lines of each screen, in a file."""

    type: ClassVar[Literal["lines"]] = "lines"
    path: Annotated[FilePath, Meta(examples=["/run/screen.txt"])]
    """the file"""

    @property
    def text_size(self) -> None:
        return

    def open(self) -> DisplayOutput:
        return LinesDisplay(self.path)


class MqttDisplayConfig(''',
        ),
        Edit(
            "station/devices/display_config.py",
            "FileDisplayConfig | MqttDisplayConfig\n",
            "FileDisplayConfig | MqttDisplayConfig | LinesDisplayConfig\n",
        ),
    ),
    3,
)
LIMIT = Addition(
    "a limit of an EVSE",
    {},
    (
        Edit(
            "energy/limit.py",
            "class LimitSource(StrEnum):\n",
            'class LimitSource(StrEnum):\n    QUIET_HOURS = "quiet-hours"\n',
        ),
        Edit(
            "energy/limit.py",
            "SOURCE_TEXTS = {\n",
            'SOURCE_TEXTS = {\n    LimitSource.QUIET_HOURS: "the quiet hours of the house",\n',
        ),
        Edit(
            "station/load/limit_providers.py",
            "class CableLimit:\n",
            '''class QuietHoursLimit:
    """A low current, for a quiet transformer."""

    def limit(self, evse: Evse, demand: Demand, now: datetime) -> Limit:
        return Limit(7.0, LimitSource.QUIET_HOURS, now)


class CableLimit:
''',
        ),
        Edit("borne/composition/load.py", "    CableLimit,\n", "    CableLimit,\n    QuietHoursLimit,\n"),
        Edit(
            "borne/composition/load.py",
            "            CableLimit(),\n",
            "            CableLimit(),\n            QuietHoursLimit(),\n",
        ),
    ),
    3,
)
KEY = Addition(
    "a key of the installation file",
    {},
    (
        Edit(
            "station/configuration/station_tables.py",
            "    frames: bool = False\n",
            "    utc: bool = True\n"
            '    """whether the times of lines are in UTC; else in the time zone of the station"""\n'
            "    frames: bool = False\n",
        ),
    ),
    2,
)
_ENGLISH: Final = json.loads((project.ROOT / "station" / "languages" / "en.json").read_text(encoding="utf-8"))
_FRENCH: Final = json.loads((project.ROOT / "station" / "languages" / "fr.json").read_text(encoding="utf-8"))
LANGUAGE = Addition(
    "a language",
    {
        "station/languages/it.json": json.dumps(
            _ENGLISH
            | {"page": _ENGLISH["page"] | {"title.charge": "Ricarica"}, "spreadsheet": _FRENCH["spreadsheet"]}
            | {"display": _ENGLISH["display"] | {"tariff.free": "gratis"}}
        )
    },
    (
        Edit("station/core/languages.py", '"de", "nl"]', '"de", "nl", "it"]'),
        Edit(
            "station/core/languages.py",
            '"{symbol} {number}"),\n}\n',
            '"{symbol} {number}"),\n'
            '    "it": Language("Italiano", ",", "%d/%m/%Y", "%d/%m", "{number} {symbol}"),\n}\n',
        ),
    ),
    3,
)
NOTIFIER = Addition(
    "a notifier, which publishes what happens, as MQTT does",
    {
        "station/interfaces/light_notes.py": '''"""Writes each pattern of the status light to a file."""

from pathlib import Path

from station.core.event_feed import EventFeed


class LightNotes:
    """Writes each pattern of the status light to a file."""

    def __init__(self, feed: EventFeed) -> None:
        self._feed = feed

    async def run(self) -> None:
        """Write until cancelled."""
        notes = Path("light.txt")
        with self._feed.subscribe(lambda event_type: event_type == "light") as queue, notes.open("a") as file:
            while True:
                print((await queue.get()).data, file=file, flush=True)
'''
    },
    (
        Edit(
            "borne/composition/station_assembly.py",
            "from borne.composition.display_screens import mqtt_displays\n",
            "from borne.composition.display_screens import mqtt_displays\n"
            "from station.interfaces.light_notes import LightNotes\n",
        ),
        Edit(
            "borne/composition/station_assembly.py",
            "    if configuration.mqtt is None:\n        return feed\n",
            "    feed.append(LightNotes(program.feed).run)\n    if configuration.mqtt is None:\n        return feed\n",
        ),
    ),
    2,
)
ADDITIONS: Final = (MESSAGE, BLOCK, GRID_METER, BOARD, READER, LIMIT, DISPLAY, NOTIFIER, KEY, LANGUAGE)

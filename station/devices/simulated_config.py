"""Configuration tables of simulated devices: board, token reader, updater."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from foundation.device_table import TableKey
from station.core.hardware.board_table import BoardTable
from station.devices.reader_table import ReaderTable
from station.devices.updater_config import UpdaterTable


class SimulatedBoardConfig(BoardTable, tag_field="type", tag="simulated"):
    """[board] of type "simulated": the boards of all EVSEs are simulated in this process, without hardware."""

    type: ClassVar[Literal["simulated"]] = "simulated"
    """chooses this kind of table; a board without it is simulated"""
    selector_a: Literal[32, 25, 20, 16, 12, 8] = 32
    """the position of the simulated current selector, amperes per phase"""
    jumpers: Annotated[Literal["1-2", "3-4", "5-6", "7-8", "9-10"] | None, Meta(examples=["3-4"])] = None
    """position of the simulated jumpers of the smart-meter port; absent: not readable"""

    @property
    def simulated_key(self) -> TableKey:
        """The type: this board is always simulated."""
        return ("type",)

    @property
    def has_shunt_trip(self) -> bool:
        """True: the back plate of the simulator has one."""
        return True


class SimulatedReaderConfig(ReaderTable, tag_field="type", tag="simulated"):
    """[[reader]] of type "simulated": the API of the simulator presents cards at it."""

    type: ClassVar[Literal["simulated"]] = "simulated"
    name: Annotated[str, Meta(min_length=1, max_length=40)] = "reader"
    """names the reader in the API of the simulator"""

    @property
    def simulated_key(self) -> TableKey:
        """The type: this reader is always simulated."""
        return ("type",)


class SimulatedUpdaterConfig(UpdaterTable, tag_field="type", tag="simulated"):
    """[firmware] of type "simulated": images are stored in two simulated slots, files below the storage directory."""

    type: ClassVar[Literal["simulated"]] = "simulated"

    @property
    def simulated_key(self) -> TableKey:
        """The type: this updater is always simulated."""
        return ("type",)

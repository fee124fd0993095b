"""The simulated hardware of one station: boards, vehicles, meters on real wires, and the house with its grid meter."""

from __future__ import annotations

import logging
import math
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from msgspec.structs import replace

from energy.sources.byte_feed import ByteFeed
from energy.sources.linky import LinkyConfig
from energy.sources.modbus import GridModbusConfig
from energy.sources.p1 import P1Config
from foundation.constants import NOMINAL_VOLTAGE_V
from metering.drivers.bus_registry import BusRegistry
from metering.drivers.modbus import ModbusRtuMeterConfig, ModbusTcpMeterConfig
from metering.drivers.models import MODELS
from metering.drivers.simulated import SimulatedMeter, SimulatedMeterConfig
from metering.meter import MeterError
from metering.reading import Phases, Reading
from simulator.back_plate import SimulatedBackPlate
from simulator.board import SimulatedBoard
from simulator.clock import VirtualClock
from simulator.house import HouseReading, SimulatedHouse
from simulator.misbehaviour.station_misbehaviour import StationMisbehaviour
from simulator.reader import SimulatedReader
from simulator.register import EnergyRegister, used_meter_wh
from simulator.request_recorder import RequestRecorder
from station.core.installation_file.secc_tables import ExternalSeccConfig
from station.devices.secc.external_link import external_link
from station.devices.simulated_config import SimulatedBoardConfig, SimulatedReaderConfig

if TYPE_CHECKING:
    from collections.abc import Callable

    from energy.sources.dry_contact import DryContactConfig
    from energy.sources.grid_source_config import GridSourceConfig
    from foundation.clock import Clock
    from metering.drivers.registers import MeterModel
    from metering.meter import Meter
    from simulator.house import TariffPeriod
    from simulator.linky import SimulatedLinky
    from simulator.meter_server import MeterServer
    from simulator.p1 import SimulatedP1
    from simulator.secc import SimulatedSecc
    from station.configuration.installation_file import Configuration
    from station.core.hardware.token_reader import TokenReader
    from station.core.installation_file.charging_tables import EvseConfig
    from station.core.vehicle_link import VehicleLink
    from station.devices.device_config import ReaderConfig

_log = logging.getLogger(__name__)
_MODBUS_UNIT = 1


class SimulatedContacts:
    """The simulated inputs of the grid operator's contact and its opposite; test benches set `closed` and `failing`."""

    def __init__(self) -> None:
        self.closed: tuple[bool, bool] = (False, True)
        """whether the contact is closed, and whether the opposite one of its changeover relay is"""
        self.failing = False
        """whether reading the inputs fails"""
        self.lines = 2
        """number of wired inputs: 1 for the contact alone, 2 with its opposite"""

    def read(self) -> tuple[bool, ...]:
        """Return for each wired input whether its contact is closed.

        Raises:
            OSError: `failing` is set.
        """
        if self.failing:
            raise OSError("the simulated input fails")
        return self.closed[: self.lines]

    def close(self) -> None:
        """Release the inputs, which needs nothing here; changes no contact."""


class World:
    """The simulated hardware of one station (its `StationHardware`), with vehicles, house and grid meter.

    It keeps running while the software of the station restarts or its power is cut.
    """

    def __init__(self, configuration: Configuration) -> None:
        """Create the simulated hardware; no meter serves or sends before `start`. The storage must be locked.

        Raises:
            RegisterError: the register file of a simulated billing meter cannot be opened.
        """
        self._simulation = simulation = configuration.simulation
        self.clock = clock = VirtualClock(rate=simulation.rate, synchronized=simulation.follow_csms_time)
        self.recorder = RequestRecorder(clock)
        """records the requests that drive the station, for a scenario"""
        self.misbehaviour = StationMisbehaviour(clock)
        """what the station does wrong on purpose with its messages"""
        self.buses = BusRegistry()
        self.boards: dict[int, SimulatedBoard] = {}
        """the simulated boards, by EVSE"""
        self.meter_servers: dict[int, MeterServer] = {}
        """the Modbus servers of the simulated billing meters, by EVSE; empty if the transport is `direct`"""
        self.meter_failure: dict[int, str] = {}
        """why the billing meter does not answer, by EVSE; only those that `fail_meter` has made silent"""
        self.back_plate = _create_back_plate(configuration.board)
        self.meter_serials = {evse.id: f"SIMULATED-{evse.id}" for evse in configuration.evse}
        """serial numbers that the billing meters report with the transport `direct`, by EVSE"""
        names = [reader.name for reader in configuration.reader if isinstance(reader, SimulatedReaderConfig)]
        self.readers = {name: SimulatedReader(name) for name in names}
        """the simulated token readers, by their name in the installation file"""
        self.contacts = SimulatedContacts()
        """the grid operator's contacts"""
        self.tariff: tuple[TariffPeriod, Literal["----", "BLEU", "BLAN", "ROUG"]] = ("TH..", "----")
        """tariff that the Linky reports: running period, and tomorrow's colour"""
        self._grid_config = configuration.grid
        self.grid_feed = ByteFeed()
        """what Linky or P1 meter send while virtual time outruns their line"""
        self.linky: SimulatedLinky | None = None
        """the simulated Linky; None if there is none, or before `start`"""
        self.p1: SimulatedP1 | None = None
        """the simulated P1 meter; None if there is none, or before `start`"""
        self._grid_server: MeterServer | None = None
        self._frozen_grid_reading: Reading | None = None
        self._registers: list[EnergyRegister] = []
        self._running = AsyncExitStack()
        self._create_boards(configuration)
        current_sources = [self._current_source(board) for board in self.boards.values()]
        phases = configuration.grid.phases if configuration.grid is not None else 3
        self.house = SimulatedHouse(clock, current_sources, phases=phases)

    def _create_boards(self, configuration: Configuration) -> None:
        """Create the board of each EVSE, with the register of its billing meter."""
        storage = Path(configuration.station.storage)
        with ExitStack() as opened:
            for evse in configuration.evse:
                # not from exactly 0, which a CSMS can mistake for no value
                begin_wh = used_meter_wh(f"{configuration.station.identity}/{evse.id}", phases=evse.phases)
                file = storage / f"simulated-meter-{evse.id}.register"
                durable = self._simulation.durable_registers
                register = EnergyRegister(file, begin_wh, folder_locked=True, durable=durable)
                opened.callback(register.close)
                self._registers.append(register)
                board = self.boards[evse.id] = SimulatedBoard(
                    self.clock,
                    register,
                    phases=evse.phases,
                    attached_cable=evse.attached_cable,
                    switches_phases=evse.phase_switching,
                    chooses_phase=evse.phase_choice,
                )
                if evse.secc is not None:
                    board.secc = _simulated_secc(self.clock)
            opened.pop_all()  # `stop` closes them

    @property
    def has_grid(self) -> bool:
        """Whether the installation file has a [grid] table, so that the loads of the house matter."""
        return self._grid_config is not None

    async def start(self) -> None:
        """Start the simulated meters: the billing meters that are not read directly, and the grid meter."""
        if self._simulation.meter_transport != "direct":
            for evse_id, board in self.boards.items():
                server = self._meter_server(board)
                await self._running.enter_async_context(server)
                self.meter_servers[evse_id] = server
        if (linky := self._simulation.linky) is not None:
            from simulator import linky as linky_meter  # late: only stations with a simulated Linky

            mode = linky_meter.TicMode.STANDARD if linky.mode == "standard" else linky_meter.TicMode.HISTORIQUE
            self.linky = linky_meter.SimulatedLinky(
                self._house_reading, self.clock, mode, self._simulation.seed or 0, self.grid_feed
            )
            await self._running.enter_async_context(self.linky)
        if self._grid_config is not None:
            await self._start_grid_meter(self._grid_config.source)

    async def _start_grid_meter(self, source: GridSourceConfig) -> None:
        """Start the grid meter if the source names it as simulated, on its kind of wire."""
        if source.simulated_key is None:
            return
        if isinstance(source, P1Config):
            from simulator.p1 import P1Meter, P1Version, SimulatedP1  # late: cryptography

            kind = self._simulation.p1
            meter = P1Meter(P1Version(kind.version), fuse_a=kind.fuse_a)
            self.p1 = SimulatedP1(
                self._house_reading, self.clock, meter, seed=self._simulation.seed or 0, feed=self.grid_feed
            )
            await self._running.enter_async_context(self.p1)
        elif isinstance(source, GridModbusConfig):
            serial = isinstance(source.meter, ModbusRtuMeterConfig)
            self._grid_server = self._create_server(source.meter.table, self._grid_reading, serial=serial)
            await self._running.enter_async_context(self._grid_server)

    async def stop(self) -> None:
        """Stop the vehicles and the simulated meters, and close the register files."""
        for board in self.boards.values():
            if board.vehicle is not None:
                board.vehicle.cancel_timers()
        await self._running.aclose()
        for register in self._registers:
            register.close()

    def run_clock(self) -> None:
        """Let the clock run at its rate, but at least in real time, so that the waits of a stopping station end."""
        self.clock.set_rate(max(1.0, self.clock.rate))

    def board(self, evse: EvseConfig) -> SimulatedBoard:
        """The simulated board of an EVSE, the same at each call."""
        return self.boards[evse.id]

    def open_meter(self, evse: EvseConfig) -> Meter:
        """The billing meter of an EVSE, not yet connected: the configured real one, or a driver for the simulated one.

        The driver reads the simulated meter directly or over Modbus, as `simulation.meter_transport` says.
        """
        if not isinstance(evse.meter, SimulatedMeterConfig):
            return evse.meter.open(self.clock, self.buses)
        server = self.meter_servers.get(evse.id)
        if server is None:
            return SimulatedMeter(self._reading_source(evse.id), lambda: self.meter_serials[evse.id])
        serial = self._simulation.meter_transport == "modbus-rtu"
        kind = ModbusRtuMeterConfig if serial else ModbusTcpMeterConfig
        settings = {"model": self._simulation.meter_model, "unit": _MODBUS_UNIT, **server.address}
        return kind.from_tree(settings).open(self.clock, self.buses)

    def grid_source(self, configured: GridSourceConfig) -> GridSourceConfig:
        """Return the configured source of grid readings, with the address of the simulated grid meter if that runs.

        Other sources are returned unchanged.
        """
        if self.linky is not None and isinstance(configured, LinkyConfig):
            return replace(configured, device=self.linky.device)
        if self.p1 is not None and isinstance(configured, P1Config):
            return replace(configured, device=self.p1.device)
        if isinstance(configured, GridModbusConfig) and self._grid_server is not None:
            wire = {"unit": _MODBUS_UNIT, **self._grid_server.address}
            return replace(configured, meter=replace(configured.meter, **wire))
        return configured

    def reader(self, config: ReaderConfig) -> TokenReader:
        """The simulated reader of this name, or the configured real one, not yet connected."""
        if isinstance(config, SimulatedReaderConfig):
            return self.readers[config.name]
        return config.open(self.clock)

    def vehicle_link(self, evse: EvseConfig) -> VehicleLink | None:
        """The simulated SECC of an EVSE, or the link to the configured one; None: it has none."""
        if isinstance(evse.secc, ExternalSeccConfig):
            return external_link(evse.secc, evse.id, self.clock)
        return self.boards[evse.id].secc

    def contacts_for(self, config: DryContactConfig, /) -> SimulatedContacts | None:
        """The simulated contacts, with as many inputs as configured; None: the configuration names real ones."""
        if config.simulated_key is None:
            return None
        self.contacts.lines = 1 if config.opposite_line is None else 2
        return self.contacts

    def disturb_grid_meter(self, *, silence: bool | None, noise: float | None) -> bool:
        """Make the simulated grid meter silent, and its wire noisy; returns False if there is none.

        `noise`: bit flips per byte; on Modbus any value but 0 damages every answer. None: unchanged. On Modbus only one
        of both faults is possible: the one set last, noise after silence.
        """
        for meter in (self.linky, self.p1):
            if meter is not None:
                meter.silent = meter.silent if silence is None else silence
                meter.flips_per_byte = meter.flips_per_byte if noise is None else noise
                return True
        if self._grid_server is None:
            return False
        if silence is not None:
            self._grid_server.silence(silence)
        if noise is not None:
            self._grid_server.garble(bool(noise))
        return True

    def freeze_grid_meter(self, freezes: bool) -> bool:
        """Make the simulated grid meter repeat its last values, or measure again.

        Returns False, without effect, for a Linky and if there is no simulated grid meter.
        """
        if self.p1 is not None:
            self.p1.repeating = freezes
            return True
        self._frozen_grid_reading = None
        if self._grid_server is not None and freezes:
            self._frozen_grid_reading = self._grid_reading()
        return self._grid_server is not None

    def _meter_server(self, board: SimulatedBoard) -> MeterServer:
        serial = self._simulation.meter_transport == "modbus-rtu"
        return self._create_server(MODELS[self._simulation.meter_model], board.read_meter, serial=serial)

    def _create_server(self, model: MeterModel, read_meter: Callable[[], Reading], *, serial: bool) -> MeterServer:
        # late: only stations whose simulated meters are on a wire
        from simulator.meter_server import SerialMeterServer, ServedMeter, TcpFraming, TcpMeterServer

        served = {_MODBUS_UNIT: ServedMeter(model, read_meter)}
        return SerialMeterServer(served, self.clock) if serial else TcpMeterServer(served, TcpFraming(), self.clock)

    def fail_meter(self, evse_id: int, failing: bool) -> None:
        """Make the simulated billing meter of an EVSE silent, or let it answer again."""
        if failing:
            self.meter_failure[evse_id] = "the simulated meter is silent"
        else:
            self.meter_failure.pop(evse_id, None)
        if (server := self.meter_servers.get(evse_id)) is not None:
            server.silence(failing)

    def _reading_source(self, evse_id: int) -> Callable[[], Reading]:
        def read() -> Reading:
            if (why := self.meter_failure.get(evse_id)) is not None:
                raise MeterError(why)
            return self.boards[evse_id].read_meter()

        return read

    @staticmethod
    def _current_source(board: SimulatedBoard) -> Callable[[], Phases[float]]:
        return lambda: board.currents_a

    def _grid_reading(self) -> Reading:
        """The reading of a Modbus meter at the house connection: currents unsigned, powers signed."""
        if self._frozen_grid_reading is not None:
            return self._frozen_grid_reading
        currents = self.house.currents_a
        voltage_v = NOMINAL_VOLTAGE_V + 0.5 * math.sin(self.clock.monotonic())  # a real voltage never stays the same
        powers = currents.map(lambda current_a: current_a * voltage_v)
        single = self.house.phases == 1
        return Reading(
            taken_at=self.clock.now(),
            energy_import_wh=self.house.energy_wh,
            energy_export_wh=0.0,
            power_w=sum(powers),
            currents_a=Phases(abs(currents.l1), *((None, None) if single else (abs(currents.l2), abs(currents.l3)))),
            voltages_v=Phases(voltage_v, *((None, None) if single else (voltage_v, voltage_v))),
            powers_w=Phases(powers.l1, *((None, None) if single else (powers.l2, powers.l3))),
            frequency_hz=50.0,
        )

    def _house_reading(self) -> HouseReading:
        currents = self.house.currents_a
        single = self.house.phases == 1
        measured: Phases[float | None] = (
            Phases(currents.l1, None, None) if single else Phases(currents.l1, currents.l2, currents.l3)
        )
        linky = self._simulation.linky
        subscribed_va = linky.subscribed_va if linky is not None else 9000
        return HouseReading(
            measured,
            subscribed_va=subscribed_va,
            energy_import_wh=self.house.energy_wh,
            period=self.tariff[0],
            tomorrow=self.tariff[1],
        )


def _create_back_plate(config: object) -> SimulatedBackPlate:
    """Make the back plate with the configured initial state."""
    if not isinstance(config, SimulatedBoardConfig):
        raise TypeError("the board is not simulated")
    return SimulatedBackPlate(str(config.selector_a), config.jumpers)


def _simulated_secc(clock: Clock) -> SimulatedSecc:
    from simulator.secc import SimulatedSecc  # late: few EVSEs have one

    return SimulatedSecc(clock)

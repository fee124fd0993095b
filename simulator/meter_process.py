"""A simulated Modbus meter as a separate process: it polls the circuit of a simulated station over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.request import urlopen

from foundation.clock import SystemClock
from foundation.constants import NOMINAL_VOLTAGE_V
from foundation.json_values import list_of, number_of, parse_object
from metering.drivers.models import MODELS
from metering.reading import Phases, Reading
from simulator.meter_server import ServedMeter, TcpFraming, TcpMeterServer
from simulator.register import EnergyRegister, used_meter_wh

if TYPE_CHECKING:
    from metering.drivers.models import ModelName

_log = logging.getLogger(__name__)

_POLL_INTERVAL_S = 0.5
_HTTP_TIMEOUT_S = 2.0


class Circuit:
    """The circuit that the separate meter process measures: its last known currents, and the register of its energy.

    Counts energy in real time, with the last currents until the next `update`.
    """

    def __init__(self, register: EnergyRegister) -> None:
        self._clock = SystemClock()
        self._register = register
        self._counted_s = self._clock.monotonic()
        self._currents = Phases(0.0, 0.0, 0.0)
        self._voltage_v = NOMINAL_VOLTAGE_V

    def update(self, currents_a: Phases[float], voltage_v: float) -> None:
        """Count the energy up to now, then set the present currents on L1, L2 and L3 in A and the voltage in V."""
        self._count_energy()
        self._currents, self._voltage_v = currents_a, voltage_v

    def read_meter(self) -> Reading:
        """Count the energy up to now, and return the reading that the meter reports."""
        self._count_energy()
        voltage_v = self._voltage_v
        currents = self._currents
        return Reading(
            taken_at=self._clock.now(),
            energy_import_wh=self._register.energy_wh,
            energy_export_wh=0.0,
            power_w=sum(currents) * voltage_v,
            currents_a=Phases(currents.l1, currents.l2, currents.l3),
            voltages_v=Phases(voltage_v, voltage_v, voltage_v),
            powers_w=Phases(currents.l1 * voltage_v, currents.l2 * voltage_v, currents.l3 * voltage_v),
            frequency_hz=50.0,
        )

    def _count_energy(self) -> None:
        now_s = self._clock.monotonic()
        charge_vh = self._voltage_v * (now_s - self._counted_s) / 3600.0
        self._register.add(self._currents.map(lambda current_a: current_a * charge_vh))
        self._counted_s = now_s


def run(model: str, *, host: str, port: int, circuit_url: str, register_file: Path) -> None:
    """Run the process of `borne meter` until interrupted: serve the registers of a billing meter over Modbus TCP.

    `model`: a key of MODELS. `circuit_url`: …/api/sim/evses/1/circuit of a station. Sets up logging. Blocks.

    Raises:
        RegisterError: another simulated meter uses the register file, or it cannot be opened.
        OSError: it cannot listen at host and port.
    """
    logging.basicConfig(level=logging.INFO)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(cast("ModelName", model), port, circuit_url, register_file, host))


async def serve(model: ModelName, port: int, circuit_url: str, register_file: Path, host: str) -> None:
    """Serve the registers of a meter `model` as Modbus unit 1 until cancelled.

    The currents are read from `circuit_url` (…/evses/1/circuit) every 0.5 s; if that fails, 0 A is assumed.

    Raises:
        RegisterError: another simulated meter uses the register file, or it cannot be opened.
        OSError: it cannot listen at host and port.
    """
    clock = SystemClock()
    register = EnergyRegister(register_file, used_meter_wh(register_file.name, phases=3), durable=True)
    circuit = Circuit(register)
    meters = {1: ServedMeter(MODELS[model], circuit.read_meter)}
    try:
        async with TcpMeterServer(meters, TcpFraming(), clock, port=port, host=host) as server:
            _log.info("simulated billing meter %s listens at port %d", model, server.port)
            while True:
                await _update_circuit(circuit, circuit_url)
                await clock.sleep(_POLL_INTERVAL_S)
    finally:
        register.close()


async def _update_circuit(circuit: Circuit, url: str) -> None:
    try:
        circuit_state = parse_object(await asyncio.to_thread(_fetch, url))
        l1, l2, l3 = map(number_of, list_of(circuit_state["currents_a"]))
        circuit.update(Phases(l1, l2, l3), number_of(circuit_state["voltage_v"]))
    except (OSError, ValueError, KeyError) as error:
        _log.debug("the simulated circuit cannot be read, 0 A is assumed: %s", error)
        circuit.update(Phases(0.0, 0.0, 0.0), NOMINAL_VOLTAGE_V)


def _fetch(url: str) -> bytes:
    with urlopen(url, timeout=_HTTP_TIMEOUT_S) as answer:
        return bytes(answer.read())

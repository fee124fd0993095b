"""The choices of `borne init`: which board, meters and languages a new installation file has. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, get_args

from energy.sources.grid_source_table import SIMULATED_DEVICE
from foundation.frozen import Frozen
from metering.drivers.models import MODELS, ModelName
from station.core.languages import DEFAULT_LANGUAGE, LanguageCode

MAX_EVSES: Final = 100
"""the largest number of EVSEs that `borne init` writes"""
METERS: Final[tuple[ModelName, ...]] = get_args(ModelName)
"""the models of billing meters to choose from"""
LANGUAGES: Final[tuple[LanguageCode, ...]] = get_args(LanguageCode)
"""the languages to choose from"""
_NETWORK_METERS: Final = frozenset({"carlo-gavazzi-em24-e1", "shelly-pro-3em", "siemens-pac2200", "sunspec"})
"""models that usually are in the network, and not on a serial line"""
_METER_LINE: Final = "/dev/ttyUSB0"
_CONTROLLER_LINE: Final = "/dev/ttyUSB1"
_METER_HOST: Final = "192.168.1.20"
_GRID_METER_HOST: Final = "192.168.1.30"
_GRID_LINE: Final = "/dev/ttyS0"

Values = Mapping[str, object]

SERVICE_STORAGE: Final = "/var/lib/borne"
"""the directory of the records of the service, in package, image and container"""
STATION_IMAGE: Final[Mapping[str, Values]] = MappingProxyType(
    {
        "station": {"storage": SERVICE_STORAGE},
        "http": {"host": "0.0.0.0"},  # its firewall admits nothing else
        "firmware": {"type": "rauc"},
    }
)
"""the keys of tables that a station image needs, by the name of the table"""


class InstallationChoices(Frozen):
    """The answers from which `borne init` makes an installation file; each has an option of the command."""

    board: str = "simulated"
    """one of BOARDS"""
    grid: str = "none"
    """one of GRIDS: how the current of the house is measured"""
    meter: ModelName = "eastron-sdm630"
    """model of the billing meter of each EVSE"""
    evses: int = 1
    """number of EVSEs, 1 to MAX_EVSES"""
    languages: tuple[LanguageCode, ...] = (DEFAULT_LANGUAGE,)
    """languages of the display, shown in turn"""

    @property
    def simulated(self) -> bool:
        """Whether the hardware is simulated."""
        return self.board == SIMULATED_DEVICE

    @property
    def phases(self) -> int:
        """The phases of each EVSE: those that its meter measures one by one, or three for a meter of totals."""
        return 1 if MODELS[self.meter].phases == 1 else 3


def chosen_values(choices: InstallationChoices) -> Mapping[str, object]:
    """The keys of tables that are in force for these choices, by the name of the table, for `installation_example`.

    Addresses and lines are examples that contradict nothing: each EVSE has lines, channels and Modbus units of its own.
    """
    values: dict[str, object] = {
        "evse": [_evse(choices, number) for number in range(1, choices.evses + 1)],
        "board": _BOARDS[choices.board](choices.evses),
    }
    if choices.languages != (DEFAULT_LANGUAGE,):
        values["display"] = {"languages": list(choices.languages)}
    if not choices.simulated:
        values["firmware"] = {"type": "command"}
    if (source := _GRIDS[choices.grid](choices)) is not None:
        values["grid"] = {"phases": 3, "source": source}
    if choices.simulated:
        simulation: dict[str, object] = {"meter_model": choices.meter, "meter_transport": "modbus-tcp"}
        if choices.grid == "linky":
            simulation["linky"] = {"phases": 3}
        values["simulation"] = simulation
    return values


def _evse(choices: InstallationChoices, number: int) -> Values:
    phases: Values = {"phases": choices.phases} if choices.phases != 3 else {}
    return phases if choices.simulated else {**phases, "meter": _billing_meter(choices.meter, number)}


def _billing_meter(model: ModelName, number: int) -> Values:
    if model in _NETWORK_METERS:
        return {"type": "modbus-tcp", "model": model, "host": _METER_HOST, "unit": number}
    return {"type": "modbus-rtu", "model": model, "device": _METER_LINE, "unit": number}


def _linux_board(evses: int) -> Values:
    return {"type": "linux", "evse": [_linux_evse(number) for number in range(1, evses + 1)]}


def _linux_evse(number: int) -> Values:
    """The wiring of an EVSE with a socket: a GPIO chip and an A/D converter of its own, a channel of the PWM chip."""

    def line(at: int, **settings: object) -> Values:
        return {"line": at, "chip": f"/dev/gpiochip{number - 1}", **settings}

    def channel(at: int) -> Values:
        return {"path": f"/sys/bus/iio/devices/iio:device{number}", "channel": at}

    return {
        "pilot": {
            "pwm": {"path": "/sys/class/pwm/pwmchip0", "channel": number - 1},
            "high": channel(0),
            "low": channel(1),
        },
        "contactor": line(5),
        "contactor_feedback": line(6, active_low=True, bias="pull-up"),
        "proximity": channel(2),
        "lock": {"kind": "motor", "shut": line(10), "open": line(11), "feedback": line(12)},
    }


def _modbus_board(evses: int) -> Values:
    units = range(1, evses + 1)
    return {"type": "modbus", "evse": [{"device": _CONTROLLER_LINE, "unit": unit} for unit in units]}


_BOARDS: Final[Mapping[str, Callable[[int], Values]]] = MappingProxyType(
    {"linux": _linux_board, "modbus": _modbus_board, "simulated": lambda _: {"type": "simulated"}}
)
"""the keys of [board] by its type, from the number of EVSEs"""


def _sending_meter(type_: str, choices: InstallationChoices) -> Values:
    return {"type": type_, "device": SIMULATED_DEVICE if choices.simulated else _GRID_LINE}


def _grid_modbus_meter(choices: InstallationChoices) -> Values:
    host = SIMULATED_DEVICE if choices.simulated else _GRID_METER_HOST
    return {"type": "modbus", "meter": {"type": "modbus-tcp", "model": "siemens-pac2200", "host": host}}


_CLAMPS: Final[Sequence[Values]] = [{"channel": channel} for channel in range(3)]
_GRIDS: Final[Mapping[str, Callable[[InstallationChoices], Values | None]]] = MappingProxyType(
    {
        "linky": lambda choices: _sending_meter("linky", choices),
        "p1": lambda choices: _sending_meter("p1", choices),
        "modbus": _grid_modbus_meter,
        "ct": lambda _: {"type": "ct", "clamps": _CLAMPS},
        "none": lambda _: None,
    }
)
"""the keys of [grid.source] by the kind of the meter; None: there is no [grid]"""
BOARDS: Final = tuple(_BOARDS)
"""the types of boards to choose from"""
GRIDS: Final = tuple(_GRIDS)
"""the kinds of grid meters to choose from; none: the house is not measured"""

"""The values of a meter in words, for an installer to compare with the display of the meter. Pure."""

from __future__ import annotations

from typing import Protocol

from metering.reading import Phases


class ElectricalValues(Protocol):
    """The values that a reading and a sample of the house have in common; None: not reported."""

    @property
    def voltages_v(self) -> Phases[float | None]:
        """Volts of each phase."""
        ...

    @property
    def currents_a(self) -> Phases[float | None]:
        """Amperes of each phase."""
        ...

    @property
    def power_w(self) -> float | None:
        """Watts of all phases together."""
        ...


def shown_values(values: ElectricalValues) -> str:
    """Describe voltages, currents, power and, of a billing meter, the imported energy."""
    energy_wh = getattr(values, "energy_import_wh", None)
    parts = [
        _phase_values(values.voltages_v, "V"),
        _phase_values(values.currents_a, "A"),
        f"{values.power_w:g} W" if values.power_w is not None else "",
        f"{energy_wh / 1000:.3f} kWh imported" if isinstance(energy_wh, float) else "",
    ]
    return ", ".join(part for part in parts if part) or "no values"


def _phase_values(values: Phases[float | None], unit: str) -> str:
    known = [f"{value:g}" for value in values if value is not None]
    return f"{' / '.join(known)} {unit}" if known else ""

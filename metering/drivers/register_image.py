"""Decodes a recorded register image: the words of a meter, read as a driver would. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from foundation.frozen import Frozen
from metering.drivers import sunspec
from metering.drivers.quantities import Quantity
from metering.drivers.registers import MeterModel, RegisterAddress, RegisterBlock, decode, mismatch
from metering.reading import Phases, Reading

Json = dict[str, object]

_MAX_PHASES: Final = 3


class RegisterImage(Frozen):
    """A recording of a meter's registers for `borne decode`: words by address, and the functions that read them."""

    functions: frozenset[int]
    words: Mapping[int, int]

    def words_for(self, model: MeterModel) -> dict[RegisterAddress, int]:
        """Return the words by function and address, for `decode` with the table of a model."""
        functions = {3, 4} if model.either_function and self.functions & {3, 4} else self.functions
        return {(function, address): word for function in functions for address, word in self.words.items()}

    def read_block(self, block: RegisterBlock) -> list[int] | None:
        """Return the words that the meter would answer to a request for this block; None: it would refuse."""
        addresses = range(block.address, block.address + block.count)
        if block.function not in self.functions or any(at not in self.words for at in addresses):
            return None
        return [self.words[at] for at in addresses]


class DecodedImage(Frozen):
    """The reading that a register image shows by the table of a model."""

    model: MeterModel
    reading: Reading

    @property
    def implausibility(self) -> str | None:
        """The reason why the image cannot come from such a meter; None if it can."""
        if all(value is None for value in image_to_json(self).values()):
            return f"the image contains none of the registers of the model {self.model.name}"
        return mismatch(self.model, self.reading)


def decode_image(image: RegisterImage, model: MeterModel, taken_at: datetime) -> DecodedImage | None:
    """Decode an image by the table of a model; None if the meter should describe its registers, and does not."""
    table = model if model.registers else _find_model(image, model)
    return DecodedImage(table, decode(table, image.words_for(table), taken_at)) if table is not None else None


def _find_model(image: RegisterImage, model: MeterModel) -> MeterModel | None:
    steps = sunspec.search_models(model)
    try:
        block = next(steps)
        while True:
            block = steps.send(image.read_block(block))
    except StopIteration as found:
        return found.value


def image_to_json(decoded: DecodedImage) -> Json:
    """Convert the reading to plain JSON values in V, A, W, Hz and Wh; None: the meter does not report it."""
    reading, model = decoded.reading, decoded.model
    totals: Json = {
        "voltage_v": _values_per_phase(reading.voltages_v, model),
        "current_a": _values_per_phase(reading.currents_a, model),
        "power_w": _values_per_phase(reading.powers_w, model),
        "total_power_w": reading.power_w,
    }
    if Quantity.FREQUENCY in model.quantities:
        totals["frequency_hz"] = reading.frequency_hz
    totals |= {"import_wh": reading.energy_import_wh, "export_wh": reading.energy_export_wh}
    per_phase = {"import_per_phase_wh": reading.energies_import_wh, "export_per_phase_wh": reading.energies_export_wh}
    return totals | {
        name: phase_values
        for name, values in per_phase.items()
        if (phase_values := _values_per_phase(values, model)) is not None
    }


def _values_per_phase(values: Phases[float | None], model: MeterModel) -> list[float | None] | None:
    """The values of the phases that the meter has; None if it reports none."""
    phase_values = list(values)[: model.phases or _MAX_PHASES]
    return phase_values if any(value is not None for value in phase_values) else None

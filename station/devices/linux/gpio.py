"""Named GPIO lines (libgpiod 2), requested once per chip; outputs start inactive.

Source: the gpiod package, version 2 (request_lines, LineSettings, LineRequest).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Protocol, TypeVar

import gpiod
from gpiod.line import Bias, Direction, Value

if TYPE_CHECKING:
    from gpiod import LineSettings

    from station.devices.linux.wiring import GpioLine

T = TypeVar("T")


class LineRequest(Protocol):
    """The lines of one chip that this process holds: the used part of gpiod.LineRequest, for tests to replace."""

    def get_values(self, lines: Iterable[int | str] | None = None) -> list[Value]:
        """Read these lines by their numbers; the values are in the order given."""
        ...

    def set_values(self, values: dict[int | str, Value]) -> None:
        """Drive outputs; keys are line numbers."""
        ...

    def release(self) -> None:
        """Release the lines, so that other programs can request them."""
        ...


RequestLines = Callable[[str, "dict[Iterable[int | str] | int | str, LineSettings | None]", str], LineRequest]
"""gpiod.request_lines: path of the chip, settings by line, consumer"""


class GpioLines:
    """Reads and drives GPIO lines by name. Those of a chip are requested at first use, and again after a failure.

    Chips are independent: if one fails, the outputs of another can still be driven.
    """

    def __init__(
        self,
        inputs: Mapping[str, GpioLine | None],
        outputs: Mapping[str, GpioLine | None],
        request_lines: RequestLines | None = None,
    ) -> None:
        self._inputs = {name: line for name, line in inputs.items() if line is not None}
        self._outputs = {name: line for name, line in outputs.items() if line is not None}
        self._request_lines = request_lines or _request_lines
        self._requests: dict[str, LineRequest] = {}
        self._requested_chips: set[str] = set()
        """chips whose lines were requested, also if they are released now"""

    def has(self, name: str) -> bool:
        """Return whether an input or output of this name is wired."""
        return name in self._inputs or name in self._outputs

    def read(self) -> frozenset[str]:
        """Read all inputs now; returns the names of the active ones.

        Raises:
            OSError: a chip is missing, or a line is in use by another program.
        """
        chips = sorted({line.chip for line in self._inputs.values()})
        return frozenset(name for chip in chips for name in self._active_of(chip))

    def is_active(self, name: str) -> bool:
        """Read one input now; returns whether it is active, False if it is not wired.

        Raises:
            OSError: its chip is missing, or a line is in use by another program.
        """
        line = self._inputs.get(name)
        return line is not None and name in self._active_of(line.chip)

    def write(self, name: str, active: bool) -> None:
        """Set an output active or inactive; no effect if it is not wired.

        Raises:
            OSError: its chip is missing, or a line is in use by another program.
        """
        line = self._outputs.get(name)
        if line is None:
            return
        value = Value.ACTIVE if active else Value.INACTIVE
        self._with_request(line.chip, lambda request: request.set_values({line.line: value}))

    def close(self) -> None:
        """Set all outputs inactive and release the lines; may be called again.

        Raises:
            OSError: an output could not be set; all were tried.
        """
        failure: OSError | None = None
        for name, line in self._outputs.items():
            try:
                if line.chip in self._requested_chips:
                    self.write(name, False)
            except OSError as error:
                failure = failure or error
        self._requested_chips.clear()
        for chip in list(self._requests):
            self._release(chip)
        if failure is not None:
            raise failure

    def _active_of(self, chip: str) -> list[str]:
        """The names of the active inputs of a chip."""
        names = [name for name, line in self._inputs.items() if line.chip == chip]
        values = self._with_request(
            chip, lambda request: request.get_values([self._inputs[name].line for name in names])
        )
        return [name for name, value in zip(names, values, strict=True) if value is Value.ACTIVE]

    def _with_request(self, chip: str, operation: Callable[[LineRequest], T]) -> T:
        """Run an operation on the lines of a chip; after a failure they are released, to be requested again."""
        if chip not in self._requests:
            try:
                self._requests[chip] = self._request_lines(chip, self._settings(chip), "borne")
            except OSError as error:
                raise OSError(f"{chip}: {error.strerror or error}") from error
            self._requested_chips.add(chip)
        try:
            return operation(self._requests[chip])
        except OSError:
            self._release(chip)
            raise

    def _release(self, chip: str) -> None:
        self._requests.pop(chip).release()

    def _settings(self, chip: str) -> dict[Iterable[int | str] | int | str, LineSettings | None]:
        biases = {"as-is": Bias.AS_IS, "pull-up": Bias.PULL_UP, "pull-down": Bias.PULL_DOWN, "disabled": Bias.DISABLED}
        settings: dict[Iterable[int | str] | int | str, LineSettings | None] = {}
        for lines, direction in ((self._inputs, Direction.INPUT), (self._outputs, Direction.OUTPUT)):
            for line in lines.values():
                if line.chip == chip:
                    settings[line.line] = gpiod.LineSettings(
                        direction=direction,
                        bias=biases[line.bias],
                        active_low=line.active_low,
                        output_value=Value.INACTIVE,
                    )
        return settings


def _request_lines(
    path: str, config: dict[Iterable[int | str] | int | str, LineSettings | None], consumer: str
) -> LineRequest:
    return gpiod.request_lines(path, config=config, consumer=consumer)

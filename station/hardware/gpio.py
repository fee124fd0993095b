"""Named lines of GPIO chips (libgpiod 2), requested once per chip; outputs begin at rest.

Source: the gpiod package, version 2 (request_lines, LineSettings, LineRequest).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from gpiod import LineSettings
    from gpiod.line import Value

    from station.hardware.linux_config import GpioLine

T = TypeVar("T")


class LineRequest(Protocol):
    """Lines that are ours: what is used of gpiod.LineRequest."""

    def get_values(self, lines: Iterable[int | str] | None = None) -> list[Value]:
        """The values of lines, in the order in which they were asked for."""
        ...

    def set_values(self, values: dict[int | str, Value]) -> None:
        """Set the values of outputs."""
        ...

    def release(self) -> None:
        """Let go of the lines."""
        ...


RequestLines = Callable[[str, "dict[Iterable[int | str] | int | str, LineSettings | None]", str], LineRequest]
"""gpiod.request_lines: path of the chip, settings by line, consumer"""


class Lines:
    """Inputs and outputs by name. They are requested at the first use, and again after a failure."""

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

    def has(self, name: str) -> bool:
        """Whether there is such a line."""
        return name in self._inputs or name in self._outputs

    def read(self) -> frozenset[str]:
        """The names of the inputs that are active now.

        Raises:
            OSError: a chip is missing, or a line is taken.
        """
        from gpiod.line import Value

        active: set[str] = set()
        for chip, request in self._open().items():
            names = [name for name, line in self._inputs.items() if line.chip == chip]
            values = self._guarded(lambda r=request, n=names: r.get_values([self._inputs[name].line for name in n]))
            active.update(name for name, value in zip(names, values, strict=True) if value is Value.ACTIVE)
        return frozenset(active)

    def write(self, name: str, active: bool) -> None:
        """Set an output; where there is none of this name nothing happens.

        Raises:
            OSError: a chip is missing, or a line is taken.
        """
        from gpiod.line import Value

        line = self._outputs.get(name)
        if line is None:
            return
        request, value = self._open()[line.chip], Value.ACTIVE if active else Value.INACTIVE
        self._guarded(lambda: request.set_values({line.line: value}))

    def close(self) -> None:
        """Bring the outputs to rest and let go of all lines; harmless when that is done.

        Raises:
            OSError: an output could not be brought to rest.
        """
        if not self._requests:
            return
        try:
            for name in self._outputs:
                self.write(name, False)
        finally:
            self._let_go()

    def _open(self) -> dict[str, LineRequest]:
        """The requests by chip, made when there are none."""
        if not self._requests:
            chips = {line.chip for line in (*self._inputs.values(), *self._outputs.values())}
            for chip in sorted(chips):
                try:
                    self._requests[chip] = self._request_lines(chip, self._settings(chip), "borne")
                except OSError as error:
                    self._let_go()
                    raise OSError(f"{chip}: {error.strerror or error}") from error
        return self._requests

    def _settings(self, chip: str) -> dict[Iterable[int | str] | int | str, LineSettings | None]:
        import gpiod
        from gpiod.line import Bias, Direction, Value

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

    def _guarded(self, use: Callable[[], T]) -> T:
        """What a use of the lines gives; after a failure they are requested anew."""
        try:
            return use()
        except OSError:
            self._let_go()
            raise

    def _let_go(self) -> None:
        requests, self._requests = self._requests, {}
        for request in requests.values():
            request.release()


def _request_lines(
    path: str, config: dict[Iterable[int | str] | int | str, LineSettings | None], consumer: str
) -> LineRequest:
    import gpiod

    return gpiod.request_lines(path, config=config, consumer=consumer)

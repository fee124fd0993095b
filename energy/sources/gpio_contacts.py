"""The grid operator's dry contacts on GPIO lines of this machine."""

from __future__ import annotations

from pathlib import Path

import gpiod
from gpiod import LineRequest
from gpiod.line import Bias, Direction, Value


class GpioContacts:
    """Reads contacts between GPIO lines and ground, with pull-ups.

    The lines are requested at the first read, and again after a failure.
    """

    def __init__(self, chip: Path, lines: tuple[int, ...]) -> None:
        self._chip = chip
        self._lines = lines
        self._request: LineRequest | None = None

    def read(self) -> tuple[bool, ...]:
        """Return whether each contact is closed, in the order of the lines.

        Raises:
            OSError: the chip is missing, or a line is taken.
        """
        if self._request is None:
            self._request = self._request_lines()
        try:
            values = self._request.get_values(list(self._lines))
        except OSError:
            self.close()
            raise
        return tuple(value is Value.ACTIVE for value in values)

    def close(self) -> None:
        """Release the lines; the next read requests them again."""
        request, self._request = self._request, None
        if request is not None:
            request.release()

    def _request_lines(self) -> LineRequest:
        settings = gpiod.LineSettings(direction=Direction.INPUT, bias=Bias.PULL_UP, active_low=True)
        try:
            return gpiod.request_lines(str(self._chip), consumer="borne", config={self._lines: settings})
        except OSError as error:
            raise OSError(f"{self._chip}: {error.strerror}") from error

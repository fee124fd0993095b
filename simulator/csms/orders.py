"""What the bundled CSMS is told to do: requests that it sends, and answers that are chosen for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from foundation.frozen import Frozen
from simulator.csms.messages import ErrorFrame, ResultFrame

MAX_CHOSEN_ANSWERS: Final = 1_000
"""actions of stations for which answers are chosen at the same time"""


class TooManyAnswersError(Exception):
    """Answers are chosen for too many actions of stations."""


class CallAnswer(Frozen):
    """The answer of a station to a request of the CSMS: a payload, or a CALLERROR."""

    payload: Mapping[str, object] = {}
    error_code: str | None = None
    """code of the CALLERROR; None: it is a payload"""
    error_description: str = ""


class ChosenAnswer(Frozen):
    """How the CSMS is to answer the next requests of an action."""

    payload: Mapping[str, object] = {}
    """fields that its answer has beside the usual ones; None as a value leaves a field out"""
    error_code: str | None = None
    """code of a CALLERROR in place of an answer"""
    error_description: str = ""
    silent: bool = False
    """whether it does not answer"""
    times: int = 1
    """for so many requests; 0: until another one is chosen"""

    def applied(self, usual: ResultFrame | ErrorFrame) -> ResultFrame | ErrorFrame | None:
        """The answer in place of the usual one; None: there is no answer. An invalid request stays refused."""
        if self.silent:
            return None
        if self.error_code is not None:
            return ErrorFrame(usual.id, self.error_code, self.error_description)
        if isinstance(usual, ErrorFrame):
            return usual
        merged = {**usual.payload, **self.payload}
        return ResultFrame(usual.id, {key: value for key, value in merged.items() if value is not None})


class ChosenAnswers:
    """The answers that were chosen for the requests of stations, each for a number of requests."""

    def __init__(self) -> None:
        self._chosen: dict[tuple[str, str], ChosenAnswer] = {}
        """by identity of the station and action"""

    def choose(self, identity: str, action: str, answer: ChosenAnswer) -> None:
        """Choose how the next requests of an action are answered, in place of what was chosen for them before.

        Raises:
            TooManyAnswersError: there are too many.
        """
        if len(self._chosen) >= MAX_CHOSEN_ANSWERS and (identity, action) not in self._chosen:
            raise TooManyAnswersError(f"answers are chosen for {MAX_CHOSEN_ANSWERS} actions of stations already")
        self._chosen[identity, action] = answer

    def take(self, identity: str, action: str) -> ChosenAnswer | None:
        """The answer that is chosen for a request that has come, which counts; None: the usual one."""
        chosen = self._chosen.get((identity, action))
        if chosen is None or chosen.times == 0:
            return chosen
        if chosen.times == 1:
            del self._chosen[identity, action]
        else:
            self._chosen[identity, action] = replace(chosen, times=chosen.times - 1)
        return chosen

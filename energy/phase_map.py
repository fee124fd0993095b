"""Maps terminals of an EVSE to phases of the connection: configured, or learned. Pure.

A one-phase vehicle loads the conductor at terminal L1 of its EVSE. Which grid phase that is may be configured by the
installer; if not, it is learned: when the current of our own vehicle makes a step, one phase of the grid meter makes
the same step.
"""

from __future__ import annotations

from itertools import permutations

from msgspec import field

from foundation.frozen import Frozen
from metering.reading import Phases

LEARNED_STEP_A = 3.0
"""smallest step used for learning: a house rarely makes the same one at the same time"""
_STEP_TOLERANCE_A = 1.5
"""tolerance between our step and the grid meter's: whole amperes before and after, and the house's own changes"""
_MIN_VOTES = 3
"""smallest number of matching steps; they must be more than twice as many as those of all other phases"""
_SETTLING_TIME_S = 6.0
"""time for a vehicle to follow (5 s) and for a sample"""

ROTATIONS = tuple("".join(order) for order in permutations("RST"))
"""RST, RTS, SRT, STR, TRS, TSR: the grid phases at terminals L1, L2, L3 (OCPP: PhaseRotation)"""


class PhaseMap(Frozen):
    """The grid phase, 0 to 2, at each terminal of an EVSE; None: not known."""

    terminals: tuple[int | None, int | None, int | None]

    @classmethod
    def from_rotation(cls, rotation: str) -> PhaseMap:
        """Make the map of a rotation in OCPP's notation, such as `RST`. Raises ValueError for anything else."""
        if rotation not in ROTATIONS:
            raise ValueError(f"phase rotation must be one of {', '.join(ROTATIONS)}")
        first, second, third = ("RST".index(letter) for letter in rotation)
        return cls((first, second, third))

    @property
    def known(self) -> bool:
        """Whether the grid phase of every terminal is known."""
        return None not in self.terminals

    @property
    def rotation(self) -> str | None:
        """The rotation in OCPP's notation; None while not known."""
        letters = ["RST"[phase] for phase in self.terminals if phase is not None]
        return "".join(letters) if len(letters) == 3 else None

    def grid_phases(self, terminals: frozenset[int]) -> frozenset[int]:
        """The grid phases, 0 to 2, that may be at these terminals (0 to 2): all possible ones if not known."""
        found: set[int] = set()
        for terminal in terminals:
            phase = self.terminals[terminal]
            found |= {phase} if phase is not None else self._unmapped_phases
        return frozenset(found)

    def to_grid(self, currents_a: Phases[float]) -> tuple[Phases[float], Phases[float]]:
        """Convert an EVSE's currents at its terminals to grid phases: lower bounds, and upper bounds."""
        least, most = [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]
        drawn = tuple(currents_a)
        somewhere = [drawn[terminal] for terminal in range(3) if self.terminals[terminal] is None]
        for terminal, phase in enumerate(self.terminals):
            if phase is not None:
                least[phase] = most[phase] = drawn[terminal]
        for phase in self._unmapped_phases:
            least[phase], most[phase] = min(somewhere), max(somewhere)
        return Phases(*least), Phases(*most)

    @property
    def _unmapped_phases(self) -> set[int]:
        return {0, 1, 2} - {phase for phase in self.terminals if phase is not None}


RST_MAP = PhaseMap((0, 1, 2))
UNKNOWN_MAP = PhaseMap((None, None, None))


class RotationLearner(Frozen):
    """Learns the rotation of one EVSE from steps of its vehicle. Immutable: each observation gives a new object."""

    votes: tuple[tuple[int, int, int], ...] = ((0, 0, 0), (0, 0, 0), (0, 0, 0))
    """per terminal, the number of matching steps on each grid phase"""
    at_s: float | None = None
    own_a: Phases[float] = field(default_factory=lambda: Phases(0.0, 0.0, 0.0))
    grid_a: Phases[float] = field(default_factory=lambda: Phases(0.0, 0.0, 0.0))

    def observe(self, own_a: Phases[float], grid_a: Phases[float], now_s: float) -> RotationLearner:
        """Return the state after one more observation: the EVSE's draw at its terminals, and the grid meter's currents.

        One within six seconds of the last that counted is ignored, so that the vehicle has followed a step.
        """
        if self.at_s is None:
            return RotationLearner(self.votes, now_s, own_a, grid_a)
        if now_s - self.at_s < _SETTLING_TIME_S:
            return self
        moved = [after - before for after, before in zip(grid_a, self.grid_a, strict=True)]
        votes = [list(row) for row in self.votes]
        for terminal, (after, before) in enumerate(zip(own_a, self.own_a, strict=True)):
            step_a = after - before
            alike = [phase for phase in range(3) if abs(moved[phase] - step_a) <= _STEP_TOLERANCE_A]
            if abs(step_a) >= LEARNED_STEP_A and len(alike) == 1:
                votes[terminal][alike[0]] += 1
        return RotationLearner(tuple((row[0], row[1], row[2]) for row in votes), now_s, own_a, grid_a)

    @property
    def phase_map(self) -> PhaseMap:
        """The learned map; a terminal is None until enough steps match."""
        found: list[int | None] = []
        for row in self.votes:
            best = max(range(3), key=lambda phase: row[phase])
            other_votes = sum(row) - row[best]
            found.append(best if row[best] >= _MIN_VOTES and row[best] > 2 * other_votes else None)
        if len({phase for phase in found if phase is not None}) < sum(phase is not None for phase in found):
            return UNKNOWN_MAP  # two terminals at one phase cannot be
        missing = [index for index, phase in enumerate(found) if phase is None]
        if len(missing) == 1:
            found[missing[0]] = ({0, 1, 2} - {phase for phase in found if phase is not None}).pop()
        return PhaseMap((found[0], found[1], found[2]))

"""`python -m tests.exploration`: every step, all settings, all pairs of start and stop points, on all processors."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed

from msgspec.structs import replace

from foundation.frozen import Frozen
from tests.exploration.explorer import Explored, Explorer, RuleBrokenError
from tests.exploration.machine import EvseSetup
from tests.exploration.worlds import ALL, DATA_SIGNED, DEFAULT_SETUP, EVENTS, MOST, PAIRS, SETTINGS, with_events

_MAX_STATES = 2_000_000


class Job(Frozen):
    """One space to explore."""

    name: str
    setup: EvseSetup
    steps: Sequence[str]
    metered: bool = True


def jobs() -> Iterator[Job]:
    """All spaces, the largest first."""
    yield Job("all steps", DEFAULT_SETUP, ALL, metered=False)
    yield Job("two faults at a time", replace(DEFAULT_SETUP, most_faults=2), MOST)
    for setup in SETTINGS:
        yield Job("settings", setup, MOST)
    for setup, events in itertools.product((*SETTINGS, DATA_SIGNED), EVENTS):
        changed, steps = with_events(setup, events)
        yield Job(events, changed, steps)
    for setup in PAIRS:
        yield Job("pair of points", setup, MOST)


def explore(job: Job) -> Explored:
    """Explore one space."""
    return Explorer(job.setup, job.steps, metered=job.metered).run(_MAX_STATES)


def main() -> int:
    """Explore all; returns how many spaces break a rule."""
    began_s, broken, states, transitions = time.monotonic(), 0, 0, 0
    with ProcessPoolExecutor() as pool:
        running = {pool.submit(explore, job): job for job in jobs()}
        for future in as_completed(running):
            job = running[future]
            try:
                found = future.result()
            except RuleBrokenError as error:
                broken += 1
                _print_line(f"BROKEN  {job.name}: {error}")
                continue
            states, transitions = states + found.states, transitions + found.transitions
            _print_line(f"{found.states:>9,} states {found.transitions:>10,} transitions  {job.name}: {job.setup}")
    took_s = time.monotonic() - began_s
    _print_line(f"{states:,} states, {transitions:,} transitions in {took_s:,.0f} s; {broken} spaces broken")
    return broken


def _print_line(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(1 if main() else 0)

"""Every state that an EVSE can get into keeps the rules: the usual settings, and all pairs of start and stop points.

`make explore` goes through all steps and all settings.
"""

from __future__ import annotations

import pytest

from tests.exploration.explorer import Explorer
from tests.exploration.worlds import CHARGING, COMMON, DEFAULT_SETUP, EVENTS, PAIRS, with_events

pytestmark = pytest.mark.timeout(1_800)  # it computes, for half a minute of a machine that does nothing else
_MAX_STATES = 20_000
"""where there are more, something that decides nothing is not left out of the normal form"""


def test_every_reachable_state_keeps_the_rules_with_the_usual_settings() -> None:
    explored = Explorer(DEFAULT_SETUP, COMMON).run(_MAX_STATES)
    assert explored.states > 1_000


@pytest.mark.parametrize("half", [0, 1])
def test_every_reachable_state_keeps_the_rules_with_each_pair_of_start_and_stop_points(half: int) -> None:
    explored = [Explorer(setup, CHARGING).run(_MAX_STATES) for setup in PAIRS[half::2]]
    assert min(result.states for result in explored) > 100


@pytest.mark.parametrize("events", EVENTS)
def test_every_reachable_state_keeps_the_rules_with_events_that_are_rare(events: str) -> None:
    setup, steps = with_events(DEFAULT_SETUP, events)
    if setup.switches_phases or setup.linked:
        steps = tuple(step for step in steps if step not in {"bay", "out-of-service", "in-service", "fb-flip"})
    assert Explorer(setup, steps).run(_MAX_STATES).states > 1_000

"""Every state that an EVSE can get into keeps the rules: the usual settings, and all pairs of start and stop points.

`make explore` goes through all steps and all settings.
"""

from __future__ import annotations

import pytest

from tests.exploration.explorer import Explorer
from tests.exploration.worlds import CHARGING, MOST, PAIRS, USUAL

_MOST_STATES = 20_000
"""where there are more, something that decides nothing is not left out of the normal form"""


def test_every_reachable_state_keeps_the_rules_with_the_usual_settings() -> None:
    explored = Explorer(USUAL, MOST).run(_MOST_STATES)
    assert explored.states > 1_000


@pytest.mark.timeout(600)
def test_every_reachable_state_keeps_the_rules_with_each_pair_of_start_and_stop_points() -> None:
    explored = [Explorer(setup, CHARGING).run(_MOST_STATES) for setup in PAIRS]
    assert min(one.states for one in explored) > 100

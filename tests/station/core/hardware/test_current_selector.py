"""The current selector: every position that is printed, and what cannot be read."""

from __future__ import annotations

import pytest

from station.core.hardware.current_selector import POSITIONS, selected_a


@pytest.mark.parametrize("position", POSITIONS)
def test_a_position_allows_what_is_printed_and_a_reserved_one_the_least(position: str) -> None:
    assert selected_a(position) == (8.0 if position in {"X", "Y", "Z"} else float(position))


@pytest.mark.parametrize("position", [None, "", "0", "33", "x", "-32", "²"])
def test_what_cannot_be_read_allows_the_least(position: str | None) -> None:
    assert selected_a(position) == 8.0

"""Rules between tables ask what a device has, not its type: a board that no rule knows is judged like any other."""

from __future__ import annotations

from typing import ClassVar

import pytest
from msgspec.structs import replace

from foundation.device_table import Resource, ResourceKind
from station.configuration.installation_file import Configuration
from station.core.hardware.board_table import BoardTable
from station.core.installation_file.document import RuleErrors

LINE = Resource(ResourceKind.GPIO_LINE, ("/dev/gpiochip0", 5), ("relay",))


class NewBoardConfig(BoardTable, tag_field="type", tag="new"):
    """[board] of a type that is in no union."""

    type: ClassVar[str] = "new"
    evses: int = 1
    shunt_trip: bool = True

    @property
    def wired_evses(self) -> int:
        return self.evses

    @property
    def has_shunt_trip(self) -> bool:
        return self.shunt_trip

    @property
    def resources(self) -> tuple[Resource, ...]:
        return (LINE,)


def with_board(board: BoardTable, **tables: object) -> Configuration:
    """The configuration of a station with one real meter, a shunt trip, and this board; checked by all rules.

    Raises:
        RuleErrors: a rule is broken.
    """
    meter = {"type": "modbus-tcp", "model": "eastron-sdm630", "host": "192.168.1.20"}
    plain = Configuration.from_tree(
        {
            "station": {"identity": "B1"},
            "firmware": {"type": "command", "install_command": ["/bin/true"]},
            "protection": {"shunt_trip": "hold"},
            "evse": [{"meter": meter}],
            **tables,
        }
    )
    found = replace(plain, board=board)
    found.check_rules()
    return found


def rule_error_keys(error: RuleErrors) -> list[tuple[str | int, ...]]:
    return [rule_error.key for rule_error in error.errors]


def test_a_new_board_with_a_shunt_trip_is_accepted() -> None:
    assert with_board(NewBoardConfig()).board.has_shunt_trip


def test_a_new_board_without_a_shunt_trip_is_refused_one() -> None:
    with pytest.raises(RuleErrors, match=r"needs board\.shunt_trip") as refused:
        with_board(NewBoardConfig(shunt_trip=False))
    assert rule_error_keys(refused.value) == [("protection", "shunt_trip")]


def test_a_new_board_is_wired_to_as_many_evses_as_there_are() -> None:
    with pytest.raises(RuleErrors, match=r"must have 1 entries, one for each \[\[evse\]\] \(has 2\)") as refused:
        with_board(NewBoardConfig(evses=2))
    assert rule_error_keys(refused.value) == [("board", "evse")]


def test_nothing_simulated_is_accepted_beside_a_new_board() -> None:
    with pytest.raises(RuleErrors, match=r'must not be simulated: board\.type is "new"') as refused:
        with_board(NewBoardConfig(), reader=[{"type": "simulated"}])
    assert rule_error_keys(refused.value) == [("reader", 0, "type")]


def test_a_line_of_a_new_board_is_not_also_that_of_the_grid_operators_contact() -> None:
    contact = {"type": "dry-contact", "polarity": "open-dims", "line": 5}
    with pytest.raises(RuleErrors, match=r"must not be the same as board\.relay") as refused:
        with_board(NewBoardConfig(), grid_order=contact)
    assert rule_error_keys(refused.value) == [("grid_order", "line")]
    with_board(NewBoardConfig(), grid_order=contact | {"line": 6})

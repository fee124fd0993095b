"""The parts of a station, as the routes of its API find them."""

from __future__ import annotations

import pytest
from starlette.requests import HTTPConnection
from starlette.types import Receive, Scope, Send

from station.interfaces.parts import PartKey, StationParts, WithParts, parts_of

NUMBER = PartKey[int]("number")
TEXT = PartKey[str]("text")


def test_a_part_that_is_added_again_replaces_the_former_one() -> None:
    """Also one that was asked for, such as another configuration."""
    parts = StationParts()
    parts.add(NUMBER, 1)
    assert parts.get(NUMBER) == 1
    parts.add(NUMBER, 2)
    assert parts.get(NUMBER) == 2


def test_a_running_station_has_the_parts_of_its_installation_and_keeps_its_own() -> None:
    installation = StationParts()
    installation.add(NUMBER, 1)
    running = StationParts(installation)
    running.add(TEXT, "runs")
    assert (running.get(NUMBER), running.get(TEXT), running.running) == (1, "runs", True)
    assert (installation.find(TEXT), installation.running) == (None, False)
    with pytest.raises(LookupError, match="text"):
        installation.get(TEXT)


def test_a_lazy_part_is_made_once_and_only_when_it_is_asked_for() -> None:
    calls: list[str] = []

    def make() -> str:
        calls.append("made")
        return "text"

    parts = StationParts()
    parts.add_lazy(TEXT, make)
    assert calls == []
    assert [parts.get(TEXT), parts.get(TEXT), *calls] == ["text", "text", "made"]


def test_parts_on_demand_are_added_when_a_part_is_first_asked_for() -> None:
    added: list[str] = []
    parts = StationParts()

    def add() -> None:
        added.append("added")
        parts.add(NUMBER, 1)
        parts.add(TEXT, f"{parts.get(NUMBER)} part")

    parts.add_on_demand(add)
    assert added == []
    assert [parts.get(TEXT), parts.get(NUMBER), *added] == ["1 part", 1, "added"]


def test_parts_on_demand_are_added_at_the_next_request_if_adding_them_fails() -> None:
    parts, failures = StationParts(), [OSError("too many open files")]

    def add() -> None:
        parts.add(NUMBER, 1)
        if failures:
            raise failures.pop()
        parts.add(TEXT, "text")

    parts.add_on_demand(add)
    with pytest.raises(OSError, match="too many open files"):
        parts.get(NUMBER)
    assert (parts.get(NUMBER), parts.get(TEXT)) == (1, "text")


def test_a_part_that_has_been_added_needs_no_parts_on_demand() -> None:
    added: list[str] = []
    parts = StationParts()
    parts.add(NUMBER, 1)
    parts.add_on_demand(lambda: added.append("added"))
    assert (parts.get(NUMBER), added) == (1, [])


def test_a_current_part_is_read_at_each_request_and_may_be_absent() -> None:
    links: list[str] = []
    parts = StationParts()
    parts.add_current(TEXT, lambda: links[-1] if links else None)
    assert parts.find(TEXT) is None
    links.append("first link")
    assert parts.get(TEXT) == "first link"
    links.append("second link")
    assert parts.get(TEXT) == "second link"


async def test_a_request_that_waits_sees_the_parts_of_the_station_that_has_restarted() -> None:
    numbers: list[int] = []
    present = [StationParts()]
    present[0].add(NUMBER, 1)

    async def app(scope: Scope, _: Receive, __: Send) -> None:
        connection = HTTPConnection(scope)
        numbers.append(parts_of(connection).get(NUMBER))
        present[0] = StationParts()
        present[0].add(NUMBER, 2)
        numbers.append(parts_of(connection).get(NUMBER))

    async def receive() -> dict[str, str]:
        raise AssertionError("nothing is received")

    async def send(_: object) -> None:
        raise AssertionError("nothing is sent")

    await WithParts(app, lambda: present[0])({"type": "http"}, receive, send)
    assert numbers == [1, 2]

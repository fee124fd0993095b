"""Rows, their verdicts, and the table in docs/performance.md."""

from __future__ import annotations

import pytest

from bench.__main__ import NAMES
from bench.catalogue import MEASUREMENTS
from bench.report import PAGE, Machine, PageError, as_json, read_json, table, with_table
from bench.rows import Aim, Floor, Row, figure_text, floor_text, line

MACHINE = Machine(2, "x86_64", "CPython 3.11.7")
FLOORS = (Floor("client", 200.0), Floor("bare", 50.0))
ROWS = (
    Row("start", "start, exec to BootNotification", 190.0, "ms", FLOORS, Aim(1.0, floor="client")),
    Row("rate", "events", 2_400.0, "/s", (Floor("bare commits", 4_800.0),), Aim(2_000.0, at_least=True)),
    Row("threads", "threads each", 0.0, "", (Floor("client", 0.0),), Aim(0.0)),
    Row("other", "without an aim", 1.5, "s"),
)


@pytest.mark.parametrize(
    ("figure", "aim", "met"),
    [
        (45.0, Aim(45.0), True),
        (45.1, Aim(45.0), False),
        (45.0, Aim(45.0, at_least=True), True),
        (44.9, Aim(45.0, at_least=True), False),
        (200.0, Aim(1.0, floor="client"), True),
        (200.1, Aim(1.0, floor="client"), False),
        (74.9, Aim(1.5, floor="bare"), True),
        (75.1, Aim(1.5, floor="bare"), False),
        (75.1, Aim(1.5, at_least=True, floor="bare"), True),
        (1.0, None, None),
    ],
)
def test_an_aim_is_a_figure_or_a_multiple_of_a_floor(figure: float, aim: Aim | None, met: bool | None) -> None:
    row = Row("one", "one", figure, "ms", FLOORS, aim)
    assert row.met is met
    assert row.verdict == {True: "met", False: "NOT MET", None: ""}[met]


def test_an_aim_that_names_a_floor_which_was_not_measured_is_an_error() -> None:
    with pytest.raises(KeyError):
        _ = Row("one", "one", 1.0, "ms", FLOORS, Aim(1.0, floor="another")).met


def test_a_line_has_figure_floors_ratios_aim_verdict_and_note() -> None:
    row = Row("memory", "memory", 66.71, "MiB", (Floor("client", 34.4),), Aim(45.0), "after 20 s")
    words = " ".join(line(row).split())
    assert words == "memory 66.7 MiB 34.4, client (× 1.94) aim ≤ 45 MiB: NOT MET (after 20 s)"
    assert floor_text(ROWS[2], ROWS[2].floors[0]) == "0, client"
    assert [row.aim_text for row in ROWS] == ["≤ 1 × client", "≥ 2,000 /s", "≤ 0", ""]


def test_figures_have_three_significant_digits() -> None:
    figures = (12_345.6, 123.4, 45.678, 1.234, 0.98765, 0.0021234, 0.0)
    assert [figure_text(figure) for figure in figures] == ["12,346", "123", "45.7", "1.23", "0.988", "0.00212", "0"]


def test_the_table_replaces_the_one_before_and_nothing_else_of_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    written = with_table(page, MACHINE, ROWS)
    assert table(MACHINE, ROWS) in written
    assert with_table(written, MACHINE, ROWS) == written
    assert with_table(with_table(written, MACHINE, ROWS[:1]), MACHINE, ROWS) == written
    assert [written.partition("<!--")[0], written.rpartition("-->")[2]] == [
        page.partition("<!--")[0],
        page.rpartition("-->")[2],
    ]
    assert "| events | 2,400 /s | 4,800, bare commits (× 0.5) | ≥ 2,000 /s | met |" in written


def test_a_brief_measurement_does_not_get_into_the_page() -> None:
    with pytest.raises(PageError, match="briefly: memory"):
        with_table(PAGE.read_text(encoding="utf-8"), MACHINE, [Row("memory", "memory", 1.0, "MiB", note="after 20 s")])
    with pytest.raises(PageError, match="no marked place"):
        with_table("# Performance\n", MACHINE, ROWS)


def test_rows_are_read_from_the_json_that_was_written() -> None:
    assert read_json(as_json(MACHINE, ROWS)) == (MACHINE, list(ROWS))


def test_each_row_has_a_name_of_its_own() -> None:
    assert len(set(NAMES)) == len(NAMES) == sum(len(measurement.rows) for measurement in MEASUREMENTS)

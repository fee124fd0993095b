"""The example of the installation file, as it is generated: values, choices and comments of its keys."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, get_type_hints

import pytest
from msgspec import Meta

from foundation.secret import Secret
from foundation.table import Table
from foundation.table_definition import Count
from metering.drivers.registers import WordOrder
from station.configuration.example_lines import Line, comment_lines, in_place, not_in_force, text_of
from station.configuration.example_values import first_choice, key_range, other_choices, sample_of, toml_text
from station.configuration.installation_example import installation_example


def test_no_line_is_wider_than_the_page_and_each_key_has_a_comment() -> None:
    lines = installation_example().splitlines()
    assert max(map(len, lines)) <= 120
    for line, after in pairwise(lines):
        if " = " in line and not line.startswith("# ") and "type = " not in line:
            assert " # " in line or "    # " in after, line


def test_a_table_is_described_once_and_later_shown_in_one_line() -> None:
    example = installation_example()
    assert example.count("the number of the line on its chip") == 1
    assert 'meter = {type = "modbus-tcp", model = "eastron-sdm630", host = ' in example


@pytest.mark.parametrize(
    ("value", "toml"),
    [
        (True, "true"),
        (32.0, "32"),
        (0.3, "0.3"),
        (Decimal("0.18"), "0.18"),
        (WordOrder.BIG, '"big"'),
        (Path("/dev/ttyS0"), '"/dev/ttyS0"'),
        (("a", 'b"'), r'["a", "b\""]'),
        ({"line": 5, "active_low": True}, "{line = 5, active_low = true}"),
    ],
)
def test_a_value_is_written_as_toml_reads_it(value: object, toml: str) -> None:
    assert toml_text(value) == toml
    tomllib.loads(f"key = {toml}")


def test_the_sample_of_a_key_is_in_its_annotation_the_outermost_first() -> None:
    class Keys(Table):
        first: Annotated[str, Meta(min_length=1, examples=["inner"])] | None = None
        second: Annotated[Annotated[str, Meta(examples=["inner"])] | None, Meta(examples=["outer"])] = None

    kinds = get_type_hints(Keys, include_extras=True)
    assert (sample_of(kinds["first"]), sample_of(kinds["second"])) == ("inner", "outer")
    assert sample_of(Secret | None) is None


def test_a_type_with_few_values_needs_no_sample() -> None:
    assert first_choice(Literal["a", "b"] | None) == "a"
    assert first_choice(bool | None) is True
    assert first_choice(tuple[Literal["a"], ...]) == ["a"]
    assert first_choice(str | None) is None


def test_a_comment_lists_the_other_values_if_they_are_few() -> None:
    assert other_choices(Literal["a", "b", 3], "a") == 'or "b", 3'
    assert other_choices(tuple[Literal["a", "b"], ...], ["a"]) == 'also "b"'
    assert other_choices(str, "a") == ""
    assert other_choices(Literal[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 0) == ""


def test_a_comment_states_the_range_of_a_number() -> None:
    assert key_range(Annotated[Count | None, Meta(ge=0, le=9)]) == "0 to 9"
    assert key_range(Annotated[float, Meta(gt=0, le=10)]) == "above 0 to 10"
    assert key_range(Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]) == ""
    assert key_range(Annotated[float, Meta(gt=0)]) == ""


def test_comments_are_in_one_column_and_wrapped() -> None:
    lines = [Line("[table]"), *not_in_force([Line("key = 1", "word " * 20)])]
    header, first, second = text_of(lines).splitlines()
    assert header == "[table]"
    assert first.startswith("#key = 1   ")
    assert second.startswith("#   ")
    assert first.index("# word") == second.index("# word") == 40


def test_the_comment_of_a_long_key_is_below_it() -> None:
    assert text_of([Line(f'key = "{"x" * 60}"', "meaning")]).splitlines()[1] == " " * 40 + "# meaning"


def test_a_table_in_the_place_of_another_is_indented_with_its_required_keys_in_force() -> None:
    table = [Line("[other]"), Line("required = 1"), Line(), *not_in_force([Line("optional = 2")])]
    lines = text_of([*comment_lines("In place of it:"), *in_place(table)])
    assert lines == "# In place of it:\n#  [other]\n#  required = 1\n#  #optional = 2\n"

"""The suite tries the same examples on every run; `make fuzz` tries random ones, ten times as many of each test."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import settings

from tests import examples as profiles
from tests.examples import FUZZ_FACTOR, examples

TESTS = Path(__file__).parent


@pytest.mark.parametrize(("profile", "same", "times"), [("ci", True, 1), ("fuzz", False, FUZZ_FACTOR)])
def test_each_profile_has_its_examples(profile: str, same: bool, times: int) -> None:
    before = settings.get_current_profile_name()
    settings.load_profile(profile)
    try:
        chosen = (settings(), examples(30), examples(400))
    finally:
        settings.load_profile(before)
    assert [profile.max_examples for profile in chosen] == [100 * times, 30 * times, 400 * times]
    assert {profile.derandomize for profile in chosen} == {same}
    assert {profile.deadline for profile in chosen} == {None}


def test_without_an_option_the_examples_are_the_same_on_every_run(request: pytest.FixtureRequest) -> None:
    profile_name = request.config.getoption("--hypothesis-profile")
    assert settings().derandomize is (profile_name in {None, "ci"})


def test_no_test_says_otherwise_how_many_examples_it_tries() -> None:
    """Else `make fuzz` would not try more."""
    own = [
        f"{path.relative_to(TESTS)}:{call.lineno}"
        for path in sorted(TESTS.rglob("*.py"))
        if path != Path(str(profiles.__file__))
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call)
        and any(keyword.arg in {"max_examples", "derandomize", "deadline"} for keyword in call.keywords)
    ]
    assert own == []

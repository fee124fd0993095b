"""The number of hypothesis examples: set by each test; `make fuzz` tries ten times as many random ones."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

FUZZ_FACTOR = 10
"""factor of the profile `fuzz` on the number of examples"""
_USUAL = 100
"""default number of examples of a test"""


def register_profiles() -> None:
    """Register `ci`, the same examples on every run, and `fuzz` (`pytest --hypothesis-profile fuzz`); load `ci`.

    Neither has a deadline: the speed of the machine is not under test.
    """
    common = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, print_blob=True)
    settings.register_profile("ci", common, derandomize=True, max_examples=_USUAL)
    settings.register_profile("fuzz", common, derandomize=False, max_examples=_USUAL * FUZZ_FACTOR)
    settings.load_profile("ci")


def plays_all() -> bool:
    """Return whether the profile `fuzz` is loaded, with which a test plays all of its generated cases, not a sample."""
    return settings().max_examples > _USUAL


def examples(count: int) -> settings:
    """Settings for a test with `count` examples, scaled by the loaded profile."""
    return settings(max_examples=count * settings().max_examples // _USUAL)

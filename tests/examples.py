"""How many examples hypothesis tries: each test says how many, and `make fuzz` tries ten times as many random ones."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

FUZZ_FACTOR = 10
"""how many times as many examples the profile `fuzz` tries"""
_USUAL = 100
"""examples of a test that does not say how many"""


def register_profiles() -> None:
    """Register `ci`, the same examples on every run, and `fuzz` (`pytest --hypothesis-profile fuzz`); load `ci`.

    How fast a machine makes examples is no property of what is tested: neither has a deadline.
    """
    common = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, print_blob=True)
    settings.register_profile("ci", common, derandomize=True, max_examples=_USUAL)
    settings.register_profile("fuzz", common, derandomize=False, max_examples=_USUAL * FUZZ_FACTOR)
    settings.load_profile("ci")


def examples(count: int) -> settings:
    """Settings for a test of so many examples, in the profile that is loaded."""
    return settings(max_examples=count * settings().max_examples // _USUAL)

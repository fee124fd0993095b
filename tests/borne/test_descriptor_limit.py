"""A process that hosts many stations may open enough files for them, or says that it may not."""

from __future__ import annotations

import resource
from collections.abc import Generator

import pytest

from borne.host_process import raise_descriptor_limit
from borne.station_runtime import StartError

LIMIT = resource.RLIMIT_NOFILE


@pytest.fixture(autouse=True)
def limits() -> Generator[None]:
    before = resource.getrlimit(LIMIT)
    yield
    resource.setrlimit(LIMIT, before)


def test_the_soft_limit_is_raised_to_what_the_stations_need() -> None:
    _, hard = resource.getrlimit(LIMIT)
    resource.setrlimit(LIMIT, (600, hard))
    raise_descriptor_limit(10)
    assert resource.getrlimit(LIMIT)[0] == 600, "is enough"
    raise_descriptor_limit(100)
    assert resource.getrlimit(LIMIT) == (512 + 8 * 100, hard)


def test_a_hard_limit_that_is_too_low_is_named_with_what_is_needed() -> None:
    soft, hard = resource.getrlimit(LIMIT)
    assert hard != resource.RLIM_INFINITY
    stations = hard
    with pytest.raises(StartError, match=f"^{stations} stations need {512 + 8 * stations} open files, .* open {hard}:"):
        raise_descriptor_limit(stations)
    assert resource.getrlimit(LIMIT)[0] == soft

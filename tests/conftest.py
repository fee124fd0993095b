"""The options of the test run, and the profiles of hypothesis."""

from __future__ import annotations

import pytest

from tests.examples import register_profiles

register_profiles()


def pytest_addoption(parser: pytest.Parser) -> None:
    """What the conformance suite can be told; the other tests need nothing."""
    group = parser.getgroup("conformance")
    group.addoption("--station", metavar="URL", help="local API of a station that runs already, in place of our own")
    group.addoption(
        "--csms-port", default="9310", help="where that station finds the test system (ws://HOST:PORT/ocpp)"
    )
    group.addoption("--switching-board", action="store_true", help="our own station can take two phases of three away")
    group.addoption("--conformance-report", metavar="FILE", help="write what came of each case, as Markdown")

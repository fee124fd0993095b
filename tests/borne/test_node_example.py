"""The example of docs/http-tests.md, played by Node with a station and the bundled CSMS."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.node_example import play_example
from tests.shell_session import shell_session


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
@pytest.mark.parametrize(("expected", "code"), [("Accepted", 0), ("Blocked", 1)])
async def test_node_tests_a_csms_by_http_alone(tmp_path: Path, expected: str, code: int) -> None:
    """With another expectation it fails, and says why."""
    async with shell_session(tmp_path) as session:
        await session.run("borne init station.toml\nborne csms --port 9000")
        await session.run("BORNE_CSMS_URL=ws://127.0.0.1:9000/ocpp borne run --config station.toml")
        played = await play_example(tmp_path, session.station_url, expected=expected)
    assert played.returncode == code, played.stdout
    assert ("'Blocked'" in played.stdout) is bool(code)

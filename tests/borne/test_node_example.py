"""The example of docs/http-tests.md, played by Node with a station and the bundled CSMS."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.markdown_blocks import blocks
from tests.patience import PATIENCE_S
from tests.shell_session import shell_session

PAGE = "docs/http-tests.md"


def example() -> str:
    """The test of the page."""
    return next(block.text for block in blocks(PAGE) if block.language == "js")


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
@pytest.mark.parametrize(("change", "code"), [("", 0), ('"Accepted"', 1)])
async def test_node_tests_a_csms_by_http_alone(tmp_path: Path, change: str, code: int) -> None:
    """With another expectation it fails, and says why."""
    async with shell_session(tmp_path) as session:
        await session.run("borne init station.toml\nborne csms --port 9000")
        await session.run("BORNE_CSMS_URL=ws://127.0.0.1:9000/ocpp borne run --config station.toml")
        file = tmp_path / "csms.test.mjs"
        file.write_text(example().replace(change, '"Blocked"') if change else example(), encoding="utf-8")
        played = await asyncio.to_thread(
            subprocess.run,
            ["node", "--test", file],
            env={**os.environ, "BORNE_URL": session.station_url},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
    assert played.returncode == code, played.stdout
    if change:
        assert "'Blocked'" in played.stdout

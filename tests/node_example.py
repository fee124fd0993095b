"""Plays the example of docs/http-tests.md with Node."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

from tests.markdown_blocks import blocks
from tests.patience import PATIENCE_S

_PAGE = "docs/http-tests.md"


async def play_example(
    folder: Path, station_url: str, *, expected: str = "Accepted"
) -> subprocess.CompletedProcess[str]:
    """Run the test of the page with a station; it expects this status of the authorization."""
    text = next(block.text for block in blocks(_PAGE) if block.language == "js")
    file = folder / "csms.test.mjs"
    file.write_text(text.replace('"Accepted"', f'"{expected}"'), encoding="utf-8")
    return await asyncio.to_thread(
        subprocess.run,
        ["node", "--test", file],
        env={**os.environ, "BORNE_URL": station_url},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )

"""Locates data outside the checkout: the specification's tables and recordings of real meters.

`BORNE_SHARED` overrides the folder. Tests that need missing data are skipped with a message.
"""

from __future__ import annotations

import os
from pathlib import Path

SHARED = Path(os.environ.get("BORNE_SHARED", Path(__file__).parents[2] / "shared"))

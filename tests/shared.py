"""What lies beside the checkout and is no part of it: the specification's tables and samples of real meters.

`BORNE_SHARED` names the folder where it lies elsewhere. Tests that need what is missing are skipped, and say so.
"""

from __future__ import annotations

import os
from pathlib import Path

SHARED = Path(os.environ.get("BORNE_SHARED", Path(__file__).parents[2] / "shared"))

"""Preloaded by the workers of a cluster on this machine, in each of their processes.

They leave the process group of the command: Ctrl-C and signals to the group reach only the engine, which then stops the
hosts in order.
"""

from __future__ import annotations

import os

os.setpgrp()

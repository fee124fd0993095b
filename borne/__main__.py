"""`python -m borne`, and the command `borne`."""

from __future__ import annotations

import gc
import sys

from borne.lazy_modules import load_lazily


def main() -> None:
    """Run the command of the command line, then exit: 0 on success, 2 if its arguments or files are rejected."""
    # Objects created while starting are not garbage; long-running commands enable the collector again.
    gc.disable()
    if sys.argv[1:2] == ["run"]:
        load_lazily()
        # late: a start needs no command line, and the commands no start
        from borne.start import run

        run(sys.argv[2:])
        return
    # late: as above
    from borne.cli import main as command_line

    raise SystemExit(command_line(sys.argv[1:]))


if __name__ == "__main__":
    main()

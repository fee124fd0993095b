"""`python -m borne`, and the command `borne`."""

from __future__ import annotations

import gc
import sys


def main() -> None:
    """Do what the command line asks, then exit: 0 when it went well, 2 when what was given is refused."""
    # Nothing that is made while starting is garbage; whoever runs on switches the collector on again.
    gc.disable()
    if sys.argv[1:2] == ["run"]:
        from borne.start import run

        run(sys.argv[2:])
        return
    from borne.cli import main as command_line

    raise SystemExit(command_line(sys.argv[1:]))


if __name__ == "__main__":
    main()

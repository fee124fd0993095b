"""The example of an installation file without its explanations: only what makes a difference."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Final

from station.configuration.installation_example import installation_example
from station.configuration.installation_file import Configuration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from station.configuration.installation_example import Sample

_HEAD: Final = """\
# The installation file of a charging station: what differs from the defaults. `borne init` writes an example with every
# key and its meaning, and borne-station.toml(5) explains them.
"""


def short_installation_example(values: Sample) -> str:
    """Generate what is in force in the example with these `values`: the same text in each version that needs it."""
    example = installation_example(values)
    wanted = Configuration.from_tree(tomllib.loads(example))
    lines = [re.sub(r"\s+# .*", "", line) for line in example.splitlines() if line and not line.startswith("#")]
    for position in [number for number in range(len(lines)) if _is_empty_table(lines, number)]:
        left_out = [*lines[:position], "", *lines[position + 1 :]]
        if Configuration.from_tree(tomllib.loads("\n".join(left_out))) == wanted:
            lines = left_out
    tables = "".join(f"\n{line}\n" if line.startswith("[") else f"{line}\n" for line in lines if line)
    return f"{_HEAD}{tables}"


def _is_empty_table(lines: Sequence[str], number: int) -> bool:
    header = lines[number].startswith("[") and not lines[number].startswith("[[")
    return header and (number + 1 == len(lines) or lines[number + 1].startswith("["))

"""The documentation pages generated from the code, by path below docs/."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from tools.references import (
    command_line,
    environment,
    http_api,
    installation_file,
    message_causes,
    metrics,
    mqtt,
    names,
    secc,
)

PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "reference/installation-file.md": installation_file.page,
    "reference/environment.md": environment.page,
    "reference/command-line.md": command_line.page,
    "reference/api.md": http_api.page,
    "reference/mqtt.md": mqtt.page,
    "reference/messages.md": message_causes.page,
    "reference/metrics.md": metrics.page,
    "reference/secc-lines.md": secc.page,
    "reference/variables.md": names.variables_page,
    "reference/stored-names.md": names.stored_page,
}

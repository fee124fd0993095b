"""`requests.csv`: the requests of a fleet in the columns of Locust's statistics."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from simulator.fleet.fleet_report import PERCENTS

if TYPE_CHECKING:
    from simulator.fleet.fleet_report import ActionReport

COLUMNS: Final = (
    "Type",
    "Name",
    "Request Count",
    "Failure Count",
    "Median Response Time",
    "Average Response Time",
    "Min Response Time",
    "Max Response Time",
    "Average Content Size",
    "Requests/s",
    "Failures/s",
    *(f"{percent:g}%" for percent in PERCENTS),
)
"""times in milliseconds, sizes in bytes; the type is the direction"""


def requests_csv(actions: Iterable[ActionReport]) -> str:
    """The text of the file: a line for each action, and a last one for all."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for action in actions:
        numbers = [
            action.percentiles_ms["50"],
            action.mean_ms,
            action.min_ms,
            action.max_ms,
            action.mean_bytes,
            action.requests_per_s,
            action.failures_per_s,
            *(action.percentiles_ms[f"{percent:g}"] for percent in PERCENTS),
        ]
        writer.writerow(
            [
                action.direction,
                action.action,
                action.requests,
                action.failures,
                *(f"{number:.3f}" for number in numbers),
            ]
        )
    return text.getvalue()

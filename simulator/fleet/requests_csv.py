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
    for one in actions:
        numbers = [
            one.percentiles_ms["50"],
            one.mean_ms,
            one.min_ms,
            one.max_ms,
            one.mean_bytes,
            one.requests_per_s,
            one.failures_per_s,
            *(one.percentiles_ms[f"{percent:g}"] for percent in PERCENTS),
        ]
        writer.writerow(
            [one.direction, one.action, one.requests, one.failures, *(f"{number:.3f}" for number in numbers)]
        )
    return text.getvalue()

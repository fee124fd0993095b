"""Lines of the station's log: parsed from each form in which it is written, filtered, and formatted for people."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from msgspec.structs import replace

from foundation.frozen import Frozen
from foundation.json_values import is_list, is_object
from station.maintenance.logs.setup import on_one_line

LEVELS: Final = ("debug", "info", "warning", "error", "critical")
"""levels, the lowest first"""
_HUMAN_LINE: Final = re.compile(
    r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}(?:Z|[+-]\d\d:\d\d(?::\d\d)?)) ([A-Z]+) +(?:(\S+) )?([\w.]+): (.*)"
)
"""a line of `HumanFormatter`: time, level, identity of the station if there are several, logger, message"""
_DURATION: Final = re.compile(r"(\d{1,6}) ?(s|min|m|h|d)")
_UNITS: Final = {"s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400}
_STANDARD_FIELDS: Final = frozenset({"time", "level", "logger", "message", "exception", "station"})
_SYSLOG_LEVELS: Final = ("critical", "critical", "critical", "error", "warning", "info", "info", "debug")
"""levels of the priorities of syslog, 0 to 7"""


class LogLine(Frozen):
    """A line of the log, with the lines of its traceback."""

    time: datetime
    """when it was logged, with time zone"""
    level: str
    """one of LEVELS"""
    category: str
    """the logger, such as `station.charging.evse`"""
    message: str
    more: tuple[str, ...] = ()
    """further lines, such as a traceback"""


class LogFilter(Frozen):
    """Which lines are shown."""

    since: datetime | None = None
    """None: from the beginning"""
    level: str = "debug"
    """the lowest level"""
    categories: tuple[str, ...] = ()
    """categories, each with those below it; empty: all"""

    def matches(self, line: LogLine) -> bool:
        """Return whether a line is shown."""
        if self.since is not None and line.time < self.since:
            return False
        if LEVELS.index(line.level) < LEVELS.index(self.level):
            return False
        return not self.categories or any(
            line.category == category or line.category.startswith(f"{category}.") for category in self.categories
        )


def parse_since(text: str, now: datetime, time_zone: tzinfo) -> datetime:
    """Parse a moment: a duration before `now` (`90s`, `30m`, `2h`, `3d`), or a date with or without time (ISO 8601).

    One without offset is in `time_zone`.

    Raises:
        ValueError: it is neither.
    """
    if (duration := _DURATION.fullmatch(text.strip())) is not None:
        return now - timedelta(seconds=int(duration[1]) * _UNITS[duration[2]])
    moment = datetime.fromisoformat(text.strip())
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=time_zone)


def parse_lines(texts: Iterable[str]) -> Iterator[LogLine]:
    """Yield the lines of a log file, in either format; what precedes the first complete line is skipped.

    A line is yielded once the next one has come, since further lines of a traceback may follow. An empty text ends it
    at once.
    """
    line: LogLine | None = None
    for text in texts:
        parsed = parse_line(text)
        if parsed is None and line is not None and text:
            line = replace(line, more=(*line.more, text))
            continue
        if line is not None:
            yield line
        line = parsed
    if line is not None:
        yield line


def parse_line(text: str) -> LogLine | None:
    """Parse a line of the program, in JSON or human-readable; None: it is neither, such as one of a traceback."""
    return _parse_json(text) if text.startswith("{") else _parse_human(text)


def parse_journal_entry(text: str) -> LogLine | None:
    """Parse an entry of the journal of systemd (`journalctl --output=json`); None if it is none.

    A message that is no line of the program, as those of systemd itself, has the identifier of its sender as category.
    """
    entry = _json_object(text)
    message = _journal_text(entry.get("MESSAGE"))
    if message is None:
        return None
    if (line := parse_line(message)) is not None:
        return line
    try:
        time = datetime.fromtimestamp(int(str(entry.get("__REALTIME_TIMESTAMP"))) / 1e6, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    priority = str(entry.get("PRIORITY", ""))
    level = _SYSLOG_LEVELS[int(priority)] if priority in set("01234567") else "info"
    return LogLine(time, level, str(entry.get("SYSLOG_IDENTIFIER") or entry.get("_COMM") or "journal"), message)


def format_line(line: LogLine, time_zone: tzinfo) -> list[str]:
    """Format a line for people, as `HumanFormatter` does; characters that control a terminal are escaped."""
    time = line.time.astimezone(time_zone).isoformat(" ", "milliseconds").replace("+00:00", "Z")
    head = f"{time} {line.level.upper():7} {on_one_line(line.category)}: {on_one_line(line.message)}"
    return [head, *(on_one_line(text) for text in line.more)]


def _parse_json(text: str) -> LogLine | None:
    fields = _json_object(text)
    try:
        time = datetime.fromisoformat(str(fields["time"]))
        level, category, message = (str(fields[name]) for name in ("level", "logger", "message"))
    except (KeyError, ValueError):
        return None
    if level not in LEVELS or time.tzinfo is None:
        return None
    extras = ", ".join(f"{name}={value}" for name, value in fields.items() if name not in _STANDARD_FIELDS)
    traceback = fields.get("exception")
    return LogLine(
        time,
        level,
        category,
        f"{message} ({extras})" if extras else message,
        tuple(traceback.splitlines()) if isinstance(traceback, str) else (),
    )


def _parse_human(text: str) -> LogLine | None:
    found = _HUMAN_LINE.fullmatch(text)
    level = found[2].lower() if found is not None else ""
    if found is None or level not in LEVELS:
        return None
    try:
        return LogLine(datetime.fromisoformat(found[1]), level, found[4], found[5])
    except ValueError:
        return None


def _json_object(text: str) -> dict[str, object]:
    try:
        value: object = json.loads(text)
    except ValueError:
        return {}
    return value if is_object(value) else {}


def _journal_text(message: object) -> str | None:
    """The text of a message; one that is no printable UTF-8 is a list of bytes."""
    if isinstance(message, str):
        return message
    if is_list(message):
        numbers: Sequence[object] = message
        return bytes(number for number in numbers if isinstance(number, int) and 0 <= number < 256).decode(
            errors="replace"
        )
    return None

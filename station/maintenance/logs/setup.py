"""Log output: human-readable on a terminal, JSON lines for machines."""

# The standard library only: structlog costs 25 ms and 6 MiB at every start.

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Final, TextIO

from foundation.supervision import contained_call
from station.maintenance.logs.station_context import current_station

if TYPE_CHECKING:
    from types import TracebackType

    from station.configuration.station_tables import LogConfig

    _ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]

FRAMES: Final = "ocpp.frames"
"""the logger of OCPP messages; disabled by default"""

_LOWEST_LEVELS: Final = (
    ("websockets", logging.INFO),  # at DEBUG it writes the Authorization header
    ("ocpp", logging.WARNING),  # at INFO it writes whole messages, including passwords in SetVariables
    ("asyncio", logging.INFO),
    ("aiosqlite", logging.INFO),  # at DEBUG it writes the values of queries, including id tokens
    ("uvicorn", logging.ERROR),  # at WARNING it logs each request that is not HTTP
    ("httpx", logging.WARNING),  # at INFO it writes whole URLs, including signatures
    ("httpcore", logging.INFO),  # at DEBUG it writes headers
    ("asyncssh", logging.WARNING),  # at INFO it writes user names
)
"""loggers of libraries, each with the lowest level that may be logged"""

_ENCODER: Final = json.JSONEncoder(default=str, ensure_ascii=False)

_RECORD_ATTRIBUTES: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""attributes of every record; all others come from `extra`"""


def setup(
    config: LogConfig, stream: TextIO = sys.stderr, time_zone: tzinfo = UTC, *, shows_station: bool = False
) -> None:
    """Set up the log output of this process: to `stream` and, if configured, also to a file; replaces earlier output.

    Human-readable lines have the time of `time_zone`, JSON lines UTC. `shows_station`: each line names its station, for
    a process that hosts several.

    Raises:
        OSError: the file cannot be opened.
    """
    handlers: list[logging.Handler] = [logging.StreamHandler(stream)]
    handlers[0].setFormatter(_formatter(config, terminal=stream.isatty(), shows_station=shows_station))
    if config.file is not None:
        from station.maintenance.logs.rotated_file import RotatedFileHandler  # late: only with a log file

        handlers.append(RotatedFileHandler(config.file))
        handlers[-1].setFormatter(_formatter(config, terminal=False, shows_station=shows_station))
    logging.basicConfig(level=config.level.upper(), handlers=handlers, force=True)
    # No line shows them, and looking them up takes a third of the time of a record.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    for name, lowest in _LOWEST_LEVELS:
        logging.getLogger(name).setLevel(max(lowest, logging.getLogger().level))
    set_time_zone(time_zone)
    frames_enabled = config.frames or config.level == "debug"
    frames = logging.getLogger(FRAMES)
    frames.propagate = frames_enabled
    # Above every level if disabled, so that the text is not even formatted.
    frames.setLevel(logging.DEBUG if frames_enabled else logging.CRITICAL + 1)


def set_time_zone(time_zone: tzinfo) -> None:
    """Set the time zone of the human-readable lines of this process from now on."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, HumanFormatter):
            handler.formatter.time_zone = time_zone


def _formatter(config: LogConfig, *, terminal: bool, shows_station: bool) -> logging.Formatter:
    human_readable = config.format == "human" or (config.format == "auto" and terminal)
    return HumanFormatter(shows_station=shows_station) if human_readable else JsonFormatter(shows_station=shows_station)


class HumanFormatter(logging.Formatter):
    """Formats `2026-03-01 12:00:00.000Z INFO    station.evse: message (evse=1)`; a traceback follows on its own lines.

    It never raises: the code that logs may be what charges. A record that cannot be formatted becomes a line with UTC,
    the message as far as it can be read, and the error.

    In another time zone than UTC its offset replaces the Z: `2026-03-01 13:00:00.000+01:00`. Log lines begin with a
    year; lines of a traceback that begin with a digit are therefore indented.
    """

    time_zone: tzinfo = UTC
    """the time zone of the station"""

    def __init__(self, *, shows_station: bool = False) -> None:
        """`shows_station`: put the identity of the station before the logger: `INFO    BORNE-1 station.evse: …`."""
        super().__init__()
        self._shows_station = shows_station

    def format(self, record: logging.LogRecord) -> str:
        """Format a record as a line, with the time in `time_zone`; called by logging."""
        line = contained_call(lambda: self._text_of(record))
        if isinstance(line, str):
            return line
        text = on_one_line(f"{_readable_message(record)} ({_format_error(line)})")
        return f"{_utc(record, ' ')} {record.levelname:7} {record.name}: {text}"

    def _text_of(self, record: logging.LogRecord) -> str:
        time = _time(record).astimezone(self.time_zone).isoformat(" ", "milliseconds").replace("+00:00", "Z")
        extras = ", ".join(f"{name}={value}" for name, value in _extras(record).items())
        text = f"{record.getMessage()} ({extras})" if extras else record.getMessage()
        station = current_station() if self._shows_station else None
        source = f"{on_one_line(station)} {record.name}" if station is not None else record.name
        line = f"{time} {record.levelname:7} {source}: {on_one_line(text)}"
        traceback_lines = [_traceback_line(part) for text in _traceback(self, record) for part in text.splitlines()]
        return "\n".join([line, *traceback_lines])


class JsonFormatter(logging.Formatter):
    """Formats one JSON object per line: time, level, logger, message, fields of `extra`, and the traceback.

    It never raises, as `HumanFormatter`.
    """

    def __init__(self, *, shows_station: bool = False) -> None:
        """`shows_station`: add the identity of the station, as `station`."""
        super().__init__()
        self._shows_station = shows_station

    def format(self, record: logging.LogRecord) -> str:
        """Format a record as a JSON line, with UTC; values that JSON does not support are written as text.

        Called by logging.
        """
        line = contained_call(lambda: self._json_of(record))
        if isinstance(line, str):
            return line
        fields = {"time": _utc(record, "T"), "level": record.levelname.lower(), "logger": record.name}
        return _ENCODER.encode({**fields, "message": f"{_readable_message(record)} ({_format_error(line)})"})

    def _json_of(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = {
            "time": _time(record).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if self._shows_station and (station := current_station()) is not None:
            fields["station"] = station
        # Fields of `extra` cannot replace the standard ones.
        fields = _extras(record) | fields
        if traceback := _traceback(self, record):
            fields["exception"] = "\n".join(traceback)
        return _ENCODER.encode(fields)


def _time(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _utc(record: logging.LogRecord, separator: str) -> str:
    """The time of a record in UTC, for a line that cannot be formatted; 1970 if it has none that exists."""
    time = contained_call(lambda: _time(record))
    moment = time if isinstance(time, datetime) else datetime.fromtimestamp(0, UTC)
    return moment.isoformat(separator, "milliseconds").replace("+00:00", "Z")


def _readable_message(record: logging.LogRecord) -> str:
    """The message of a record that cannot be formatted: as far as it can be read, never with an error."""
    for read in (record.getMessage, lambda: f"{record.msg!s} {record.args!r}", lambda: str(record.msg)):
        if isinstance(text := contained_call(read), str):
            return text
    return f"<{type(record.msg).__name__}>"


def _format_error(error: Exception) -> str:
    return f"this line cannot be formatted: {type(error).__name__}"


def _extras(record: logging.LogRecord) -> dict[str, object]:
    attributes = vars(record)
    if attributes.keys() <= _RECORD_ATTRIBUTES:  # as for most records
        return {}
    return {name: value for name, value in attributes.items() if name not in _RECORD_ATTRIBUTES}


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> list[str]:
    texts = [_exception_text(formatter, record.exc_info)] if record.exc_info else []
    return [*texts, formatter.formatStack(record.stack_info)] if record.stack_info else texts


def _exception_text(formatter: logging.Formatter, exc_info: _ExcInfo) -> str:
    """The traceback, without source lines if the process can neither open a file nor import a module."""
    try:
        return formatter.formatException(exc_info)
    except (OSError, ImportError):
        _, error, trace = exc_info
        lines = ["Traceback (most recent call last):"]
        while trace is not None:
            code = trace.tb_frame.f_code
            lines.append(f'  File "{code.co_filename}", line {trace.tb_lineno}, in {code.co_name}')
            trace = trace.tb_next
        return "\n".join([*lines, f"{type(error).__name__}: {error}"])


def _traceback_line(text: str) -> str:
    return f"  {on_one_line(text)}" if text[:1].isdigit() else on_one_line(text)


def on_one_line(text: str) -> str:
    """Escape unprintable characters: data from a CSMS or a card must not start a new line or control the terminal."""
    if text.isprintable():
        return text
    # Not by the codec unicode_escape: its first use imports a module, which needs a free file descriptor.
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)

"""What a log line looks like, where it goes, and what never gets into it."""

from __future__ import annotations

import io
import json
import logging
import os
import pty
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

import pytest

from station.configuration.station_tables import LogConfig
from station.core.identifiers import shorten_token
from station.maintenance.logs.setup import set_time_zone, setup
from tests.descriptors import no_free_descriptor
from tests.rows import each_row

ROOT = Path(__file__).parents[4]
UTC_MS = r"\d{4}-\d\d-\d\d%s\d\d:\d\d:\d\d\.\d{3}Z"


@pytest.fixture(autouse=True)
def remove_handlers() -> None:
    """Remove all handlers, so that only those of the test write."""
    logging.getLogger().handlers.clear()


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def json_line(stream: io.StringIO) -> dict[str, object]:
    """The only line."""
    (line,) = stream.getvalue().splitlines()
    return json.loads(line)


def test_away_from_a_terminal_a_line_is_a_json_object(stream: io.StringIO) -> None:
    setup(LogConfig(), stream)
    logging.getLogger("station.charging.evse").warning("pilot: %s", "B", extra={"evse": 1, "file": Path("a")})
    fields = json_line(stream)
    assert re.fullmatch(UTC_MS % "T", str(fields.pop("time")))
    assert fields == {
        "level": "warning",
        "logger": "station.charging.evse",
        "message": "pilot: B",
        "evse": 1,
        "file": "a",
    }


def test_an_extra_field_cannot_replace_what_every_line_has(stream: io.StringIO) -> None:
    setup(LogConfig(), stream)
    logging.getLogger("a").error("b", extra={"level": "c", "logger": "d"})
    fields = json_line(stream)
    assert (fields["level"], fields["logger"]) == ("error", "a")


def test_a_json_line_carries_the_traceback(stream: io.StringIO) -> None:
    setup(LogConfig(), stream)
    try:
        raise ValueError("reason")
    except ValueError:
        logging.getLogger("a").exception("failed")
    assert str(json_line(stream)["exception"]).endswith("ValueError: reason")


def test_a_line_for_people_is_one_line_with_what_extra_gave(stream: io.StringIO) -> None:
    setup(LogConfig(format="human"), stream)
    logging.getLogger("station.charging.evse").info("pilot: %s", "B", extra={"evse": 1, "connector": 2})
    line = r" INFO    station\.charging\.evse: pilot: B \(evse=1, connector=2\)\n"
    assert re.fullmatch(UTC_MS % " " + line, stream.getvalue())


def test_a_line_for_people_lets_the_traceback_follow(stream: io.StringIO) -> None:
    setup(LogConfig(format="human"), stream)
    try:
        raise ValueError("reason")
    except ValueError:
        logging.getLogger("a").exception("failed")
    first, *_, last = stream.getvalue().splitlines()
    assert first.endswith("ERROR   a: failed")
    assert last == "ValueError: reason"


def test_a_text_from_outside_can_neither_begin_a_line_nor_steer_the_terminal(stream: io.StringIO) -> None:
    setup(LogConfig(format="human"), stream)
    logging.getLogger("a").info("card %s", "1\n2026 ERROR b: false\x1b[2J é")
    (line,) = stream.getvalue().splitlines()
    assert line.endswith(r"card 1\n2026 ERROR b: false\x1b[2J é")


def test_the_text_of_an_exception_can_neither_imitate_a_line_nor_steer_the_terminal(stream: io.StringIO) -> None:
    setup(LogConfig(format="human"), stream)
    try:
        raise ValueError("no\n2026-03-01 12:00:00.000Z INFO    station.evse: false\x1b[2J\r2026-03-01 false")
    except ValueError:
        logging.getLogger("a").exception("failed")
    lines = stream.getvalue().split("\n")
    assert [line for line in lines if line.startswith("20")] == lines[:1]
    assert lines[-3] == r"  2026-03-01 12:00:00.000Z INFO    station.evse: false\x1b[2J"
    assert "\r" not in stream.getvalue()


def test_a_terminal_gets_lines_for_people() -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb"), os.fdopen(theirs, "w") as terminal:
        setup(LogConfig(), terminal)
        logging.getLogger("a").info("message")
        assert os.read(ours, 1000).rstrip().endswith(b"Z INFO    a: message")


def test_a_terminal_gets_json_when_that_is_wanted() -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb"), os.fdopen(theirs, "w") as terminal:
        setup(LogConfig(format="json"), terminal)
        logging.getLogger("a").info("message")
        assert json.loads(os.read(ours, 1000))["message"] == "message"


def test_what_is_below_the_level_is_left_out(stream: io.StringIO) -> None:
    setup(LogConfig(level="warning"), stream)
    logging.getLogger("a").info("small")
    logging.getLogger("a").warning("great")
    assert json_line(stream)["message"] == "great"


def test_a_file_gets_every_line_as_well_and_survives_its_rotation(stream: io.StringIO, tmp_path: Path) -> None:
    setup(LogConfig(file=tmp_path / "log"), stream)
    logging.getLogger("a").info("first")
    (tmp_path / "log").rename(tmp_path / "log.1")
    logging.getLogger("a").info("second")
    messages = [json.loads((tmp_path / name).read_text(encoding="utf-8"))["message"] for name in ("log.1", "log")]
    assert messages == ["first", "second"]
    assert len(stream.getvalue().splitlines()) == 2


def test_a_file_that_cannot_be_opened_is_an_error(stream: io.StringIO, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        setup(LogConfig(file=tmp_path / "none" / "log"), stream)


@pytest.mark.parametrize(
    ("config", "logged"),
    [
        (LogConfig(), False),
        (LogConfig(level="debug"), True),
        (LogConfig(frames=True), True),
        (LogConfig(frames=True, level="error"), True),
    ],
)
def test_ocpp_frames_are_logged_only_when_configured(stream: io.StringIO, config: LogConfig, logged: bool) -> None:
    setup(config, stream)
    frames = logging.getLogger("ocpp.frames")
    frames.debug("[2, …]")
    frames.critical("[3, …]")
    assert len(stream.getvalue().splitlines()) == (2 if logged else 0)
    assert frames.isEnabledFor(logging.DEBUG) is logged


def test_frames_fall_silent_when_they_are_no_longer_asked_for(stream: io.StringIO) -> None:
    setup(LogConfig(frames=True), stream)
    setup(LogConfig(), stream)
    logging.getLogger("ocpp.frames").error("[2, …]")
    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    ("logger", "level"),
    [("websockets.client", logging.DEBUG), ("ocpp", logging.INFO), ("asyncio", logging.DEBUG)],
)
def test_a_library_does_not_log_passwords_even_at_level_debug(stream: io.StringIO, logger: str, level: int) -> None:
    setup(LogConfig(level="debug"), stream)
    logging.getLogger(logger).log(level, "> Authorization: Basic …")
    assert stream.getvalue() == ""


def test_a_library_is_no_louder_than_the_station(stream: io.StringIO) -> None:
    setup(LogConfig(level="error"), stream)
    logging.getLogger("websockets.client").info("connection open")
    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    ("id_token", "shortened"),
    [
        ("04A3B2C1D0E97F", "04A3…7F"),
        ("DE-ABC-C12345678-9", "DE-A…-9"),
        ("04A3B27F", "04…F"),
        ("1234", "1…"),
        ("12", "…"),
        ("", ""),
    ],
)
def test_an_id_token_is_shown_by_its_ends(id_token: str, shortened: str) -> None:
    assert shorten_token(id_token) == shortened


@each_row("length", range(1, 40))
def test_never_more_than_half_of_an_id_token_is_shown(length: int) -> None:
    assert len(shorten_token("x" * length)) - 1 <= length / 2


@pytest.mark.parametrize("format", ["human", "json"])
def test_a_process_without_a_free_descriptor_logs_all_the_same(
    tmp_path: Path, stream: io.StringIO, format: Literal["human", "json"]
) -> None:
    """Also where logrotate has just taken the file away: its next line goes to the old one."""
    file = tmp_path / "log"
    setup(LogConfig(format=format, file=file), stream)
    file.rename(tmp_path / "log.1")
    with no_free_descriptor():
        logging.getLogger("a").warning("what a CSMS sends: \x1b \u2028")
    assert "what a CSMS sends" in stream.getvalue()
    assert "what a CSMS sends" in (tmp_path / "log.1").read_text(encoding="utf-8")
    logging.getLogger("a").warning("afterwards")
    assert "afterwards" in file.read_text(encoding="utf-8")


def test_the_first_traceback_is_logged_by_a_process_that_can_open_and_import_nothing_any_more() -> None:
    """In a process of its own: in this one much has been imported already."""
    program = """
import logging
from station.configuration.station_tables import LogConfig
from station.maintenance.logs.setup import setup
from tests.descriptors import no_free_descriptor
setup(LogConfig(format="human"))
with no_free_descriptor():
    try:
        {}[1].a + 2
    except KeyError:
        logging.getLogger("a").exception("one\\x1b\\ntwo")
"""
    process = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "ERROR   a: one\\x1b\\ntwo\n" in process.stderr
    assert "KeyError: 1" in process.stderr
    assert process.stderr.count("Traceback") == 1


def test_lines_for_people_have_the_time_of_the_station_and_its_offset(stream: io.StringIO) -> None:
    """Both hours that the end of summer time shows are distinguished; JSON lines stay in UTC."""
    setup(LogConfig(format="human"), stream)
    written: list[str] = []
    for moment in ("2026-10-25T00:30Z", "2026-10-25T01:30Z"):
        for zone in ("Europe/Paris", "UTC"):
            set_time_zone(ZoneInfo(zone))
            record = logging.makeLogRecord({"msg": "m", "created": datetime.fromisoformat(moment).timestamp()})
            written.append(logging.getLogger().handlers[0].format(record).partition(" Level")[0])
    assert written == [
        "2026-10-25 02:30:00.000+02:00",
        "2026-10-25 00:30:00.000Z",
        "2026-10-25 02:30:00.000+01:00",
        "2026-10-25 01:30:00.000Z",
    ]


def test_json_lines_stay_in_utc_whatever_the_time_zone_is(stream: io.StringIO) -> None:
    setup(LogConfig(), stream, time_zone=ZoneInfo("Asia/Tokyo"))
    logging.getLogger("a").warning("b")
    assert re.fullmatch(UTC_MS % "T", str(json_line(stream)["time"]))

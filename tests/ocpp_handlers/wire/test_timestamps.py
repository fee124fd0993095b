"""Dates and times on the wire: one way to write them, many to read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocpp_handlers.wire.timestamps import decode, encode

ZONES = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SPANS = st.timedeltas(timedelta(days=-365_000), timedelta(days=365_000))
MOMENTS = st.tuples(SPANS, ZONES).map(lambda pair: (EPOCH + pair[0]).astimezone(pair[1]))
"""aware moments of two thousand years, in any zone"""


def test_a_moment_is_written_in_utc_with_milliseconds_and_a_z() -> None:
    cet = timezone(timedelta(hours=1))
    assert encode(datetime(2024, 5, 6, 8, 8, 9, 123999, tzinfo=cet)) == "2024-05-06T07:08:09.123Z"
    assert encode(datetime(2024, 5, 6, tzinfo=UTC)) == "2024-05-06T00:00:00.000Z"


def test_a_moment_without_a_zone_is_not_written() -> None:
    with pytest.raises(ValueError, match="has no time zone"):
        encode(datetime(2024, 5, 6))  # noqa: DTZ001 that is the point


@pytest.mark.parametrize(
    ("text", "microsecond"),
    [
        ("2024-05-06T07:08:09Z", 0),
        ("2024-05-06T07:08:09", 0),
        ("2024-05-06 07:08:09z", 0),
        ("2024-05-06t07:08:09.5z", 500_000),
        ("2024-05-06T07:08:09.123456789Z", 123_456),
        ("2024-05-06T07:08:09.000001", 1),
        ("2024-05-06T09:08:09+02:00", 0),
        ("2024-05-06T09:08:09.25+0200", 250_000),
        ("2024-05-05 23:08:09-08", 0),
        ("2024-05-06T07:08:09-00:00", 0),
    ],
)
def test_every_spelling_of_a_moment_is_understood(text: str, microsecond: int) -> None:
    moment = decode(text)
    assert moment == datetime(2024, 5, 6, 7, 8, 9, microsecond, tzinfo=UTC)
    assert moment.tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2024-05-06",
        "2024-05-06T07:08Z",
        "2024-05-06T07:08:09.Z",
        "2024-05-06T07:08:09 Z",
        " 2024-05-06T07:08:09Z",
        "2024-05-06T07:08:09Z\n",
        "٢٠٢٤-05-06T07:08:09Z",
        "20240506T070809Z",
        "2024-13-06T07:08:09Z",
        "2023-02-29T07:08:09Z",
        "2024-05-06T24:08:09Z",
        "2024-05-06T07:08:09+24:00",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
    ],
)
def test_what_is_no_moment_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="is not a date and time"):
        decode(text)


@given(MOMENTS)
def test_what_is_written_is_read_back_to_the_millisecond(moment: datetime) -> None:
    assert timedelta(0) <= moment - decode(encode(moment)) < timedelta(milliseconds=1)


@given(MOMENTS, st.sampled_from("Tt "))
def test_what_others_write_with_an_offset_is_the_same_moment(moment: datetime, separator: str) -> None:
    assert decode(moment.isoformat(separator)) == moment


@given(MOMENTS, st.text("0123456789", min_size=1, max_size=40))
def test_any_number_of_digits_after_the_second_is_cut_to_microseconds(moment: datetime, digits: str) -> None:
    second = moment.astimezone(UTC).replace(microsecond=0, tzinfo=None)
    microsecond = int(digits.ljust(6, "0")[:6])
    assert decode(f"{second.isoformat()}.{digits}z") == second.replace(microsecond=microsecond, tzinfo=UTC)


@given(st.text() | st.from_regex(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d*)?([Zz]|[+-]\d\d:?\d\d)?"))
def test_a_text_is_a_moment_in_utc_or_a_value_error(text: str) -> None:
    try:
        moment = decode(text)
    except ValueError:
        return
    assert moment.utcoffset() == timedelta(0)

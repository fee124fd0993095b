"""What is read from the fields of messages: numbers at the ends of their types."""

from __future__ import annotations

import sys

import pytest

from ocpp_handlers.translate.translate import parse_integer
from ocpp_handlers.wire.session import PayloadError


@pytest.mark.parametrize("number", [-(2**31), 0, 2**31 - 1, -2147483648.0])
def test_every_integer_of_32_bits_may_be_an_id(number: float) -> None:
    """Part 2, primitive datatypes: 31 bits and a sign."""
    assert parse_integer(number, "id") == int(number)


@pytest.mark.parametrize("number", [-(2**31) - 1, 2**31, 1e300, sys.float_info.max, 10**400, -(10**400)])
def test_a_larger_integer_is_refused_by_name(number: float) -> None:
    with pytest.raises(PayloadError, match="id is outside the range of 32-bit integers"):
        parse_integer(number, "id")

"""Types of settings: parsing from text, formatting as text, validation."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Generic, Protocol, TypeVar, overload

from foundation.bounds import DATES, INTEGER
from station.core.identifiers import check_currency, check_time_zone

T = TypeVar("T")

_MAX_DIGITS = 50
"""maximum number of characters of a decimal number"""


class SettingValues(Protocol):
    """Holds the current values of settings; implemented by `SettingGroup`."""

    def value_of(self, setting: Setting[T]) -> T:
        """The current value of a setting."""
        ...


class Setting(ABC, Generic[T]):
    """Declares one setting of a `SettingGroup`: its name, default, bounds, and conversion from and to text.

    It does not hold the value; reading the attribute from a group gives it.
    """

    bounds: tuple[float | None, float | None] = (None, None)
    """minimum and maximum value (of a text: length); None: no limit"""
    choices: tuple[str, ...] = ()
    """the allowed words; empty: not restricted to a list"""

    def __init__(self, default: T) -> None:
        self.default = default
        self.name = ""
        self.owner: type[SettingValues] | None = None
        """the group that declares the setting"""

    @abstractmethod
    def parse(self, text: str) -> T:
        """Parse a text, as stored or sent by the CSMS or a user, and validate the value; stores nothing.

        Raises:
            ValueError: the text is not allowed; the message is shown to the sender.
        """

    def format(self, value: T) -> str:
        """Format a value as the text that `parse` reads, for storage and the CSMS."""
        return str(value)

    def __set_name__(self, owner: type[SettingValues], name: str) -> None:
        self.name, self.owner = name, owner

    @overload
    def __get__(self, settings: None, owner: type[SettingValues]) -> Setting[T]: ...
    @overload
    def __get__(self, settings: SettingValues, owner: type[SettingValues]) -> T: ...
    def __get__(self, settings: SettingValues | None, owner: type[SettingValues]) -> T | Setting[T]:
        return self if settings is None else settings.value_of(self)


class Integer(Setting[int]):
    """A setting that is a whole number between two bounds, both included."""

    def __init__(self, default: int, minimum: int = 0, maximum: int = int(INTEGER.highest)) -> None:
        super().__init__(default)
        self.minimum, self.maximum = self.bounds = (minimum, maximum)

    def parse(self, text: str) -> int:
        """Parse decimal digits with an optional sign; reject a number outside the bounds."""
        digits = text.strip()
        # int() alone would also accept 1_000 and the digits of other scripts; longer numbers exceed every bound.
        if re.fullmatch(r"[+-]?[0-9]{1,20}", digits) is None:
            raise ValueError("must be a whole number")
        value = int(digits)
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"must be between {self.minimum} and {self.maximum}")
        return value


class Switch(Setting[bool]):
    """A setting that is true or false."""

    def parse(self, text: str) -> bool:
        """Parse `true` or `false`, in any case."""
        folded = text.strip().lower()
        if folded not in {"true", "false"}:
            raise ValueError("must be true or false")
        return folded == "true"

    def format(self, value: bool) -> str:
        """Format as `true` or `false`."""
        return "true" if value else "false"


class Decimal(Setting[float]):
    """A setting that is a number between two bounds, both included."""

    def __init__(self, default: float, minimum: float = 0.0, maximum: float = 1e9) -> None:
        super().__init__(default)
        self.minimum, self.maximum = self.bounds = (minimum, maximum)

    def parse(self, text: str) -> float:
        """Parse a decimal number, such as 3.5 or 1e3; reject one outside the bounds."""
        digits = text.strip()
        # float() alone would also accept nan, inf, 1_000 and the digits of other scripts.
        if len(digits) > _MAX_DIGITS or re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?", digits) is None:
            raise ValueError("must be a number")
        value = float(digits)
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"must be between {self.minimum:g} and {self.maximum:g}")
        return value

    def format(self, value: float) -> str:
        """Format a number with at most 12 significant digits."""
        return f"{value:.12g}"


class Choice(Setting[str]):
    """A setting that is one of a set of words (OptionList)."""

    def __init__(self, default: str, choices: Iterable[str]) -> None:
        super().__init__(default)
        self.choices = tuple(choices)

    def parse(self, text: str) -> str:
        """Return the text if it is one of the words; case matters."""
        if text not in self.choices:
            raise ValueError(f"must be one of {', '.join(self.choices)}")
        return text


class Text(Setting[str]):
    """A setting that is a text of bounded length, in one line."""

    def __init__(self, default: str = "", maximum: int = 255) -> None:
        super().__init__(default)
        self.maximum = maximum
        self.bounds = (None, maximum)

    def parse(self, text: str) -> str:
        """Return the text if it is short enough and has no control characters."""
        if len(text) > self.maximum:
            raise ValueError(f"must have at most {self.maximum} characters")
        if not text.isprintable():
            raise ValueError("must have no control characters")
        return text


class Country(Setting[str]):
    """A setting that is a country, such as FR (ISO 3166-1 alpha-2), or empty."""

    bounds = (None, 2)

    def parse(self, text: str) -> str:
        """Return the text if it has the form of a country code: two capital letters."""
        if text and not (len(text) == 2 and text.isascii() and text.isalpha() and text.isupper()):
            raise ValueError("must be two capital letters (ISO 3166-1)")
        return text


class Currency(Setting[str]):
    """A setting that is a currency, such as EUR (ISO 4217)."""

    bounds = (None, 3)

    def parse(self, text: str) -> str:
        """Return the text if it has the form of a currency code: three capital letters."""
        return check_currency(text)


class Members(Setting[tuple[str, ...]]):
    """A setting that is a list of words out of a set, in the order given (MemberList, SequenceList)."""

    def __init__(self, default: Iterable[str], choices: Iterable[str]) -> None:
        super().__init__(tuple(default))
        self.choices = tuple(choices)
        self.bounds = (None, len(",".join(self.choices)))  # length of the text with every member once

    def parse(self, text: str) -> tuple[str, ...]:
        """Split the text at commas; each word must be one of `choices`, once. An empty text is an empty list."""
        words = tuple(part.strip() for part in text.split(",")) if text.strip() else ()
        for word in words:
            if word not in self.choices:
                raise ValueError(f"{word[:50]!r} is not one of {', '.join(self.choices)}")
        if len(set(words)) != len(words):
            raise ValueError("contains a value twice")
        return words

    def format(self, value: tuple[str, ...]) -> str:
        """Join the words with commas."""
        return ",".join(value)


class TxPoints(Members):
    """Start or stop points; at least one, since otherwise no transaction would start or end (part 2, 2.6.6)."""

    def parse(self, text: str) -> tuple[str, ...]:
        """Parse as `Members`, but reject an empty list."""
        points = super().parse(text)
        if not points:
            raise ValueError("must contain a point that this station supports")
        return points


class TimeSources(Members):
    """A setting of time sources in order of preference (SequenceList); at least one."""

    def parse(self, text: str) -> tuple[str, ...]:
        """Parse as `Members`, but reject an empty list."""
        sources = super().parse(text)
        if not sources:
            raise ValueError("must contain a source")
        return sources


class TimeZone(Setting[str]):
    """A setting that is a time zone of the IANA database, such as Europe/Oslo; empty: none is set."""

    bounds = (None, 50)

    def parse(self, text: str) -> str:
        """Return the text if it is empty or the name of a time zone of the IANA database."""
        return check_time_zone(text) if text else text


class TimeOffset(Setting[str]):
    """A setting that is a UTC offset such as +01:00 (RFC 3339); empty: none is set."""

    bounds = (None, 6)

    def parse(self, text: str) -> str:
        """Return the text if it is empty or an offset of at most 14:59, such as +01:00."""
        if text and re.fullmatch(r"[+-](0[0-9]|1[0-4]):[0-5][0-9]", text, re.ASCII) is None:
            raise ValueError("must be an offset such as +01:00")
        return text


class TimeOfDay(Setting[str]):
    """A setting that is a local time of day such as 07:30; empty: none is set."""

    bounds = (None, 5)

    def parse(self, text: str) -> str:
        """Return the text if it is empty or a time from 00:00 to 23:59."""
        if text and re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", text, re.ASCII) is None:
            raise ValueError("must be a time of day such as 07:30")
        return text


class Moment(Setting[datetime | None]):
    """A setting that is a moment in time (RFC 3339, with its offset); empty or None: none is set.

    It is within `foundation.bounds.DATES`: local time is calculated from it.
    """

    _FORM = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)

    def parse(self, text: str) -> datetime | None:
        """Parse date and time with their offset, and convert them to UTC; None for an empty text."""
        if text == "":
            return None
        if self._FORM.fullmatch(text) is None:
            raise ValueError("must be a date and time such as 2026-10-25T01:00:00Z")
        try:
            moment = datetime.fromisoformat(text).astimezone(UTC)
        except (ValueError, OverflowError):
            raise ValueError("must be a date and time that exists") from None
        return DATES.check(moment)

    def format(self, value: datetime | None) -> str:
        """Format in UTC with milliseconds, such as 2026-10-25T01:00:00.000Z; empty for None."""
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z") if value is not None else ""

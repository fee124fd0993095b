"""What an operator may change at run time: typed, bounded, saved. OCPP variables are bindings to these.

A setting is read as an attribute (`settings.ev_connection_timeout_s`) and changed from text, since every way
in (OCPP, the API, the disk) brings text. A refused text says why.
"""

from __future__ import annotations

import logging
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Generic, TypeVar, overload

from metering.sampling import Measurand

if TYPE_CHECKING:
    from station.database import Database

T = TypeVar("T")
_log = logging.getLogger(__name__)


class Setting(ABC, Generic[T]):
    """One setting: its default, and how it is read from text and told as text."""

    bounds: tuple[float | None, float | None] = (None, None)
    """the least and the greatest value that is allowed, where there are such"""
    choices: tuple[str, ...] = ()
    """the words that are allowed, where only some are"""

    def __init__(self, default: T) -> None:
        self.default = default
        self.name = ""

    @abstractmethod
    def parse(self, text: str) -> T:
        """The value that a text means.

        Raises:
            ValueError: why it is none; the sentence is shown to whoever sent it.
        """

    def format(self, value: T) -> str:
        """The text that means a value."""
        return str(value)

    def __set_name__(self, owner: type[Settings], name: str) -> None:
        self.name = name

    @overload
    def __get__(self, settings: None, owner: type[Settings]) -> Setting[T]: ...
    @overload
    def __get__(self, settings: Settings, owner: type[Settings]) -> T: ...
    def __get__(self, settings: Settings | None, owner: type[Settings]) -> T | Setting[T]:
        return self if settings is None else settings.value_of(self)


class Integer(Setting[int]):
    """A whole number between two bounds, both included."""

    def __init__(self, default: int, minimum: int = 0, maximum: int = 2**31 - 1) -> None:
        super().__init__(default)
        self.minimum, self.maximum = self.bounds = (minimum, maximum)

    def parse(self, text: str) -> int:
        digits = text.strip()
        # int() alone would also take 1_000 and the digits of other scripts; longer ones are beyond every bound.
        if re.fullmatch(r"[+-]?[0-9]{1,20}", digits) is None:
            raise ValueError("must be a whole number")
        value = int(digits)
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"must be between {self.minimum} and {self.maximum}")
        return value


class Switch(Setting[bool]):
    """True or false."""

    def parse(self, text: str) -> bool:
        folded = text.strip().lower()
        if folded not in {"true", "false"}:
            raise ValueError("must be true or false")
        return folded == "true"

    def format(self, value: bool) -> str:
        return "true" if value else "false"


class Text(Setting[str]):
    """A text of bounded length."""

    def __init__(self, default: str = "", maximum: int = 255) -> None:
        super().__init__(default)
        self.maximum = maximum

    def parse(self, text: str) -> str:
        if len(text) > self.maximum:
            raise ValueError(f"must have at most {self.maximum} characters")
        return text


class Members(Setting[tuple[str, ...]]):
    """Some of a set of words, in the order in which they were given (MemberList, SequenceList)."""

    def __init__(self, default: Iterable[str], choices: Iterable[str]) -> None:
        super().__init__(tuple(default))
        self.choices = tuple(choices)

    def parse(self, text: str) -> tuple[str, ...]:
        words = tuple(word for word in (part.strip() for part in text.split(",")) if word)
        for word in words:
            if word not in self.choices:
                raise ValueError(f"{word[:50]!r} is not one of {', '.join(self.choices)}")
        if len(set(words)) != len(words):
            raise ValueError("names a member twice")
        return words

    def format(self, value: tuple[str, ...]) -> str:
        return ",".join(value)


class TxPoints(Members):
    """Start or stop points; at least one of them must be one that can come (part 2, 2.6.6)."""

    def parse(self, text: str) -> tuple[str, ...]:
        points = super().parse(text)
        if not set(points) - {"DataSigned"}:
            raise ValueError("must name a point that this station reaches, besides DataSigned")
        return points


_TX_POINTS = (
    "ParkingBayOccupancy",
    "EVConnected",
    "Authorized",
    "PowerPathClosed",
    "EnergyTransfer",
    "DataSigned",
)
_MEASURANDS = tuple(Measurand)
_REGISTER = (Measurand.ENERGY_IMPORT_REGISTER,)


class Settings:
    """All settings with their values. Reading is synchronous; a change is on disk before it counts."""

    # Transactions (TxCtrlr)
    ev_connection_timeout_s = Integer(120, minimum=1)
    tx_start_points = TxPoints(("EVConnected", "Authorized"), _TX_POINTS)
    tx_stop_points = TxPoints(("EVConnected", "Authorized"), _TX_POINTS)
    stop_tx_on_ev_side_disconnect = Switch(True)
    stop_tx_on_invalid_id = Switch(True)
    max_energy_on_invalid_id_wh = Integer(0)
    tx_before_accepted_enabled = Switch(True)

    # Authorization (AuthCtrlr, AuthCacheCtrlr)
    authorize_remote_start = Switch(False)
    local_authorize_offline = Switch(True)
    local_pre_authorize = Switch(False)
    offline_tx_for_unknown_id_enabled = Switch(False)
    auth_cache_enabled = Switch(True)
    auth_cache_life_time_s = Integer(86_400 * 30, minimum=1)

    # The link to the CSMS (OCPPCommCtrlr)
    heartbeat_interval_s = Integer(300, minimum=1)
    offline_threshold_s = Integer(60)
    message_attempts = Integer(3, minimum=1, maximum=100)
    message_attempt_interval_s = Integer(10, maximum=86_400)
    retry_back_off_repeat_times = Integer(5, maximum=20)
    retry_back_off_random_range_s = Integer(10, maximum=3_600)
    retry_back_off_wait_minimum_s = Integer(5, minimum=1, maximum=3_600)
    web_socket_ping_interval_s = Integer(60, maximum=86_400)
    unlock_on_ev_side_disconnect = Switch(True)
    time_source = Members(("Heartbeat",), ("Heartbeat", "NTP", "RealTimeClock"))

    # What is sampled (SampledDataCtrlr, AlignedDataCtrlr)
    sampled_tx_started_measurands = Members(_REGISTER, _MEASURANDS)
    sampled_tx_updated_measurands = Members(
        (Measurand.ENERGY_IMPORT_REGISTER, Measurand.POWER_IMPORT, Measurand.CURRENT_IMPORT), _MEASURANDS
    )
    sampled_tx_updated_interval_s = Integer(60, maximum=86_400)
    sampled_tx_ended_measurands = Members(_REGISTER, _MEASURANDS)
    sampled_tx_ended_interval_s = Integer(0, maximum=86_400)
    aligned_measurands = Members(_REGISTER, _MEASURANDS)
    aligned_interval_s = Integer(0, maximum=86_400)
    aligned_tx_ended_measurands = Members((), _MEASURANDS)
    aligned_tx_ended_interval_s = Integer(0, maximum=86_400)
    aligned_send_during_idle = Switch(False)

    # Smart charging (SmartChargingCtrlr)
    smart_charging_enabled = Switch(True)

    def __init__(self, database: Database | None = None) -> None:
        self._database = database
        self._values: dict[str, object] = {}
        self._watchers: list[Callable[[str], None]] = []

    def value_of(self, setting: Setting[T]) -> T:
        """What a setting is now."""
        if setting.name in self._values:
            return self._values[setting.name]  # type: ignore[return-value]  # `change` put a T there
        return setting.default

    def text_of(self, setting: Setting[T]) -> str:
        """What a setting is now, as text."""
        return setting.format(self.value_of(setting))

    async def change(self, setting: Setting[T], text: str) -> None:
        """Change a setting: checked, then on disk, then in force.

        Raises:
            ValueError: the text is refused, and why.
            StorageError: it could not be saved and did not change.
        """
        value = setting.parse(text)
        if self._database is not None:
            await self._database.write(
                "INSERT INTO settings (name, value) VALUES (?, ?)"
                " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (setting.name, setting.format(value)),
            )
        self.override(setting, value)

    def override(self, setting: Setting[T], value: T) -> None:
        """Put a value in force without saving it, as the installation file and the test bench do."""
        self._values[setting.name] = value
        _log.info("setting %s is %s", setting.name, setting.format(value))
        for watcher in self._watchers:
            watcher(setting.name)

    def watch(self, watcher: Callable[[str], None]) -> Callable[[], None]:
        """Call `watcher` with the name of each setting that changes, until the returned function is called."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    async def load(self) -> None:
        """Take the saved values; one that is no longer allowed is left at its default, and said.

        Raises:
            StorageError: the disk cannot be read.
        """
        if self._database is None:
            return
        for name, text in await self._database.rows("SELECT name, value FROM settings"):
            setting = self.find(str(name))
            if setting is None:
                _log.warning("saved setting %s is not known any more", name)
                continue
            try:
                self._values[setting.name] = setting.parse(str(text))
            except ValueError as error:
                _log.warning("saved setting %s = %s: %s; its default is used", name, text, error)

    @classmethod
    def find(cls, name: str) -> Setting[object] | None:
        """The setting of that name; None when there is none."""
        found: object = cls.__dict__.get(name)
        return found if isinstance(found, Setting) else None  # pyright: ignore[reportUnknownVariableType]

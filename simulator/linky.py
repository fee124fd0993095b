"""A simulated Linky: writes the frames of a house to a pseudo-terminal, at the speed of a real one.

While virtual time outruns real time, whole frames go through memory instead, when their last character would have
arrived, and a frame that shows nothing new is sent only before its reader would count the meter as silent. Where only
the energy has changed, the next frame is sent when a real meter, whose frames have more groups, would send it.

Source: Enedis-NOI-CPT_54E v3. Optional groups that load management does not use (highest powers, load curve,
mean voltages) are left out.
"""

from __future__ import annotations

import termios
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from energy.sources.tic import TicMode
from foundation.frozen import Frozen
from simulator.house import HouseReading
from simulator.meter_output import PseudoTerminal
from simulator.sending_meter import SendingMeter

if TYPE_CHECKING:
    from energy.sources.byte_feed import ByteFeed
    from foundation.clock import Clock
    from simulator.meter_output import MeterOutput

_BITS_PER_CHARACTER: Final = 10
"""start, seven data bits, even parity, stop"""
_FRAME_GAP_S: Final = 0.025
"""silence between two frames: 16.7 to 33.4 ms"""
_SHORT_FRAMES: Final = 20
"""short frames between two long ones while a three-phase house exceeds its contract"""
_SHORT_FRAMES_INTERVAL_S: Final = 60.0
"""time for which short frames continue after that"""
_FIRST_FRAMES: Final = 6
"""frames that a new reader gets in any case: from the first ones it finds the speed and the number of phases"""
_SILENCE_S: Final = 5.0
"""a reader gets a frame at least this often: a longer silence changes the limits (`energy.failsafe`)"""
_COUNTING_S: Final = 1.5
"""time between two frames of a real meter in standard mode"""
_MAX_CACHED_GROUPS: Final = 128
"""groups whose bytes are kept, as most of them repeat in each frame"""
_WINTER_TIME: Final = timezone(timedelta(hours=1))
_SPEEDS: Final = {TicMode.HISTORIQUE: termios.B1200, TicMode.STANDARD: termios.B9600}


_COLOURS: Final = {"B": 1, "W": 2, "R": 3, "BLEU": 1, "BLAN": 2, "ROUG": 3}
"""numbers of colours in STGE"""
_LABELS: Final = {
    "TH..": ("BASE", "BASE", 1),
    "HC..": ("HC", "HEURE CREUSE", 1),
    "HP..": ("HC", "HEURE PLEINE", 2),
    "HN..": ("EJP", "HEURES NORMALES", 1),
    "PM..": ("EJP", "POINTE MOBILE", 2),
    "HCJB": ("TEMPO", "HC BLEU", 1),
    "HPJB": ("TEMPO", "HP BLEU", 2),
    "HCJW": ("TEMPO", "HC BLANC", 3),
    "HPJW": ("TEMPO", "HP BLANC", 4),
    "HCJR": ("TEMPO", "HC ROUGE", 5),
    "HPJR": ("TEMPO", "HP ROUGE", 6),
}
"""calendar, name and index of each period in standard mode"""
_REGISTERS: Final = {
    "BASE": ("BASE", {"TH..": "BASE"}),
    "HC": ("HC..", {"HC..": "HCHC", "HP..": "HCHP"}),
    "EJP": ("EJP.", {"HN..": "EJPHN", "PM..": "EJPHPM"}),
    "TEMPO": ("BBR(", {f"{hour}J{colour}": f"BBR{hour}J{colour}" for colour in "BWR" for hour in ("HC", "HP")}),
}
"""option and registers of each contract in historique mode"""


def historique_frame(house: HouseReading, *, short: bool = False) -> list[bytes]:
    """Make a frame of a Linky in historique mode: STX, groups with checksums, ETX, as pieces to send one by one.

    `short`: the short frame of a three-phase meter while a phase exceeds the subscribed current.
    """
    groups = _short_groups(house) if short else _historique_groups(house)
    return [b"\x02", *(_historique_group(label, value) for label, value in groups), b"\x03"]


def standard_frame(house: HouseReading, at: datetime) -> list[bytes]:
    """Make a frame of a Linky in standard mode with the time `at`: STX, groups with checksums, ETX, as pieces."""
    stamp = f"H{at.astimezone(_WINTER_TIME):%y%m%d%H%M%S}"  # always winter time, for simplicity
    adsc, vtic, *rest = [_standard_group_of(label, value) for label, value in _standard_groups(house)]
    return [b"\x02", adsc, vtic, _standard_group("DATE", stamp, ""), *rest, b"\x03"]


@lru_cache(_MAX_CACHED_GROUPS)
def _historique_group(label: str, value: str) -> bytes:
    body = f"{label} {value}".encode("ascii")
    return b"\n" + body + b" " + _checksum(body) + b"\r"


@lru_cache(_MAX_CACHED_GROUPS)
def _standard_group_of(label: str, value: str) -> bytes:
    return _standard_group(label, value)


def _standard_group(*fields: str) -> bytes:
    body = "\t".join((*fields, "")).encode("ascii")
    return b"\n" + body + _checksum(body) + b"\r"


def _checksum(summed: bytes) -> bytes:
    return bytes([(sum(summed) & 0x3F) + 0x20])


def _whole_amperes(current_a: float) -> str:
    """Format whole amperes, unsigned; truncated, since the document does not say whether meters round."""
    return f"{int(abs(current_a)):03d}"


def _historique_groups(house: HouseReading) -> Iterator[tuple[str, str]]:
    drawn_va = max(0, round(house.drawn_va / 10) * 10)
    yield "ADCO", "021961000001" if len(house.amperes) == 1 else "021963000001"
    option, registers = _REGISTERS[_LABELS[house.period][0]]
    yield "OPTARIF", option
    yield "ISOUSC", f"{house.reference_a:02d}"
    for period, register in registers.items():  # all energy is counted in the running period
        yield register, f"{int(house.energy_import_wh) if period == house.period else 0:09d}"
    yield "PTEC", house.period
    if option == "BBR(":
        yield "DEMAIN", house.tomorrow
    if len(house.amperes) == 1:
        yield "IINST", _whole_amperes(house.amperes[0])
        if house.phases_over:
            yield "ADPS", _whole_amperes(house.amperes[0])
        yield "IMAX", "090"
        yield "PAPP", f"{drawn_va:05d}"
        yield "HHPHC", "A"
        yield "MOTDETAT", "000000"
        return
    for phase, current_a in enumerate(house.amperes, start=1):
        yield f"IINST{phase}", _whole_amperes(current_a)
    for phase in (1, 2, 3):
        yield f"IMAX{phase}", "060"
    yield "PMAX", "00000"
    yield "PAPP", f"{drawn_va:05d}"
    yield "HHPHC", "A"
    yield "MOTDETAT", "000000"
    yield "PPOT", "00"


def _short_groups(house: HouseReading) -> Iterator[tuple[str, str]]:
    for phase in house.phases_over:
        yield f"ADIR{phase}", _whole_amperes(house.amperes[phase - 1])
    yield "ADCO", "021963000001"
    for phase, current_a in enumerate(house.amperes, start=1):
        yield f"IINST{phase}", _whole_amperes(current_a)


def _standard_groups(house: HouseReading) -> Iterator[tuple[str, str]]:
    """All groups except DATE, in the order of the document."""
    index = f"{int(house.energy_import_wh):09d}"
    drawn_va = f"{max(0, round(house.drawn_va)):05d}"
    yield "ADSC", "021961000001" if len(house.amperes) == 1 else "021963000001"
    yield "VTIC", "02"
    calendar, period, number = _LABELS[house.period]
    yield "NGTF", f"{calendar:^16}"
    yield "LTARF", f"{period:^16}"
    yield "EAST", index
    for register in range(1, 11):
        yield f"EASF{register:02d}", index if register == number else "000000000"
    for register in range(1, 5):
        yield f"EASD{register:02d}", index if register == 1 else "000000000"
    if house.energy_export_wh is not None:
        yield "EAIT", f"{int(house.energy_export_wh):09d}"
    for phase, current_a in enumerate(house.amperes, start=1):
        yield f"IRMS{phase}", _whole_amperes(current_a)
    for phase, _ in enumerate(house.amperes, start=1):
        yield f"URMS{phase}", f"{round(house.voltage_v):03d}"
    yield "PREF", f"{house.subscribed_va // 1000:02d}"
    yield "PCOUP", f"{house.subscribed_va // 1000:02d}"
    yield "SINSTS", drawn_va
    if len(house.amperes) == 3:
        for phase, current_a in enumerate(house.amperes, start=1):
            yield f"SINSTS{phase}", f"{max(0, round(current_a * house.voltage_v)):05d}"
    if house.energy_export_wh is not None:
        yield "SINSTI", f"{max(0, round(-house.drawn_va)):05d}"
    yield "STGE", f"{_status_word(house):08X}"
    yield "MSG1", f"{'PAS DE          MESSAGE':<32}"
    yield "PRM", "00000000000000"
    yield "RELAIS", "000"
    yield "NTARF", f"{number:02d}"
    yield "NJOURF", "00"
    yield "NJOURF+1", "00"
    yield "PJOURF+1", " ".join(["00008001", *["NONUTILE"] * 10])


def _status_word(house: HouseReading) -> int:
    """STGE: contact open, EURIDIS with security, PLC registered, standard mode, and the state of the house."""
    status = 0x005A0001
    if house.drawn_va > house.subscribed_va:
        status |= 1 << 7
    if house.energy_export_wh is not None:
        status |= 1 << 8
    if house.drawn_va < 0:
        status |= 1 << 9
    if _LABELS[house.period][0] == "TEMPO":
        status |= _COLOURS[house.period[3]] << 24 | _COLOURS.get(house.tomorrow, 0) << 26
    if house.period == "PM..":
        status |= 1 << 30
    return status


class _DeliveredFrame(Frozen):
    """The last frame that was sent through memory, and how many in a row its reader has got."""

    house: HouseReading | None = None
    """what it showed; None: no frame was sent yet"""
    at_s: float = 0.0
    connection: int = 0
    count: int = 0
    """frames sent to this connection of the reader"""

    def is_due(self, house: HouseReading, feed: ByteFeed, now_s: float, frame_s: float) -> bool:
        """Return whether a frame that shows this house and takes `frame_s` has to be sent from now on."""
        if self.connection != feed.connections or self.count < _FIRST_FRAMES or self.house is None:
            return True
        since_s = now_s - self.at_s
        if house.phases_over or since_s + frame_s > _SILENCE_S:  # the next one would be too late
            return True
        if house == self.house:
            return False
        return since_s >= _COUNTING_S or replace(house, energy_import_wh=self.house.energy_import_wh) != self.house

    def after(self, house: HouseReading, feed: ByteFeed, now_s: float) -> _DeliveredFrame:
        """Return the state after a frame was sent."""
        count = self.count + 1 if self.connection == feed.connections else 1
        return _DeliveredFrame(house, now_s, feed.connections, count)


class SimulatedLinky(SendingMeter):
    """A simulated Linky that sends frames of the house on a pseudo-terminal, from `start` to `stop`.

    It writes each group when its last character would have arrived, and never waits for a reader: data that does not
    fit into the pseudo-terminal is lost, as on a wire. A reader set to another speed receives noise. `house` is called
    for the values of each frame; `seed` makes bit flips repeatable; `feed` takes the frames while virtual time outruns
    real time. Faults: set `silent`, set `flips_per_byte`, call `restart`.
    """

    def __init__(
        self,
        house: Callable[[], HouseReading],
        clock: Clock,
        mode: TicMode = TicMode.HISTORIQUE,
        seed: int = 0,
        feed: ByteFeed | None = None,
    ) -> None:
        super().__init__("the simulated Linky", seed)
        self._house = house
        self._clock = clock
        self._mode = mode
        self._short_until_s: float | None = None
        self._short_sent = 0
        self._silent_for_s = 0.0
        self._feed = feed
        self._delivered = _DeliveredFrame()
        self._frame_bytes = 0
        """length of the last whole frame, for the time that a frame takes which is not made"""

    def restart(self, outage_s: float = 2.0) -> None:
        """Simulate a power failure of the meter: the frame breaks off; the next begins after `outage_s` seconds."""
        self._silent_for_s = outage_s

    async def _open(self) -> PseudoTerminal:
        return PseudoTerminal(_SPEEDS[self._mode], self._feed)

    async def _send(self, wire: MeterOutput) -> None:
        while True:
            if self._feed is not None and self._clock.outruns_real_time:
                await self._deliver(wire, self._feed)
                continue
            arrives_s = self._clock.monotonic()
            for piece in self._present_frame():
                arrives_s += len(piece) * _BITS_PER_CHARACTER / self._mode.value
                await self._clock.sleep(arrives_s - self._clock.monotonic())  # a late piece delays no other
                if self._silent_for_s:
                    self._write_piece(wire, piece[: len(piece) // 2])
                    break
                self._write_piece(wire, piece)
            dark_s, self._silent_for_s = self._silent_for_s, 0.0
            await self._clock.sleep(dark_s or _FRAME_GAP_S)

    async def _deliver(self, wire: MeterOutput, feed: ByteFeed) -> None:
        """Let the time of one frame pass and then send it as a whole, through memory, if it has to be sent."""
        began_s, house = self._clock.monotonic(), self._house()
        metered = replace(house, energy_import_wh=float(int(house.energy_import_wh)))
        frame_s = self._frame_bytes * _BITS_PER_CHARACTER / self._mode.value
        faulty = bool(self._silent_for_s or self.flips_per_byte)
        if (
            self._frame_bytes
            and not faulty
            and not self._delivered.is_due(metered, feed, began_s, frame_s + _FRAME_GAP_S)
        ):
            await self._clock.sleep(frame_s + _FRAME_GAP_S)
            return
        frame = b"".join(self._frame_of(house))
        self._frame_bytes = len(frame)
        await self._clock.sleep(len(frame) * _BITS_PER_CHARACTER / self._mode.value)
        dark_s, self._silent_for_s = self._silent_for_s, 0.0
        if not self.silent:
            wire.send_directly(self._with_flipped_bits(frame[: len(frame) // 2] if dark_s else frame))
            self._delivered = self._delivered.after(metered, feed, began_s)
        await self._clock.sleep(dark_s or _FRAME_GAP_S)

    def _present_frame(self) -> list[bytes]:
        return self._frame_of(self._house())

    def _frame_of(self, house: HouseReading) -> list[bytes]:
        if self._mode is TicMode.STANDARD:
            return standard_frame(house, self._clock.now())
        return historique_frame(house, short=self._is_short_due(house))

    def _is_short_due(self, house: HouseReading) -> bool:
        now_s = self._clock.monotonic()
        if len(house.amperes) == 3 and house.phases_over:
            self._short_until_s = now_s + _SHORT_FRAMES_INTERVAL_S
        if self._short_until_s is None or now_s > self._short_until_s or self._short_sent == _SHORT_FRAMES:
            self._short_sent = 0
            return False
        self._short_sent += 1
        return True

    def _write_piece(self, wire: MeterOutput, piece: bytes) -> None:
        if not self.silent:
            wire.send(self._with_flipped_bits(piece))

"""A simulated meter with a P1 port: writes the telegrams of a house to a pseudo-terminal or a TCP port.

Source: Netbeheer Nederland, P1 Companion Standard 3.0, 4.2.2 and 5.0.2; e-MUCS P1 (Belgium); Luxmetering P1 1.1.3.
"""

from __future__ import annotations

import termios
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta, timezone
from enum import Enum
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from foundation.frozen import Frozen
from simulator.meter_output import PseudoTerminal, SerialServer
from simulator.sending_meter import SendingMeter

if TYPE_CHECKING:
    from datetime import datetime

    from energy.sources.byte_feed import ByteFeed
    from foundation.clock import Clock
    from simulator.house import HouseReading
    from simulator.meter_output import MeterOutput

_WINTER_TIME: Final = timezone(timedelta(hours=1))
_PHASE_CODES: Final = (("21", "22", "31", "32"), ("41", "42", "51", "52"), ("61", "62", "71", "72"))
"""import, export, current and voltage of each phase"""


class P1Version(Enum):
    """Version of a P1 meter's telegrams; decides their objects, checksum and interval."""

    V22 = "2.2"
    V42 = "4.2"
    V50 = "5.0"
    BELGIUM = "BE"
    LUXEMBOURG = "LU"

    @property
    def period_s(self) -> float:
        """Seconds from one telegram to the next, by the standard."""
        return 1.0 if self in {P1Version.V50, P1Version.BELGIUM} else 10.0


class P1Encryption(Frozen):
    """Keys with which a simulated P1 meter encrypts its telegrams (Luxembourg)."""

    key: bytes
    """AES key, 16 bytes"""
    authentication_key: bytes
    """16 bytes"""
    system_title: bytes = b"SIM00001"
    """identification of the meter in each encrypted telegram, 8 bytes"""


@dataclass(slots=True)
class P1Meter:
    """Kind and settings of a simulated P1 meter, which its telegrams state."""

    version: P1Version = P1Version.V50
    fuse_a: int = 999
    """fuse threshold in A that a Belgian meter states, object 31.4.0; 999: none"""
    limiter_kw: float = 999.9
    """power limit in kW (Luxembourg: kVA), object 17.0.0, if the version has it; 999.9: none"""
    encryption: P1Encryption | None = None
    """None: telegrams are sent in plain text"""
    tariff: int = 2
    """tariff indicator, object 96.14.0"""
    breaker: int = 1
    """state of the breaker, object 96.3.10, if the version has it"""
    sent: int = field(default=0)
    """number of encrypted telegrams made so far: the counter of the next one's nonce"""


def telegram(meter: P1Meter, house: HouseReading, at: datetime) -> bytes:
    """Make a plain telegram of this meter, with values of the house and the time `at`; with checksum except for 2.2."""
    body = "\r\n".join(["/SIM5\\2SIMULATED", "", *_object_lines(meter, house, at), "!"]).encode("ascii")
    return body + (b"" if meter.version is P1Version.V22 else f"{_crc(body):04X}".encode("ascii")) + b"\r\n"


def encrypt_telegram(meter: P1Meter, encryption: P1Encryption, plain: bytes) -> bytes:
    """Encrypt a plain telegram (Luxmetering P1 1.1.3 §3.2.5); increments `meter.sent`, the counter in its nonce."""
    meter.sent += 1
    counter = meter.sent.to_bytes(4, "big")
    encryptor = Cipher(algorithms.AES(encryption.key), modes.GCM(encryption.system_title + counter)).encryptor()
    encryptor.authenticate_additional_data(b"\x30" + encryption.authentication_key)
    content = encryptor.update(plain) + encryptor.finalize()
    length = (17 + len(plain)).to_bytes(2, "big")
    return b"\xdb\x08" + encryption.system_title + b"\x82" + length + b"\x30" + counter + content + encryptor.tag[:12]


def _object_lines(meter: P1Meter, house: HouseReading, at: datetime) -> Iterator[str]:
    version = meter.version
    stamp = f"{at.astimezone(_WINTER_TIME):%y%m%d%H%M%S}W"  # always winter time, for simplicity
    net_w = house.drawn_va
    if version is P1Version.V22:
        yield "0-0:96.1.1(53494D30303030303031)"
    elif version is P1Version.BELGIUM:
        yield "0-0:96.1.4(50217)"
        yield f"0-0:1.0.0({stamp})"
    else:
        yield f"1-3:0.2.8({ {P1Version.V42: 42, P1Version.V50: 50, P1Version.LUXEMBOURG: 42}[version] })"
        yield f"0-0:1.0.0({stamp})"
    if version is P1Version.LUXEMBOURG:
        yield f"1-0:1.8.0({house.energy_import_wh / 1000:010.3f}*kWh)"
        yield f"1-0:2.8.0({(house.energy_export_wh or 0.0) / 1000:010.3f}*kWh)"
    else:
        yield f"1-0:1.8.1({house.energy_import_wh / 1000:010.3f}*kWh)"
        yield "1-0:1.8.2(000000.000*kWh)"
        yield f"1-0:2.8.1({(house.energy_export_wh or 0.0) / 1000:010.3f}*kWh)"
        yield "1-0:2.8.2(000000.000*kWh)"
        yield f"0-0:96.14.0({meter.tariff:04d})"
    width = "07.2f" if version is P1Version.V22 else "06.3f"
    yield f"1-0:1.7.0({max(0.0, net_w) / 1000:{width}}*kW)"
    yield f"1-0:2.7.0({max(0.0, -net_w) / 1000:{width}}*kW)"
    if version is not P1Version.V22:
        yield from _phase_lines(version, house)
    if version is P1Version.BELGIUM:
        yield f"1-0:31.4.0({meter.fuse_a:03d}*A)"
    if version in {P1Version.V22, P1Version.BELGIUM, P1Version.LUXEMBOURG}:
        unit = "kVA" if version is P1Version.LUXEMBOURG else "kW"
        yield f"0-0:17.0.0({meter.limiter_kw:05.1f}*{unit})"
        yield f"0-0:96.3.10({meter.breaker})"


def _phase_lines(version: P1Version, house: HouseReading) -> Iterator[str]:
    """Power, current and voltage of each phase."""
    for current_a, (imports, exports, currents, voltages) in zip(house.amperes, _PHASE_CODES, strict=False):
        power_w = current_a * house.voltage_v
        yield f"1-0:{imports}.7.0({max(0.0, power_w) / 1000:06.3f}*kW)"
        yield f"1-0:{exports}.7.0({max(0.0, -power_w) / 1000:06.3f}*kW)"
        if version is P1Version.BELGIUM:
            yield f"1-0:{currents}.7.0({abs(current_a):06.2f}*A)"
        else:
            yield f"1-0:{currents}.7.0({int(abs(current_a)):03d}*A)"
        if version is not P1Version.V42:
            yield f"1-0:{voltages}.7.0({house.voltage_v:05.1f}*V)"


def _crc_of_byte(byte: int) -> int:
    """The CRC of one byte, bit by bit as in the standard (P1 5.0.2 §6.2)."""
    for _ in range(8):
        byte = (byte >> 1) ^ (0xA001 if byte & 1 else 0)
    return byte


_CRC_OF_BYTE: Final = tuple(_crc_of_byte(byte) for byte in range(256))


def _crc(data: bytes) -> int:
    """CRC-16 with x^16 + x^15 + x^2 + 1, reflected, initially 0 (P1 5.0.2 §6.2)."""
    crc = 0
    for byte in data:
        crc = (crc >> 8) ^ _CRC_OF_BYTE[(crc ^ byte) & 0xFF]
    return crc


class SimulatedP1(SendingMeter):
    """A simulated P1 meter that sends telegrams of the house from `start` to `stop`, by pseudo-terminal or TCP.

    `house` is called for the values of each telegram; `seed` makes bit flips repeatable. Faults: set `silent`,
    `repeating`, `flips_per_byte`; call `restart`, `hang_up`. `feed` takes the telegrams while virtual time outruns real
    time.
    """

    def __init__(
        self,
        house: Callable[[], HouseReading],
        clock: Clock,
        meter: P1Meter | None = None,
        *,
        tcp: bool = False,
        seed: int = 0,
        feed: ByteFeed | None = None,
    ) -> None:
        super().__init__("the simulated P1 meter", seed)
        self.meter = meter or P1Meter()
        """its kind and settings; may be changed while it sends"""
        self.repeating = False
        """whether the last telegram is sent again and again"""
        self._house = house
        self._clock = clock
        self._feed = feed
        self._server = SerialServer() if tcp else None
        self._last_telegram = b""
        self._break_off_next = False

    def restart(self) -> None:
        """Simulate a power failure of the meter: the next telegram breaks off in the middle, the following is whole."""
        self._break_off_next = True

    def hang_up(self) -> None:
        """Close the connections of the TCP port, which stays open; nothing on a pseudo-terminal."""
        if self._server is not None:
            self._server.hang_up()

    async def _open(self) -> MeterOutput:
        if self._server is None:
            old = self.meter.version is P1Version.V22
            return PseudoTerminal(termios.B9600 if old else termios.B115200, self._feed)
        await self._server.start()
        return self._server

    async def _send(self, wire: MeterOutput) -> None:
        due_s = self._clock.monotonic()
        while True:
            if not self._last_telegram or not self.repeating:
                plain = telegram(self.meter, self._house(), self._clock.now())
                self._last_telegram = (
                    plain
                    if self.meter.encryption is None
                    else encrypt_telegram(self.meter, self.meter.encryption, plain)
                )
            sent = self._last_telegram[: len(self._last_telegram) // 2] if self._break_off_next else self._last_telegram
            self._break_off_next = False
            if not self.silent:
                send = wire.send_directly if self._clock.outruns_real_time else wire.send
                send(self._with_flipped_bits(sent))
            due_s += self.meter.version.period_s
            await self._clock.sleep(due_s - self._clock.monotonic())

"""A simulated EM580 behind Modbus TCP: registers, the state of a transaction, and records signed with its own key."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from metering.drivers.models import MODELS
from metering.drivers.registers import encode
from metering.reading import Reading

SERIAL = "BX0460002S001"


class Em580Server:
    """The meter. What a test may change about it is an attribute."""

    def __init__(self, read_meter: Callable[[], Reading]) -> None:
        self.read_meter = read_meter
        self.key = ec.derive_private_key(0xE580, ec.BrainpoolP384R1())
        self.words: dict[int, int] = {}
        self.written: list[int] = []
        """the first register of each write"""
        self.page = 0
        self.port = 0
        self.polls_until_ready = 2
        self.corrupt = False
        self.silent = False
        self.refuses_begin = False
        self._begin: tuple[float, str] | None = None
        self._waiting = 0

    @property
    def spki(self) -> bytes:
        """Its public key."""
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self.key.public_key().public_bytes(serialization.Encoding.DER, form)

    @property
    def state(self) -> int:
        """0 none, 1 running, 2 ready, 3 corrupted."""
        return self.words.get(0x7100, 0)

    @property
    def clock_s(self) -> int:
        """Its clock, seconds since 1970; low register first."""
        return int.from_bytes(b"".join(self.words.get(0x7035 - at, 0).to_bytes(2, "big") for at in range(4)), "big")

    def text(self, address: int, words: int) -> str:
        """A text in its registers, up to its zero."""
        data = b"".join(self.words.get(address + at, 0).to_bytes(2, "big") for at in range(words))
        return data.split(b"\0")[0].decode()

    def answer(self, pdu: bytes) -> bytes:
        """The response to a request."""
        function = pdu[0]
        address, count = struct.unpack(">HH", pdu[1:5])
        if count > 50:
            return bytes((function | 0x80, 3))
        if function == 16:
            self.written.append(address)
            for at, register in enumerate(struct.unpack(f">{count}H", pdu[6 : 6 + 2 * count])):
                self.words[address + at] = register
            if address == 0x7040:
                self._command(chr(self.words[0x7040]))
            return pdu[:5]
        if address == 0x7100 and self._waiting:
            self._waiting -= 1
            if self._waiting == 0:
                self.words[0x7100] = 3 if self.corrupt else 2
        measured = {
            place[1]: register for place, register in encode(MODELS["carlo-gavazzi-em580"], self.read_meter()).items()
        }
        self._put(0x2600, self.spki)
        self._put(0x5000, SERIAL.encode())
        words = [measured.get(at, self.words.get(at, 0)) for at in range(address, address + count)]
        return struct.pack(f">BB{count}H", function, 2 * count, *words)

    def _command(self, letter: str) -> None:
        register = self.read_meter().energy_import_wh
        assert register is not None
        if letter == "B" and self.state == 0 and not self.refuses_begin:
            self._begin, self.words[0x7100] = (register, self._now()), 1
        elif letter in "EA" and self.state == 1 and self._begin is not None:
            self.page += 1
            data = self._record(self._begin, (register, self._now()), letter)
            self.words[0x7101] = len(data)
            self._put(0x7110, data)
            self._waiting, self._begin = self.polls_until_ready, None

    def _now(self) -> str:
        return f"{datetime.fromtimestamp(self.clock_s, UTC):%Y-%m-%dT%H:%M:%S},000+0000 S"

    def _record(self, begin: tuple[float, str], end: tuple[float, str], letter: str) -> bytes:
        readings = ",".join(
            f'{{"TM":"{moment}","TX":"{reason}","RV":{wh / 1000:.3f},"RI":"1-0:1.8.0","RU":"kWh","RT":"AC","ST":"G"}}'
            for reason, (wh, moment) in (("B", begin), (letter, end))
        )
        payload = (
            f'{{"FV":"1.0","GI":"EM580","PG":"T{self.page}","MS":"{SERIAL}","IS":true,"IT":"ISO14443",'
            f'"ID":"{self.text(0x7007, 20)}","TT":"{self.text(0x6900, 126)}","RD":[{readings}]}}'
        )
        signature = self.key.sign(payload.encode(), ec.ECDSA(hashes.SHA256())).hex()
        return f'OCMF|{payload}|{{"SA":"ECDSA-brainpool384r1-SHA256","SD":"{signature}"}}'.encode()

    def _put(self, address: int, data: bytes) -> None:
        padded = data + b"\0" * (len(data) % 2)
        for at in range(0, len(padded), 2):
            self.words[address + at // 2] = int.from_bytes(padded[at : at + 2], "big")


class _Connection(asyncio.Protocol):
    """One client, by Modbus TCP."""

    def __init__(self, server: Em580Server, open_transports: set[asyncio.Transport]) -> None:
        self._server = server
        self._open = open_transports
        self._stream = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._open.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._open.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._stream += data
        while len(self._stream) >= 6 and len(self._stream) >= (size := 6 + int.from_bytes(self._stream[4:6], "big")):
            frame, self._stream = self._stream[:size], self._stream[size:]
            if self._transport is not None and not self._server.silent:
                answer = self._server.answer(frame[7:])
                self._transport.write(frame[:4] + struct.pack(">HB", len(answer) + 1, frame[6]) + answer)


@asynccontextmanager
async def serving(server: Em580Server) -> AsyncGenerator[Em580Server]:
    """The meter on a TCP port of this machine."""
    open_transports: set[asyncio.Transport] = set()
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: _Connection(server, open_transports), "127.0.0.1", server.port)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        for transport in tuple(open_transports):
            transport.abort()
        await asyncio.sleep(0)
        await listening.wait_closed()

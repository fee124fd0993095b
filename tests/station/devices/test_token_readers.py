"""Token readers: each presented card becomes one token, for every type of reader."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import struct
import tty
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.clock import SystemClock
from station.charging.tokens.reader_task import CardReaderTask
from station.core.hardware.token_reader import ReaderError, UnusableUidError, id_token_from_uid
from station.core.model import Fault, IdToken
from station.devices.keyboard_reader import KeyboardReaderConfig, KeyEventDecoder
from station.devices.serial_reader import SerialReaderConfig, UidFrameParser, checksum
from tests.energy.listening import FastClock
from tests.patience import PATIENCE_S
from tests.walk import CARD, Walk, walking
from tests.walks.visit import visiting

UIDS = st.sampled_from([4, 7, 10]).flatmap(lambda size: st.binary(min_size=size, max_size=size))
KEYS = {
    **{str(digit): 1 + digit for digit in range(1, 10)},
    "0": 11,
    **dict(zip("ABCDEF", (30, 48, 46, 32, 18, 33), strict=True)),
}


# --- numbers


@pytest.mark.parametrize("sent", ["04a3b2c1d5e680", "04:A3:B2:C1:D5:E6:80", " 04-a3-b2-c1-d5-e6-80 "])
def test_however_it_is_written_a_card_is_one_token(sent: str) -> None:
    assert id_token_from_uid(sent) == IdToken("04A3B2C1D5E680", "ISO14443")


def test_a_reader_that_sends_the_last_byte_first_is_turned_round() -> None:
    assert id_token_from_uid("D4C3B2A1", reversed_bytes=True) == IdToken("A1B2C3D4", "ISO14443")


def test_eight_bytes_are_of_the_other_kind_of_card() -> None:
    assert id_token_from_uid("E004015012345678").type == "ISO15693"


@pytest.mark.parametrize("sent", ["", "04A3B2", "04A3B2C1D5", "04A3B2C", "no number", "08112233"])
def test_what_names_nobody_is_refused_without_repeating_it(sent: str) -> None:
    with pytest.raises(UnusableUidError) as error:
        id_token_from_uid(sent)
    assert not sent or sent not in str(error.value)


@given(UIDS)
def test_every_uid_of_a_known_length_is_a_token_unless_it_is_made_up(uid: bytes) -> None:
    if len(uid) == 4 and uid[0] == 0x08:
        with pytest.raises(UnusableUidError):
            id_token_from_uid(uid.hex())
    else:
        assert bytes.fromhex(id_token_from_uid(uid.hex()).value) == uid


# --- serial frames


def stx_etx_frame(uid: bytes) -> bytes:
    return b"\x02" + uid.hex().upper().encode() + f"{checksum(uid):02X}".encode() + b"\r\n\x03"


@given(st.lists(UIDS, min_size=1, max_size=5), st.integers(min_value=1, max_value=20))
def test_frames_are_found_in_whatever_pieces_they_come(uids: list[bytes], size: int) -> None:
    for frames, stream in (
        (UidFrameParser("line", "none"), b"".join(uid.hex().encode() + b"\r\n" for uid in uids)),
        (UidFrameParser("stx-etx", "xor"), b"".join(stx_etx_frame(uid) for uid in uids)),
    ):
        pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
        assert [digits for piece in pieces for digits in frames.feed(piece)] == [uid.hex() for uid in uids]


@given(UIDS, st.integers(min_value=0, max_value=7), st.integers(min_value=0, max_value=60))
def test_one_damaged_bit_never_makes_another_card(uid: bytes, bit: int, place: int) -> None:
    frame = bytearray(stx_etx_frame(uid))
    frame[place % len(frame)] ^= 1 << bit
    found = UidFrameParser("stx-etx", "xor").feed(bytes(frame))
    assert all(bytes.fromhex(digits) == uid for digits in found)


@given(st.binary(max_size=300))
def test_noise_is_survived_and_the_next_card_is_read(noise: bytes) -> None:
    frames = UidFrameParser("stx-etx", "xor")
    frames.feed(noise)
    assert frames.feed(stx_etx_frame(b"\x04\xa3\xb2\xc1"))[-1:] == ["04a3b2c1"]
    lines = UidFrameParser("line", "none")
    lines.feed(noise + b"\n")
    assert lines.feed(b"04A3B2C1\n") == ["04A3B2C1"]


# --- keys


def key_events(code: int) -> bytes:
    return b"".join(
        struct.pack("llHHi", 0, 0, 1, code, value) + struct.pack("llHHi", 0, 0, 0, 0, 0) for value in (1, 0)
    )


def typed_keys(text: str, enter: int = 28) -> bytes:
    return b"".join(key_events(KEYS[letter]) for letter in text) + key_events(enter)


@given(UIDS, st.integers(min_value=1, max_value=100))
def test_keys_are_read_in_whatever_pieces_they_come(uid: bytes, size: int) -> None:
    typing, stream = KeyEventDecoder(decimal=False), typed_keys(uid.hex().upper())
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    assert [digits for piece in pieces for digits in typing.feed(piece)] == [uid.hex().upper()]


def test_a_decimal_number_is_four_bytes() -> None:
    assert KeyEventDecoder(decimal=True).feed(typed_keys("0077939649")) == ["04A543C1"]
    assert KeyEventDecoder(decimal=True).feed(typed_keys("9999999999")) == []


def test_a_line_with_another_key_in_it_is_left_out() -> None:
    typing = KeyEventDecoder(decimal=False)
    assert typing.feed(key_events(KEYS["0"]) + key_events(16) + typed_keys("4A3B2C1")) == []
    assert typing.feed(typed_keys("04A3B2C1", enter=96)) == ["04A3B2C1"]
    assert typing.feed(key_events(28)) == []


def test_a_number_of_which_the_kernel_has_lost_a_key_is_left_out() -> None:
    """A card of ten decimal digits is more events than an input device keeps, while the program is busy."""
    lost, typing = struct.pack("llHHi", 0, 0, 0, 3, 0), KeyEventDecoder(decimal=True)
    assert typing.feed(typed_keys("0077939649")) == ["04A543C1"]
    assert typing.feed(lost + typed_keys("7939649")) == []
    assert typing.feed(key_events(KEYS["0"]) + lost + typed_keys("939649")) == []
    assert typing.feed(typed_keys("0077939649")) == ["04A543C1"]


# --- over real files


async def next_read(reads: AsyncIterator[str | None]) -> str | None:
    async with asyncio.timeout(PATIENCE_S):
        return await anext(reads)


async def test_a_serial_reader_over_a_pseudo_terminal_until_it_is_unplugged() -> None:
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    config = SerialReaderConfig(device=os.ttyname(theirs), framing="stx-etx", checksum="xor")
    reads = config.open(SystemClock()).reads()
    assert await next_read(reads) is None
    os.write(ours, stx_etx_frame(b"\x04\xa3\xb2\xc1\xd5\xe6\x80"))
    assert await next_read(reads) == "04a3b2c1d5e680"
    os.close(ours)
    os.close(theirs)
    with pytest.raises(ReaderError):
        await next_read(reads)


async def test_a_reader_behind_tcp_to_which_nobody_comes_for_minutes_is_no_failure() -> None:
    dialled: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
    async with await asyncio.start_server(lambda _, writer: dialled.put_nowait(writer), "127.0.0.1", 0) as server:
        device = f"socket://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        reads = SerialReaderConfig(device=device).open(FastClock(300.0)).reads()
        for _ in range(4):  # each new connection reports the reader as present
            assert await next_read(reads) is None
        *before, now = [await dialled.get() for _ in range(4)]
        now.write(b"04A3B2C1\r\n")
        assert await next_read(reads) == "04A3B2C1"
        server.close()
        for writer in (*before, now):
            writer.close()
        with pytest.raises(ReaderError):
            await next_read(reads)


async def test_a_serial_reader_that_is_missing_is_a_reader_error() -> None:
    config = SerialReaderConfig(device="/dev/none")
    with pytest.raises(ReaderError, match="/dev/none"):
        await next_read(config.open(SystemClock()).reads())


async def test_a_keyboard_reader_over_a_pipe_until_it_is_gone(tmp_path: Path) -> None:
    pipe = tmp_path / "event0"
    os.mkfifo(pipe)
    reads = KeyboardReaderConfig(device=str(pipe), exclusive=False).open(SystemClock()).reads()
    assert await next_read(reads) is None
    end = os.open(pipe, os.O_WRONLY)
    os.write(end, typed_keys("04A3B2C1D5E680"))
    assert await next_read(reads) == "04A3B2C1D5E680"
    os.close(end)
    with pytest.raises(ReaderError, match="the device was disconnected"):
        await next_read(reads)


async def test_a_device_that_cannot_be_had_alone_is_refused(tmp_path: Path) -> None:
    """A pipe knows no EVIOCGRAB; a keyboard that somebody else has grabbed refuses it too."""
    pipe = tmp_path / "event0"
    os.mkfifo(pipe)
    with pytest.raises(ReaderError, match="for exclusive use"):
        await next_read(KeyboardReaderConfig(device=str(pipe)).open(SystemClock()).reads())
    with pytest.raises(ReaderError, match="No such file"):
        await next_read(KeyboardReaderConfig(device=str(tmp_path / "x")).open(SystemClock()).reads())


async def test_a_file_that_cannot_be_waited_for_is_a_reader_error(tmp_path: Path) -> None:
    file = tmp_path / "event0"
    file.write_bytes(typed_keys("04A3B2C1D5E680"))
    reads = KeyboardReaderConfig(device=str(file), exclusive=False).open(SystemClock()).reads()
    assert await next_read(reads) is None
    with pytest.raises(ReaderError, match="is not an input device"):
        await next_read(reads)


# --- the reader task


class ScriptedReader:
    """A reader whose reads the test supplies."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[str | ReaderError | None] = asyncio.Queue()

    async def reads(self) -> AsyncGenerator[str | None]:
        """Yield the items of the queue; raise those that are errors."""
        yield None
        while True:
            item = await self.queue.get()
            if isinstance(item, ReaderError):
                raise item
            yield item


@contextlib.asynccontextmanager
async def running_reader(tmp_path: Path) -> AsyncGenerator[ReaderFixture]:
    async with walking(tmp_path) as walk:
        fixture = ReaderFixture(walk)
        reader_task = CardReaderTask(fixture.reader, [walk.evse], fixture.present, walk.application.clock)
        following = asyncio.create_task(reader_task.run())
        await walk.settle()
        try:
            yield fixture
        finally:
            following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await following


class ReaderFixture:
    """A reader followed by its task, and the cards that were presented."""

    def __init__(self, walk: Walk) -> None:
        self.walk = walk
        self.reader = ScriptedReader()
        self.cards: list[str] = []

    def present(self, token: IdToken) -> None:
        """Note a presented card."""
        self.cards.append(token.value)

    async def read(self, *sent: str | ReaderError) -> None:
        """Let the reader read these cards, or fail."""
        for item in sent:
            self.reader.queue.put_nowait(item)
        await self.walk.settle()


async def test_a_card_that_is_held_to_the_reader_is_presented_once(tmp_path: Path) -> None:
    async with running_reader(tmp_path) as fixture:
        for _ in range(5):
            await fixture.read("04A3B2C1")
            await fixture.walk.advance(1)
        assert fixture.cards == ["04A3B2C1"]
        await fixture.walk.advance(1)
        await fixture.read("04A3B2C1", "04FFFFFF", "04A3B2C1")
        assert fixture.cards == ["04A3B2C1", "04A3B2C1", "04FFFFFF", "04A3B2C1"]


async def test_numbers_cannot_be_tried_faster_than_cards_come(tmp_path: Path) -> None:
    async with running_reader(tmp_path) as fixture:
        await fixture.read(*(f"04A3B2{number:02X}" for number in range(50)))
        assert len(fixture.cards) == 5
        await fixture.walk.advance(60)
        await fixture.read(*(f"04A3B3{number:02X}" for number in range(50)))
        assert len(fixture.cards) == 10


async def test_what_is_no_card_is_left_out(tmp_path: Path) -> None:
    async with running_reader(tmp_path) as fixture:
        await fixture.read("08112233", "nonsense", "04A3B2C1")
        assert fixture.cards == ["04A3B2C1"]


async def test_a_reader_that_is_gone_is_a_fault_until_it_is_back(tmp_path: Path) -> None:
    """A harmless one: with the app one can still charge."""
    async with running_reader(tmp_path) as fixture:
        await fixture.read(ReaderError("unplugged"))
        assert fixture.walk.evse.state.faults == {Fault.READER}
        await fixture.walk.advance(3)
        assert fixture.walk.evse.state.faults == frozenset()
        await fixture.read("04A3B2C1")
        assert fixture.cards == ["04A3B2C1"]


async def test_a_card_at_a_configured_reader_starts_a_charge(tmp_path: Path) -> None:
    pipe = tmp_path / "event0"
    os.mkfifo(pipe)
    reader = {"type": "keyboard", "device": str(pipe), "exclusive": False}
    async with walking(tmp_path, reader=[reader]) as walk:
        await walk.accepted()
        end = os.open(pipe, os.O_WRONLY)
        try:
            await walk.plug()
            os.write(end, typed_keys(CARD.value))
            await walk.charging()
            assert walk.evse.authorized_token == CARD
        finally:
            os.close(end)
        await walk.until(lambda: Fault.READER in walk.evse.state.faults)


@pytest.mark.parametrize(
    ("uid", "presented"),
    [
        ("04A3B2C1", "04A3B2C1"),
        ("04:a3:b2:c1:d5:e6:80", "04A3B2C1D5E680"),
        ("04A3B2C1D5E680112233", "04A3B2C1D5E680112233"),
        ("08A3B2C1", None),
        ("nonsense", None),
    ],
)
async def test_a_card_at_a_simulated_reader_goes_the_whole_way_of_a_real_one(
    tmp_path: Path, uid: str, presented: str | None
) -> None:
    """UIDs of 4, 7 and 10 bytes are tokens; one that the card has made up, or that is none, names nobody."""
    async with walking(tmp_path, reader=[{"type": "simulated"}]) as walk, visiting(walk) as api:
        await walk.accepted()
        await api.post("/api/sim/reader", {"uid": uid})
        await walk.advance(2)
        requested = [request["idToken"]["idToken"] for request in walk.csms.received("Authorize")]
        assert requested == ([presented] if presented is not None else [])


async def test_a_simulated_reader_breaks_and_is_mended(tmp_path: Path) -> None:
    """What is held to a broken one is not read, not even later."""
    async with walking(tmp_path, reader=[{"type": "simulated", "name": "left"}]) as walk, visiting(walk) as api:
        await walk.accepted()
        await api.post("/api/sim/reader", {"name": "right", "uid": "04A3B2C1"}, status=404)
        await api.post("/api/sim/reader", {"name": "left", "failing": True})
        await walk.until(lambda: Fault.READER in walk.evse.state.faults)
        await api.post("/api/sim/reader", {"name": "left", "uid": "04A3B2C1"})
        await api.post("/api/sim/reader", {"name": "left", "failing": False})
        await walk.until(lambda: walk.evse.state.faults == frozenset())
        assert walk.csms.received("Authorize") == []

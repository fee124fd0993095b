"""The encryption of a backup: every change of the file is found, and says what it is."""

from __future__ import annotations

import functools
import hashlib
import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from station.maintenance.backup import encrypted_file
from station.maintenance.backup.backup_error import BackupError, DamagedBackupError, PassphraseError
from station.maintenance.backup.encrypted_file import EncryptedReader, EncryptedWriter, check_new_passphrase
from tests.examples import examples

PASSPHRASE = "a long passphrase"
CHUNK_BYTES = 65_536


@pytest.fixture(autouse=True)
def cached_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Derive the keys of a passphrase and header once: scrypt is slow on purpose."""
    monkeypatch.setattr(encrypted_file, "derive_keys", functools.cache(encrypted_file.derive_keys))


def encrypted(content: bytes, *, step: int = 50_000) -> bytes:
    file = io.BytesIO()
    writer = EncryptedWriter(file, PASSPHRASE)
    for begin in range(0, len(content), step):
        writer.write(content[begin : begin + step])
    writer.finish()
    return file.getvalue()


def decrypted(file: bytes, size: int, passphrase: str = PASSPHRASE) -> bytes:
    reader = EncryptedReader(io.BytesIO(file), passphrase)
    content = reader.read(size)
    reader.finish()
    return content


CONTENT = bytes(range(256))
FILE = encrypted(CONTENT)


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, 200_000])
def test_what_was_written_is_read_again(size: int) -> None:
    content = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    file = encrypted(content)
    assert decrypted(file, size) == content
    assert content[:64] not in file or size < 64  # a few bytes occur by chance


def test_each_changed_byte_is_found() -> None:
    for position in range(len(FILE)):
        changed = bytearray(FILE)
        changed[position] ^= 1 << position % 8
        with pytest.raises(BackupError):
            decrypted(bytes(changed), len(CONTENT))


@settings(examples(200), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_inserted_removed_and_repeated_bytes_are_found(data: st.DataObject) -> None:
    begin = data.draw(st.integers(0, len(FILE)))
    end = data.draw(st.integers(begin, len(FILE)))
    inserted = data.draw(st.one_of(st.binary(max_size=40), st.just(FILE[begin:end] * 2)))
    changed = FILE[:begin] + inserted + FILE[end:]
    if changed != FILE:
        with pytest.raises(BackupError):
            decrypted(changed, len(CONTENT))


def test_each_file_that_was_cut_off_is_found() -> None:
    for length in range(len(FILE)):
        with pytest.raises(DamagedBackupError):
            decrypted(FILE[:length], len(CONTENT))


def test_chunks_that_changed_their_places_are_found() -> None:
    content = bytes(3 * CHUNK_BYTES)
    file = encrypted(content)
    begin = len(file) - 3 * (CHUNK_BYTES + 16)
    first, second, last = (file[begin + place * (CHUNK_BYTES + 16) :][: CHUNK_BYTES + 16] for place in range(3))
    assert file == file[:begin] + first + second + last
    for chunks in (second + first + last, first + last, first + second, first + second + last + last):
        with pytest.raises(DamagedBackupError):
            decrypted(file[:begin] + chunks, len(content))


def test_a_chunk_of_another_file_with_the_same_passphrase_is_found() -> None:
    other = encrypted(CONTENT)
    assert len(other) == len(FILE)
    head = len(FILE) - len(CONTENT) - 16
    with pytest.raises(DamagedBackupError):
        decrypted(FILE[:head] + other[head:], len(CONTENT))


def test_a_wrong_passphrase_is_not_called_damage() -> None:
    with pytest.raises(PassphraseError, match=r"^the passphrase is wrong$"):
        decrypted(FILE, len(CONTENT), "another passphrase")


def test_a_passphrase_is_the_same_however_its_accents_are_typed() -> None:
    file = io.BytesIO()
    EncryptedWriter(file, "clé secrète").finish()
    assert decrypted(file.getvalue(), 0, "cle\u0301 secre\u0300te") == b""


def test_a_short_passphrase_is_refused() -> None:
    with pytest.raises(PassphraseError, match="at least 8 characters"):
        check_new_passphrase("seven77")
    check_new_passphrase("eight888")


def test_a_newer_format_is_refused_by_name() -> None:
    newer = FILE[:8] + (encrypted_file.FORMAT + 1).to_bytes(2, "big") + FILE[10:]
    with pytest.raises(BackupError, match="has format 2, and this version of the program reads format 1"):
        decrypted(newer, len(CONTENT))


@pytest.mark.parametrize(
    "changes",
    ['"n":1073741824', '"r":1000000', '"p":1000', '"n":3', '"n":0', '"r":0', '"p":0', '"chunk_bytes":0', '"salt":""'],
)
def test_a_header_cannot_demand_much_memory_or_time(changes: str) -> None:
    key = changes.partition(":")[0]
    values = {'"salt"': '"AAAA"', '"n"': "1024", '"r"': "8", '"p"': "1", '"chunk_bytes"': "65536"}
    values[key] = changes.partition(":")[2]
    text = ("{" + ",".join(f"{name}:{value}" for name, value in values.items()) + "}").encode()
    head = FILE[:10] + len(text).to_bytes(2, "big") + text + bytes(32)
    with pytest.raises(DamagedBackupError, match="values out of range"):
        decrypted(head + hashlib.sha256(head).digest(), 0)


def test_two_files_of_the_same_content_have_nothing_in_common() -> None:
    assert encrypted(CONTENT)[-len(CONTENT) :] != FILE[-len(CONTENT) :]

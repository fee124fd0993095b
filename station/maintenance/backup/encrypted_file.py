"""The encrypted form of a backup file: a header, then chunks of AES-256-GCM, written and read in bounded memory.

    magic, format, header length (12 bytes) | header (JSON) | key check (32) | SHA-256 of all before (32) | chunks

The header has the parameters of scrypt, which derives two keys from the passphrase: one encrypts the chunks, the other
makes the key check (HMAC-SHA-256 of what precedes it). So a wrong passphrase and a damaged header are told apart.

Each chunk is authenticated with the SHA-256 of the header as associated data. Its nonce is its number and whether it
is the last one (the STREAM construction of Hoang, Reyhanitabar, Rogaway and Vizár, 2015). So no chunk can be changed,
moved, left out or taken from another file, and a file that was cut off has no last chunk. The salt is new for each
file, and therefore the keys are too: no nonce is used twice with a key.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import unicodedata
from typing import BinaryIO, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from msgspec import DecodeError, json

from foundation.frozen import Frozen
from station.maintenance.backup.backup_error import BackupError, DamagedBackupError, PassphraseError

FORMAT: Final = 1
"""the format that this version writes, and the highest that it reads"""
MIN_PASSPHRASE_CHARS: Final = 8
_MAGIC: Final = b"BORNE-BK"
_SALT_BYTES: Final = 16
_DIGEST_BYTES: Final = 32
_TAG_BYTES: Final = 16
_CHUNK_BYTES: Final = 65_536
_MAX_HEADER_BYTES: Final = 1_024
_MAX_CHUNK_BYTES: Final = 1_048_576
_MAX_SCRYPT_BYTES: Final = 256 * 1_048_576
"""memory of scrypt (128·n·r bytes) that a file may demand: more is no backup, but an attack"""
_MAX_SCRYPT_ROUNDS: Final = 16


class FileHeader(Frozen):
    """Parameters of the encryption; the defaults are those of a new file, with 32 MiB and 0.1 s of scrypt on a PC."""

    salt: bytes
    n: int = 2**15
    r: int = 8
    p: int = 3
    chunk_bytes: int = _CHUNK_BYTES


class FileKeys(Frozen):
    """The keys of one file: to encrypt its chunks, and to make its key check."""

    chunks: bytes
    check: bytes


def check_new_passphrase(passphrase: str) -> None:
    """Check that a passphrase is long enough for a new backup.

    Raises:
        PassphraseError: it has fewer than 8 characters.
    """
    if len(passphrase) < MIN_PASSPHRASE_CHARS:
        raise PassphraseError(f"the passphrase is too short: it must have at least {MIN_PASSPHRASE_CHARS} characters")


class EncryptedWriter:
    """Encrypts what is written to it into a file; `finish` completes the file, which without it is not valid."""

    def __init__(self, target: BinaryIO, passphrase: str) -> None:
        """Write the header to `target`, which stays open.

        Raises:
            OSError: the file cannot be written.
        """
        header = FileHeader(os.urandom(_SALT_BYTES))
        text = json.encode(header)
        head = _MAGIC + FORMAT.to_bytes(2, "big") + len(text).to_bytes(2, "big") + text
        keys = derive_keys(passphrase, header)
        head += hmac.digest(keys.check, head, "sha256")
        digest = hashlib.sha256(head).digest()
        target.write(head + digest)
        self._target = target
        self._cipher = _ChunkCipher(keys.chunks, digest)
        self._chunk_bytes = header.chunk_bytes
        self._pending = bytearray()

    def write(self, data: bytes) -> None:
        """Encrypt bytes; keeps at most one chunk of them in memory.

        Raises:
            OSError: the file cannot be written.
        """
        self._pending += data
        while len(self._pending) > self._chunk_bytes:  # the last chunk is written by `finish`
            self._target.write(self._cipher.encrypt(bytes(self._pending[: self._chunk_bytes]), last=False))
            del self._pending[: self._chunk_bytes]

    def finish(self) -> None:
        """Write the last chunk.

        Raises:
            OSError: the file cannot be written.
        """
        self._target.write(self._cipher.encrypt(bytes(self._pending), last=True))
        self._pending.clear()


class EncryptedReader:
    """Decrypts a backup file; each byte that it returns is authentic, but only `finish` proves the file complete."""

    def __init__(self, source: BinaryIO, passphrase: str) -> None:
        """Read the header from `source`, which stays open.

        Raises:
            PassphraseError: the passphrase is another one.
            DamagedBackupError: it is no backup, or its header is damaged.
            BackupError: a newer version wrote it.
            OSError: the file cannot be read.
        """
        header, self._cipher = _open(source, passphrase)
        self._source = source
        self._chunk_bytes = header.chunk_bytes
        self._next_chunk = source.read(header.chunk_bytes + _TAG_BYTES)
        self._plain = b""
        self._ended = False

    def read(self, size: int) -> bytes:
        """Return exactly `size` bytes.

        Raises:
            DamagedBackupError: the file is damaged, or ends before.
            OSError: the file cannot be read.
        """
        parts: list[bytes] = []
        while size > 0:
            if not self._plain:
                self._decrypt_chunk()
            parts.append(self._plain[:size])
            self._plain = self._plain[size:]
            size -= len(parts[-1])
        return b"".join(parts)

    def finish(self) -> None:
        """Check that everything was read, and that the file ends as it was written.

        Raises:
            DamagedBackupError: there is more, or the end is missing.
            OSError: the file cannot be read.
        """
        if not self._ended and not self._plain:
            self._decrypt_chunk()  # an empty last one
        if self._plain or not self._ended:
            raise DamagedBackupError("the backup is damaged: there is something after its end")

    def _decrypt_chunk(self) -> None:
        if self._ended:
            raise DamagedBackupError("the backup is damaged: its content ends too early")
        chunk, self._next_chunk = self._next_chunk, self._source.read(self._chunk_bytes + _TAG_BYTES)
        self._ended = not self._next_chunk
        self._plain = self._cipher.decrypt(chunk, last=self._ended)


class _ChunkCipher:
    """Encrypts or decrypts the chunks of one file, in their order."""

    def __init__(self, key: bytes, header_digest: bytes) -> None:
        self._cipher = AESGCM(key)
        self._header_digest = header_digest
        self._number = 0

    def encrypt(self, plain: bytes, *, last: bool) -> bytes:
        """Encrypt the next chunk."""
        return self._cipher.encrypt(self._next_nonce(last=last), plain, self._header_digest)

    def decrypt(self, chunk: bytes, *, last: bool) -> bytes:
        """Decrypt the next chunk.

        Raises:
            DamagedBackupError: it is not the one that was written here.
        """
        try:
            return self._cipher.decrypt(self._next_nonce(last=last), chunk, self._header_digest)
        except InvalidTag:
            raise DamagedBackupError("the backup is damaged or incomplete: it was changed or cut off") from None

    def _next_nonce(self, *, last: bool) -> bytes:
        nonce = self._number.to_bytes(11, "big") + bytes([last])
        self._number += 1
        return nonce


def derive_keys(passphrase: str, header: FileHeader) -> FileKeys:
    """The keys of a file by its passphrase and the parameters in its header (scrypt); takes some tenths of a second."""
    words = unicodedata.normalize("NFC", passphrase).encode()  # keyboards differ in how they compose a letter
    kdf = Scrypt(salt=header.salt, length=64, n=header.n, r=header.r, p=header.p)
    derived = kdf.derive(words)
    return FileKeys(derived[:32], derived[32:])


def _open(source: BinaryIO, passphrase: str) -> tuple[FileHeader, _ChunkCipher]:
    """Read and check the header."""
    start = source.read(len(_MAGIC) + 4)
    if start[: len(_MAGIC)] != _MAGIC or len(start) < len(_MAGIC) + 4:
        raise DamagedBackupError("this is no backup of a station, or its beginning is damaged")
    version, length = int.from_bytes(start[-4:-2], "big"), int.from_bytes(start[-2:], "big")
    if version != FORMAT:
        raise BackupError(
            f"the backup has format {version}, and this version of the program reads format {FORMAT}:"
            " it was written by a newer version, or it is damaged"
        )
    if length > _MAX_HEADER_BYTES:
        raise DamagedBackupError("the header of the backup is damaged")
    text, check, digest = source.read(length), source.read(_DIGEST_BYTES), source.read(_DIGEST_BYTES)
    if digest != hashlib.sha256(start + text + check).digest():
        raise DamagedBackupError("the header of the backup is damaged")
    keys = derive_keys(passphrase, header := _parse_header(text))
    if not hmac.compare_digest(check, hmac.digest(keys.check, start + text, "sha256")):
        raise PassphraseError("the passphrase is wrong")
    return header, _ChunkCipher(keys.chunks, digest)


def _parse_header(text: bytes) -> FileHeader:
    try:
        header = json.decode(text, type=FileHeader)
    except (DecodeError, ValueError) as error:
        raise DamagedBackupError(f"the header of the backup is invalid: {error}") from error
    is_power = header.n > 1 and header.n & (header.n - 1) == 0
    bounded = header.r > 0 and 128 * header.n * header.r <= _MAX_SCRYPT_BYTES and 0 < header.p <= _MAX_SCRYPT_ROUNDS
    if not (is_power and bounded and header.salt and 0 < header.chunk_bytes <= _MAX_CHUNK_BYTES):
        raise DamagedBackupError("the header of the backup has values out of range")
    return header

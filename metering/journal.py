"""The register journal: a log of events at the billing meters, in a hash-chained file.

One entry per line, appended and synced to disk before it counts, never changed or deleted. Each entry carries the
SHA-256 of its own text and of the entry before, so that any change is detected, and where. A second small file, the
head, names the last entry, so that removal of entries at the end is detected too.

A power cut may leave part of a line, which is not an entry yet. It stays in the file, and the next entry records its
digest, so that these bytes are protected too.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from foundation.expected_error import ExpectedError
from metering.journal_check import HEAD_NAME, JournalCheck, check_journal, parse_head
from metering.journal_entry import Details, JournalEntry, JournalEvent, JournalNote, parse_entry

_log = logging.getLogger(__name__)

FILE_NAME: Final = "register-journal.jsonl"

_TAIL_BYTES: Final = 65_536
"""bytes read first from the end of the file; entries are much shorter"""


class JournalError(ExpectedError):
    """The journal cannot be read or written. Retrying may help."""


class RegisterJournal:
    """The register journal of a station, an append-only file.

    All methods block on the disk: call them from a thread.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE_NAME
        self._head_file = folder / HEAD_NAME
        self.last: JournalEntry | None = None
        """the last entry; None: there is none"""
        self.boot = 1
        """the number of this start of the program"""
        self.damaged: str | None = None
        """a sentence if the end of the file is damaged; None: the check at loading found nothing"""
        self._torn_bytes = b""
        self._has_torn_line = False
        self._last_number = 0
        self._unconfirmed_entry: JournalEntry | None = None
        """an entry whose write failed; it may be in the file nevertheless"""

    def load(self) -> None:
        """Find the last entry, and any torn line after it. Does not check the rest: see `verify`.

        Raises:
            JournalError: the journal cannot be read.
        """
        head = self._read_file(self._head_file)
        self._find_end()
        self.boot = self.last.boot + 1 if self.last is not None else 1
        self._last_number = self.last.number if self.last is not None else 0
        named = parse_head(head) if head is not None else None
        if named is None:
            if head is not None or self._last_number > 1:
                self.damaged = f"{HEAD_NAME} is missing or was altered"
        elif named[0] > self._last_number or (
            named[0] == self._last_number and self.last and named[1] != self.last.hash
        ):
            self.damaged = f"{FILE_NAME} does not end with entry {named[0]}"
            self._last_number = max(named[0], self._last_number)

    def append(self, note: JournalNote) -> JournalEntry:
        """Append an entry for this note and sync it to disk; returns it. Damage found before is recorded first.

        Raises:
            JournalError: it cannot be written; a part left in the file is recorded with the next entry.
        """
        if self.damaged is not None:  # the damaged part stays, so that it is always detected
            damaged, self.damaged = self.damaged, None
            self._torn_bytes = b""
            try:
                self._append_entry(replace(note, event=JournalEvent.DAMAGED, details={"damage": damaged}, evse=None))
            except JournalError:
                self.damaged = damaged
                raise
        if self._torn_bytes:
            digest = hashlib.sha256(self._torn_bytes).hexdigest()
            details: Details = {"bytes": len(self._torn_bytes), "sha256": digest}
            self._append_entry(replace(note, event=JournalEvent.TORN, details=details, evse=None))
        refused, last = self._unconfirmed_entry, self.last
        if refused is not None and last is not None and last.hash == refused.hash and last.is_entry_of(note):
            self._confirm_entry(last)  # it was written, but the sync failed
            return last
        return self._append_entry(note)

    def entries(self, after: int = 0) -> Iterator[JournalEntry]:
        """Yield the readable entries with a number beyond `after`, newest first.

        Raises:
            JournalError: the journal cannot be read.
        """
        for line in self._lines_backwards():
            entry = parse_entry(line)
            if entry is not None:
                if entry.number <= after:
                    return
                yield entry

    def verify(self, on_entry: Callable[[JournalEntry], None] | None = None) -> JournalCheck:
        """Check every byte of the journal and its head, calling `on_entry` with each valid entry; changes nothing.

        Raises:
            JournalError: the journal cannot be read.
        """
        # The head first: an entry appended meanwhile is then after it, not missing.
        head = self._read_file(self._head_file)
        try:
            with self._file.open("rb") as file:
                return check_journal(file, head, on_entry)
        except FileNotFoundError:
            return check_journal(b"", head, on_entry)
        except OSError as error:
            raise JournalError(f"{self._file}: {error.strerror}") from error

    def _read_file(self, file: Path) -> bytes | None:
        try:
            return file.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise JournalError(f"{file}: {error.strerror}") from error

    def _append_entry(self, note: JournalNote) -> JournalEntry:
        entry = JournalEntry.create_next(self._last_number, self.last, self.boot, note)
        appended = (b"\n" if self._has_torn_line else b"") + entry.to_line() + b"\n"
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            fresh = not self._file.exists()
            # Not buffered: after a full disk, exactly the bytes that were written are in the file.
            with open(self._file, "ab", buffering=0, opener=_private) as file:
                written = file.write(appended)
                if written != len(appended):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._file))
                os.fsync(file.fileno())
            if fresh:
                _sync_folder(self._file.parent)
        except OSError as error:
            self._unconfirmed_entry = entry
            with contextlib.suppress(JournalError):
                self._find_end()
                self._last_number = max(self._last_number, self.last.number if self.last is not None else 0)
            raise JournalError(f"{error.filename or self._file}: {error.strerror}") from error
        self.last, self._last_number, self._torn_bytes, self._has_torn_line, self._unconfirmed_entry = (
            entry,
            entry.number,
            b"",
            False,
            None,
        )
        self._write_head(entry)
        return entry

    def _confirm_entry(self, entry: JournalEntry) -> None:
        try:
            with self._file.open("ab", buffering=0) as file:
                file.write(b"\n" if self._has_torn_line else b"")
                os.fsync(file.fileno())
        except OSError as error:
            raise JournalError(f"{self._file}: {error.strerror}") from error
        self._has_torn_line, self._unconfirmed_entry = False, None
        self._write_head(entry)

    def _write_head(self, entry: JournalEntry) -> None:
        """Write the head. If this fails, nothing is hidden: the old head names an entry that exists.

        So only the name of the first head is synced: after a power cut, an old head may be back.
        """
        unfinished = self._head_file.with_suffix(".new")
        try:
            first = not self._head_file.exists()
            with open(unfinished, "wb", opener=_private) as file:
                file.write(f"{entry.number} {entry.hash}\n".encode())
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(self._head_file)
            if first:
                _sync_folder(self._head_file.parent)
        except OSError as error:
            _log.warning("%s cannot be written: %s", self._head_file, error.strerror)

    def _find_end(self) -> None:
        """Find the last entry, and any bytes after it."""
        behind: list[bytes] = []
        self.last = None
        for line in self._lines_backwards():
            self.last = parse_entry(line)
            if self.last is not None:
                break
            behind.append(line)
        self._has_torn_line = self.last is not None if not behind else behind[0] != b""
        if behind and not self._has_torn_line:
            del behind[0]
        self._torn_bytes = b"\n".join(reversed(behind))

    def _lines_backwards(self) -> Iterator[bytes]:
        """Yield the lines of the file from its end; the first is what follows the last line feed."""
        try:
            with self._file.open("rb") as file:
                end = file.seek(0, io.SEEK_END)
                partial_line = b""
                step = _TAIL_BYTES
                while end > 0:
                    begin = max(0, end - step)
                    file.seek(begin)
                    first, *lines = (file.read(end - begin) + partial_line).split(b"\n")
                    yield from reversed(lines)
                    end, partial_line = begin, first
                yield partial_line
        except FileNotFoundError:
            return
        except OSError as error:
            raise JournalError(f"{error.filename or self._file}: {error.strerror}") from error


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)  # it names transactions


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

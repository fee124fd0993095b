"""The passphrase of a backup: from a file, or typed on the terminal; never an argument, which others could read."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path


class NoPassphraseError(Exception):
    """There is no passphrase; the message says why."""


def read_passphrase(file: Path | None, *, twice: bool) -> str:
    """Return the first line of `file`, or ask for a passphrase on the terminal, `twice` for a new one.

    Raises:
        NoPassphraseError: the file cannot be read or is empty, there is no terminal, or the two are not the same.
    """
    if file is not None:
        return _from_file(file)
    if not sys.stdin.isatty():
        raise NoPassphraseError("there is no terminal to type the passphrase: use --passphrase-file")
    try:
        passphrase = getpass.getpass("Passphrase of the backup: ")
        if twice and passphrase and getpass.getpass("The same again: ") != passphrase:
            raise NoPassphraseError("the two passphrases are not the same")
    except EOFError:
        passphrase = ""
    if not passphrase:
        raise NoPassphraseError("no passphrase was typed")
    return passphrase


def _from_file(file: Path) -> str:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise NoPassphraseError(f"--passphrase-file: {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise NoPassphraseError(f"--passphrase-file: {file}: is not valid UTF-8") from error
    if not lines or not lines[0]:
        raise NoPassphraseError(f"--passphrase-file: {file}: its first line is empty")
    return lines[0]

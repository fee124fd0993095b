"""Commands that read files: recordings, signed readings, and the register journal."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from borne import decode as decoding
from borne import journal_file
from borne import verify as verifying
from borne.arguments import Action
from borne.output import refuse, say


def decode(parser: ArgumentParser, arguments: Sequence[str]) -> int:
    """Run `borne decode`: print what an installer's recording of a meter contains; returns the exit code."""
    parser.add_argument("kind", metavar="linky|p1|modbus")
    parser.add_argument(
        "file", metavar="FILE", type=Path, help="Recorded byte stream; for Modbus, registers or frames as JSON."
    )
    parser.add_argument("--key", metavar="HEX", help="Key of encrypted telegrams of a P1 port.")
    parser.add_argument(
        "--authentication-key",
        metavar="HEX",
        help="Authentication key of encrypted telegrams, if not that of Luxembourg.",
    )
    parser.add_argument("--model", metavar="NAME", help="Model of the recorded Modbus meter.")
    given = parser.parse_intermixed_args(arguments)
    request = decoding.DecodeRequest(given.kind, given.file, given.key, given.authentication_key, given.model)
    try:
        found = decoding.decode_recording(request)
    except decoding.UsageError as error:
        refuse(str(error))
    for line in found.lines:
        say(json.dumps(line))
    if found.problem is not None:
        sys.stderr.write(f"{request.file}: {found.problem}\n")
        return 1
    return 0


def verify(parser: ArgumentParser, arguments: Sequence[str]) -> int:
    """Run `borne verify`: print which signatures of a file's records are valid; returns 0 if all are, else 1."""
    parser.add_argument("file", metavar="FILE", type=Path, help="OCMF records, or an XML container of OCMF records.")
    parser.add_argument("--key", metavar="K", help="Public key, or its file, instead of the one in or next to FILE.")
    parser.add_argument("--json", action="store_true", help="Print JSON: an object, or a list of several.")
    given = parser.parse_intermixed_args(arguments)
    try:
        checked = verifying.check_records(given.file, given.key)
    except verifying.RecordsUnreadableError as error:
        refuse(str(error))
    if given.json:
        json_records = [verifying.record_to_json(record) for record in checked]
        say(json.dumps(json_records if len(json_records) > 1 else json_records[0], indent=1))
    else:
        for line in verifying.records_to_text(checked):
            say(line)
    return 0 if all(record.signature_check.valid for record in checked) else 1


def verify_journal(parser: ArgumentParser, arguments: Sequence[str]) -> int:
    """Run `borne journal verify`: print whether a register journal is intact; returns 0 if it is, else 1."""
    try:
        proof = journal_file.check_journal_file(_journal_place(parser, arguments))
    except journal_file.JournalUnreadableError as error:
        refuse(str(error))
    for line in proof.lines:
        say(line)
    return 0 if proof.intact else 1


def export_journal(parser: ArgumentParser, arguments: Sequence[str]) -> int:
    """Run `borne journal export`: print the entries of a register journal; returns the exit code."""
    try:
        for line in journal_file.export_entries(_journal_place(parser, arguments)):
            say(line)
    except journal_file.JournalUnreadableError as error:
        refuse(str(error))
    return 0


def _journal_place(parser: ArgumentParser, arguments: Sequence[str]) -> Path:
    parser.add_argument("place", metavar="PLACE", type=Path, help="The station's storage folder, or the journal file.")
    place: Path = parser.parse_args(arguments).place
    return place


COMMANDS: Final[Mapping[str, Action]] = {
    "decode": decode,
    "verify": verify,
    "journal verify": verify_journal,
    "journal export": export_journal,
}

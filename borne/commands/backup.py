"""Commands that back up and restore the station on this machine."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from borne.arguments import Action
from borne.commands.installed_argument import add_installation, load_or_refuse
from borne.output import refuse, say
from borne.support.installed_station import ENVIRONMENT_NAME, files_of, load_installed
from borne.support.passphrase import NoPassphraseError, read_passphrase
from foundation.clock import SystemClock
from station.configuration.installation_file import ConfigurationError
from station.maintenance.backup.backup import BackupRequest, make_backup
from station.maintenance.backup.backup_error import BackupError
from station.maintenance.backup.restore import InstalledStation, RestoreRequest
from station.maintenance.backup.restore import restore as restore_backup


def backup(parser: ArgumentParser, arguments: Sequence[str]) -> int:
    """Run `borne backup`: write an encrypted backup of the station, which may be running; returns the exit code."""
    parser.add_argument("file", metavar="FILE", type=Path, help="The backup to write; readable by its owner only.")
    add_installation(parser)
    parser.add_argument(
        "--records", action="store_true", help="Include the billing records: transactions, journal, unsent events."
    )
    _add_passphrase_file(parser)
    parser.add_argument("--force", action="store_true", help="Overwrite the file.")
    given = parser.parse_intermixed_args(arguments)
    file: Path = given.file
    if file.exists() and not given.force:
        refuse(f"{file}: already exists; use --force to overwrite it")
    if not file.absolute().parent.is_dir():
        refuse(f"{file.absolute().parent}: does not exist")
    installation: Path = given.installation
    configuration = load_or_refuse(installation)
    beside, elsewhere = files_of(configuration, installation)
    request = BackupRequest(
        configuration.station.identity,
        Path(configuration.station.storage),
        installation,
        beside,
        with_records=given.records,
        now=SystemClock().now(),
    )
    try:
        passphrase = read_passphrase(given.passphrase_file, twice=True)
        manifest = make_backup(request, file, passphrase)
    except (BackupError, NoPassphraseError) as error:
        refuse(str(error))
    except OSError as error:
        refuse(_disk_error(error, file))
    for path in elsewhere:
        sys.stderr.write(f"{path}: is not in the backup, since it is not in the folder of the installation file\n")
    records = "with" if manifest.with_records else "without"
    say(f"{file}: backup of {manifest.identity}, {records} billing records, {file.stat().st_size} bytes")
    return 0


def restore(parser: ArgumentParser, arguments: Sequence[str]) -> int:
    """Run `borne restore`: put a backup in the place of the stopped station's state; returns the exit code."""
    parser.add_argument("file", metavar="FILE", type=Path, help="The backup.")
    add_installation(parser)
    parser.add_argument("--records", action="store_true", help="Restore the billing records too.")
    parser.add_argument(
        "--keep-installation", action="store_true", help="Leave the installation file and the files beside it."
    )
    _add_passphrase_file(parser)
    given = parser.parse_intermixed_args(arguments)
    file: Path = given.file
    try:
        passphrase = read_passphrase(given.passphrase_file, twice=False)
        request = RestoreRequest(
            file,
            passphrase,
            given.installation,
            keep_installation=given.keep_installation,
            with_records=given.records,
            now=SystemClock().now(),
        )
        result = restore_backup(request, _read_installation)
    except (BackupError, NoPassphraseError) as error:
        refuse(f"{file}: {error}" if isinstance(error, BackupError) else str(error))
    except OSError as error:
        refuse(_disk_error(error, file))
    records = "with" if given.records else "without"
    say(
        f"{result.storage}: restored {result.manifest.identity} of {result.manifest.made_at}, {records} billing records"
    )
    if result.previous_installation is not None:
        say(f"{result.previous_installation}: the installation file that was replaced")
    return 0


def _add_passphrase_file(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--passphrase-file",
        metavar="PATH",
        type=Path,
        help="File whose first line is the passphrase. [default: ask on the terminal]",
    )


def _read_installation(file: Path, beside: Mapping[str, str]) -> InstalledStation:
    """Read whose installation file it is, for a restore."""
    try:
        configuration = load_installed(file, beside.get(ENVIRONMENT_NAME))
    except ConfigurationError as error:
        raise BackupError("the installation file is invalid: " + "; ".join(error.sentences)) from error
    return InstalledStation(configuration.station.identity, Path(configuration.station.storage))


def _disk_error(error: OSError, file: Path) -> str:
    return f"{error.filename or file}: {error.strerror or error}"


COMMANDS: Final[Mapping[str, Action]] = {"backup": backup, "restore": restore}

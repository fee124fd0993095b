"""`borne run`: the start of a station."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from borne.output import refuse
from borne.run_arguments import plain_arguments
from station.configuration.installation_file import (
    Configuration,
    ConfigurationError,
    explain,
    load_configuration,
    load_document,
)
from station.configuration.missing_packages import essential_package_errors
from station.core.installation_file.document import RuleError
from station.core.light_patterns import STARTING
from station.core.local_time import named_zone
from station.devices.leds import show_on_all_leds
from station.maintenance.logs import setup as logging_setup
from station.storage.storage_lock import StorageInUseError, StorageLockError
from station.storage.storage_swap import lock_storage


def run(arguments: Sequence[str]) -> None:
    """Run `borne run`: start one station and run it until SIGINT or SIGTERM; `arguments` are those after `run`.

    Exits with 2 if arguments, installation file, log file or storage are rejected; a service first waits for a disk
    that cannot be written.
    """
    given = plain_arguments(arguments)
    if given is None:  # any other way to write them, a mistake, or --help
        from borne.run_parser import parse_run_arguments  # late: argparse takes 1.5 MiB and 3 ms of a start

        given = parse_run_arguments(arguments)
    config, environ = given.config, dict(os.environ)
    configuration = load_installation(config)
    require_packages(essential_package_errors(configuration), config)
    try:  # first: a second process must use neither the log file nor the light of the first
        lock = lock_storage(Path(configuration.station.storage))
    except StorageInUseError as error:
        refuse(f"{config}: station.storage: {error}")
    except StorageLockError as error:
        _refuse_start(f"{config}: station.storage: {error}", configuration, environ)
    try:
        logging_setup.setup(configuration.log, time_zone=named_zone(configuration.station.time_zone))
    except OSError as error:
        _refuse_start(f"{config}: log.file: cannot be opened: {error.strerror}", configuration, environ)
    show_on_all_leds(configuration.light, STARTING)  # before the remaining modules are loaded, which takes a while
    # late: the rest of the station, while the light shows already
    from borne.composition import station_assembly

    try:
        station_assembly.run(configuration, http_port=given.http_port, ready_file=given.ready_file, lock=lock)
    except station_assembly.StartError as error:
        _refuse_start(f"{config}: {error}", configuration, environ)


def _refuse_start(sentence: str, configuration: Configuration, environ: dict[str, str]) -> NoReturn:
    from borne.failed_start import refuse_start  # late: only a start that fails needs it

    refuse_start(sentence, configuration, environ)


def load_installation(file: Path) -> Configuration:
    """Load the installation file, overridden by the BORNE_ variables; if it is invalid, print why and exit with 2."""
    try:
        return load_configuration(file, os.environ)
    except ConfigurationError as error:
        refuse("\n".join(error.sentences))


def require_packages(errors: Sequence[RuleError], file: Path) -> None:
    """Exit with 2 if there are errors of missing packages; print which devices need them, and how to install them."""
    if errors:
        refuse("\n".join(explain(errors, load_document(file, os.environ)).sentences))

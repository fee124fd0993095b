"""The command line: run the station, check or begin an installation file, read recordings, tell the version."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from station import start

if TYPE_CHECKING:
    from station.configuration.installation_file import Configuration

# Without rich: its import is dear, and `borne run` on a small controller has nobody to please.
commands = typer.Typer(
    help="The software of an AC charging station.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


@commands.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """The software of an AC charging station."""
    del version


@commands.command(add_help_option=False, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def run(context: typer.Context) -> None:
    """Run the station until it is told to stop."""
    start.run(context.args)


@commands.command()
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE")],
    storage: Annotated[
        bool,
        typer.Option("--storage", help="Check the stored records instead: list each row that cannot be read."),
    ] = False,
) -> None:
    """Tell whether an installation file, with the BORNE_ variables over it, is fit to run."""
    configuration = start.loaded(file)
    if storage:
        _check_storage(Path(configuration.station.storage))
    else:
        typer.echo(f"{file}: ok: {_summary(configuration)}")


def _check_storage(storage: Path) -> None:
    """List the rows that cannot be read: exit 0 when there are none, 1 when there are, 2 when none can be read."""
    from station.storage_check import StorageUnreadableError, unreadable_rows

    try:
        found = unreadable_rows(storage)
    except StorageUnreadableError as error:
        start.refuse(str(error))
    for sentence in found:
        typer.echo(sentence)
    if found:
        raise typer.Exit(1)
    typer.echo(f"{storage}: ok: every row can be read")


@commands.command()
def init(
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="Standard output when left out.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> None:
    """Write an example of an installation file."""
    from station.configuration.example import EXAMPLE

    if file is None:
        typer.echo(EXAMPLE, nl=False)
        return
    try:
        with file.open("w" if force else "x", encoding="utf-8") as target:
            target.write(EXAMPLE)
    except FileExistsError:
        start.refuse(f"{file}: exists already; --force overwrites it")
    except OSError as error:
        start.refuse(f"{file}: cannot be written: {error.strerror}")


@commands.command()
def label(
    config: Annotated[Path, typer.Argument(metavar="FILE", help="The installation file.")],
    with_code: Annotated[
        bool, typer.Option("--code", help="With the installer's code of http.installer_code.")
    ] = False,
) -> None:
    """Draw the identification label of a station, as SVG in millimetres, before it runs for the first time."""
    from station.commissioning.label import Label, label_svg, page_address

    configuration = start.loaded(config)
    who, code = configuration.station, configuration.http.installer_code
    if with_code and code is None:
        start.refuse(f"{config}: http.installer_code: is missing")
    shown = code.get_secret_value() if with_code and code is not None else None
    typer.echo(label_svg(Label(who.identity, who.serial_number, page_address(configuration), shown)))


@commands.command()
def sim(
    action: Annotated[
        str | None,
        typer.Argument(metavar="[ACTION]", help="Without it, lists all actions. Also any path that begins with /api/."),
    ] = None,
    body: Annotated[str | None, typer.Argument(metavar="[JSON]", help="The body of the request.")] = None,
    api: Annotated[str, typer.Option(metavar="URL", help="The local API.")] = "http://127.0.0.1:8080",
    method: Annotated[
        str | None, typer.Option(help="The HTTP method, for an action that has several, such as DELETE.")
    ] = None,
) -> None:
    """Do something to the simulated hardware of a station on this machine: `borne sim evses/1/plug`."""
    from station.simulation.remote import RefusedError, listing, perform

    if action is None:
        typer.echo(listing())
        return
    try:
        typer.echo(perform(api, action, body, method))
    except RefusedError as error:
        start.refuse(str(error))


@commands.command()
def meter(
    circuit: Annotated[str, typer.Option(metavar="URL", help="What flows: …/api/sim/evses/1/circuit of a station.")],
    model: Annotated[str, typer.Option(help="Whose registers are served.")] = "eastron-sdm630",
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = 5020,
    register: Annotated[Path, typer.Option(metavar="FILE", help="Keeps the energy counted.")] = Path("meter.register"),
) -> None:
    """Serve a simulated billing meter over Modbus TCP."""
    from station.simulation.meter_process import MODELS, run
    from station.simulation.register import RegisterError

    if model not in MODELS:
        start.refuse(f"--model: must be one of {', '.join(MODELS)} (is {model})")
    try:
        run(model, host=host, port=port, circuit_url=circuit, register_file=register)
    except RegisterError as error:
        start.refuse(f"--register: {error}")


@commands.command()
def csms(
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free port.")] = 9000,
    time_of_station: Annotated[
        bool, typer.Option("--time-of-station", help="Send each station its own time, taken from its messages.")
    ] = False,
) -> None:
    """Run the bundled CSMS, which accepts every station, and show the frames."""
    from station.demo import run as demo

    try:
        demo.serve_csms(host, port, typer.echo, time_of_station=time_of_station)
    except demo.StartError as error:
        start.refuse(str(error))


@commands.command(name="demo")
def demonstrate(
    once: Annotated[bool, typer.Option("--once", help="One charge, then compare all figures; exit 0 or 1.")] = False,
    speed: Annotated[float, typer.Option(min=0.1, max=20, help="Virtual seconds per second.")] = 1.0,
    http_port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free port.")] = 0,
) -> None:
    """Show a station, a CSMS, a house and a car on one screen, until Ctrl-C."""
    from station.demo import run as demo

    try:
        good = demo.run(demo.Options(once=once, speed=speed, http_port=http_port))
    except demo.StartError as error:
        start.refuse(str(error))
    raise typer.Exit(0 if good else 1)


@commands.command()
def decode(
    kind: Annotated[str, typer.Argument(metavar="linky|p1|modbus")],
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A recorded stream; of Modbus, registers or frames in JSON.")
    ],
    key: Annotated[str | None, typer.Option(metavar="HEX", help="Opens encrypted telegrams of a P1 port.")] = None,
    authentication_key: Annotated[
        str | None, typer.Option(metavar="HEX", help="Where it is not the one of Luxembourg.")
    ] = None,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="The meter whose registers they are.")] = None,
) -> None:
    """Say what a recording of a meter holds, as JSON lines; exit 1 when nothing in it is believable."""
    import json

    from station import decode as decoding

    try:
        found = decoding.decode(decoding.Request(kind, file, key, authentication_key, model))
    except decoding.UsageError as error:
        start.refuse(str(error))
    for line in found.lines:
        typer.echo(json.dumps(line))
    if found.objection is not None:
        typer.echo(f"{file}: {found.objection}", err=True)
        raise typer.Exit(1)


@commands.command()
def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="OCMF records, or an XML container of such.")],
    key: Annotated[
        str | None, typer.Option(metavar="K", help="The public key, or its file, in place of the one beside FILE.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One object, or a list where there are several.")] = False,
) -> None:
    """Check signed readings: exit 0 when every signature is valid, 1 when not, 2 when FILE cannot be read."""
    import json

    from station.metrology import verify as verifying

    try:
        checked = verifying.check(file, key)
    except verifying.UnreadableError as error:
        start.refuse(str(error))
    if as_json:
        shown = [verifying.as_json(one) for one in checked]
        typer.echo(json.dumps(shown if len(shown) > 1 else shown[0], indent=1))
    else:
        for line in verifying.as_text(checked):
            typer.echo(line)
    raise typer.Exit(0 if all(one.verdict.valid for one in checked) else 1)


journal_commands = typer.Typer(
    help="The register journal: prove it, or hand it out.", no_args_is_help=True, rich_markup_mode=None
)
commands.add_typer(journal_commands, name="journal")
JournalPlace = Annotated[Path, typer.Argument(metavar="PLACE", help="The station's storage, or the journal's file.")]


@journal_commands.command(name="verify")
def verify_journal(place: JournalPlace) -> None:
    """Prove every byte: exit 0 when the journal is whole, 1 when not, 2 when it cannot be read."""
    from station.metrology import journal_file

    try:
        proof = journal_file.prove(place)
    except journal_file.UnreadableError as error:
        start.refuse(str(error))
    for line in proof.lines:
        typer.echo(line)
    raise typer.Exit(0 if proof.whole else 1)


@journal_commands.command(name="export")
def export_journal(place: JournalPlace) -> None:
    """Write its entries as JSON lines."""
    from station.metrology import journal_file

    try:
        for line in journal_file.export(place):
            typer.echo(line)
    except journal_file.UnreadableError as error:
        start.refuse(str(error))


@commands.command()
def version() -> None:
    """Tell the version."""
    from station.version import package_version

    typer.echo(f"borne {package_version()}")


def _summary(configuration: Configuration) -> str:
    evses = [
        f"{evse.phases} phase{'s' if evse.phases > 1 else ''}, {evse.max_current_a:g} A" for evse in configuration.evse
    ]
    count = f"{len(evses)} EVSE{'s' if len(evses) > 1 else ''} ({'; '.join(evses)})"
    csms = "stand-alone" if configuration.csms is None else f"CSMS {configuration.csms.url}"
    return f"{configuration.station.identity}, {count}, {csms}"

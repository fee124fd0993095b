"""The arguments of `borne run`: read, or rejected with exit code 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from borne.run_arguments import RunArguments, parse_run_arguments

FILE = ("--config", "station.toml")


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        (FILE, RunArguments(Path("station.toml"))),
        (("--config=station.toml",), RunArguments(Path("station.toml"))),
        ((*FILE, "--http-port", "0"), RunArguments(Path("station.toml"), 0)),
        (
            ("--http-port", "65535", "--ready-file", "ready", *FILE),
            RunArguments(Path("station.toml"), 65535, Path("ready")),
        ),
        (("--config", "~/ä b.toml"), RunArguments(Path("~/ä b.toml"))),
    ],
)
def test_arguments_are_read(arguments: tuple[str, ...], given: RunArguments) -> None:
    assert parse_run_arguments(arguments) == given


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((), "--config"),
        (("--config",), "--config"),
        (("--config", "--http-port"), "--config"),
        ((*FILE, "rest"), "rest"),
        ((*FILE, "--http-port", "65536"), "--http-port"),
        ((*FILE, "--http-port", "-1"), "--http-port"),
        ((*FILE, "--http-port", "a"), "--http-port"),
        ((*FILE, "--http-port", "9" * 5000), "--http-port"),
    ],
)
def test_others_are_rejected_with_the_argument_that_is_wrong(
    arguments: tuple[str, ...], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exited:
        parse_run_arguments(arguments)
    assert exited.value.code == 2
    assert named in capsys.readouterr().err.splitlines()[-1]


def test_help_names_each_argument(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        parse_run_arguments(["--help"])
    assert exited.value.code == 0
    assert {"--config", "--http-port", "--ready-file"} <= set(capsys.readouterr().out.split())

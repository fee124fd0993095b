"""The arguments of `borne run` mean the same with and without argparse; rejected ones are named, with exit code 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from borne.run_arguments import RunArguments, plain_arguments
from borne.run_parser import parse_run_arguments

FILE = ("--config", "station.toml")


@pytest.mark.parametrize(
    "arguments",
    [
        FILE,
        (*FILE, "--http-port", "0"),
        ("--http-port", "65535", "--ready-file", "ready", *FILE),
        (*FILE, "--http-port", "00080"),
        ("--config", "~/ä b.toml"),
    ],
)
def test_usual_arguments_are_read_as_by_argparse(arguments: tuple[str, ...]) -> None:
    assert plain_arguments(arguments) == parse_run_arguments(arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--help",),
        ("--config",),
        ("--config=station.toml",),
        ("--conf", "station.toml"),
        (*FILE, *FILE),
        (*FILE, "rest"),
        (*FILE, "--ready-file", ""),
        ("--config", ""),
        ("--config", "--http-port"),
        (*FILE, "--http-port", "65536"),
        (*FILE, "--http-port", "-1"),
        (*FILE, "--http-port", "٣"),
        (*FILE, "--http-port", " 80"),
        (*FILE, "--http-port", "9" * 5000),
    ],
)
def test_any_others_are_left_to_argparse(arguments: tuple[str, ...]) -> None:
    assert plain_arguments(arguments) is None


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
def test_rejected_arguments_are_named(
    arguments: tuple[str, ...], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exited:
        parse_run_arguments(arguments)
    assert exited.value.code == 2
    assert named in capsys.readouterr().err.splitlines()[-1]


def test_help_lists_the_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        parse_run_arguments(["--help"])
    assert exited.value.code == 0
    assert {"--config", "--http-port", "--ready-file"} <= set(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        (("--config=station.toml",), RunArguments(Path("station.toml"))),
        (
            ("--http-port", "65535", "--ready-file", "ready", *FILE),
            RunArguments(Path("station.toml"), 65535, Path("ready")),
        ),
    ],
)
def test_the_values_are_those_given(arguments: tuple[str, ...], given: RunArguments) -> None:
    assert parse_run_arguments(arguments) == given

"""The arguments of `borne run` mean the same with and without argparse."""

from __future__ import annotations

import pytest

from borne.run_arguments import plain_arguments
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

"""Modules that most stations never use are loaded at their first use, whoever imports them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from borne.lazy_modules import LAZY_MODULES

ROOT = Path(__file__).parents[2]


def run(program: str) -> str:
    """The output of a program that begins as the station does."""
    text = f"import sys\nfrom borne.lazy_modules import load_lazily\nload_lazily()\n{program}"
    result = subprocess.run([sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, check=True)
    return result.stdout.strip()


def test_an_import_alone_loads_nothing() -> None:
    users = "import csv, importlib.metadata, textwrap, urllib.request, zoneinfo\n"
    assert run(f"{users}print('http.client' in sys.modules, '_csv' in sys.modules, 'email' in sys.modules)") == (
        "False False False"
    )


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("import urllib.request\nprint(urllib.request.Request('http://h/x').host)", "h"),
        ("from urllib.request import Request\nprint(Request('http://h/x').host)", "h"),
        ("import importlib.metadata\nprint(importlib.metadata.version('msgspec').count('.'))", "2"),
        ("import importlib.metadata as m\ntry: m.version('?')\nexcept m.PackageNotFoundError: print('none')", "none"),
        ("import zoneinfo\nprint(zoneinfo.ZoneInfo('Europe/Paris').key)", "Europe/Paris"),
        ("import csv, io\nt = io.StringIO()\ncsv.writer(t).writerow([1, 'a,b'])\nprint(t.getvalue())", '1,"a,b"'),
        ("import textwrap\nprint(textwrap.dedent('  x'))", "x"),
        (
            "import textwrap as t, importlib\nt.dedent\nprint(sys.modules['textwrap'] is not t, t.dedent('  x'))",
            "True x",
        ),
        (
            "import csv\ntry: csv.nothing\nexcept AttributeError as e: print(e)",
            "module 'csv' has no attribute 'nothing'",
        ),
    ],
)
def test_the_first_use_loads_it(program: str, expected: str) -> None:
    assert run(program) == expected


def test_a_module_that_is_loaded_already_is_left_as_it_is() -> None:
    assert (
        run("import csv\ncsv.reader\nreal = sys.modules['csv']\nload_lazily()\nprint(sys.modules['csv'] is real)")
        == "True"
    )


def test_threads_that_use_it_first_at_the_same_time_all_find_it_loaded() -> None:
    program = """
import threading, urllib.request
ready, found = threading.Barrier(8), []
def use():
    ready.wait()
    found.append(urllib.request.Request('http://h/x').host)
threads = [threading.Thread(target=use) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(found.count('h'))
"""
    assert {run(program) for _ in range(5)} == {"8"}


def test_each_is_a_module_of_the_standard_library() -> None:
    assert {name.partition(".")[0] for name in LAZY_MODULES} <= sys.stdlib_module_names

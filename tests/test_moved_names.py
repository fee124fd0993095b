"""Where the name of a package, a module or a file stands as text, nothing but these tests says that it is wrong."""

from __future__ import annotations

import ast
import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from borne.cli import COMMANDS
from tests import project
from tests.bench.test_cold_start import LATE_OF_OURS
from tests.patience import PATIENCE_S
from tests.project import ROOT
from tests.rows import each_row

BESIDE = ("tests", "bench", "tools")
"""Python that is not installed"""
_VERBS = {"get", "put", "post", "patch", "delete"}
DOCUMENTS = [
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    *sorted(str(file.relative_to(ROOT)) for file in (ROOT / "docs").glob("*.md")),
]
IMAGE = "deploy/kubernetes/Dockerfile"
SCRIPTS = ("Makefile", ".ci/run", IMAGE, "docker-compose.yml", "deploy/borne.service")


def _tracked(*below: str) -> list[str]:
    listed = subprocess.run(["git", "ls-files", *below], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [name for name in listed.stdout.splitlines() if (ROOT / name).exists()]


def _sources() -> Iterator[Path]:
    """Every Python file of the repository."""
    yield from project.modules().values()
    for folder in BESIDE:
        yield from sorted((ROOT / folder).rglob("*.py"))


def _text(file: str) -> str:
    return (ROOT / file).read_text(encoding="utf-8")


def _string_constants(node: ast.AST) -> list[str]:
    """The texts in an expression, in their order."""
    return [child.value for child in ast.walk(node) if isinstance(child, ast.Constant) and isinstance(child.value, str)]


def resolves(name: str) -> bool:
    """Whether a dotted name is a module, or something in one."""
    module, rest = name, list[str]()
    while module and not _is_there(module):
        module, _, last = module.rpartition(".")
        rest.insert(0, last)
    if not module:
        return False
    found: Any = importlib.import_module(module)
    for part in rest:
        if not hasattr(found, part):
            return False
        found = getattr(found, part)
    return True


def _is_there(name: str) -> bool:
    """Whether a module is there: one of ours, or one that is installed."""
    if project.names_ours(name):
        return project.is_module(name)
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def _is_run(name: str) -> bool:
    """Whether `python -m` finds it: ours, or that of another package."""
    here = ROOT / name.replace(".", "/")
    if project.names_ours(name):
        return project.is_module(f"{name}.__main__") or (project.is_module(name) and not here.is_dir())
    return here.with_suffix(".py").exists() or (here / "__main__.py").exists() or _is_there(name)


# What is installed


def test_every_package_that_our_modules_import_is_installed() -> None:
    """A folder that packages.find does not name works in a checkout and nowhere else."""
    folders = {Path(name).parts[0] for name in _tracked() if name.endswith(".py")}
    used = {
        name.split(".")[0]
        for _, node in project.nodes()
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert used & folders == set(project.roots())
    assert folders - set(project.roots()) == set(BESIDE)
    python = {str(Path(name).parent).replace("/", ".") for name in _tracked(*project.roots()) if name.endswith(".py")}
    assert python == set(project.packages()), "a folder without __init__.py is not installed"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names in a wheel that is built of what git knows, without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in _tracked(*project.roots(), "pyproject.toml", "README.md", "LICENSE"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    program = "from setuptools import build_meta; print(build_meta.build_wheel('dist'))"
    completed = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False, timeout=PATIENCE_S
    )
    assert completed.returncode == 0, completed.stderr
    (file,) = (folder / "dist").glob("*.whl")
    with zipfile.ZipFile(file) as opened:
        return set(opened.namelist())


def test_a_wheel_has_every_file_of_our_packages_and_nothing_else(wheel: set[str]) -> None:
    """Migrations, words, fonts, templates and what the page loads included."""
    ours = {name for name in wheel if ".dist-info/" not in name}
    assert ours == set(_tracked(*project.roots()))
    assert len([name for name in ours if not name.endswith(".py")]) > 20


def test_every_pattern_of_package_data_finds_a_file() -> None:
    for package, patterns in project.pyproject()["tool"]["setuptools"]["package-data"].items():
        folder = ROOT / package.replace(".", "/")
        for pattern in patterns:
            assert [file for file in folder.glob(pattern) if file.is_file()], f"{package}: {pattern}"


def test_every_file_or_folder_beside_a_module_is_there() -> None:
    """Path(__file__).with_name("migrations"), Path(__file__).parent / "static" and parents[2], which is the root."""
    found = 0
    for file in project.modules().values():
        for text in re.findall(r'Path\(__file__\)\.with_name\("([^"]+)"\)', file.read_text(encoding="utf-8")):
            assert file.with_name(text).exists(), f"{file}: {text}"
            found += 1
        for text in re.findall(r'(?:Path\(__file__\)\.parent|_HERE) / "([^"]+)"', file.read_text(encoding="utf-8")):
            assert (file.parent / text).exists(), f"{file}: {text}"
            found += 1
        for text in re.findall(
            r"Path\(__file__\)(?:\.resolve\(\))?\.parents\[(\d)\]", file.read_text(encoding="utf-8")
        ):
            assert file.parents[int(text)] == ROOT, f"{file}: the folder of the packages is another one"
            found += 1
    assert found >= 5


def test_the_command_is_a_function_that_exists() -> None:
    scripts = project.pyproject()["project"]["scripts"]
    assert scripts.keys() == {"borne"}
    for target in scripts.values():
        module, _, function = target.partition(":")
        assert project.is_module(module)
        assert resolves(f"{module}.{function}")


# The configuration of tools


def test_pyright_looks_at_every_package() -> None:
    given = project.pyproject()["tool"]["pyright"]
    assert set(given["include"]) == {*project.roots(), *BESIDE}


def test_pyright_lets_routes_be_unused_where_routes_are_and_nowhere_else() -> None:
    given = project.pyproject()["tool"]["pyright"]["executionEnvironments"]
    folders = [ROOT / environment["root"] for environment in given if environment.get("reportUnusedFunction") is False]
    assert folders
    assert all((ROOT / environment["root"]).is_dir() for environment in given)
    with_routes = {
        file
        for file in project.modules().values()
        for node in project.nodes_of(file)
        if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef)
        for decorator in node.decorator_list
        if isinstance(decorator, ast.Call)
        and isinstance(decorator.func, ast.Attribute)
        and decorator.func.attr in _VERBS
        and _string_constants(decorator)[:1] != []
    }
    assert len(with_routes) > 20
    assert {file for file in with_routes if not any(file.is_relative_to(folder) for folder in folders)} == set()
    assert all(any(file.is_relative_to(folder) for file in with_routes) for folder in folders)


def test_import_linter_looks_at_every_package_and_its_contracts_name_modules_that_exist() -> None:
    given = project.pyproject()["tool"]["importlinter"]
    assert set(given["root_packages"]) == set(project.roots())
    named: list[str] = []
    for contract in given["contracts"]:
        container = contract.get("containers", [""])[0]
        for key in ("layers", "modules", "source_modules", "forbidden_modules", "protected_modules"):
            for line in contract.get(key, []):
                named += [f"{container}.{name}".lstrip(".") for name in re.split(r"[\s|:()]+", line) if name]
        for key in ("containers", "ancestors", "allowed_importers"):
            named += contract.get(key, [])
        named += [name for line in contract.get("ignore_imports", []) for name in line.split(" -> ")]
    assert named
    missing = [name for name in named if not project.is_module(re.sub(r"(\.\*+)+$", "", name))]
    assert missing == []


def test_the_image_of_fleets_gets_every_package() -> None:
    lines = [shlex.split(line) for line in _text(IMAGE).splitlines() if line.startswith("COPY ")]
    copied = {source for line in lines for source in line[1:-1] if not source.startswith("--")}
    assert set(project.roots()) <= copied
    assert [source for source in copied if not (ROOT / source).exists()] == []
    assert [line for line in lines if line[1] in project.roots() and line[1] != line[2].rstrip("/")] == []
    ignored = {line.strip("/") for line in _text(".dockerignore").splitlines()}
    assert ignored & copied == set()


def test_the_service_starts_a_command_that_exists() -> None:
    found = re.search(r"^ExecStart=(\S+) (\w+) ", _text("deploy/borne.service"), re.MULTILINE)
    assert found is not None
    assert Path(found[1]).name in project.pyproject()["project"]["scripts"]
    assert found[2] in COMMANDS


@each_row("file", [*SCRIPTS, *DOCUMENTS])
def test_every_path_of_the_repository_that_a_text_names_exists(file: str) -> None:
    tops = "|".join(map(re.escape, [*project.roots(), *BESIDE, "docs", "deploy"]))
    named = re.findall(rf"(?<![\w/.-])((?:{tops})/[\w./-]*\w)", _text(file))
    assert [name for name in named if not _exists(name)] == []
    assert len(named) > 5 or file != "docs/load-management.md", "the search has gone blind"


def _exists(path: str) -> bool:
    """Whether a path exists; if another word follows in the text, whether its beginning exists."""
    return (ROOT / path).exists() or (path.endswith("_") and list(ROOT.glob(f"{path}*")) != [])


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize(
    "target", ["demo", "test", "fuzz", "explore", "conformance-report", "check", "docs", "bench", "replay"]
)
def test_every_file_and_module_that_the_makefile_names_exists(target: str) -> None:
    dry_run = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert dry_run.returncode == 0, dry_run.stderr
    _check_command(dry_run.stdout)


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_every_security_test_that_the_makefile_names_exists() -> None:
    dry_run = subprocess.run(["make", "-n", "lowest"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert dry_run.returncode == 0, dry_run.stderr
    assert dry_run.stdout.count("tests/") > 5
    _check_command(dry_run.stdout)


def _check_command(commands: str) -> None:
    for name in re.findall(r"-m ([a-z_.]+)", commands):
        if name not in {"hypothesis", "pip", "venv"}:  # a marker of pytest, and what comes with Python
            assert _is_run(name), name
    assert [name for name in re.findall(r"\btests/[\w./]+", commands) if not (ROOT / name).exists()] == []


# What the program and its tests say as text


def test_every_list_of_our_packages_names_them_all() -> None:
    """Whoever looks at all packages would overlook a new one in silence."""
    short: list[str] = []
    for file in _sources():
        for node in project.nodes_of(file):
            if not isinstance(node, ast.Tuple | ast.List | ast.Set):
                continue
            texts = {element.value for element in node.elts if isinstance(element, ast.Constant)}
            of_packages = texts <= {*project.roots(), *BESIDE} and len(texts & set(project.roots())) > 1
            if of_packages and not texts >= set(project.roots()):
                short.append(f"{file.relative_to(ROOT)}:{node.lineno}")
    assert short == []


def test_every_module_that_is_run_by_name_exists() -> None:
    """(sys.executable, "-m", "…"), in the program, its tests, benchmarks and tools."""
    found = 0
    for file in _sources():
        for node in project.nodes_of(file):
            if not isinstance(node, ast.Tuple | ast.List | ast.Call):
                continue
            parts = node.args if isinstance(node, ast.Call) else node.elts
            texts = [element.value if isinstance(element, ast.Constant) else None for element in parts]
            for place, text in enumerate(texts[:-1]):
                if text == "-m" and isinstance(name := texts[place + 1], str):
                    assert _is_run(name), f"{file.relative_to(ROOT)}:{node.lineno}: {name}"
                    found += 1
    assert found >= 8


def test_every_module_that_is_imported_by_name_exists() -> None:
    """importlib.import_module(f"….{protocol}") and find_spec: of a name that is put together, what it begins with."""
    example = ast.parse('importlib.import_module(f"station.core.{name}")', mode="eval").body
    assert isinstance(example, ast.Call)
    assert _imported(example) == "station.core"  # so that the test sees such an import, where there is none today
    for file in _sources():
        for node in project.nodes_of(file):
            if not isinstance(node, ast.Call) or not (name := _imported(node)):
                continue
            if project.names_ours(name):
                assert project.is_module(name), f"{file.relative_to(ROOT)}:{node.lineno}: {name}"


def _imported(call: ast.Call) -> str:
    """The module that a call imports by name, or the package that it lies in."""
    words = {ast.unparse(call.func).rpartition(".")[2]} | {
        ast.unparse(argument).rpartition(".")[2] for argument in call.args[:1]
    }
    if not words & {"import_module", "find_spec", "run_module", "files"}:
        return ""
    for argument in call.args:
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
            return argument.value
        if isinstance(argument, ast.JoinedStr) and isinstance(argument.values[0], ast.Constant):
            return str(argument.values[0].value).rstrip(".")
    return ""


def test_everything_that_a_test_replaces_by_its_name_exists() -> None:
    """monkeypatch.setattr("….save_fact", …): pytest fails too, but only where that test is run."""
    found = 0
    for file in _sources():
        for node in project.nodes_of(file):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            replaces = node.func.attr in {"setattr", "delattr"} and node.args
            if replaces and isinstance(name := node.args[0], ast.Constant):
                assert resolves(str(name.value)), f"{file.relative_to(ROOT)}:{node.lineno}: {name.value}"
                found += 1
    assert found >= 5


def test_every_logger_that_somebody_listens_to_exists() -> None:
    """caplog.set_level(level, "…") and record.name == "…": of a name that nobody logs with, nothing is ever heard."""
    found = 0
    for file in _sources():
        for node in project.nodes_of(file):
            for name in _listened_to(node):
                if project.names_ours(name):
                    assert project.is_module(name), f"{file.relative_to(ROOT)}: {name}"
                    found += 1
    assert found >= 5


def _listened_to(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node.func.attr in {"set_level", "at_level"}:
            return [text for argument in node.args[1:] for text in _string_constants(argument)] + [
                text
                for keyword in node.keywords
                if keyword.arg == "logger"
                for text in _string_constants(keyword.value)
            ]
        if ast.unparse(node.func) == "record.name.startswith":
            return [text for argument in node.args for text in _string_constants(argument)]
    if isinstance(node, ast.Compare) and ast.unparse(node.left) == "record.name":
        return [text for comparator in node.comparators for text in _string_constants(comparator)]
    return []


def test_every_module_that_a_test_names_in_a_text_exists() -> None:
    """Such as one that must not be loaded, or must not be in a log: a name that is gone is never found there."""
    beyond = re.compile(rf"(?:{'|'.join(project.roots())})(?:\.[a-z_]+){{2,}}")
    missing = [
        f"{file.relative_to(ROOT)}: {text}"
        for folder in BESIDE
        for file in sorted((ROOT / folder).rglob("*.py"))
        for node in project.nodes_of(file)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for text in [node.value]
        if beyond.fullmatch(text) and not resolves(text)
    ]
    assert missing == []
    assert [name for name in LATE_OF_OURS if not project.is_module(name)] == []


@each_row("file", DOCUMENTS)
def test_every_logger_that_a_document_names_exists(file: str) -> None:
    """What users filter their logs by."""
    beyond = re.compile(rf"`((?:{'|'.join(project.roots())})(?:\.[a-z_]+)+)`")
    files = {"toml", "py", "md", "json", "service", "sysusers", "tmpfiles", "env", "pem", "error"}
    named = [name for name in beyond.findall(_text(file)) if name.rpartition(".")[2] not in files]
    assert [name for name in named if not resolves(name) and not _is_key(name)] == []


def _is_key(name: str) -> bool:
    """Whether it is a key of the installation file, such as station.identity."""
    keys = (ROOT / "tests" / "names" / "configuration.txt").read_text(encoding="utf-8")
    return re.search(rf"^{re.escape(name)}\b", keys, re.MULTILINE) is not None

"""The references name everything that others rely on, and the first pages are short and complete."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache

import pytest

from tests.names.snapshots import SNAPSHOTS, file_of
from tests.project import ROOT
from tools.references import environment, installation_file, markdown, mqtt, names
from tools.references.pages import PAGES


@cache
def page(name: str) -> str:
    """A page of the references."""
    return PAGES[f"reference/{name}.md"]()


def snapshot_lines(name: str) -> list[str]:
    """The names that others rely on, of one kind."""
    return file_of(name).read_text(encoding="utf-8").splitlines()


def cells_of_rows(text: str) -> list[list[str]]:
    """The cells of each row of the tables in a text."""
    return [re.split(r" (?<!\\)\| ", line[2:-2]) for line in text.splitlines() if line.startswith("| `")]


def tables_of_the_file() -> Iterator[tuple[list[str], str]]:
    """The places where each table of the installation file may stand, and its keys."""
    for text in re.split(r"^## ", page("installation-file"), flags=re.MULTILINE)[1:]:
        head, _, rest = text.partition("\n")
        also = re.search(r"^Also: .+$", rest, re.MULTILINE)
        places = re.findall(r"`(\[\[?[\w.]+\]\]?)`", head + (also[0] if also else ""))
        yield [place.strip("[]") for place in places] or [""], rest


def test_the_installation_file_names_every_key_and_every_word_of_it() -> None:
    known: dict[str, str] = {}
    for places, text in tables_of_the_file():
        for cells in cells_of_rows(text):
            for place in places:
                path = ".".join([place] * bool(place) + [cells[0].strip("`")])
                known[path] = known.get(path, "") + cells[1]
    missing: list[str] = []
    for line in snapshot_lines("configuration"):
        path = re.split(r": | = ", line)[0]
        word = line.removeprefix(path).partition(" = ")[2]
        key = re.sub(r"\[\d*\]", "", path)
        if key not in known or (word and f"`{word}`" not in known[key] and f"type = {word}" not in known[key]):
            missing.append(line)
    assert len(known) > 200
    assert missing == []


def test_every_key_of_the_installation_file_has_a_description() -> None:
    silent = [
        cells
        for _, text in tables_of_the_file()
        for cells in cells_of_rows(text)
        if len(cells) == 4 and not cells[3].strip()
    ]
    assert silent == []


def test_only_the_type_of_a_board_may_be_left_out() -> None:
    rows = [line for line in installation_file.page().splitlines() if line.startswith("| `type` |")]
    assert [row for row in rows if "**required**" not in row] == [
        '| `type` | `"simulated"` | `"simulated"` | Chooses this kind of table; a board without it is simulated. |'
    ]


def test_the_environment_names_every_variable() -> None:
    known = {key for _, key in environment.of_keys()}
    plain = {re.split(r": | = ", line)[0] for line in snapshot_lines("configuration") if not line.endswith(": null")}
    assert {re.sub(r"\[\d*\]", "[0]", re.sub(r"\[\d*\]$", "", key)) for key in plain} == known
    assert [name for name in snapshot_lines("environment") if f"`{name}`" not in page("environment")] == []


def test_the_command_line_names_every_command_and_option() -> None:
    flat = " ".join(page("command-line").split())
    assert [line for line in snapshot_lines("command_line") if line not in flat] == []


def test_the_metrics_are_those_that_a_running_station_shows() -> None:
    declared = [cells for cells in cells_of_rows(page("metrics")) if len(cells) == 4]
    documented = {name.strip("`"): (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels, _ in declared}
    for line in snapshot_lines("metrics"):
        name, _, rest = line.partition(" ")
        if "{" in rest:
            kind, _, labels = rest.partition(" ")
            assert documented[name] == (kind, set(filter(None, labels.strip("{}").split(",")))), line
        else:
            assert f"`{rest.partition('=')[2]}`" in page("metrics"), line


def test_mqtt_names_every_topic_and_every_field_with_its_meaning() -> None:
    text = page("mqtt")
    for line in snapshot_lines("mqtt_topics"):
        topic, _, field = line.partition(": ")
        general = re.sub(r"^limit/\w+", "limit/{operator|user}", topic)
        assert topic in text or general in text or "limit/{…}/error" in text, line
        if field:
            (section,) = re.findall(rf"### `{re.escape(topic)}`\n(.*?)(?=\n##|\Z)", text, re.DOTALL)
            (row,) = [cells for cells in cells_of_rows(section) if cells[0] == f"`{field}`"]
            assert row[1].strip(), line
    assert [line for line in snapshot_lines("mqtt_orders") if f"`{line}`" not in text] == []
    assert "\n".join(snapshot_lines("home_assistant")[1:]) in text


def test_every_topic_that_is_described_has_a_meaning() -> None:
    described = cells_of_rows(mqtt.page().partition("## Fields")[0])
    assert len(described) > 8
    assert [cells for cells in described if len(cells) != 2 or not cells[1].strip()] == []


def operations() -> dict[str, str]:
    """Return what the reference of the API says of each operation."""
    parts = re.split(r"^### `([A-Z]+ [^`]+)`$", page("api"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_the_api_names_every_operation_with_its_role_and_every_parameter_and_field() -> None:
    known = operations()
    for line in snapshot_lines("api_requests"):
        method, path, rest = line.split(" ", 2)
        text = known[f"{method} {path}"]
        assert re.search(r"Role: \*\*(visitor|driver|owner|installer|service)\*\*", text), line
        name = re.split(r": | = ", rest)[0]
        if rest.startswith(("path ", "query ")):
            assert f"| `{name.partition(' ')[2]}` | {name.partition(' ')[0]} |" in text, line
        elif rest.startswith("->"):
            assert "Response 2" in text or "-> 3" in rest, line
        elif " body." in f" {name}":
            field = re.sub(r"(\[\d*\])+$", "", name.partition("body.")[2])
            assert f"| `{field}` |" in text or f"| `{field}[]` |" in text, line


def test_the_api_names_every_field_of_what_is_answered() -> None:
    known = operations()
    missing: list[str] = []
    for line in snapshot_lines("api_answers"):
        path, _, rest = line.partition(": ")
        text = known[f"GET {path}"]
        if rest[:1].isdecimal() or rest.startswith("not asked"):
            continue
        if (
            f"`{rest}`" not in text
            and f"`{rest.rstrip('[]')}`" not in text
            and "text/csv" not in line
            and "," not in rest
        ):
            missing.append(line)
    assert missing == []


def test_the_api_describes_each_field_and_has_an_example_of_each_body() -> None:
    text = page("api")
    fields = [
        cells for cells in cells_of_rows(text) if len(cells) == 3 and not cells[0].endswith("*`")
    ]  # keys of a map
    assert len(fields) > 1000
    assert [cells for cells in fields if not cells[2].strip()] == []
    bodies = text.count("\nRequest body (")
    assert 50 < bodies <= text.count("\nExample:")
    assert '"id_token": "04A3B2C1D5E680"' in text


def test_the_events_of_the_stream_are_documented() -> None:
    text = (ROOT / "docs" / "test-bench.md").read_text(encoding="utf-8")
    for line in snapshot_lines("feed"):
        event, _, fields = line.partition(": ")
        (row,) = [cells for cells in cells_of_rows(text) if cells[0] == f"`{event}`"]
        assert fields == row[1] or [field for field in fields.split(", ") if f"`{field}`" not in row[1]] == []


def test_variables_and_stored_names_are_all_there() -> None:
    variables, stored = page("variables"), page("stored-names")
    for line in snapshot_lines("device_model"):
        path, _, characteristics = line.partition(": ")
        component, _, variable = path.partition(" ")
        section = variables.partition(f"\n## {component}\n")[2].partition("\n## ")[0]
        assert f"| `{variable}` " in section, line
        assert characteristics.split(" ")[1] in section, line
    for name in SNAPSHOTS:
        if name.startswith("stored_") or name == "settings":
            assert file_of(name).read_text(encoding="utf-8") in stored


def test_every_list_of_names_is_in_a_reference() -> None:
    """A new list needs a place in the documentation, and a test above."""
    assert set(SNAPSHOTS) == {
        *("stored_database", "stored_payloads", "stored_facts", "stored_files", "settings"),
        *("configuration", "environment", "command_line", "home_assistant", "mqtt_orders", "mqtt_topics"),
        *("device_model", "metrics", "api_requests", "api_answers", "feed"),
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the port", "The port."),
        ("auto: for people on a terminal", "`auto`: for people on a terminal."),
        ("/dev/gpiochip0", "/dev/gpiochip0."),
        ("one\nline\n\nanother one.", "One line. Another one."),
        ("", ""),
    ],
)
def test_a_docstring_becomes_sentences(text: str, expected: str) -> None:
    assert markdown.sentence(text) == expected


def test_a_cell_cannot_end_its_table() -> None:
    assert markdown.table(("a",), [("x|y\nz `p|q`",)]) == "| a |\n|---|\n| x\\|y z `p|q` |\n\n"


def test_the_readme_is_short_and_its_links_and_pictures_are_there() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    assert [link for link in links if not (ROOT / link).exists()] == []
    pictures = [ROOT / link for link in links if link.endswith(".png")]
    assert len(pictures) == 2
    assert [file for file in pictures if file.stat().st_size > 200_000] == []


def test_the_changelog_has_this_version_and_each_release_is_short() -> None:
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert version is not None
    releases = re.split(r"^## ", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    assert releases[1].startswith(f"[{version[1]}]")
    assert [release.splitlines()[0] for release in releases if len(release.splitlines()) > 30] == []


def test_the_lists_of_names_are_read_as_they_are_written() -> None:
    assert names.fields_of("feed").keys() == {line.partition(": ")[0] for line in snapshot_lines("feed")}
    assert json.loads("\n".join(snapshot_lines("home_assistant")[1:]))
    assert [section for section in installation_file.sections() if not section.places] == []

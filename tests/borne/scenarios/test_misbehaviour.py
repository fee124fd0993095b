"""Misbehaviour of a whole station: it is in its log of messages and in reports, and its own records stay right."""

from __future__ import annotations

from pathlib import Path

from borne.journal_file import check_journal_file
from borne.scenarios.scenario_run import RunOptions
from simulator.scenarios.reports import html_report, junit_report
from simulator.scenarios.shipped_scenarios import shipped_files
from simulator.scenarios.verdicts import Verdict
from tests.borne.scenarios.played import played

FILES = [file for file in shipped_files() if file.stem.startswith("misbehaviour-")]


def test_the_register_journal_of_a_station_is_intact_whatever_it_does_with_its_messages(tmp_path: Path) -> None:
    verdicts = played(FILES, RunOptions(folder=tmp_path, jobs=4))
    assert [verdict.reason for verdict in verdicts] == [""] * len(FILES)
    proofs = [check_journal_file(tmp_path / verdict.identity) for verdict in verdicts]
    assert all(proof.intact for proof in proofs), proofs
    assert len(proofs) >= 9


def test_what_was_done_to_which_message_is_in_the_reports() -> None:
    file = next(file for file in FILES if file.stem == "misbehaviour-duplicate-request")
    (verdict,) = played([file])
    assert len(verdict.misbehaviour) >= 3
    assert all("TransactionEvent request" in line and "sent twice" in line for line in verdict.misbehaviour)
    assert html_report([verdict]).count("→ misbehaviour: TransactionEvent") == len(verdict.misbehaviour)
    assert junit_report([verdict]).count(b'name="misbehaviour"') == len(verdict.misbehaviour)


SCENARIO = """
[[step]]
note = "a message of 1 MiB"
frame.length = 1048576

[[step]]
note = "what the station has not sent itself is marked in its log of messages"
request = { method = "GET", path = "/api/frames", answer = { "*" = { direction = "out", note = "sent by the bench" } } }

[[step]]
misbehave = { way = "drop", action = "Heartbeat" }

[[step]]
call = { action = "TriggerMessage", payload = { requestedMessage = "Heartbeat" } }

[[step]]
wait.seconds = 2

[[step]]
request = { method = "GET", path = "/api/frames", answer = { "*" = { note = "Heartbeat request * dropped" } } }
"""


def test_what_was_done_is_in_the_log_of_messages(tmp_path: Path) -> None:
    file = tmp_path / "marked.toml"
    file.write_text(SCENARIO)
    (verdict,) = played([file])
    assert verdict.verdict is Verdict.PASSED, verdict.reason

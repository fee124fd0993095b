"""Reports of played scenarios: lines for a terminal, JUnit XML, and a page."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree

from simulator.page_style import STYLE
from simulator.scenarios.verdicts import Verdict

if TYPE_CHECKING:
    from simulator.scenarios.verdicts import ScenarioVerdict, StepVerdict

_MARKS: Final = {Verdict.PASSED: "✓", Verdict.FAILED: "✗", Verdict.NOT_RUN: "–"}
_NO_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""characters that XML does not have"""
_PAGE_STYLE: Final = """
details { border-bottom: 1px solid var(--rule); padding: 6px 0; } summary { cursor: pointer; }
ol { padding-left: 28px; } li { margin: 3px 0; overflow-wrap: anywhere; } .quiet { color: var(--soft); }
td { white-space: normal; } pre { white-space: pre-wrap; overflow-wrap: anywhere; }
"""


def lines_of(verdict: ScenarioVerdict) -> Iterator[str]:
    """The lines of one scenario for a terminal: one if it passed; else also its failed step, with the messages."""
    used = f"{verdict.station_s:,.0f} s {verdict.time} in {verdict.real_s:.1f} s"
    yield f"{_MARKS[verdict.verdict]} {verdict.name} ({len(verdict.steps)} steps, {used})"
    if verdict.verdict is Verdict.NOT_RUN:
        yield f"    not run: {verdict.reason}"
    if verdict.verdict is Verdict.FAILED:
        failed = verdict.failed_step
        if failed is not None:
            where = f"{verdict.file}:{failed.line}" if failed.line is not None else verdict.file
            yield f"    {where}: step {failed.number}: {failed.title}"
        yield f"    {verdict.reason}"
        for message in failed.messages if failed is not None else ():
            yield f"      {message}"


def summary_of(verdicts: Sequence[ScenarioVerdict]) -> str:
    """One line about all scenarios."""
    counts = Counter(verdict.verdict for verdict in verdicts)
    parts = [f"{counts[kind]} {kind.value}" for kind in Verdict if counts[kind]]
    return f"{len(verdicts)} scenarios: {', '.join(parts) or 'none'}"


def junit_report(verdicts: Sequence[ScenarioVerdict]) -> bytes:
    """The report as JUnit XML: a test suite for each scenario, a test case for each step."""
    root = ElementTree.Element("testsuites", name="borne scenario")
    for verdict in verdicts:
        skipped = [step for step in verdict.steps if step.verdict is Verdict.NOT_RUN]
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=_xml_text(verdict.name),
            tests=str(max(1, len(verdict.steps))),
            failures=str(int(verdict.verdict is Verdict.FAILED)),
            errors="0",
            skipped=str(len(skipped)),
            time=f"{verdict.real_s:.3f}",
        )
        properties = ElementTree.SubElement(suite, "properties")
        for name, value in _properties(verdict):
            ElementTree.SubElement(properties, "property", name=name, value=_xml_text(value))
        _add_cases(suite, verdict)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)


def _add_cases(suite: ElementTree.Element, verdict: ScenarioVerdict) -> None:
    for step in verdict.steps:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=_xml_text(verdict.name),
            name=_xml_text(f"{step.number:03} {step.title}"),
            time=f"{step.real_s:.3f}",
            file=_xml_text(verdict.file),
        )
        if step.verdict is Verdict.FAILED:
            failure = ElementTree.SubElement(case, "failure", message=_xml_text(step.reason))
            failure.text = _xml_text("\n".join(step.messages))
        elif step.verdict is Verdict.NOT_RUN:
            ElementTree.SubElement(case, "skipped", message=_xml_text(step.reason))
    if verdict.failed_step is None and verdict.verdict is not Verdict.PASSED:
        case = ElementTree.SubElement(suite, "testcase", classname=_xml_text(verdict.name), name="scenario")
        tag = "failure" if verdict.verdict is Verdict.FAILED else "skipped"
        ElementTree.SubElement(case, tag, message=_xml_text(verdict.reason))


def _properties(verdict: ScenarioVerdict) -> Iterator[tuple[str, str]]:
    yield "file", verdict.file
    yield "time", verdict.time
    yield "csms", verdict.csms
    yield "station", verdict.identity
    yield "station seconds", f"{verdict.station_s:.3f}"
    yield "messages", str(verdict.messages)
    for line in verdict.misbehaviour:
        yield "misbehaviour", line


def _xml_text(text: str) -> str:
    return _NO_XML.sub("�", text)


def html_report(verdicts: Sequence[ScenarioVerdict]) -> str:
    """The report as one page without external resources; scenarios that did not pass are open."""
    good = all(verdict.verdict is Verdict.PASSED for verdict in verdicts)
    rows = "".join(_row(index, verdict) for index, verdict in enumerate(verdicts))
    parts = [
        "<h1>Scenarios</h1>",
        f'<p class="verdict {"good" if good else "bad"}">{escape(summary_of(verdicts))}</p>',
        '<div class="wide"><table><thead><tr><th>Scenario</th><th>Verdict</th><th>Steps</th><th>Station time</th>'
        f"<th>Real time</th><th>Messages</th></tr></thead><tbody>{rows}</tbody></table></div>",
        *(_section(index, verdict) for index, verdict in enumerate(verdicts)),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>Scenarios</title>'
        f"<style>{STYLE}{_PAGE_STYLE}</style></head><body><main>{''.join(parts)}</main></body></html>\n"
    )


def _row(index: int, verdict: ScenarioVerdict) -> str:
    return (
        f'<tr><td><a href="#s{index}">{escape(verdict.name)}</a></td><td>{_verdict_html(verdict.verdict)}</td>'
        f"<td>{len(verdict.steps)}</td><td>{verdict.station_s:,.1f} s {verdict.time}</td>"
        f"<td>{verdict.real_s:.2f} s</td><td>{verdict.messages}</td></tr>"
    )


def _verdict_html(verdict: Verdict) -> str:
    kind = {Verdict.PASSED: "good", Verdict.FAILED: "bad"}.get(verdict, "quiet")
    return f'<span class="{kind}">{_MARKS[verdict]} {verdict.value}</span>'


def _section(index: int, verdict: ScenarioVerdict) -> str:
    opened = "" if verdict.verdict is Verdict.PASSED else " open"
    about = f"<p>{escape(verdict.about)}</p>" if verdict.about else ""
    reason = f"<p>{escape(verdict.reason)}</p>" if verdict.reason else ""
    used = f"{verdict.file} · station {verdict.identity} · CSMS {verdict.csms} · {verdict.time} time"
    return (
        f'<details id="s{index}"{opened}><summary><b>{escape(verdict.name)}</b> {_verdict_html(verdict.verdict)}'
        f"</summary>{about}{reason}<p><small>{escape(used)}</small></p>"
        f"<ol>{''.join(map(_item, verdict.steps))}</ol>{_misbehaviour(verdict)}</details>"
    )


def _misbehaviour(verdict: ScenarioVerdict) -> str:
    if not verdict.misbehaviour:
        return ""
    return f"<p>Misbehaviour of the station:</p><pre>{escape(chr(10).join(verdict.misbehaviour))}</pre>"


def _item(step: StepVerdict) -> str:
    details = "".join(f"<br><small>{escape(line)}</small>" for line in step.matched)
    if step.verdict is not Verdict.PASSED:
        details = f"<br>{escape(step.reason)}" if step.reason else ""
        details += f"<pre>{escape(chr(10).join(step.messages))}</pre>" if step.messages else ""
    took = f" <small>{step.station_s:,.1f} s</small>" if step.verdict is Verdict.PASSED else ""
    return f"<li>{_verdict_html(step.verdict)} {escape(step.title)}{took}{details}</li>"


def all_passed(verdicts: Iterable[ScenarioVerdict]) -> bool:
    """Whether every scenario passed."""
    return all(verdict.verdict is Verdict.PASSED for verdict in verdicts)

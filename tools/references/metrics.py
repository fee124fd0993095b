"""The reference of `/metrics`: name, type, labels and meaning of each metric, as its source declares them."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from energy.limit import LimitSource
from foundation.member_docstrings import MemberDocstrings
from station.core.model import ConnectorStatus, Fault
from station.interfaces.api import metrics
from tools.references.markdown import sentence, table

_DOCSTRINGS: Final = MemberDocstrings()
_HEAD: Final = """\
# Metrics

`GET /metrics` returns the text format of Prometheus; it requires the role driver or higher. Values that a meter
does not report are absent, not zero. Prometheus signs in with an [access token](api.md) that the owner creates:

```yaml
scrape_configs:
  - job_name: borne
    authorization: {credentials: "the access token"}
    static_configs: [{targets: ["station.local:8080"]}]
```

"""
_ENDINGS: Final = {"counter": "_total", "info": "_info"}
"""suffix of metric names by type"""
_LABELS: Final[dict[str, type[Enum]]] = {"status": ConnectorStatus, "fault": Fault, "source": LimitSource}
"""the labels whose values are members of an enumeration"""


@dataclass(frozen=True)
class Metric:
    """The declaration of a metric."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str


def declared() -> list[Metric]:
    """All metrics, in the order of the source."""
    tree = ast.parse(Path(metrics.__file__).read_text(encoding="utf-8"))
    calls = sorted((node for node in ast.walk(tree) if isinstance(node, ast.Call)), key=lambda node: node.lineno)
    return [metric for call in calls for metric in _metric(call)]


def _metric(call: ast.Call) -> Iterator[Metric]:
    """The metric that a call declares: a family of prometheus_client, or the short form for a gauge without labels."""
    function = ast.unparse(call.func).rpartition(".")[2]
    texts = list(_texts(call.args[:2]))
    if len(texts) != 2 or not texts[0].startswith("borne_"):
        return
    kind = function.removesuffix("MetricFamily").lower().lstrip("_")
    labels: dict[str, None] = {}
    for keyword in call.keywords:
        if keyword.arg == "labels":
            labels |= dict.fromkeys(_texts(ast.walk(keyword.value)))
    if kind == "info":
        labels = dict.fromkeys(("identity", "model", "vendor", "firmware"))
    type_text = "gauge" if kind == "info" else kind  # the text format has no type info
    yield Metric(texts[0] + _ENDINGS.get(kind, ""), type_text, tuple(labels), texts[1])


def _texts(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def page() -> str:
    """Generate the page."""
    rows = [
        (f"`{metric.name}`", metric.kind, ", ".join(f"`{label}`" for label in metric.labels), sentence(metric.meaning))
        for metric in declared()
    ]
    parts = [_HEAD, table(("metric", "type", "labels", "meaning"), rows)]
    parts.append("`evse` is the number of the EVSE, `phase` is `L1`, `L2` or `L3`.\n\n")
    for label, kind in _LABELS.items():
        meanings = _DOCSTRINGS.of(kind)
        words = [(f"`{member.value}`", sentence(meanings.get(member.name, ""))) for member in kind]
        listed = table(("value", "meaning"), words) if meanings else f"{', '.join(word for word, _ in words)}.\n\n"
        parts.append(f"## Values of `{label}`\n\n{listed}")
    return "".join(parts)

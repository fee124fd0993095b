"""The printed label: what a person reads beside the code is whole, however long the names are."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from station.maintenance.commissioning.label import Label, label_svg

_ROW = re.compile(r'<text x="37" y="([\d.]+)" font-size="([\d.]+)">([^<]*)</text>')
_CAPITAL = 0.72


@pytest.mark.parametrize(
    "identity", ["B1", "BORNE-STATION-NORTH-001", "FR-OPERATOR-BUILDING-0123456789-LEFT-WALL-0001"]
)
def test_no_line_of_the_label_leaves_it_and_none_is_too_small_to_read(identity: str) -> None:
    address = f"https://{identity}.local:8080/commissioning"
    rows = _ROW.findall(label_svg(Label(identity, "SN-0123456789-ABCDEFGH", address, "ABCD-EFGH-JKLM")))
    joined = "".join(text for _, _, text in rows)
    assert joined == f"{identity}serial SN-0123456789-ABCDEFGH{address}code ABCD-EFGH-JKLM"
    for (_, size, text), below in zip(rows, [*(float(y) for y, _, _ in rows[1:]), None], strict=True):
        assert 37 + _CAPITAL * float(size) * len(text) <= 79, text
        assert float(size) >= 2.0, text
        assert below is None or below <= 34
    heights = [float(y) for y, _, _ in rows]
    assert min(b - a for a, b in pairwise(heights)) >= 3.4

"""The check of the wiring finds what it is made for, and nothing else, in small sources."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.rows import each_row
from tools import wiring
from tools.wiring_listeners import RAISING
from tools.wiring_rules import RULES, modules_below
from tools.wiring_syntax import Finding, Module

SLOT = """
from collections.abc import Callable
class Meter:
    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.on_reading: Callable[[float], None] | None = None
    def read(self) -> float: ...
    @property
    def last(self) -> float: ...
"""


def found(rule: str, *sources: str, path: str = "station/part.py") -> list[tuple[int, str]]:
    """Return line and text of each finding of a rule in small sources; lines count within the source."""
    modules = [Module.parse(path.replace("part", f"part{at}"), source) for at, source in enumerate(sources)]
    return [(finding.line, finding.text) for finding in RULES[rule](modules)]


@pytest.mark.parametrize(
    "statement",
    [
        "meter.on_reading = lambda energy: None",
        "meter.on_reading = listener",
        "meter.anything = other.read",
        "meter.anything = partial(print, 1)",
        "self.meter.on_reading = listener",
        "meter.on_reading, other.last = listener, 1.0",
    ],
)
def test_a_callable_that_is_assigned_after_construction_is_found(statement: str) -> None:
    source = f"class A:\n    def start(self, meter, other, listener):\n        {statement}\n"
    ((line, text),) = found("callables assigned after construction", SLOT, source)
    assert line == 3
    assert text.endswith("is assigned a callable")


@pytest.mark.parametrize(
    "statement",
    [
        "meter.on_reading = None",
        "meter.power_w = 3.0",
        "meter.power_w = other.last",
        "meter.power_w = other.read()",
        "sys.excepthook = listener",
        "listener = other.read",
    ],
)
def test_a_value_that_is_assigned_after_construction_is_not_found(statement: str) -> None:
    source = f"import sys\nclass A:\n    def start(self, meter, other, listener):\n        {statement}\n"
    assert found("callables assigned after construction", SLOT, source) == []


def test_a_constructor_may_store_callables_in_its_own_object_only() -> None:
    source = """
class A:
    def __init__(self, meter, listener):
        self.listener = lambda: None
        meter.on_reading = listener
"""
    assert [line for line, _ in found("callables assigned after construction", SLOT, source)] == [5]


def test_a_method_that_stores_a_callable_is_found() -> None:
    source = f"{SLOT}    def set_listener(self, listener: Callable[[float], None]) -> None:\n"
    source += "        self.on_reading = listener\n"
    assert len(found("callables assigned after construction", source)) == 1
    trusting = "class A:\n    def trust(self, own: Callable[[int], bool] | None) -> None:\n        self.own = own\n"
    assert len(found("callables assigned after construction", trusting)) == 1


def test_a_name_that_is_a_value_in_another_class_is_a_callable_only_if_the_value_is_one() -> None:
    source = """
class Bill:
    on_reading: float | None = None
    def add(self, other, energy_wh):
        self.on_reading = energy_wh
        other.on_reading = energy_wh
        other.on_reading = energy_wh.report
"""
    assert [line for line, _ in found("callables assigned after construction", SLOT, source)] == [7]


@pytest.mark.parametrize(
    "source",
    [
        "def f(online=lambda: True): ...",
        "def f(*, online=lambda: True): ...",
        "class A:\n    online: Callable[[], bool] = lambda: True",
        "class A:\n    online: Callable[[], bool] = field(default=lambda: True)",
        "class A:\n    def __init__(self):\n        self.online: Callable[[], bool] = lambda: True",
        "async def nobody(): ...\nclass A:\n    def __init__(self):\n        self.ask: Callable[[], bool] = nobody",
        "Ask = Callable[[], bool]\ndef no(): ...\nclass A:\n    def __init__(self):\n        self.ask: Ask = no",
    ],
)
def test_a_default_that_stands_for_a_collaborator_is_found(source: str) -> None:
    assert len(found("default callables", source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "class A:\n    names: list[str] = field(default_factory=lambda: [])",
        "sorted([], key=lambda one: one)",
        "def f(online=None): ...",
        "class A:\n    def __init__(self, online):\n        self.online: Callable[[], bool] = online",
    ],
)
def test_other_lambdas_and_defaults_are_not_found(source: str) -> None:
    assert found("default callables", source) == []


def test_a_class_name_counts_once_with_all_its_places() -> None:
    twice = found("class names used twice", "class A: ...\nclass B: ...", "def f():\n    class A: ...", "class A: ...")
    assert twice == [(1, "class A is also in station/part1.py:2, station/part2.py:1")]


def test_imports_within_functions_are_found_once_also_in_nested_ones() -> None:
    source = """
import os
if TYPE_CHECKING:
    import re
def outer():
    import json
    async def inner():
        if True:
            from pathlib import Path
"""
    assert found("function-level imports", source) == [(6, "import json"), (9, "from pathlib import Path")]


@pytest.mark.parametrize(
    "imports",
    [
        "    import json  # late: rarely needed",
        "    # late: rarely needed\n    import json",
        "    # late: rarely needed\n    # at all\n    import json",
        "    # late: rarely needed\n    import json\n    import re",
        "    # late: rarely needed\n    import json\n\n    from pathlib import Path",
        "    from pathlib import (\n        Path,  # late: rarely needed\n    )",
    ],
)
def test_an_import_within_a_function_has_its_reason_beside_or_above_it(imports: str) -> None:
    assert found("function-level imports without a reason", f"def f():\n{imports}\n    return 1\n") == []


@pytest.mark.parametrize(
    "imports",
    [
        "import json",
        "x = 1  # a comment on something else\n    import json",
        "# a comment, but not of the import\n\n    import json",
        "# late: rarely needed\n    import re\n    x = 1\n    import json",
        "x = '# no comment'\n    import json",
    ],
)
def test_an_import_within_a_function_without_its_reason_is_found(imports: str) -> None:
    source = f"# imports of the module need none\nimport os\ndef f():\n    {imports}\n"
    line = source.splitlines().index("    import json") + 1
    assert found("function-level imports without a reason", source) == [(line, "import json")]


@pytest.mark.parametrize(("lines", "many"), [(60, 0), (61, 1)])
def test_a_function_may_have_sixty_lines(lines: int, many: int) -> None:
    source = "@once\ndef f():\n" + "    pass\n" * (lines - 1)
    assert len(found("functions over 60 lines", source)) == many


def test_settings_that_are_matched_by_their_ending_are_found() -> None:
    source = """
settings.watch(lambda name: poke() if name.endswith("_interval_s") else None)
settings.watch(lambda name: poke() if name == "interval_s" else None)
url.endswith("/")
"""
    assert [line for line, _ in found("settings matched by their ending", source)] == [2]


def test_a_collaborator_that_the_composition_always_sets_is_found() -> None:
    part = """
class Sampler: ...
class Evse:
    def __init__(self):
        self.sampler: Sampler | None = None
        self.plugged: Sampler | None = None
        self.limit_a: float | None = None
"""
    composition = "evse.sampler = Sampler()\nevse.limit_a = 6.0\nif real:\n    evse.plugged = Sampler()"
    modules = [
        Module.parse("station/charging/evse.py", part),
        Module.parse("borne/composition/charging.py", composition),
    ]
    text = "sampler: Sampler | None is always set by the composition"
    rule = RULES["collaborators set after construction"]
    assert rule(modules) == [Finding("station/charging/evse.py", 5, text)]
    elsewhere = [modules[0], Module.parse("station/light.py", composition)]
    assert rule(elsewhere) == []


def test_the_packages_are_those_that_are_installed(tmp_path: Path) -> None:
    for name in ("station/web", "energy", "tests"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "a.py").write_text("class A: ...\n")
    pyproject = '[tool.setuptools.packages.find]\ninclude = ["station*", "energy*"]\n'
    modules = modules_below(tmp_path, wiring.patterns(pyproject))
    assert [module.path for module in modules] == ["energy/a.py", "station/web/a.py"]


def test_a_figure_above_its_limit_fails_and_is_named() -> None:
    findings = {"class names used twice": [Finding("energy/a.py", 3, "class A")], "functions over 60 lines": []}
    lines, good = wiring.report(findings, {"class names used twice": 0, "functions over 60 lines": 0})
    assert not good
    assert lines == [
        "energy/a.py:3: class A [class names used twice]",
        "class names used twice: 1 of 0, functions over 60 lines: 0 of 0",
        "more than allowed: class names used twice",
    ]
    assert wiring.report(findings, {"class names used twice": 1, "functions over 60 lines": 0})[1]


def test_a_limit_above_its_figure_fails_so_that_it_falls() -> None:
    lines, good = wiring.report({"functions over 60 lines": []}, {"functions over 60 lines": 2})
    assert not good
    assert lines[-1] == "fewer than allowed, so lower the limit: functions over 60 lines"


def test_every_rule_has_a_limit() -> None:
    assert wiring.LIMITS.keys() == RULES.keys()


def test_a_rule_that_is_not_known_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert wiring.main(["style"]) == 2
    assert "no such rule: style" in capsys.readouterr().err


WIDE = "types with parts of more than two layers"
PARTS = {
    "energy/balancer.py": "class Balancer: ...",
    "metering/meter.py": "class Meter: ...",
    "station/core/model.py": "class Status(StrEnum): ...\nclass Token(Frozen):\n    status: Status",
    "station/storage/outbox.py": "class Outbox: ...",
    "station/charging/evse.py": "class Evse: ...\nEvses = Mapping[int, Evse]",
    "ocpp_handlers/wire/session.py": "class Session: ...",
}
IMPORTS = """
if TYPE_CHECKING:
    from energy.balancer import Balancer
    from metering import meter as meters
    from ocpp_handlers.wire.session import Session
    from station.charging.evse import Evse, Evses
    from station.core.model import Status, Token
    from station.storage.outbox import Outbox as Record
"""


def wide(station: str, *, path: str = "station/load/station.py", user: str = "station/load/user.py") -> list[str]:
    """What the rule says of a class Station in this module, which another module annotates."""
    using = f"from {path[:-3].replace('/', '.')} import Station\ndef use(station: Station | None) -> None: ..."
    sources = {**PARTS, path: f"{IMPORTS}\n{station}", user: using}
    modules = [Module.parse(where, source) for where, source in sources.items()]
    return [finding.text for finding in RULES[WIDE](modules)]


@pytest.mark.parametrize(
    "station",
    [
        "@dataclass\nclass Station:\n    balancer: Balancer\n    evse: Evse | None\n    record: list[Record]",
        "class Station:\n    def __init__(self, a: Balancer, b: Evse, c: Record):\n"
        "        self.a, self.b, self.c = a, b, c",
        "class Station:\n    def __init__(self, a: Balancer):\n        self.a = a\n        self.b = Evse()\n"
        "        self.c: Record = made()",
        "class Station:\n    balancer: Balancer\n    evses: Evses\n    @property\n    def record(self) -> Record: ...",
        "class Base:\n    balancer: Balancer\nclass Station(Base):\n    evse: 'Evse'\n    record: Callable[[], Record]",
        "class Both(Frozen):\n    evse: Evse\nclass Station:\n    balancer: Balancer\n    record: Record\n"
        "    meter: meters.Meter",
    ],
)
def test_a_type_that_exposes_parts_of_three_layers_is_found(station: str) -> None:
    (text,) = wide(station)
    assert text.startswith("Station exposes parts of energy, ")
    assert text.endswith("annotated in 1 modules")


@pytest.mark.parametrize(
    "station",
    [
        "class Station:\n    balancer: Balancer\n    evse: Evse",
        "class Station:\n    balancer: Balancer\n    evse: Evse\n    _record: Record",
        "class Station:\n    balancer: Balancer\n    evse: Evse\n    status: Status\n    token: Token",
        "class Station:\n    balancer: Balancer\n    evse: Evse\n    on_record: Callable[[Record], None]",
        "class Station:\n    balancer: Balancer\n    evse: Evse\n    def record(self) -> Record: ...",
        "class Station:\n    def __init__(self, a: Balancer, b: Evse, c: Record):\n"
        "        self._a, self._b, self._c = a, b, c",
    ],
)
def test_parts_of_two_layers_values_and_what_is_private_are_allowed(station: str) -> None:
    assert wide(station) == []


def test_the_composition_may_know_every_layer_and_what_nobody_below_it_annotates_is_allowed() -> None:
    station = "class Station:\n    balancer: Balancer\n    evse: Evse\n    record: Record"
    assert wide(station, path="borne/station.py", user="borne/user.py") == []
    assert len(wide(station, path="borne/station.py")) == 1
    assert wide(station.replace("Station", "Other")) == []


def test_an_alias_that_contains_itself_is_no_trouble() -> None:
    assert wide("Json = dict[str, 'Json'] | list['Json']\nclass Station:\n    json: Json\n    evse: Evse") == []


RAISING_RULE = "listeners of auxiliary components that can raise"


@each_row(
    "path", ["ocpp_handlers/part.py", "station/display/part.py", "borne/composition/part.py", "simulator/part.py"]
)
@each_row(
    "statement",
    [
        "link.up.subscribe(light.refresh)",
        "end = link.up.subscribe(lambda _: light.refresh())",
        "link.up.subscribe_exclusive(light.refresh)",
        "link.up.add_subscription(Subscription(light.refresh))",
        "stack.callback(link.up.subscribe(light.refresh))",
        "subscribe = link.up.subscribe",
        "for begin in map(link.up.subscribe, listeners): begin()",
        "watch_zone(settings, zone.publish)",
        "restart.delay_while(lambda: uploads.busy)",
    ],
)
def test_a_listener_of_an_auxiliary_component_that_can_raise_is_found(path: str, statement: str) -> None:
    assert [line for line, _ in found(RAISING_RULE, statement, path=path)] == [1]


@pytest.mark.parametrize(
    "statement",
    [
        "auxiliary.subscribe(link.up, light.refresh)",
        "stack.callback(self.auxiliary.subscribe(link.up, lambda _: light.refresh()))",
        "watch_zone(settings, auxiliary.contained(zone.publish))",
        "restart.delay_while(lambda: auxiliary.ask(lambda: uploads.busy, default=False))",
        "async def f():\n    await client.subscribe(topic)",
        "with feed.subscribe(accepts) as queue: ...",
    ],
)
def test_what_is_contained_or_no_listener_is_allowed(statement: str) -> None:
    assert found(RAISING_RULE, statement, path="ocpp_handlers/part.py") == []


@pytest.mark.parametrize("package", ["foundation", "metering", "energy", "station/charging", "station/load"])
def test_listeners_of_essential_packages_may_raise(package: str) -> None:
    assert found(RAISING_RULE, "meter.failed.subscribe(self._meter_failed)", path=f"{package}/part.py") == []


@pytest.mark.parametrize(("path", "text"), RAISING)
def test_each_allowed_raising_listener_exists(path: str, text: str) -> None:
    assert text in (Path(__file__).parents[2] / path).read_text(encoding="utf-8")

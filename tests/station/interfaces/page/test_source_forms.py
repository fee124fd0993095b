"""The kinds of grid meters that the page of commissioning offers."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, get_args

from msgspec import Meta

from energy.sources.grid_source_config import GridSourceConfig
from energy.sources.grid_source_table import GridSourceTable
from station.core.languages import DEFAULT_LANGUAGE
from station.interfaces.languages import catalogue
from station.interfaces.page.source_forms import SourceField, SourceForm, source_forms


class GatewayConfig(GridSourceTable, tag_field="type", tag="gateway"):
    """A meter that the template does not know."""

    type: ClassVar[Literal["gateway"]] = "gateway"
    host: Annotated[str, Meta(min_length=1)]
    channel: Annotated[int, Meta(ge=0)]
    timeout_s: float = 1.0


def test_every_kind_of_grid_meter_can_be_chosen_and_those_with_a_form_have_a_name() -> None:
    forms = source_forms(get_args(GridSourceConfig))
    assert {form.kind for form in forms} == {table.__struct_config__.tag for table in get_args(GridSourceConfig)}
    assert {f"source.{form.kind}" for form in forms if form.has_form} <= catalogue(DEFAULT_LANGUAGE).keys()


def test_a_kind_without_a_form_has_a_field_for_each_required_key() -> None:
    (form,) = source_forms([GatewayConfig])
    assert form == SourceForm("gateway", False, [SourceField("host", False), SourceField("channel", True)])

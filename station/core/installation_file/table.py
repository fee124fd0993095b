"""Value types that several tables of the installation file share."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from foundation.table_definition import Count

Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=50)]
EvseNumber: TypeAlias = Annotated[Count, Meta(ge=1, le=1000, examples=[1])]
ConnectorNumber: TypeAlias = Annotated[Count, Meta(ge=1, le=1000, examples=[1])]
PhaseCount: TypeAlias = Literal[1, 3]

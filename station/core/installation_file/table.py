"""Value types that several tables of the installation file share."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=50)]
PhaseCount: TypeAlias = Literal[1, 3]

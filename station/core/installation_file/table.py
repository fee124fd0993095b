"""Base class of the installation file's tables, and the value types that they share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _named(path: object) -> object:
    if path == "":
        raise ValueError("must not be empty")  # pathlib would read it as the working directory
    return path


FilePath = Annotated[Path, BeforeValidator(_named)]
Count = Annotated[int, Field(strict=True)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1, max_length=50)]
PhaseCount = Literal[1, 3]


class Table(BaseModel):
    """Base class of the installation file's tables: frozen, rejects unknown keys, schema built at first use."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)

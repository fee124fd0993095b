"""The JSON objects that the API takes and gives."""

from __future__ import annotations

Json = dict[str, object]
"""a JSON object, by the names of its fields"""

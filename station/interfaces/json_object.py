"""The type of JSON objects in requests and responses of the API."""

from __future__ import annotations

Json = dict[str, object]
"""a JSON object, by field name"""

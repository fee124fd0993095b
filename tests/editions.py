"""A made-up later edition of OCPP, for what depends on the edition of a session."""

from __future__ import annotations

from typing import Final

from ocpp_handlers.wire.edition import V21, V201, Edition

LATER: Final = Edition(
    name="9.9",
    order=V21.order + 1,
    subprotocol="ocpp9.9",
    schema_folder=V201.schema_folder,
    actions=V201.actions,
    frame_kinds=(*V201.frame_kinds, 5, 6),
)
"""with the schemas of 2.0.1, which is enough: it differs by what came `since`"""

"""The editions of OCPP that a station speaks; each session has one, which the CSMS chooses in the handshake."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from foundation.frozen import Frozen
from ocpp_handlers.wire.action_names import OCPP_201

CALL: Final = 2
CALLRESULT: Final = 3
CALLERROR: Final = 4


class Edition(Frozen, eq=False):
    """An edition of OCPP: its name, subprotocol, schemas, actions and kinds of frames. Each is one object."""

    name: str
    """as in the title of the specification, such as 2.0.1"""
    order: int
    """higher for a later edition"""
    subprotocol: str
    """name of the websocket subprotocol (part 4 §3.1.2)"""
    schema_folder: str
    """folder of its JSON schemas in the `ocpp` package"""
    actions: frozenset[str]
    """names of its actions; case matters (part 4, table 5)"""
    frame_kinds: tuple[int, ...]
    """message type numbers of the frames that may be received (part 4, chapter 4); a tuple, as a received list has no
    hash"""

    def includes(self, since: Edition) -> bool:
        """Return whether this edition has what came with the edition `since`: it is that edition or a later one."""
        return self.order >= since.order


V201: Final = Edition("2.0.1", 0, "ocpp2.0.1", "v201", OCPP_201, (CALL, CALLRESULT, CALLERROR))
EDITIONS: Final = (V201,)
"""the editions that the station offers to a CSMS, the preferred one first"""


def chosen_edition(offered: Sequence[Edition], subprotocol: str | None) -> Edition | None:
    """Return the offered edition whose subprotocol the CSMS has chosen; None: it has chosen none of them."""
    return next((edition for edition in offered if edition.subprotocol == subprotocol), None)

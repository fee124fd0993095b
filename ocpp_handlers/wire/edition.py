"""The editions of OCPP that a station speaks; each session has one, which the CSMS chooses in the handshake."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from foundation.frozen import Frozen
from ocpp_handlers.wire.action_names import OCPP_21, OCPP_201

CALL: Final = 2
CALLRESULT: Final = 3
CALLERROR: Final = 4
CALLRESULTERROR: Final = 5
"""an answer to a CALLRESULT that its receiver cannot use; itself not answered (OCPP 2.1)"""
SEND: Final = 6
"""a message that is not answered (OCPP 2.1)"""


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
    """message type numbers of its frames (part 4, chapter 4); a tuple, as a received list has no hash"""

    def includes(self, since: Edition) -> bool:
        """Return whether this edition has what came with the edition `since`: it is that edition or a later one."""
        return self.order >= since.order


V201: Final = Edition("2.0.1", 0, "ocpp2.0.1", "v201", OCPP_201, (CALL, CALLRESULT, CALLERROR))
V21: Final = Edition("2.1", 1, "ocpp2.1", "v21", OCPP_21, (CALL, CALLRESULT, CALLERROR, CALLRESULTERROR, SEND))
EDITIONS: Final = (V21, V201)
"""the editions that a station can speak, the latest first"""


def editions_named(names: Iterable[str]) -> list[Edition]:
    """Return the editions with these names, such as 2.0.1, in their order; unknown ones are left out."""
    return [edition for name in names for edition in EDITIONS if edition.name == name]


def chosen_edition(offered: Sequence[Edition], subprotocol: str | None) -> Edition | None:
    """Return the offered edition whose subprotocol the CSMS has chosen; None: it has chosen none of them."""
    return next((edition for edition in offered if edition.subprotocol == subprotocol), None)

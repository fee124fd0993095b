"""Why a CALL of the station has no valid response."""

from __future__ import annotations

from ocpp_handlers.wire import frame
from station.core.csms import NoAnswerError

_TEMPORARY_CODES = frozenset({"InternalError", "GenericError", "RpcFrameworkError"})


class CallRefusedError(NoAnswerError):
    """A CALL has no valid response: the CSMS answered with a CALLERROR or something invalid, or it was not sent."""

    def __init__(self, code: str, description: str, details: frame.Payload | None = None) -> None:
        """`details`: the errorDetails of the CALLERROR; None or empty: there are none."""
        text = f"{code}: {description}" if description else code
        super().__init__(f"{text}, details {frame.loggable_details(details)}" if details else text)
        self.code = code
        self.temporary = code in _TEMPORARY_CODES
        """whether the same CALL may be accepted later; the other codes judge the CALL itself"""


class InvalidResponseError(CallRefusedError):
    """The CSMS answered a CALL with a response that its schema does not allow; it has perhaps processed the CALL."""


class InvalidRequestError(CallRefusedError):
    """A CALL was not sent, since its schema does not allow it: a defect of the station, which the log has named.

    The same CALL would be refused again.
    """


class CallTimeoutError(NoAnswerError):
    """The CSMS did not answer a CALL in time; it may or may not have received it."""


class LinkLostError(NoAnswerError):
    """There is no link, or it ended before the answer came; the CSMS may have received the CALL."""

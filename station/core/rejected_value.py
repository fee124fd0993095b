"""The error for a value that is rejected for a reason with a code of its own."""

from __future__ import annotations


class RejectedValueError(ValueError):
    """A value is rejected. `reason_code`: for statusInfo (OCPP part 2, appendix 5); the message continues the name."""

    def __init__(self, reason_code: str, info: str) -> None:
        super().__init__(info)
        self.reason_code = reason_code

"""Location and encoding of a meter's serial number."""

from __future__ import annotations

from collections.abc import Sequence

from foundation.frozen import Frozen


class SerialNumber(Frozen):
    """Location and encoding of a meter's serial number."""

    function: int
    address: int
    words: int
    is_text: bool = False
    """text, two characters per register, padded with zeros; else a number, most significant register first"""

    def covers(self, function: int, address: int) -> bool:
        """Return whether a register is part of the serial number."""
        return function == self.function and self.address <= address < self.address + self.words

    def text(self, words: Sequence[int]) -> str:
        """Decode the serial number; empty if there is none."""
        data = b"".join(word.to_bytes(2, "big") for word in words)
        if self.is_text:
            return data.rstrip(b"\0 \xff").decode("ascii", errors="replace")
        number = int.from_bytes(data, "big")
        return "" if number in (0, 2 ** (16 * self.words) - 1) else str(number)

    def encode(self, text: str) -> dict[tuple[int, int], int]:
        """Encode a serial number to registers: the inverse of `text`."""
        size = 2 * self.words
        data = text.encode("ascii")[:size].ljust(size, b"\0") if self.is_text else int(text).to_bytes(size, "big")
        return {
            (self.function, self.address + at): int.from_bytes(data[2 * at : 2 * at + 2], "big")
            for at in range(self.words)
        }

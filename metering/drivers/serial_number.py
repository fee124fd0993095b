"""Location and encoding of a meter's serial number."""

from __future__ import annotations

from collections.abc import Sequence

from foundation.frozen import Frozen


class SerialNumber(Frozen):
    """Where and how the meters of a model store their serial number; not the number itself."""

    function: int
    """3 (holding registers) or 4 (input registers)"""
    address: int
    words: int
    """number of registers"""
    is_text: bool = False
    """text, two characters per register, padded with zeros; else a number, most significant register first"""

    def covers(self, function: int, address: int) -> bool:
        """Return whether the register with this function and address is part of the serial number."""
        return function == self.function and self.address <= address < self.address + self.words

    def decode(self, words: Sequence[int]) -> str:
        """Decode the words of these registers to the serial number; empty if the meter has none."""
        data = b"".join(word.to_bytes(2, "big") for word in words)
        if self.is_text:
            return data.rstrip(b"\0 \xff").decode("ascii", errors="replace")
        number = int.from_bytes(data, "big")
        return "" if number in (0, 2 ** (16 * self.words) - 1) else str(number)

    def encode(self, text: str) -> dict[tuple[int, int], int]:
        """Encode a serial number to words by function and address, to simulate a meter: the inverse of decoding."""
        size = 2 * self.words
        data = text.encode("ascii")[:size].ljust(size, b"\0") if self.is_text else int(text).to_bytes(size, "big")
        return {
            (self.function, self.address + at): int.from_bytes(data[2 * at : 2 * at + 2], "big")
            for at in range(self.words)
        }

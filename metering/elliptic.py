"""Verifies ECDSA signatures on secp192k1, a curve that the `cryptography` package lacks.

Slow and not in constant time, which is acceptable: it handles no secrets. Sources: SEC 1 §4.1.4 (verification),
SEC 2 version 1 §2.2.1 (parameters of the curve).
"""

from __future__ import annotations

from foundation.frozen import Frozen

_Point = tuple[int, int] | None
"""coordinates of a point; None is the point at infinity"""


class WeierstrassCurve(Frozen):
    """y² = x³ + ax + b over the integers modulo p, with a generator of the prime order n."""

    p: int
    a: int
    b: int
    generator: tuple[int, int]
    n: int

    def contains(self, x: int, y: int) -> bool:
        """Return whether the point (x, y) lies on the curve."""
        return 0 <= x < self.p and 0 <= y < self.p and (y * y - (x * x * x + self.a * x + self.b)) % self.p == 0

    def decompress_y(self, x: int, *, odd: bool) -> int | None:
        """The y of a compressed point (SEC 1 §2.3.4); None if x is not on the curve. Needs p ≡ 3 mod 4."""
        y = pow(x * x * x + self.a * x + self.b, (self.p + 1) // 4, self.p)
        y = y if (y & 1) == odd else self.p - y
        return y if self.contains(x, y) else None

    def verify(self, key: tuple[int, int], digest: bytes, r: int, s: int) -> bool:
        """Return whether (r, s) is a valid ECDSA signature of a digest; `key`: x and y of the signer's public key."""
        if not self.contains(*key) or not (0 < r < self.n and 0 < s < self.n):
            return False
        surplus = max(0, len(digest) * 8 - self.n.bit_length())
        e = int.from_bytes(digest, "big") >> surplus
        inverse = pow(s, -1, self.n)
        found = self._add(
            self._multiply(e * inverse % self.n, self.generator), self._multiply(r * inverse % self.n, key)
        )
        return found is not None and found[0] % self.n == r

    def _multiply(self, factor: int, point: _Point) -> _Point:
        result: _Point = None
        while factor:
            if factor & 1:
                result = self._add(result, point)
            point = self._add(point, point)
            factor >>= 1
        return result

    def _add(self, first: _Point, second: _Point) -> _Point:
        if first is None or second is None:
            return first if second is None else second
        (x1, y1), (x2, y2) = first, second
        if x1 == x2 and (y1 + y2) % self.p == 0:
            return None
        if first == second:
            slope = (3 * x1 * x1 + self.a) * pow(2 * y1, -1, self.p)
        else:
            slope = (y2 - y1) * pow(x2 - x1, -1, self.p)
        x3 = (slope * slope - x1 - x2) % self.p
        return x3, (slope * (x1 - x3) - y1) % self.p


SECP192K1 = WeierstrassCurve(
    p=2**192 - 2**32 - 2**12 - 2**8 - 2**7 - 2**6 - 2**3 - 1,
    a=0,
    b=3,
    generator=(
        0xDB4FF10EC057E9AE26B07D0280B7F4341DA5D1B1EAE06C7D,
        0x9B2F2F6D9C5628A7844163D015BE86344082AA88D95E2F9D,
    ),
    n=0xFFFFFFFFFFFFFFFFFFFFFFFE26F2FC170F69466A74DEFD8D,
)

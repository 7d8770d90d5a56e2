"""Write tokens: who wants to store something here must have asked here first (BEP 5).

A token is a keyed hash of the asker's address and of what was asked for, so that nothing is kept
for it, and nobody can store in another's name. It is good for 5 to 10 minutes.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

LIFETIME_S = 300.0
"""A secret makes tokens for this long, and they are taken for as long again."""

TOKEN_BYTES = 8


class TokenIssuer:
    """Secrets come from `rng`: what nobody may predict needs a SystemRandom."""

    __slots__ = ("_rng", "_rotated_at", "_secret", "_secret_before")

    def __init__(self, rng: Random, now: float) -> None:
        self._rng = rng
        self._rotated_at = now
        self._secret = rng.randbytes(16)
        self._secret_before = rng.randbytes(16)

    def issue(self, host: bytes, target: bytes, now: float) -> bytes:
        """Make the token for a packed address that asked for `target`."""
        self._rotate(now)
        return _token(self._secret, host, target)

    def accepts(self, token: bytes, host: bytes, target: bytes, now: float) -> bool:
        self._rotate(now)
        return token in {
            _token(self._secret, host, target),
            _token(self._secret_before, host, target),
        }

    def _rotate(self, now: float) -> None:
        periods = int((now - self._rotated_at) / LIFETIME_S)
        if periods < 1:
            return
        self._secret_before = self._secret if periods == 1 else self._rng.randbytes(16)
        self._secret = self._rng.randbytes(16)
        self._rotated_at += periods * LIFETIME_S


def _token(secret: bytes, host: bytes, target: bytes) -> bytes:
    return hashlib.blake2s(host + target, key=secret, digest_size=TOKEN_BYTES).digest()

"""Names of torrents and peers as types: info-hashes (BEP 3, 52) and peer ids (BEP 20)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from string import hexdigits

from engine.errors import InputError

VERSION = "0.1.0"
"""Of the whole program; pyproject.toml says the same, and a test holds the two together."""

PEER_ID_PREFIX = b"-SW0100-"
"""Azureus style (BEP 20): `SW` is seedwright, then four digits of the version. Trackers keep lists
of these, so the two letters never change."""


class InfoHash(bytes):
    """20 bytes (v1, SHA-1 of the info dictionary) or 32 (v2, SHA-256 of it); hashable, sortable."""

    __slots__ = ()

    def __new__(cls, value: bytes) -> InfoHash:
        if len(value) not in (20, 32):
            raise InputError(f"an info-hash has 20 or 32 bytes, not {len(value)}")
        return super().__new__(cls, value)

    @classmethod
    def of(cls, raw_info: bytes | memoryview) -> InfoHash:
        """Hash the raw bencoded info dictionary as v1 does."""
        return cls(hashlib.sha1(raw_info, usedforsecurity=False).digest())

    @classmethod
    def parse(cls, text: str) -> InfoHash:
        """Read 40 or 64 hexadecimal digits. Raises InputError."""
        # bytes.fromhex would skip blanks between the digits.
        if len(text) not in (40, 64) or not all(digit in hexdigits for digit in text):
            raise InputError(f"{text[:80]!r} is no info-hash: not 40 or 64 hexadecimal digits")
        return cls(bytes.fromhex(text))

    def __str__(self) -> str:
        return self.hex()

    def __repr__(self) -> str:
        return f"InfoHash({self.hex()})"


class PeerId(bytes):
    """20 bytes that name one run of a client in a swarm (BEP 20)."""

    __slots__ = ()

    def __new__(cls, value: bytes) -> PeerId:
        if len(value) != 20:
            raise InputError(f"a peer id has 20 bytes, not {len(value)}")
        return super().__new__(cls, value)

    @classmethod
    def generate(cls, random_bytes: Callable[[int], bytes]) -> PeerId:
        """Make one of ours; `random_bytes` is `os.urandom` or a seeded generator's."""
        return cls(PEER_ID_PREFIX + random_bytes(20 - len(PEER_ID_PREFIX)))

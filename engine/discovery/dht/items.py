"""Small values that anybody may keep in the DHT, immutable and mutable (BEP 44).

A value is kept in its bencoded form, canonical and at most 1000 bytes: its hash and its signature
are over exactly these bytes. Signatures are made and checked by callables of the owner.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from engine.core import bencode
from engine.errors import BencodeError, InputError

MAX_VALUE_BYTES = 1000
MAX_SALT_BYTES = 64
MAX_SEQ = 2**63 - 1
KEY_BYTES = 32
SIGNATURE_BYTES = 64

Verify: TypeAlias = Callable[[bytes, bytes, bytes], bool]
"""(public key, signature, message) → whether this is its ed25519 signature; raises nothing."""
Sign: TypeAlias = Callable[[bytes], bytes]
"""message → its ed25519 signature of 64 bytes."""


@dataclass(frozen=True, slots=True)
class ImmutableItem:
    value: bytes
    """Bencoded."""

    @property
    def target(self) -> bytes:
        return hashlib.sha1(self.value, usedforsecurity=False).digest()


@dataclass(frozen=True, slots=True)
class MutableItem:
    key: bytes
    """The public key, 32 bytes."""
    seq: int
    value: bytes
    """Bencoded."""
    signature: bytes
    salt: bytes = b""

    @property
    def target(self) -> bytes:
        return mutable_target(self.key, self.salt)

    def is_genuine(self, verify: Verify) -> bool:
        return verify(self.key, self.signature, signed_bytes(self.salt, self.seq, self.value))


Item: TypeAlias = ImmutableItem | MutableItem


def mutable_target(key: bytes, salt: bytes = b"") -> bytes:
    """Where a mutable item of this public key and salt is found."""
    return hashlib.sha1(key + salt, usedforsecurity=False).digest()


def signed_bytes(salt: bytes, seq: int, value: bytes) -> bytes:
    """What the owner of a mutable item signs."""
    prefix = b"4:salt%d:%b" % (len(salt), salt) if salt else b""
    return b"%b3:seqi%de1:v%b" % (prefix, seq, value)


def encode_value(value: bencode.Encodable) -> bytes:
    """Bencode a value to be stored. Raises InputError when it is too big."""
    encoded = bencode.encode(value)
    if len(encoded) > MAX_VALUE_BYTES:
        raise InputError(f"value of {len(encoded)} bytes; the DHT keeps {MAX_VALUE_BYTES}")
    return encoded


def is_storable(value: bytes) -> bool:
    """Say whether these bytes are one canonical bencoded value that is not too big."""
    if len(value) > MAX_VALUE_BYTES:
        return False
    try:
        return bencode.encode(bencode.decode(value)) == value
    except BencodeError:
        return False


def signed_item(
    key: bytes, seq: int, value: bencode.Encodable, sign: Sign, *, salt: bytes = b""
) -> MutableItem:
    """Make a mutable item; `key` is the public key that belongs to `sign`. Raises InputError."""
    if len(key) != KEY_BYTES or len(salt) > MAX_SALT_BYTES or not 0 <= seq <= MAX_SEQ:
        raise InputError("mutable item with an impossible key, salt or sequence number")
    encoded = encode_value(value)
    return MutableItem(key, seq, encoded, sign(signed_bytes(salt, seq, encoded)), salt)

"""ed25519 as the product's owner of a DHT node gives it: by the `cryptography` package."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from engine.core import bencode
from engine.discovery.dht.items import MutableItem, signed_item


def verify(key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


class Signer:
    """A key pair."""

    def __init__(self, seed: bytes = b"s" * 32) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.key = self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def item(self, seq: int, value: bencode.Encodable, salt: bytes = b"") -> MutableItem:
        return signed_item(self.key, seq, value, self._private.sign, salt=salt)

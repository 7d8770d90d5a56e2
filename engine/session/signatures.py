"""ed25519 for items of the DHT (BEP 44), by the library `cryptography`.

It is loaded when the first key is seen: most sessions never see one.
"""

from __future__ import annotations


def verify(key: bytes, signature: bytes, message: bytes) -> bool:
    """Say whether this is the signature of `message` by the owner of the public `key`."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


class Signer:
    """A key pair, made of the 32 bytes of its seed."""

    def __init__(self, seed: bytes) -> None:
        """Raises ValueError for a seed of another length."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.key = self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        """The public one, 32 bytes."""

    def sign(self, message: bytes) -> bytes:
        return self._private.sign(message)

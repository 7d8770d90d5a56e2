"""RC4 by the C of OpenSSL; the library is loaded when the first encrypted connection is made."""

from __future__ import annotations

from engine.errors import EncryptionError
from engine.wire.encryption import StreamCipher


def rc4(key: bytes) -> StreamCipher:
    """Make a cipher. Raises EncryptionError where the OpenSSL of this machine refuses RC4."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.decrepit.ciphers.algorithms import ARC4
    from cryptography.hazmat.primitives.ciphers import Cipher

    try:
        return Cipher(ARC4(key), mode=None).encryptor()
    except UnsupportedAlgorithm as error:
        raise EncryptionError(f"no RC4 on this machine: {error}") from error

"""One side of the MSE/PE handshake, made by hand from the specification; shares no code with the
engine, so that a test can break every rule of it."""

from __future__ import annotations

import hashlib

PRIME = int(
    "0xFFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A0879"
    "8E3404DDEF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A63A3621"
    "0000000000090563",
    16,
)


def sha(data: bytes) -> bytes:
    return hashlib.sha1(data).digest()


class Rc4:
    """RC4 in Python, without its first bytes."""

    def __init__(self, key: bytes, discard: int = 1024) -> None:
        state = list(range(256))
        j = 0
        for i in range(256):
            j = (j + state[i] + key[i % len(key)]) & 255
            state[i], state[j] = state[j], state[i]
        self._state, self._i, self._j = state, 0, 0
        self(bytes(discard))

    def __call__(self, data: bytes) -> bytes:
        state, i, j = self._state, self._i, self._j
        out = bytearray()
        for byte in data:
            i = (i + 1) & 255
            j = (j + state[i]) & 255
            state[i], state[j] = state[j], state[i]
            out.append(byte ^ state[(state[i] + state[j]) & 255])
        self._i, self._j = i, j
        return bytes(out)


class Mse:
    """The keys and the sentences of one side."""

    def __init__(self, skey: bytes, *, calls: bool, private: int = 0xC0FFEE << 136 | 7) -> None:
        self._skey, self._calls, self._private = skey, calls, private
        self.public = pow(2, private, PRIME).to_bytes(96, "big")

    def agree(self, theirs: bytes) -> None:
        """Take the 96 bytes of the other side."""
        secret = pow(int.from_bytes(theirs, "big"), self._private, PRIME).to_bytes(96, "big")
        self.req1 = sha(b"req1" + secret)
        self._req3 = sha(b"req3" + secret)
        a, b = Rc4(sha(b"keyA" + secret + self._skey)), Rc4(sha(b"keyB" + secret + self._skey))
        self.encipher, self.decipher = (a, b) if self._calls else (b, a)

    @property
    def names_torrent(self) -> bytes:
        named = sha(b"req2" + self._skey)
        return bytes(x ^ y for x, y in zip(named, self._req3, strict=True))

    def request(
        self,
        *,
        provide: int = 3,
        padding: bytes = b"",
        initial: bytes = b"",
        vc: bytes = bytes(8),
        padding_length: int | None = None,
    ) -> bytes:
        """What the caller says third."""
        length = len(padding) if padding_length is None else padding_length
        return (
            self.req1
            + self.names_torrent
            + self.encipher(
                vc
                + provide.to_bytes(4, "big")
                + length.to_bytes(2, "big")
                + padding
                + len(initial).to_bytes(2, "big")
                + initial
            )
        )

    def answer(
        self, *, select: int = 2, padding: bytes = b"", padding_length: int | None = None
    ) -> bytes:
        """What the called side says fourth."""
        length = len(padding) if padding_length is None else padding_length
        return self.encipher(
            bytes(8) + select.to_bytes(4, "big") + length.to_bytes(2, "big") + padding
        )
